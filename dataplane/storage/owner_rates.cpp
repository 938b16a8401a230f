// SPDX-License-Identifier: BSD-3-Clause
#include "owner_rates.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>

namespace ssn::dataplane {
namespace {

void set(OwnerRates::Meters& meters, const controller::RateLimit& rate) {
  meters.write.set({rate.write_bytes_per_second, rate.burst_bytes});
  meters.read.set({rate.read_bytes_per_second, rate.burst_bytes});
}

std::uint64_t waits_of(const OwnerRates::Meters& meters) {
  return meters.write.waits() + meters.read.waits();
}

std::string shown(const roles::RateMeter& meter) {
  return meter.limited() ? fmt::format("{} bytes/s, burst {}", meter.bytes_per_second(), meter.burst_bytes())
                         : "no limit";
}

void add_properties(const char* way, const roles::RateMeter& meter, agent::Properties& to) {
  to.push_back({fmt::format("{}_rate", way), shown(meter)});
  to.push_back({fmt::format("{}_bytes", way), fmt::format("{}", meter.reserved_bytes())});
  to.push_back({fmt::format("{}_waits", way), fmt::format("{}", meter.waits())});
}

std::string whose(bool of_class, const std::string& name) {
  return fmt::format("{} {}", of_class ? "class" : "owner", name);
}

}  // namespace

roles::SessionMeters OwnerRates::Held::meters(bool writes) const noexcept {
  return {owner != nullptr ? &owner->of(writes) : nullptr,
          of_class != nullptr ? &of_class->of(writes) : nullptr};
}

std::shared_ptr<OwnerRates::Meters> OwnerRates::find(bool of_class, const std::string& name,
                                                     const controller::RateLimit& rate) {
  const std::shared_ptr<Meters> meters = all_[{of_class, name}].meters;
  set(*meters, rate);
  return meters;
}

OwnerRates::Held OwnerRates::hold(const controller::Object& object) {
  const std::lock_guard lock(mutex_);
  Held held;
  held.owner = find(false, object.owner, object.rules.owner_rate);
  if (!object.class_name.empty()) {
    held.of_class = find(true, object.class_name, object.rules.class_rate);
  }
  return held;
}

OwnerRates::Told OwnerRates::tell(const controller::Object& object, bool writes) {
  const auto of = [writes](const controller::RateLimit& rate) {
    return writes ? rate.write_bytes_per_second : rate.read_bytes_per_second;
  };
  const std::uint64_t owner = of(object.rules.owner_rate);
  const std::uint64_t of_class = object.class_name.empty() ? 0 : of(object.rules.class_rate);
  if (of_class != 0 && (owner == 0 || of_class < owner)) return {of_class, whose(true, object.class_name)};
  return owner != 0 ? Told{owner, whose(false, object.owner)} : Told{};
}

std::vector<controller::RateUse> OwnerRates::ask() {
  const std::lock_guard lock(mutex_);
  std::vector<controller::RateUse> asked;
  auto next = all_.upper_bound(asked_last_);
  const std::size_t most = std::min(all_.size(), controller::rates_max);
  while (asked.size() < most) {
    if (next == all_.end()) next = all_.begin();
    auto& [name, entry] = *next++;
    const std::uint64_t waits = waits_of(*entry.meters);
    entry.slowed = waits != std::exchange(entry.told_waits, waits);
    asked.push_back({name.first, name.second, entry.slowed});
    asked_last_ = name;
  }
  return asked;
}

void OwnerRates::take(const std::vector<controller::RateUse>& asked,
                      const std::vector<controller::RateLimit>& rates) {
  if (asked.size() != rates.size()) return;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto found = all_.find({asked[i].of_class, asked[i].name});
    if (found != all_.end()) set(*found->second.meters, rates[i]);
  }
}

void OwnerRates::tend(std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  std::erase_if(all_, [now_ns](const auto& each) {
    const Entry& entry = each.second;
    return entry.meters.use_count() == 1 && entry.meters->write.is_full(now_ns) &&
           entry.meters->read.is_full(now_ns);
  });
}

std::size_t OwnerRates::size() const {
  const std::lock_guard lock(mutex_);
  return all_.size();
}

void OwnerRates::add_status(agent::Status& status) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, entry] : all_) {
    if (!entry.meters->write.limited() && !entry.meters->read.limited()) continue;
    agent::Properties properties;
    add_properties("write", entry.meters->write, properties);
    add_properties("read", entry.meters->read, properties);
    status.items.push_back({"rate", whose(name.first, name.second), true,
                            entry.slowed ? "slowed" : "within its rate", std::move(properties)});
  }
}

}  // namespace ssn::dataplane
