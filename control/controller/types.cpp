// SPDX-License-Identifier: BSD-3-Clause
#include "types.h"

#include <algorithm>

#include "domain_types.h"

namespace ssn::controller {
namespace {

template <typename Enum, std::size_t Count>
std::string_view pick(const std::string_view (&names)[Count], Enum value) noexcept {
  const auto index = static_cast<std::size_t>(value);
  return index < Count ? names[index] : "unknown";
}

}  // namespace

std::string_view name(Scheme scheme) noexcept {
  static constexpr std::string_view names[] = {"policy", "shamir", "shamir-classic", "ramp", "rs"};
  return pick(names, scheme);
}

std::string_view name(ObjectState state) noexcept {
  static constexpr std::string_view names[] = {"unknown",   "writing",  "sealed",
                                               "committed", "deleting", "gone"};
  return pick(names, state);
}

std::string_view name(ShareState state) noexcept {
  static constexpr std::string_view names[] = {"expected", "sealed", "failed", "erased"};
  return pick(names, state);
}

std::string_view trouble_of(ShareDamage damage) noexcept {
  static constexpr std::string_view texts[] = {"it is not good there any more", "it is not there any more",
                                               "it is not complete there any more: an old disk?",
                                               "records of it there failed their checks"};
  return pick(texts, damage);
}

bool is_lost(const Holder& holder) noexcept {
  return holder.state == ShareState::failed && holder.damage.has_value();
}

bool is_missing(const Holder& holder) noexcept {
  return holder.state == ShareState::failed && holder.damage == ShareDamage::missing;
}

std::string_view name(Protection protection) noexcept {
  static constexpr std::string_view names[] = {"unknown", "none", "computational", "information-theoretic"};
  return pick(names, protection);
}

std::string_view name(DomainCondition condition) noexcept {
  static constexpr std::string_view names[] = {"waiting", "good", "mismatch", "unreachable"};
  return pick(names, condition);
}

std::string_view name(PadShares pads) noexcept {
  static constexpr std::string_view names[] = {"policy", "yes", "no", "auto"};
  return pick(names, pads);
}

std::string_view name(PadRule rule) noexcept {
  static constexpr std::string_view names[] = {"undecided",    "allowed",         "not-wanted",   "scheme",
                                               "unknown-path", "delivered-again", "domain-learns"};
  return pick(names, rule);
}

std::string_view name(PlacementRule rule) noexcept {
  static constexpr std::string_view names[] = {"not-needed", "chosen", "excluded", "full", "domain-full"};
  return pick(names, rule);
}

std::string_view name(ServiceState service) noexcept {
  static constexpr std::string_view names[] = {"in-service", "out-of-service", "standby", "reserved"};
  return pick(names, service);
}

std::string_view name(RandomDemand demand) noexcept {
  static constexpr std::string_view names[] = {"any", "stream"};
  return pick(names, demand);
}

std::string_view name(ShortageDemand demand) noexcept {
  static constexpr std::string_view names[] = {"any", "pads", "refuse", "wait"};
  return pick(names, demand);
}

// What is not known, of either side, is not there.
std::string lacks(const KeySettings& settings, const KeyDemand& demand, bool splits) {
  if (splits && demand.random != RandomDemand::any &&
      (demand.random != RandomDemand::stream || settings.random != RandomSource::stream)) {
    return "not known to draw random blocks from its key device";
  }
  const bool refuses = settings.shortage == KeyShortage::refuse;
  const bool waits = settings.shortage == KeyShortage::wait;
  switch (demand.shortage) {
    case ShortageDemand::any:
      return "";
    case ShortageDemand::pads:
      return refuses || waits ? "" : "not known to send under pads only";
    case ShortageDemand::refuse:
      return refuses ? "" : "not known to refuse when keys run short";
    case ShortageDemand::wait:
      return waits ? "" : "not known to wait when keys run short";
  }
  return "asked for what is not known here";
}

std::string_view name(Label label) noexcept {
  static constexpr std::string_view names[] = {"site", "operator", "power", "key manager"};
  return pick(names, label);
}

std::string_view name(AccountOperation operation) noexcept {
  static constexpr std::string_view names[] = {"unknown", "put", "get", "remove", "reshare", "abandoned"};
  return pick(names, operation);
}

std::uint32_t secrecy_threshold(const Layout& layout) noexcept {
  if (layout.scheme == Scheme::rs || layout.k < layout.secret_blocks) {
    return 0;
  }
  return layout.k - layout.secret_blocks;
}

std::uint32_t count_of(const Layout& layout, ShareState state) noexcept {
  return static_cast<std::uint32_t>(
      std::count_if(layout.holders.begin(), layout.holders.end(),
                    [state](const Holder& holder) { return holder.state == state; }));
}

const Holder* holder_of(const Object& object, const std::string& node) noexcept {
  const auto found = std::find_if(object.layout.holders.begin(), object.layout.holders.end(),
                                  [&](const Holder& holder) { return holder.node == node; });
  return found == object.layout.holders.end() ? nullptr : &*found;
}

bool is_open(const Object& object) noexcept {
  return object.state == ObjectState::writing || object.state == ObjectState::sealed;
}

bool is_over(const Object& object) noexcept { return object.state >= ObjectState::deleting; }

}  // namespace ssn::controller
