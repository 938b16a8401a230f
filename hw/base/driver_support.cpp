// SPDX-License-Identifier: BSD-3-Clause
#include "driver_support.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ssn::hw {
namespace {

template <std::size_t size>
void copy_text(char (&out)[size], std::string_view text) noexcept {
  const std::size_t length = std::min(text.size(), size - 1);
  std::memcpy(out, text.data(), length);
  out[length] = '\0';
}

Error setting_error(std::string_view name, std::string why, std::string fix) {
  return {Exit::usage, "cannot open the device", std::move(why), "setting " + std::string(name),
          std::move(fix)};
}

}  // namespace

ssn_status report(const Error& error, ssn_error* out) noexcept {
  if (out != nullptr) {
    copy_text(out->what, error.what);
    copy_text(out->why, error.why);
    copy_text(out->where, error.where);
    copy_text(out->fix, error.fix);
  }
  switch (error.code) {
    case Exit::usage:
      return SSN_INVALID;
    case Exit::not_found:
      return SSN_NOT_FOUND;
    case Exit::refused:
      return SSN_REFUSED;
    case Exit::temporary:
      return SSN_UNAVAILABLE;
    case Exit::integrity:
      return SSN_INTEGRITY;
    case Exit::key_material:
      return SSN_EXHAUSTED;
    default:
      return SSN_FAILED;
  }
}

ssn_status fail(ssn_error* out, ssn_status status, std::string_view what, std::string_view why,
                std::string_view where, std::string_view fix) noexcept {
  if (out != nullptr) {
    copy_text(out->what, what);
    copy_text(out->why, why);
    copy_text(out->where, where);
    copy_text(out->fix, fix);
  }
  return status;
}

ssn_status report_exception(const std::exception& exception, ssn_error* out) noexcept {
  if (out != nullptr) {
    copy_text(out->what, "the driver cannot go on");
    copy_text(out->why, exception.what());
    copy_text(out->where, "");
    copy_text(out->fix, "free memory and try again");
  }
  return SSN_EXHAUSTED;
}

Result<DriverSettings> DriverSettings::read(const ssn_setting* settings, std::size_t count,
                                            std::initializer_list<std::string_view> known) {
  DriverSettings result;
  result.settings_ = settings;
  result.count_ = count;
  std::string names;
  for (const std::string_view name : known) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  for (std::size_t i = 0; i < result.count_; ++i) {
    const char* const name = settings[i].name;
    if (name == nullptr || settings[i].value == nullptr) {
      return setting_error("", "a setting has no name or no value", "give both");
    }
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return setting_error(name, "this driver has no such setting", "it has " + names);
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (std::strcmp(settings[j].name, name) == 0) {
        return setting_error(name, "it is given twice", "give it once");
      }
    }
  }
  return result;
}

std::optional<std::string_view> DriverSettings::find(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    if (name == settings_[i].name) {
      return settings_[i].value;
    }
  }
  return std::nullopt;
}

Result<std::string> DriverSettings::require(std::string_view name, std::string_view example) const {
  const std::optional<std::string_view> value = find(name);
  if (!value || value->empty()) {
    return setting_error(name, "it must be given",
                         fmt::format("set it, for example: {} = \"{}\"", name, example));
  }
  return std::string(*value);
}

Result<std::uint64_t> DriverSettings::number(std::string_view name, std::uint64_t otherwise,
                                             std::uint64_t least, std::uint64_t most) const {
  const std::optional<std::string_view> value = find(name);
  if (!value) {
    return otherwise;
  }
  std::uint64_t number = 0;
  const auto [end, status] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (status != std::errc() || end != value->data() + value->size() || number < least || number > most) {
    return setting_error(name,
                         fmt::format("'{}' is not a number from {} to {}", value->substr(0, 32), least, most),
                         "give such a number");
  }
  return number;
}

}  // namespace ssn::hw
