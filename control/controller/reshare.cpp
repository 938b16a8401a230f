// SPDX-License-Identifier: BSD-3-Clause
#include "reshare.h"

namespace ssn::controller {
namespace {

template <typename Enum, std::size_t Count>
std::string_view pick(const std::string_view (&names)[Count], Enum value) noexcept {
  const auto index = static_cast<std::size_t>(value);
  return index < Count ? names[index] : "unknown";
}

}  // namespace

std::string_view name(ReshareOperation operation) noexcept {
  static constexpr std::string_view names[] = {"unknown",      "exchange", "repair", "refresh",
                                               "redistribute", "seal",     "check"};
  return pick(names, operation);
}

std::string_view name(ReshareStep step) noexcept {
  static constexpr std::string_view names[] = {"unknown", "transfer", "seal", "check",
                                               "erase",   "undo",     "done", "undone"};
  return pick(names, step);
}

std::string_view name(ReshareAnswer answer) noexcept {
  static constexpr std::string_view names[] = {
      "unknown",   "taken",    "again",       "superseded", "busy",     "no-part", "malformed",
      "too-large", "unlisted", "below-floor", "forbidden",  "unpinned", "old-term"};
  return pick(names, answer);
}

std::string_view name(ReshareState state) noexcept {
  static constexpr std::string_view names[] = {"none", "running", "done", "failed", "cancelled"};
  return pick(names, state);
}

std::string_view name(ReshareTrouble trouble) noexcept {
  static constexpr std::string_view names[] = {"none",         "stalled",  "peer-lost",  "not-there",
                                               "store-failed", "conflict", "incomplete", "damaged",
                                               "no-random",    "no-keys"};
  return pick(names, trouble);
}

std::string_view name(CheckVerdict verdict) noexcept {
  static constexpr std::string_view names[] = {"none", "passed", "failed", "unverified"};
  return pick(names, verdict);
}

}  // namespace ssn::controller
