// SPDX-License-Identifier: BSD-3-Clause
// "Did you mean ...?"
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ssn::hw {

/// The candidate that `given` was probably meant to be: the one with the fewest single-letter changes, if
/// those are few enough for a typing error. Empty where none is.
std::string nearest(std::string_view given, std::span<const std::string> candidates);

}  // namespace ssn::hw
