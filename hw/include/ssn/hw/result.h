// SPDX-License-Identifier: BSD-3-Clause
// How everything outside the kernels reports failure: as a value that says what failed, why, where and what
// to do about it. Nothing here throws.
#pragma once

#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace ssn {

/// What kind of failure it is; also the exit code of our programs. Stable: scripts depend on them.
/// docs/exit-codes.md says what each one means.
enum class Exit : int {
  ok = 0,
  failed = 1,
  usage = 2,
  degraded = 3,
  not_found = 4,
  temporary = 5,
  refused = 6,
  integrity = 7,
  unrecoverable = 8,
  key_material = 9,
  mixed_objects = 10,
  not_a_share = 11,
  kernels_refused = 12,
};

/// The code's name in JSON output: "unrecoverable", ...
std::string_view name(Exit code) noexcept;

struct Error {
  Exit code = Exit::failed;
  std::string what;   ///< what could not be done
  std::string why;    ///< the reason
  std::string where;  ///< file, option or setting; may be empty when `what` names it
  std::string fix;    ///< what to do
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : value_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const noexcept { return value_.index() == 0; }
  T& value() {
    assert(ok());
    return *std::get_if<0>(&value_);
  }
  const T& value() const {
    assert(ok());
    return *std::get_if<0>(&value_);
  }
  Error& error() {
    assert(!ok());
    return *std::get_if<1>(&value_);
  }
  const Error& error() const {
    assert(!ok());
    return *std::get_if<1>(&value_);
  }

 private:
  std::variant<T, Error> value_;
};

struct Nothing {};
/// Success or an Error: `return done;`.
using Outcome = Result<Nothing>;
inline constexpr Nothing done{};

/// An Error from errno: chooses the exit code and says what usually helps.
Error system_error(int error_number, std::string what, std::string where);

}  // namespace ssn
