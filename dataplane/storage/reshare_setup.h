// SPDX-License-Identifier: BSD-3-Clause
// What the configuration says of shareholders that make shares anew among themselves.
#pragma once

#include "holder_role.h"
#include "ssn/dataplane/configuration.h"

namespace ssn::dataplane {

/// usage: two nodes have the same number.
Outcome check_node_numbers(const Configuration& configuration);

/// `of_worker`: packets that a worker may have; `cell_room`: bytes of the longest cell.
HolderRole::Resharing resharing_of(const Configuration& configuration, std::uint32_t of_worker,
                                   std::uint32_t cell_room);

/// What a job may give in a second: the lesser of what was ordered and `most`; 0 of either: any.
std::uint64_t lesser_rate(std::uint64_t ordered, std::uint64_t most) noexcept;

/// For the mask orders of one burst, each as long as a unit of the longest cells.
Result<OrderMemory> mask_memory(std::uint32_t cell_room);

}  // namespace ssn::dataplane
