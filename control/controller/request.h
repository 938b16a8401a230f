// SPDX-License-Identifier: BSD-3-Clause
// Whether what callers ask is sound by itself: limits and agreement of its fields. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "domain_types.h"
#include "reshare.h"
#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::controller {

/// What the operator says of the network. Nodes say the same of themselves, but what endangers others is
/// believed from here only: docs/controller.md, "Labels".
struct Deployment {
  std::map<std::string, Labels> labels;  ///< of nodes
  std::set<std::string> delivered_once;  ///< key managers that deliver each key once, to two ends only
  std::map<std::string, ServiceState> services;  ///< of nodes that are not in service
};

/// What objects of one class get where their write leaves it open.
struct ClassPolicy {
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
  RateLimit rate{};           ///< of all objects of the class
  KeyDemand keys;
  bool operator==(const ClassPolicy&) const = default;
};

/// Of one owner.
struct OwnerLimits {
  std::uint64_t objects = 0;
  std::uint64_t writes = 0;  ///< open
  std::uint64_t bytes = 0;   ///< of data, in objects and in open writes that announced them; 0: no limit
  RateLimit rate{};
  bool operator==(const OwnerLimits&) const = default;
};

struct OwnerPolicy {
  OwnerLimits limits;
  std::string default_class;                        ///< empty: what no class says
  std::optional<std::vector<std::string>> classes;  ///< that it may name, and nothing else; none: all
};

/// The network's configuration as the controller follows it: network_document.h reads it. Itself it is what
/// objects without a class get.
struct Policy : ClassPolicy {
  std::uint32_t lease_ms = 30'000;
  std::uint32_t report_ms = 1'000;
  std::uint64_t remember_ms = 3'600'000;
  std::uint64_t objects_max = 1'000'000;  ///< of an owner that has no limits of its own
  std::uint64_t writes_max = 256;         ///< the same
  std::uint64_t bytes_max = 0;            ///< the same; 0: no limit
  RateLimit owner_rate{};                 ///< the same
  std::uint64_t nodes_max = 256;
  std::map<std::string, ClassPolicy> classes;
  std::map<std::string, OwnerPolicy> owners;
  std::uint64_t accounts_keep_ms = 90ULL * 24 * 3'600'000;
  std::uint64_t accounts_max = 100'000;  ///< records of accounting that are kept
  Deployment deployment;
  std::map<std::string, DomainAgreement> agreements;  ///< others, each with its controller
  ReshareTiming reshare;
  std::uint32_t reshare_jobs = 4;      ///< that run at a time; others wait for their turn
  std::uint64_t reshare_after_ms = 0;  ///< a holder that is down for so long is replaced; 0: never by itself
  std::uint64_t repair_after_ms = 0;   ///< a share that is lost for so long is made again; 0: never by itself
  std::uint64_t refresh_every_ms = 0;  ///< shares that are so old are renewed; 0: never by itself
};

/// UTF-8 without control characters, 1 to `longest` bytes.
bool is_good_name(std::string_view name, std::size_t longest = name_max) noexcept;

/// Of a site, operator, power feed, key manager or relay: text without spaces.
bool is_good_label(std::string_view label) noexcept;

OwnerLimits limits_of(const Policy& policy, const std::string& owner);
/// What its SSA is told of an object.
SessionRules rules_of(const Policy& policy, const std::string& owner, const std::string& class_name);
/// Of an owner or class that a report names; none where there is no such class any more.
RateLimit rate_of(const Policy& policy, const RateUse& subject);
/// Of an object of this class; what no class says where the class is gone.
const ClassPolicy& class_of(const Policy& policy, const std::string& class_name);
/// The class of a write: the one that it names, or its owner's. not_found: there is none of that name.
/// refused: the owner may not use it, or may not ask for what its classes decide.
Result<std::string> class_for(const WriteRequest& request, const std::string& owner, const Policy& policy);

/// Whether holders are to keep pads.
PadShares pads_for(const WriteRequest& request, const ClassPolicy& policy) noexcept;
/// The layout that the request and, where it leaves things open, the policy ask for; without holders, and
/// with fixed rows: where pads are kept is decided with the holders.
Result<Layout> layout_for(const WriteRequest& request, const ClassPolicy& policy);
/// What the data must at least be protected as.
Protection protection_for(const WriteRequest& request, const ClassPolicy& policy) noexcept;
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
