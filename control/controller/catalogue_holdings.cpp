// SPDX-License-Identifier: BSD-3-Clause
// What nodes should hold, what they hold, and what they lost: docs/controller.md, "Nodes".
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "catalogue.h"

namespace ssn::controller {
namespace {

std::string shown(std::uint64_t id) { return fmt::format("object {:016x}", id); }

// The node's share where it counts: a committed object's, of this generation.
const Holder* counted_holder(const Object& object, const std::string& node, const ObjectKey& key) {
  const bool counts = object.state == ObjectState::committed && object.generation == key.generation;
  return counts ? holder_of(object, node) : nullptr;
}

// What a holder says of its share. False: that changes nothing.
bool take_damage(Layout& layout, Holder& holder, ShareDamage damage) {
  if (damage == ShareDamage::mended) {
    const bool lost = is_lost(holder);
    if (lost) {
      holder.state = ShareState::sealed;
      holder.trouble.clear();
      holder.damage.reset();
    }
    return lost;
  }
  if (holder.state != ShareState::sealed) {
    return false;
  }
  const std::optional<ShareDamage> before = std::exchange(holder.damage, damage);
  holder.trouble = trouble_of(damage);
  // While the other shares do not restore the object what is left of this one may: cell by cell.
  if (damage == ShareDamage::missing || count_of(layout, ShareState::sealed) > layout.k) {
    holder.state = ShareState::failed;
  }
  return holder.state != ShareState::sealed || holder.damage != before;
}

// What a holder of now, of before or of a re-sharing that runs is to do with a generation.
Result<Verdict> verdict_of(Transaction& reads, const ObjectRecord& record, const std::string& node,
                           const ObjectKey& key) {
  const Object& object = record.object;
  if (object.generation == key.generation && holder_of(object, node) != nullptr) {
    return is_over(object) ? Verdict::remove : Verdict::keep;
  }
  if (record.job != 0) {
    const Result<std::optional<ReshareJob>> job = reads.get<ReshareJob>(keys::job(record.job));
    if (!job.ok()) {
      return job.error();
    }
    const bool builds = job.value() && job.value()->target_generation == key.generation &&
                        job.value()->step < ReshareStep::undo;
    if (builds && std::any_of(job.value()->target.holders.begin(), job.value()->target.holders.end(),
                              [&](const Holder& holder) { return holder.node == node; })) {
      return Verdict::keep;
    }
  }
  const bool before = std::find(record.former.begin(), record.former.end(), node) != record.former.end();
  const std::uint64_t last = std::max(record.last_generation, object.generation);
  return (object.generation == key.generation && before) ||
                 (object.generation != key.generation && key.generation != 0 && key.generation <= last)
             ? Verdict::remove
             : Verdict::unknown;
}

}  // namespace

// Of objects behind `after`; a page ends with the last generation of an object, not between two. `next`: 0
// where that was all.
Result<std::vector<Row>> Catalogue::holding_rows(const std::string& node, std::uint64_t after,
                                                 std::size_t most, std::uint64_t& next) {
  const std::string prefix = keys::holdings(node);
  const auto behind = [&](std::uint64_t object) {
    return keys::end_of(keys::holding(node, {object, 0}).substr(0, prefix.size() + 8));
  };
  Result<std::vector<Row>> rows =
      database_.scan(after == 0 ? prefix : behind(after), keys::end_of(prefix), most);
  next = 0;
  if (!rows.ok() || rows.value().size() < most) {
    return rows;
  }
  const std::string last = rows.value().back().key;
  next = keys::number_at(last, prefix.size());
  const Result<std::vector<Row>> more = database_.scan(last + '\0', behind(next), page_max);
  if (!more.ok()) {
    return more.error();
  }
  rows.value().insert(rows.value().end(), more.value().begin(), more.value().end());
  return rows;
}

Result<HoldingPage> Catalogue::holdings(const std::string& node, std::uint64_t after, std::size_t limit) {
  const std::size_t most = std::clamp<std::size_t>(limit, 1, page_max);
  const std::size_t at = keys::holdings(node).size();
  const std::lock_guard lock(mutex_);
  HoldingPage page;
  const Result<std::vector<Row>> found = holding_rows(node, after, most, page.next);
  if (!found.ok()) {
    return found.error();
  }
  Transaction reads(database_);
  for (const Row& row : found.value()) {
    const ObjectKey key{keys::number_at(row.key, at), keys::number_at(row.key, at + 8)};
    const Result<std::optional<NumberRecord>> removal = reads.get<NumberRecord>(keys::removal(node, key));
    if (!removal.ok()) {
      return removal.error();
    }
    const Result<NumberRecord> share = decode<NumberRecord>(row.key, row.value);
    const Result<std::optional<ObjectRecord>> record = reads.get<ObjectRecord>(keys::object(key.object));
    if (!share.ok() || !record.ok()) {
      return share.ok() ? record.error() : share.error();
    }
    if (record.value()) {
      const Object& object = record.value()->object;
      const Holder* const holder = removal.value() ? nullptr : counted_holder(object, node, key);
      page.holdings.push_back({key, static_cast<std::uint32_t>(share.value().number), object.state,
                               object.cells, object.cell_bytes,
                               holder != nullptr && holder->state == ShareState::sealed,
                               holder != nullptr && is_lost(*holder)});
    }
  }
  return page;
}

Result<std::vector<Verdict>> Catalogue::compare(Now now, const std::string& node,
                                                const std::vector<ObjectKey>& found) {
  constexpr const char* what = "cannot compare what the node holds";
  if (found.size() > page_max) {
    return Error{Exit::usage, what, fmt::format("{} objects at once are the most", page_max), "found",
                 "ask several times"};
  }
  const std::lock_guard lock(mutex_);
  if (nodes_.find(node) == nodes_.end()) {
    return Error{Exit::not_found, what, "the node is not registered", node, "register it first"};
  }
  Transaction reads(database_);
  std::vector<Verdict> verdicts;
  for (const ObjectKey& key : found) {
    const Result<std::optional<ObjectRecord>> record = reads.get<ObjectRecord>(keys::object(key.object));
    if (!record.ok()) {
      return record.error();
    }
    Result<Verdict> verdict = Verdict::unknown;
    if (record.value()) {
      verdict = verdict_of(reads, *record.value(), node, key);
      if (!verdict.ok()) {
        return verdict.error();
      }
    }
    verdicts.push_back(verdict.value());
  }
  const auto unknown = std::count(verdicts.begin(), verdicts.end(), Verdict::unknown);
  if (unknown != 0) {
    Transaction changes(database_);
    if (Outcome raised =
            raise_alarm(changes, now, {"unknown_holdings", node, ""}, "",
                        fmt::format("it holds {} of {} objects that the catalogue never heard of", unknown,
                                    found.size()));
        !raised.ok()) {
      return raised.error();
    }
    if (Outcome committed = changes.commit(); !committed.ok()) {
      return committed.error();
    }
  }
  return verdicts;
}

// Whether it was news. A node can only speak of its own share, which is found by its name.
Result<bool> Catalogue::take_damaged(Transaction& changes, Now now, const std::string& node,
                                     const DamagedShare& damaged) {
  Result<std::optional<ObjectRecord>> record = changes.get<ObjectRecord>(keys::object(damaged.key.object));
  const Result<std::optional<NumberRecord>> removal =
      changes.get<NumberRecord>(keys::removal(node, damaged.key));
  if (!record.ok() || !removal.ok()) {
    return record.ok() ? removal.error() : record.error();
  }
  // Ordered to be erased, made anew or gone meanwhile: then nothing is missing. While it is being made again
  // nothing comes back.
  if (!record.value() || removal.value() ||
      (record.value()->job != 0 && damaged.damage == ShareDamage::mended)) {
    return false;
  }
  Object& object = record.value()->object;
  const Holder* const found = counted_holder(object, node, damaged.key);
  if (found == nullptr) {
    return false;
  }
  Holder& holder = object.layout.holders[static_cast<std::size_t>(found - object.layout.holders.data())];
  if (!take_damage(object.layout, holder, damaged.damage)) {
    return false;
  }
  if (Outcome put = put_object(changes, now, *record.value()); !put.ok()) {
    return put.error();
  }
  return true;
}

Outcome Catalogue::take_damaged(Transaction& changes, Now now, const std::string& node,
                                const std::vector<DamagedShare>& damaged) {
  std::size_t count = 0;
  std::size_t mended = 0;
  std::string first;
  for (const DamagedShare& each : damaged) {
    const Result<bool> news = take_damaged(changes, now, node, each);
    if (!news.ok()) {
      return news.error();
    }
    if (news.value() && each.damage == ShareDamage::mended) {
      ++mended;
    } else if (news.value() && count++ == 0) {
      first = fmt::format("{}: {}", shown(each.key.object), trouble_of(each.damage));
    }
  }
  if (mended != 0 && may_note(fmt::format("mended {}", node), now)) {
    if (Outcome noted = note(changes, now, false, "shares_mended", node,
                             fmt::format("{} shares that were lost are there and whole after all", mended));
        !noted.ok()) {
      return noted;
    }
  }
  if (count == 0 || !may_note(fmt::format("damaged {}", node), now)) {
    return done;
  }
  return note(changes, now, false, "shares_damaged", node,
              fmt::format("{} shares, the first of {}; repair them: `ssn reshare start`", count, first));
}

}  // namespace ssn::controller
