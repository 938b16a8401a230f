// SPDX-License-Identifier: BSD-3-Clause
#include "key_store.h"

#include <unordered_set>

namespace ssn::kme {
namespace {

constexpr Microseconds sweep_interval = 1'000'000;

}  // namespace

void KeyStore::sweep(Microseconds now) {
  if (now < swept_ + sweep_interval) {
    return;
  }
  swept_ = now;
  expired_ += std::erase_if(keys_, [now](const auto& entry) { return entry.second.expires <= now; });
}

bool KeyStore::add(const std::vector<Entry>& entries, Microseconds now) {
  sweep(now);
  if (entries.size() > keys_max_ - std::min<std::uint64_t>(keys_.size(), keys_max_)) {
    return false;
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!keys_.try_emplace(entries[i].first, entries[i].second).second) {
      for (std::size_t added = 0; added < i; ++added) {
        keys_.erase(entries[added].first);
      }
      return false;
    }
  }
  return true;
}

KeyStore::Answer KeyStore::take(std::span<const KeyId> ids, std::string_view master, std::string_view slave,
                                Microseconds now, std::vector<Entry>& out) {
  sweep(now);
  std::unordered_set<KeyId, Hash> seen;
  bool missing = false;
  for (const KeyId& id : ids) {
    const auto found = keys_.find(id);
    if (!seen.insert(id).second || found == keys_.end() || found->second.master != master ||
        found->second.ready > now || found->second.expires <= now) {
      missing = true;
    } else if (found->second.slave != slave) {
      return Answer::not_allowed;
    }
  }
  if (missing) {
    return Answer::not_found;
  }
  out.clear();
  for (const KeyId& id : ids) {
    auto node = keys_.extract(id);
    out.emplace_back(id, std::move(node.mapped()));
  }
  return Answer::ok;
}

void KeyStore::drop_runs_before(std::size_t link, std::uint64_t run) {
  std::erase_if(keys_,
                [&](const auto& entry) { return entry.second.link == link && entry.second.run < run; });
}

}  // namespace ssn::kme
