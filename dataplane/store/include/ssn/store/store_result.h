// SPDX-License-Identifier: BSD-3-Clause
// What becomes of a request to the share store, without words: for rings and packets.
#pragma once

#include <cstdint>
#include <string_view>

namespace ssn::store {

enum class StoreResult : std::uint8_t {
  none,         ///< not yet known
  done,         ///< done, and durable where it says so
  again,        ///< the same was done before; as good as done
  not_found,    ///< no such share, cell or attempt
  incomplete,   ///< cells are missing: the share cannot be sealed
  quarantined,  ///< it was there, is damaged, and was put aside: repair it from other holders
  superseded,   ///< a later attempt of the cell is there already
  conflict,     ///< other bytes, another size, another share index or another seal than what is there
  removed,      ///< the generation was removed a short while ago
  read_only,    ///< the disk failed: nothing is written until restart
  disk_full,    ///< nothing is written until there is space
  io_error,     ///< this operation failed in the disk
  busy,         ///< limits of memory are reached: try again after the next flush
  invalid,      ///< breaks a limit of the format
};

/// "disk_full", ...
std::string_view name(StoreResult result) noexcept;

}  // namespace ssn::store
