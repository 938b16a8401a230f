// SPDX-License-Identifier: BSD-3-Clause
#include "request.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace ssn::controller {
namespace {

Error wrong(const char* what, std::string why, std::string where, std::string fix) {
  return {Exit::usage, what, std::move(why), std::move(where), std::move(fix)};
}

// Length of the UTF-8 sequence that begins there (RFC 3629), or 0.
std::size_t sequence(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || length > text.size()) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return 0;
    }
  }
  const unsigned second = byte(1);
  const bool outside = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                       (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return outside ? 0 : length;
}

bool printable(const std::string& text, std::size_t longest) {
  return text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

bool all_printable(const std::vector<std::string>& texts) {
  return texts.size() <= addresses_max &&
         std::all_of(texts.begin(), texts.end(),
                     [](const std::string& text) { return !text.empty() && printable(text, address_max); });
}

constexpr const char* what_write = "cannot begin the write";

// How many rows the generator matrix of a scheme can have.
Outcome check_scheme(const Layout& layout) {
  const std::uint32_t k = layout.k;
  const std::uint32_t n = layout.n;
  const std::uint32_t blocks = layout.secret_blocks;
  if (n > shares_max || k > n || k == 0) {
    return wrong(what_write, fmt::format("k = {} and n = {} do not fit: 1 <= k <= n <= {}", k, n, shares_max),
                 "n", "choose others");
  }
  switch (layout.scheme) {
    case Scheme::shamir:
    case Scheme::shamir_classic:
      return k >= 2 && blocks == 1
                 ? Outcome(done)
                 : wrong(what_write, "shamir needs k >= 2, and no more than one secret block", "k",
                         "choose others");
    case Scheme::ramp:
      return blocks >= 1 && blocks < k && n + blocks <= 256
                 ? Outcome(done)
                 : wrong(what_write, "ramp needs 1 <= L < k and n + L <= 256", "secret_blocks",
                         "choose others");
    case Scheme::rs:
      return blocks == k ? Outcome(done)
                         : wrong(what_write, "rs has k secret blocks", "secret_blocks", "leave it out");
    case Scheme::policy:
      break;
  }
  return wrong(what_write, "the scheme is unknown", "scheme", "use a program of this version");
}

}  // namespace

bool is_good_name(std::string_view name, std::size_t longest) noexcept {
  if (name.empty() || name.size() > longest) {
    return false;
  }
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t length = sequence(name.substr(at));
    const auto first = static_cast<unsigned char>(name[at]);
    const bool control = first < 0x20 || first == 0x7F ||
                         (first == 0xC2 && length == 2 && static_cast<unsigned char>(name[at + 1]) < 0xA0);
    if (length == 0 || control) {
      return false;
    }
    at += length;
  }
  return true;
}

bool is_good_label(std::string_view label) noexcept {
  return !label.empty() && label.size() <= label_max &&
         std::all_of(label.begin(), label.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

std::uint64_t cells_for(std::uint64_t size, std::uint32_t cell_bytes, std::uint32_t secret_blocks) noexcept {
  const std::uint64_t step = std::uint64_t{cell_bytes} * secret_blocks;
  return step == 0 ? 0 : size / step + (size % step == 0 ? 0 : 1);
}

Outcome check(const WriteRequest& request) {
  if (request.token == Bytes16{}) {
    return wrong(what_write, "the token is missing", "token", "send 16 random bytes");
  }
  if (!is_good_name(request.name)) {
    return wrong(what_write, "the name is not 1 to 1024 bytes of UTF-8 without control characters", "name",
                 "choose another one");
  }
  if (!request.class_name.empty() && !is_good_label(request.class_name)) {
    return wrong(what_write, "the class is not up to 64 printable characters", "class", "choose another one");
  }
  if (!printable(request.ssa, pki::common_name_max)) {
    return wrong(what_write, "the SSA's name is none", "ssa", "leave it out");
  }
  if (request.pad_shares > PadShares::automatic) {
    return wrong(what_write, "what is wanted of pad shares is unknown", "pad_shares",
                 "use a program of this version");
  }
  if (request.minimum_protection > Protection::information_theoretic) {
    return wrong(what_write, "the protection class is unknown", "minimum_protection",
                 "use a program of this version");
  }
  return done;
}

OwnerLimits limits_of(const Policy& policy, const std::string& owner) {
  const auto found = policy.owners.find(owner);
  return found != policy.owners.end()
             ? found->second.limits
             : OwnerLimits{policy.objects_max, policy.writes_max, policy.bytes_max, policy.owner_rate};
}

SessionRules rules_of(const Policy& policy, const std::string& owner, const std::string& class_name) {
  const auto found = policy.classes.find(class_name);
  return {limits_of(policy, owner).rate, found != policy.classes.end() ? found->second.rate : RateLimit(),
          class_of(policy, class_name).keys};
}

RateLimit rate_of(const Policy& policy, const RateUse& subject) {
  if (!subject.of_class) return limits_of(policy, subject.name).rate;
  const auto found = policy.classes.find(subject.name);
  return found != policy.classes.end() ? found->second.rate : RateLimit();
}

const ClassPolicy& class_of(const Policy& policy, const std::string& class_name) {
  const auto found = policy.classes.find(class_name);
  return found != policy.classes.end() ? found->second : policy;
}

namespace {

// What the class decides, as far as the request says it too.
bool agrees(const WriteRequest& request, const ClassPolicy& policy) {
  const auto same = [](std::uint32_t wanted, std::uint32_t decided) {
    return wanted == 0 || wanted == decided;
  };
  return (request.scheme == Scheme::policy || request.scheme == policy.scheme) && same(request.k, policy.k) &&
         same(request.n, policy.n) && same(request.secret_blocks, policy.secret_blocks) &&
         same(request.cell_bytes, policy.cell_bytes) && same(request.quorum, policy.quorum) &&
         same(request.minimum, policy.minimum) &&
         (request.pad_shares == PadShares::policy || request.pad_shares == policy.pad_shares);
}

}  // namespace

Result<std::string> class_for(const WriteRequest& request, const std::string& owner, const Policy& policy) {
  const auto known = policy.owners.find(owner);
  const OwnerPolicy* const its = known != policy.owners.end() ? &known->second : nullptr;
  const std::string name =
      !request.class_name.empty() || its == nullptr ? request.class_name : its->default_class;
  if (!name.empty() && !policy.classes.contains(name)) {
    return Error{Exit::not_found, what_write, "there is no such class", name,
                 "name one of the network's configuration: ask its operator, or leave it out"};
  }
  if (its == nullptr || !its->classes) {
    return name;
  }
  const std::vector<std::string>& may = *its->classes;
  if (name != its->default_class && std::find(may.begin(), may.end(), name) == may.end()) {
    return Error{Exit::refused, what_write, fmt::format("{} may not use this class", owner), name,
                 "leave it out, or have [[owner]] classes of the network's configuration extended"};
  }
  if (!agrees(request, class_of(policy, name))) {
    return Error{
        Exit::refused, what_write,
        fmt::format("for {} classes decide how objects are split, and this class says otherwise", owner),
        name, "leave out scheme, k, n and the like, or name another class"};
  }
  return name;
}

PadShares pads_for(const WriteRequest& request, const ClassPolicy& policy) noexcept {
  return request.pad_shares == PadShares::policy ? policy.pad_shares : request.pad_shares;
}

Result<Layout> layout_for(const WriteRequest& request, const ClassPolicy& policy) {
  const auto chosen = [](std::uint32_t wanted, std::uint32_t otherwise) {
    return wanted == 0 ? otherwise : wanted;
  };
  Layout layout;
  const bool by_policy = request.scheme == Scheme::policy || request.scheme == policy.scheme;
  layout.scheme = request.scheme == Scheme::policy ? policy.scheme : request.scheme;
  layout.k = chosen(request.k, policy.k);
  layout.n = chosen(request.n, policy.n);
  layout.secret_blocks = layout.scheme == Scheme::rs
                             ? chosen(request.secret_blocks, layout.k)
                             : chosen(request.secret_blocks, by_policy ? policy.secret_blocks : 1);
  if (Outcome checked = check_scheme(layout); !checked.ok()) {
    return checked.error();
  }
  // A request with its own k or n does not get the policy's counts of holders.
  const bool own = request.k != 0 || request.n != 0;
  layout.minimum = chosen(chosen(request.minimum, own ? 0 : policy.minimum), layout.k);
  layout.quorum = chosen(chosen(request.quorum, own ? 0 : policy.quorum),
                         std::max(layout.minimum, (layout.n + layout.k + 1) / 2));
  if (layout.minimum < layout.k || layout.quorum < layout.minimum || layout.quorum > layout.n) {
    return wrong(what_write,
                 fmt::format("minimum = {} and quorum = {} do not fit: k <= minimum <= quorum <= n",
                             layout.minimum, layout.quorum),
                 "quorum", "choose others, or leave them out");
  }
  if (policy.domains > layout.n) {
    return wrong(what_write, fmt::format("{} shares cannot lie in {} sites", layout.n, policy.domains),
                 "domains", "ask for more shares, or have domains of the policy lowered");
  }
  if (request.pad_shares == PadShares::yes && layout.scheme != Scheme::shamir) {
    return wrong(what_write, "only systematic shamir has shares that can be pads", "pad_shares",
                 "leave it out");
  }
  return layout;
}

Protection protection_for(const WriteRequest& request, const ClassPolicy& policy) noexcept {
  return std::max(request.minimum_protection, policy.minimum_protection);
}

Outcome check_secrecy(const Layout& layout, Protection minimum) {
  if (minimum <= Protection::none || secrecy_threshold(layout) != 0) {
    return done;
  }
  return Error{Exit::refused, what_write,
               fmt::format("{} with k = {} keeps nothing secret, and at least {} was asked for",
                           name(layout.scheme), layout.k, name(minimum)),
               "scheme", "choose another scheme or a larger k, or ask for no protection"};
}

namespace {

Outcome check_labels(const Registration& registration) {
  constexpr const char* what = "cannot register the node";
  const auto good = [](const std::string& label) { return is_good_label(label); };
  for (const std::string& label : registration.labels.values) {
    if (!label.empty() && !good(label)) {
      return wrong(what, "a label is not up to 64 printable characters", "labels", "choose another one");
    }
  }
  if (registration.key_paths.size() > key_paths_max) {
    return wrong(what, fmt::format("{} key paths are the most", key_paths_max), "key_paths", "name fewer");
  }
  std::set<std::string_view> peers;
  for (const KeyPath& path : registration.key_paths) {
    if (path.peer.empty() || !printable(path.peer, pki::common_name_max) || !peers.insert(path.peer).second ||
        path.crosses.size() > crosses_max || !std::all_of(path.crosses.begin(), path.crosses.end(), good)) {
      return wrong(
          what,
          fmt::format("a key path has no good peer, or one that has two, or crosses what is no name, "
                      "or more than {}",
                      crosses_max),
          "key_paths", "correct [[peer]] key_path");
    }
  }
  return done;
}

}  // namespace

Outcome check(const Registration& registration, pki::Roles roles) {
  constexpr const char* what = "cannot register the node";
  if (registration.instance == Bytes16{}) {
    return wrong(what, "the instance is missing", "instance", "send 16 random bytes");
  }
  bool any = false;
  for (const pki::Role role : {pki::Role::ssa, pki::Role::shareholder}) {
    any = any || registration.roles.has(role);
    if (registration.roles.has(role) && !roles.has(role)) {
      return Error{Exit::refused, what, fmt::format("its certificate has not the role {}", pki::name(role)),
                   "roles", "give it a certificate with that OU"};
    }
  }
  if (!any || registration.roles.has(pki::Role::owner) || registration.roles.has(pki::Role::controller) ||
      registration.roles.has(pki::Role::operators)) {
    return wrong(what, "a node is an ssa, a shareholder, or both", "roles", "send those");
  }
  if (!printable(registration.agent, address_max) || !all_printable(registration.data_addresses)) {
    return wrong(what, "an address is too long or none, or there are too many", "agent, data_addresses",
                 "write it like 192.0.2.1:7000");
  }
  if (!registration.version.empty() && !is_good_name(registration.version, 128)) {
    return wrong(what, "the version is not up to 128 bytes of UTF-8", "version", "choose another one");
  }
  return check_labels(registration);
}

Outcome check(const Report& report) {
  constexpr const char* what = "cannot take the report";
  if (report.writes.size() > report_keys_max || report.removed.size() > report_keys_max ||
      report.associations.size() > associations_max || report.damaged.size() > report_keys_max) {
    return wrong(what, "it is too long", "writes, removed, associations, damaged", "send several");
  }
  if (!report.read_only.empty() && !is_good_name(report.read_only, text_max)) {
    return wrong(what, "the reason is not up to 512 bytes of UTF-8", "read_only", "shorten it");
  }
  if (report.alarms.size() > reported_alarms_max) {
    return wrong(what, fmt::format("{} alarms are the most", reported_alarms_max), "alarms", "report others");
  }
  for (const alarms::ActiveAlarm& alarm : report.alarms) {
    const alarms::AlarmKey& key = alarm.key;
    if (!is_good_label(key.type) || !printable(key.resource, pki::common_name_max) || key.resource.empty() ||
        !printable(key.peer, pki::common_name_max)) {
      return wrong(what, "an alarm has no good type, resource or peer", "alarms", "report others");
    }
  }
  if (!printable(report.key_stock.peer, pki::common_name_max)) {
    return wrong(what, "the stock of keys has no good peer", "key_stock", "leave it out");
  }
  if (report.peers.size() > peers_max ||
      !std::all_of(report.peers.begin(), report.peers.end(), [](const PeerReport& each) {
        return !each.peer.empty() && printable(each.peer, pki::common_name_max);
      })) {
    return wrong(what, fmt::format("more than {} peers are told of, or one without a good name", peers_max),
                 "peers", "leave some out");
  }
  if (report.rates.size() > rates_max ||
      !std::all_of(report.rates.begin(), report.rates.end(), [](const RateUse& each) {
        return !each.name.empty() && printable(each.name, pki::common_name_max);
      })) {
    return wrong(what, fmt::format("more than {} rates are asked for, or one of nobody", rates_max), "rates",
                 "ask for others");
  }
  for (const AssociationReport& association : report.associations) {
    if (association.peer.empty() || !printable(association.peer, pki::common_name_max) ||
        association.streams.size() > streams_max) {
      return wrong(what, "an association has no good peer or too many streams", "associations",
                   "report others");
    }
  }
  return done;
}

Outcome check(const SealedReport& report, const Object& object) {
  constexpr const char* what = "cannot take the seals";
  const auto contradicts = [&](std::string why, const char* where) {
    return Error{Exit::integrity, what, std::move(why), where, "split and send the object again"};
  };
  if (report.cells > cells_max || report.attempts.size() > attempt_runs_max ||
      report.shares.size() > shares_max || report.protection > Protection::information_theoretic) {
    return wrong(what,
                 fmt::format("there are more than {} runs of attempts, or too many cells", attempt_runs_max),
                 "attempts", "write the object again");
  }
  if (report.cells != cells_for(report.size, object.cell_bytes, object.layout.secret_blocks)) {
    return contradicts(fmt::format("{} bytes are not {} cells", report.size, report.cells), "cells");
  }
  if (object.size_known && object.size != report.size) {
    return contradicts(fmt::format("{} bytes were announced, {} came", object.size, report.size), "size");
  }
  std::uint64_t next = 0;
  for (const AttemptRun& run : report.attempts) {
    if (run.first_cell != next || run.cells == 0 || run.cells > report.cells - next) {
      return contradicts("the runs of attempts do not follow each other", "attempts");
    }
    next += run.cells;
  }
  if (next != report.cells) {
    return contradicts("the attempt of some cells is missing", "attempts");
  }
  std::set<std::uint32_t> seen;
  for (const ShareSeal& seal : report.shares) {
    if (seal.share == 0 || seal.share > object.layout.n || !seen.insert(seal.share).second ||
        object.layout.holders[seal.share - 1].node != seal.node) {
      return contradicts(fmt::format("share {} is not one of {}", seal.share, seal.node), "shares");
    }
    if (!seal.trouble.empty() && !is_good_name(seal.trouble, text_max)) {
      return wrong(what, "a reason is not up to 512 bytes of UTF-8", "shares", "shorten it");
    }
  }
  return done;
}

}  // namespace ssn::controller
