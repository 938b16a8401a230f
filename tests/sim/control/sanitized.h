// SPDX-License-Identifier: BSD-3-Clause
// Whether everything takes several times as long: fewer seeds then.
#pragma once

namespace ssn::sim {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace ssn::sim
