// SPDX-License-Identifier: BSD-3-Clause
// What our drivers share on their control path: settings and errors, in the words of the C interface.
// Nothing here that an out-of-tree driver could not do itself.
#pragma once

#include <cstdint>
#include <exception>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "ssn/hw/result.h"
#include "ssn/key_device.h"

namespace ssn::hw {

/// Copies `error` to the C structure, cut where it is too long, and returns the status that fits its code.
ssn_status report(const Error& error, ssn_error* out) noexcept;
/// The same from its parts: `return fail(...)`.
ssn_status fail(ssn_error* out, ssn_status status, std::string_view what, std::string_view why,
                std::string_view where, std::string_view fix) noexcept;
ssn_status report_exception(const std::exception& exception, ssn_error* out) noexcept;

/// Runs a call of the control path; what it throws (no memory) does not leave the driver.
template <typename Call>
ssn_status guarded(ssn_error* error, Call call) noexcept {
  try {
    return call();
  } catch (const std::exception& exception) {
    return report_exception(exception, error);
  }
}

/// The settings of a device. Refers to the strings of the configuration.
class DriverSettings {
 public:
  /// Each setting must be one of `known` and be given at most once.
  static Result<DriverSettings> read(const ssn_setting* settings, std::size_t count,
                                     std::initializer_list<std::string_view> known);
  static Result<DriverSettings> read(const ssn_key_device_config& config,
                                     std::initializer_list<std::string_view> known) {
    return read(config.settings, config.setting_count, known);
  }

  std::optional<std::string_view> find(std::string_view name) const noexcept;
  /// The value, or an error that names the setting.
  Result<std::string> require(std::string_view name, std::string_view example) const;
  /// A decimal number from `least` to `most`; `otherwise` where it is not given.
  Result<std::uint64_t> number(std::string_view name, std::uint64_t otherwise, std::uint64_t least,
                               std::uint64_t most) const;

 private:
  const ssn_setting* settings_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace ssn::hw

/// Defines the one function that a driver exports, SSN_KEY_DRIVER_ENTRY.
#define SSN_EXPORT_KEY_DRIVER(driver)                                                                \
  extern "C" __attribute__((visibility("default"))) const ssn_key_driver* ssn_get_key_driver(void) { \
    return &(driver);                                                                                \
  }
