// SPDX-License-Identifier: BSD-3-Clause
// Which nodes hold an object's shares. Pure: the same input gives the same answer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::controller {

struct Candidate {
  std::string node;
  std::string domain;  ///< empty: one of its own
  std::uint64_t free_bytes = 0;
  std::string excluded;  ///< why not: "down", "out", ...; empty: it may
};

struct Placement {
  std::vector<Holder> holders;  ///< layout.n, all different; no domain has more than reveal nothing
  std::string reason;
};

/// `share_bytes`: what each holder will need, as far as that is known. temporary: there are too few.
Result<Placement> place(const Layout& layout, std::uint64_t object, std::uint64_t share_bytes,
                        std::span<const Candidate> candidates);

}  // namespace ssn::controller
