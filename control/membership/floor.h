// SPDX-License-Identifier: BSD-3-Clause
// What a membership permits of what a controller asks for. Pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "document.h"

namespace ssn::membership {

/// What an order lacks.
enum class Breach : std::uint8_t {
  none,
  ended,       ///< the membership does not hold now
  unlisted,    ///< a node that is not listed
  wrong_role,  ///< one that is listed as something else
  repeated,    ///< a node that would have two shares of one generation
  scheme,      ///< not permitted
  threshold,   ///< fewer shares tell nothing than the floor says
  domains,     ///< too few domains, or more than t shares in one of them
  protection,  ///< below the floor's class
  operation,   ///< this way to make shares anew is not permitted
  contradicts  ///< what was said of the same generation before
};
inline constexpr std::size_t breaches = 11;
/// "unlisted", "wrong-role", ...
std::string_view name(Breach breach) noexcept;

struct Verdict {
  Breach breach = Breach::none;
  std::string why;  ///< names what breaks it; empty for none
  bool ok() const noexcept { return breach == Breach::none; }
};

/// Whether it holds now, in seconds since 1970.
Verdict holds(const Document& document, std::int64_t now);
/// Whether the node is listed, with this role.
Verdict lists(const Document& document, std::string_view node, pki::Role role);
/// A layout that is to be written; `protection` of its shares: the best that the writer's own settings are
/// sure of.
Verdict permits(const Document& document, const controller::Layout& layout,
                controller::Protection protection);

}  // namespace ssn::membership
