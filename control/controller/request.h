// SPDX-License-Identifier: BSD-3-Clause
// Whether what callers ask is sound by itself: limits and agreement of its fields. Pure.
#pragma once

#include <map>
#include <set>

#include "reshare.h"
#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::controller {

/// What the operator says of the network. Nodes say the same of themselves, but what endangers others is
/// believed from here only: docs/controller.md, "Labels".
struct Deployment {
  std::map<std::string, Labels> labels;  ///< of nodes
  std::set<std::string> delivered_once;  ///< key managers that deliver each key once, to two ends only
};

/// What a write that leaves it open gets, and for how long things are kept.
struct Policy {
  Scheme scheme = Scheme::shamir;
  std::uint32_t k = 3;
  std::uint32_t n = 5;
  std::uint32_t secret_blocks = 1;
  std::uint32_t cell_bytes = 1344;
  std::uint32_t quorum = 0;
  std::uint32_t minimum = 0;
  Protection minimum_protection = Protection::unknown;
  PadShares pad_shares = PadShares::automatic;
  std::uint32_t domains = 0;  ///< that the holders of an object lie in at least: sites
  std::uint32_t lease_ms = 30'000;
  std::uint32_t report_ms = 1'000;
  std::uint64_t remember_ms = 3'600'000;
  std::uint64_t objects_max = 1'000'000;  ///< of an owner
  std::uint64_t writes_max = 256;         ///< open, of an owner
  std::uint64_t nodes_max = 256;
  Deployment deployment;
  ReshareTiming reshare;
  std::uint32_t reshare_jobs = 4;      ///< that run at a time; others wait for their turn
  std::uint64_t reshare_after_ms = 0;  ///< a holder that is down for so long is replaced; 0: never by itself
};

/// UTF-8 without control characters, 1 to `longest` bytes.
bool is_good_name(std::string_view name, std::size_t longest = name_max) noexcept;

/// Of a site, operator, power feed, key manager or relay: text without spaces.
bool is_good_label(std::string_view label) noexcept;

/// Whether holders are to keep pads.
PadShares pads_for(const WriteRequest& request, const Policy& policy) noexcept;
/// The layout that the request and, where it leaves things open, the policy ask for; without holders, and
/// with fixed rows: where pads are kept is decided with the holders.
Result<Layout> layout_for(const WriteRequest& request, const Policy& policy);
/// What the data must at least be protected as.
Protection protection_for(const WriteRequest& request, const Policy& policy) noexcept;
/// Whether shares of the layout are what `minimum` asks for: those of a code without secrecy are the data as
/// it is, and travel before anybody could refuse the commit.
Outcome check_secrecy(const Layout& layout, Protection minimum);
/// A request with the cell size and protection of the policy filled in. Its layout is layout_for()'s.
Outcome check(const WriteRequest& request);
Outcome check(const Registration& registration, pki::Roles roles);
Outcome check(const Report& report);
/// Against the object that it is about: size, cells, attempts, shares and their holders.
Outcome check(const SealedReport& report, const Object& object);

/// Cells of each share for `size` bytes of data.
std::uint64_t cells_for(std::uint64_t size, std::uint32_t cell_bytes, std::uint32_t secret_blocks) noexcept;

}  // namespace ssn::controller
