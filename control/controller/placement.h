// SPDX-License-Identifier: BSD-3-Clause
// Which nodes hold an object's shares. Pure: the same input gives the same answer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::controller {

/// What may have no more shares of an object than reveal nothing.
struct Domain {
  std::string_view kind;  ///< "site", "operator", ...; static
  std::string name;
  auto operator<=>(const Domain&) const = default;
};

struct Candidate {
  std::string node;
  std::string site;             ///< empty: one of its own
  std::vector<Domain> domains;  ///< others that it lies in
  std::uint64_t free_bytes = 0;
  PeerReport path;       ///< of the SSA to it; no peer: nothing is known
  std::string excluded;  ///< why not: "down", "out", ...; empty: it may
};

struct Placement {
  std::vector<Holder> holders;  ///< layout.n, all different; no domain has more than reveal nothing
  std::string reason;
};

struct PlacementQuestion {
  std::uint64_t object = 0;
  std::uint64_t share_bytes = 0;  ///< what each holder will need, as far as that is known
  std::uint32_t sites = 0;        ///< that the holders lie in at least
};

/// `choices`: what became of each candidate, in their order, also where it is refused. temporary: there are
/// too few.
Result<Placement> place(const Layout& layout, const PlacementQuestion& question,
                        std::span<const Candidate> candidates, std::vector<NodeChoice>* choices = nullptr);

}  // namespace ssn::controller
