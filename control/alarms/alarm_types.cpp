// SPDX-License-Identifier: BSD-3-Clause
#include "alarm_types.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace ssn::alarms {
namespace {

constexpr std::uint32_t second = 1000;
constexpr std::uint32_t minute = 60 * second;

using enum Severity;
using enum Category;

constexpr AlarmType types[] = {
    {"alarms_lost", Resource::controller, minor, processing, by_controller, false, false, 0, minute,
     "more alarms than the controller keeps: some are not shown",
     "a large part of the network is gone, or a node reports nonsense",
     "look at the most severe ones first: ssn alarms", "there is room again"},
    {"association_down", Resource::association, major, communications, by_nodes, false, false, 15 * second,
     5 * second, "a node has no keys with one of its peers: no share goes between them",
     "the peer or its agent is down, a key manager delivers nothing, or the agents do not reach each other",
     "see that both run, then ssn dataplane status on both", "both have keys of one epoch"},
    {"association_quarantined", Resource::association, critical, integrity, by_nodes, false, false, 0, 0,
     "a node refuses a peer, or its own key streams, because pads could be used twice",
     "a disk or machine was restored from a copy, cloned or snapshotted, or keys differ at both ends",
     "end all copies of it, then ssn dataplane readmit at the node that refuses: docs/associations.md",
     "an operator readmitted it, or the node runs without it"},
    {"association_went_back", Resource::association, critical, integrity, by_controller, false, false, 0,
     10 * minute, "what a node says of its key streams is below what it said before",
     "its disk was restored from a copy, or two nodes run under one name",
     "end copies of the node; if there were none, treat its pads as used: docs/associations.md",
     "it did not happen again for 10 minutes"},
    {"audit_failed", Resource::controller, critical, processing, by_controller, false, false, 0, minute,
     "the controller cannot write down its access decisions", "the disk of its audit log is full or broken",
     "make room there; who may do what is still judged, and refused with on_failure = \"refuse\": "
     "docs/audit.md",
     "it was written for a minute"},
    {"certificate_ends", Resource::node, minor, processing, by_nodes, false, false, 0, second,
     "a certificate that a node uses, or a list of revoked ones, ends soon, or its files cannot be used",
     "nobody renewed it, or what was put in place is broken; the text says which: of its agent, of a key "
     "manager",
     "renew it: ssn pki renew; it counts without a restart: docs/pki.md", "all last for long again"},
    {"controller_certificate_ends", Resource::controller, minor, processing, by_controller, false, false, 0,
     second, "the controller's certificate or list of revoked ones ends soon, or its files cannot be used",
     "nobody renewed it, or what was put in place is broken",
     "renew it: ssn pki renew; it counts without a restart: docs/pki.md", "it lasts for long again"},
    {"database_failed", Resource::controller, critical, processing, by_controller, false, false, 0, 0,
     "the controller's database cannot be written: nothing can be changed",
     "its disk is full, gone or read-only",
     "make room, or replace the disk and start the controller again: docs/controller.md",
     "it can be written again"},
    {"domain_mismatch", Resource::domain, minor, processing, by_controller, false, false, 10 * second,
     5 * second, "the controllers of two domains do not mean the same agreement",
     "one side lends what the other one does not use, or wants what is not lent; names or versions differ",
     "ssn domain show says what; agree with the other side's operators, then ssn config apply",
     "both mean the same, or the domain is not in the configuration any more"},
    {"domain_unreachable", Resource::domain, major, communications, by_controller, false, false, 10 * second,
     5 * second, "nothing is heard from the controller of another domain: what it said counts no more",
     "it is down, the way to it is cut, a certificate is not believed, or [exchange] does not name it",
     "ssn domain show says why; see the address, certificates and lists of both: docs/exchange.md",
     "it is heard, or the domain is not in the configuration any more"},
    {"holder_failed", Resource::node, warning, quality_of_service, by_ssa, true, false, 0, minute,
     "a shareholder failed writes: it was slow, away, unreliable, or refused them",
     "its disk, CPU or links are overloaded, or it is full",
     "look at the node's disk and links: ssn dataplane top", "it failed none for a minute"},
    {"holder_lies", Resource::node, critical, integrity, by_ssa, true, false, 0, 60 * minute,
     "shares of a shareholder contradict those of others",
     "its disk gives wrong bytes without noticing, or somebody changed them",
     "look at the node; replace it: ssn shareholder replace", "no more were seen for an hour"},

    {"key_device_failed", Resource::node, major, equipment, by_nodes, false, false, 10 * second, 5 * second,
     "a key device gives no key streams", "the key manager or its device is down, or refuses this node",
     "ssn dataplane status names the error; see the key manager", "the device is open"},
    {"key_stock_low", Resource::association, minor, quality_of_service, by_nodes, false, false, 10 * second,
     10 * second, "hardly any pads are left towards a peer: shares wait for keys",
     "more is written than the QKD link makes keys for",
     "write less, add links, or allow pad shares and aes-256-gcm where the policy permits",
     "there is stock again"},
    {"labels_contradict", Resource::node, warning, processing, by_controller, false, false, 0, second,
     "a node says it stands elsewhere than the operator says", "one of the configurations is wrong",
     "correct [[node]] (ssn config) or [controller] of the node: docs/controller.md", "they agree"},
    {"ledger_failed", Resource::node, critical, equipment, by_nodes, false, true, 0, 0,
     "a node cannot write its ledger of used pads, and sends nothing any more",
     "its disk is full, read-only or broken", "give it a good disk and start it again", "it was restarted"},
    {"membership_unusable", Resource::node, major, integrity, by_nodes, false, false, 5 * second, 5 * second,
     "the membership that a node has pinned has ended, ends soon, or was replaced by files that it cannot "
     "use",
     "nobody signed a newer one in time, too few did, or somebody put an old one back",
     "ssn dataplane status says which; have one signed: docs/membership.md", "it has one that holds"},
    {"node_audit_failed", Resource::node, critical, processing, by_nodes, false, false, 0, minute,
     "a node cannot write down its access decisions", "the disk of its audit log is full or broken",
     "make room there; who may do what is still judged, and refused with on_failure = \"refuse\": "
     "docs/audit.md",
     "it was written for a minute"},
    {"node_down", Resource::node, major, communications, by_controller, false, true, 0, 5 * second,
     "a node does not report", "it ended, its machine is off, or it does not reach the controller",
     "start it; if it will not come back: ssn shareholder replace",
     "it reports, or it is out and holds nothing"},
    {"order_refused", Resource::node, critical, integrity, by_nodes, false, false, 0, 60 * minute,
     "a node refused what the controller asked for: the signed membership does not permit it",
     "the controller's policy does not fit the membership, or the controller is hostile",
     "compare the policy with ssn membership show; if they agree, look who commands the controller",
     "none was refused for an hour"},
    {"refresh_late", Resource::network, minor, processing, by_controller, false, false, 0, 5 * second,
     "shares are older than [reshare] refresh_every by more than a quarter: they were not renewed",
     "shares are lost and wait for repair, pads are scarce, or there is more to renew than [reshare] allows",
     "ssn reshare list says what waits; repair, raise jobs or rate, or renew less often",
     "no generation is so old any more"},
    {"replacement_stuck", Resource::node, major, processing, by_controller, false, false, 10 * second,
     5 * second, "shares of a node that is replaced cannot go to others",
     "too few other shareholders, too little room, or too few helpers are up",
     "ssn reshare list says why; add or start shareholders",
     "a pass found nothing that stands in the way, or it was cancelled"},
    {"reshare_stalled", Resource::network, major, processing, by_controller, false, false, 0, 5 * second,
     "jobs of re-sharing run and come no further: 5 minutes without any progress",
     "nodes refuse or do not answer, pads are scarce, or a node does not erase what it was told to",
     "ssn reshare list says which and why; see to the nodes, or ssn reshare cancel",
     "all that run go on, or are over"},
    {"reshare_undone", Resource::network, major, processing, by_controller, false, false, 0, 0,
     "shares of objects could not be made anew", "too few helpers were up, or a check failed",
     "ssn reshare list --all says of which objects, and why; start it again",
     "for each of them a job was done, or the object is gone"},
    {"reshare_unverified", Resource::network, major, integrity, by_controller, false, false, 0, 0,
     "shares were made anew without a surplus share that would have shown a wrong helper",
     "only as many shares as are needed were left",
     "read the objects and compare them (ssn verify --with), then ssn reshare start --refresh",
     "for each of them a job was done with a check, or the object is gone"},
    {"share_damaged", Resource::node, major, integrity, by_shareholder, false, false, 0, 60 * minute,
     "a shareholder found damaged records and put them aside", "its disk gives wrong bytes",
     "see to its disk; shares are made again by [reshare] repair_after, or by ssn reshare start",
     "none were found for an hour"},
    {"share_exposed", Resource::node, major, integrity, by_controller, false, false, 0, 0,
     "a node that is down has not erased old shares: together with others they may tell something",
     "the node went away while shares were made anew",
     "start the node, so that it erases; destroy its disk if it cannot be started",
     "the node confirmed that it erased all of them"},
    {"store_failed", Resource::node, critical, equipment, by_shareholder, false, true, 0, 0,
     "a shareholder's store can only be read", "a write or sync of its disk failed",
     "replace the disk and start it again; its shares are made anew by [reshare] after", "it was restarted"},
    {"store_full", Resource::node, major, processing, by_shareholder, false, false, 5 * second, 5 * second,
     "a shareholder takes no more shares", "its disk is full, or its capacity is used up",
     "make room, raise [shareholder] capacity, or add shareholders", "there is room again"},
    {"too_few_nodes", Resource::network, major, processing, by_controller, false, false, 10 * second,
     5 * second, "new objects cannot be placed as the policy says",
     "too few shareholders are up, in and writable, or they lie in too few sites",
     "start or add shareholders: ssn explain --dry-run", "a write would find its holders"},
    {"unknown_holdings", Resource::node, minor, processing, by_controller, false, false, 0, 0,
     "a node holds objects that the controller never heard of; they are kept",
     "the controller's database was lost or is an old copy",
     "restore the database; if the objects are known to be gone, clear the node's store by hand",
     "it was started again and all that it holds is known"},
};

constexpr bool is_sorted() {
  for (std::size_t i = 1; i < std::size(types); ++i) {
    if (types[i - 1].name >= types[i].name) {
      return false;
    }
  }
  return true;
}
static_assert(is_sorted());

constexpr std::string_view severities[] = {"none", "warning", "minor", "major", "critical"};
constexpr std::string_view categories[] = {"communications", "quality of service", "processing", "equipment",
                                           "integrity"};
constexpr std::string_view resources[] = {"node", "association", "network", "controller", "domain"};

template <typename Enum, std::size_t count>
std::string_view name_in(const std::string_view (&names)[count], Enum value) noexcept {
  const auto index = static_cast<std::size_t>(value);
  return index < count ? names[index] : "unknown";
}

}  // namespace

std::span<const AlarmType> inventory() noexcept { return types; }

const AlarmType* find_type(std::string_view name) noexcept {
  const AlarmType* const found =
      std::lower_bound(std::begin(types), std::end(types), name,
                       [](const AlarmType& type, std::string_view wanted) { return type.name < wanted; });
  return found != std::end(types) && found->name == name ? found : nullptr;
}

std::string_view name(Severity severity) noexcept { return name_in(severities, severity); }
std::string_view name(Category category) noexcept { return name_in(categories, category); }
std::string_view name(Resource resource) noexcept { return name_in(resources, resource); }

std::string raisers_of(const AlarmType& type) {
  std::string all;
  for (const auto& [raiser, name] : {std::pair{by_controller, "controller"}, std::pair{by_ssa, "ssa"},
                                     std::pair{by_shareholder, "shareholder"}}) {
    if ((type.raisers & raiser) != 0) {
      all += all.empty() ? "" : ", ";
      all += name;
    }
  }
  return all;
}

Severity severity_of(std::string_view name) noexcept {
  for (std::size_t i = 0; i < std::size(severities); ++i) {
    if (severities[i] == name) {
      return static_cast<Severity>(i);
    }
  }
  return Severity::none;
}

std::string subject_of(const AlarmKey& key) {
  return key.peer.empty() ? key.resource : key.resource + " " + key.peer;
}

}  // namespace ssn::alarms
