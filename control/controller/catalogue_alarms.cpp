// SPDX-License-Identifier: BSD-3-Clause
// Alarms: what nodes report and the controller sees, merged by what they are about, kept, listed, forgotten:
// docs/alarms.md. Records are the truth; what is in memory is read from them when they changed.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "catalogue.h"
#include "check.h"
#include "cut_text.h"

namespace ssn::controller {
namespace {

using alarms::ActiveAlarm;
using alarms::AlarmKey;
using alarms::AlarmType;

constexpr const char* own = "controller";
constexpr std::uint64_t placement_each_ms = 5'000;
constexpr std::string_view database_failed = "database_failed";

// Each stands for all objects for which it holds, which have marks: raised with the first one, in one
// transaction; cleared when none is left.
constexpr std::array<std::string_view, 3> with_marks = {"reshare_undone", "reshare_unverified",
                                                        "share_exposed"};

bool has_marks(const std::string& type) {
  return std::find(with_marks.begin(), with_marks.end(), type) != with_marks.end();
}

// All others of the controller's are what the monitor says.
bool is_watched(const std::string& type) { return !has_marks(type) && type != "unknown_holdings"; }

bool has_source(const Alarm& alarm, const std::string& source) {
  return alarm.cleared_ms == 0 &&
         std::find(alarm.sources.begin(), alarm.sources.end(), source) != alarm.sources.end();
}

}  // namespace

// What is known is read again where a transaction changed it.
Outcome Catalogue::refresh_alarms(Now now) {
  if (!database_.alarms_changed()) return done;
  std::map<AlarmKey, Alarm> read;
  std::map<AlarmKey, std::uint64_t> since;
  alarm_counts_ = {};
  const std::string from(keys::all_alarms);
  const Outcome outcome = for_each_row(database_, from, keys::end_of(from), [&](const Row& row) {
    Result<Alarm> alarm = decode<Alarm>(row.key, row.value);
    if (!alarm.ok()) return Outcome(alarm.error());
    const AlarmKey key = alarm.value().key;
    if (alarm.value().cleared_ms == 0) {
      const auto known = alarm_since_ms_.find(key);
      since[key] = known != alarm_since_ms_.end() ? known->second : now.monotonic_ms;
      ++alarm_counts_[std::min<std::size_t>(static_cast<std::size_t>(alarm.value().severity),
                                            alarm_counts_.size() - 1)];
    }
    read.emplace(key, std::move(alarm.value()));
    return Outcome(done);
  });
  if (!outcome.ok()) {
    database_.set_alarms_changed();
    return outcome;
  }
  known_alarms_ = std::move(read);
  alarm_since_ms_ = std::move(since);
  return done;
}

// What was raised before a restart stays so until it is seen that it is over.
Outcome Catalogue::load_alarms(Now now) {
  if (Outcome adopted = adopt_object_alarms(now); !adopted.ok()) return adopted;
  if (Outcome read = refresh_alarms(now); !read.ok()) return read;
  for (const auto& [key, alarm] : known_alarms_) {
    if (!is_watched(key.type) || !has_source(alarm, "")) continue;
    const AlarmType* const type = alarms::find_type(key.type);
    const bool of_nobody =
        type != nullptr && type->resource == alarms::Resource::node && !nodes_.contains(key.resource);
    const bool once = key.type == "association_went_back" || key.type == "alarms_lost" || of_nobody;
    monitor_.restore({key, alarm.text}, !once, now.monotonic_ms);
  }
  return done;
}

Outcome Catalogue::note_alarm(Transaction& changes, Now now, const Alarm& alarm, AlarmChange change,
                              const std::string& text) {
  Event event{0,   now.wall_ms, change == AlarmChange::raised, alarm.key.type, alarms::subject_of(alarm.key),
              text};
  event.change = change;
  event.severity = alarm.severity;
  return note(changes, std::move(event));
}

Outcome Catalogue::raise_alarm(Transaction& changes, Now now, const AlarmKey& key, const std::string& source,
                               const std::string& text) {
  const AlarmType* const type = alarms::find_type(key.type);
  if (type == nullptr) {
    return Error{Exit::failed, "cannot raise the alarm", "there is no such type", key.type,
                 "report this as a bug"};
  }
  Result<std::optional<Alarm>> found = changes.get<Alarm>(keys::alarm(key));
  if (!found.ok()) return found.error();
  Alarm alarm = found.value() ? std::move(*found.value()) : Alarm();
  const bool raised = alarm.times != 0 && alarm.cleared_ms == 0;
  if (raised && has_source(alarm, source)) return done;
  if (raised) {  // somebody else says so too
    alarm.sources.push_back(source);
    changes.put(keys::alarm(key), alarm);
    return done;
  }
  // Those that have nodes replaced are few: nodes times their types.
  if (alarm_since_ms_.size() >= alarms_max && !type->fails_node && key.type != "alarms_lost") {
    monitor_.happened("alarms_lost", own, "", fmt::format("{} of {}", key.type, alarms::subject_of(key)),
                      now.monotonic_ms);
    return done;
  }
  alarm.key = key;
  alarm.severity = type->severity;
  // What a device said may be anything: nothing is refused for it, nor commands a terminal.
  alarm.text = alarms::cut_text(text, text_max);
  std::replace_if(
      alarm.text.begin(), alarm.text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, ' ');
  alarm.raised_ms = now.wall_ms;
  alarm.cleared_ms = 0;
  alarm.times += 1;
  alarm.sources = {source};
  changes.put(keys::alarm(key), alarm);
  return note_alarm(changes, now, alarm, AlarmChange::raised, alarm.text);
}

Outcome Catalogue::clear_alarm(Transaction& changes, Now now, const AlarmKey& key, const std::string& source,
                               const std::string& why) {
  Result<std::optional<Alarm>> found = changes.get<Alarm>(keys::alarm(key));
  if (!found.ok()) return found.error();
  if (!found.value() || !has_source(*found.value(), source)) return done;
  Alarm& alarm = *found.value();
  std::erase(alarm.sources, source);
  if (alarm.sources.empty()) {
    alarm.cleared_ms = std::max<std::uint64_t>(now.wall_ms, 1);
    if (Outcome noted = note_alarm(changes, now, alarm, AlarmChange::cleared, why); !noted.ok()) return noted;
  }
  changes.put(keys::alarm(key), alarm);
  return done;
}

Outcome Catalogue::mark_alarm(Transaction& changes, Now now, const AlarmKey& alarm, const ObjectKey& key,
                              const std::string& text) {
  changes.put(keys::mark(alarm.type, alarm.resource, key), NumberRecord{now.wall_ms});
  return raise_alarm(changes, now, alarm, "", text);
}

// Those that hold for no object any more.
Outcome Catalogue::clear_unmarked(Transaction& changes, Now now) {
  if (Outcome read = refresh_alarms(now); !read.ok()) return read;
  for (const auto& [key, since] : alarm_since_ms_) {
    if (!has_marks(key.type)) continue;
    const std::string marks = keys::marks(key.type, key.resource);
    const Result<std::vector<Row>> any = database_.scan(marks, keys::end_of(marks), 1);
    if (!any.ok()) return any.error();
    if (!any.value().empty()) continue;
    if (Outcome cleared = clear_alarm(changes, now, key, "", "it holds for no object any more");
        !cleared.ok()) {
      return cleared;
    }
  }
  return done;
}

// Of a database of before version 5, which had one alarm for each object.
Outcome Catalogue::adopt_object_alarms(Now now) {
  if (Outcome read = refresh_alarms(now); !read.ok()) return read;
  Transaction changes(database_);
  for (const auto& [key, alarm] : known_alarms_) {
    const bool exposed = key.type == "share_exposed";
    if (!has_marks(key.type) || (exposed ? key.peer.empty() : key.resource == "network")) continue;
    changes.erase(keys::alarm(key));
    std::uint64_t object = 0;
    const char* const end = key.resource.data() + key.resource.size();
    if (std::from_chars(key.resource.data(), end, object, 16).ptr != end || alarm.cleared_ms != 0) continue;
    std::uint64_t generation = 0;
    if (exposed) {  // that which it has not confirmed yet
      const std::string first = keys::removal(key.peer, {object, 0});
      const Result<std::vector<Row>> left =
          database_.scan(first, keys::removal(key.peer, {object, ~std::uint64_t{0}}), 1);
      if (!left.ok()) return left.error();
      if (left.value().empty()) continue;
      generation = keys::number_at(left.value()[0].key, first.size() - 8);
    }
    const AlarmKey merged{key.type, exposed ? key.peer : "network", ""};
    if (Outcome raised = mark_alarm(changes, now, merged, {object, generation}, alarm.text); !raised.ok()) {
      return raised;
    }
  }
  return changes.commit();
}

// What a source raises now is all that it raises.
Outcome Catalogue::take_alarms(Transaction& changes, Now now, const std::string& source,
                               const std::vector<ActiveAlarm>& raised) {
  if (Outcome read = refresh_alarms(now); !read.ok()) return read;
  std::set<AlarmKey> all;
  for (const ActiveAlarm& alarm : raised) {
    all.insert(alarm.key);
    const auto known = known_alarms_.find(alarm.key);
    if (known != known_alarms_.end() && has_source(known->second, source)) continue;
    if (Outcome taken = raise_alarm(changes, now, alarm.key, source, alarm.text); !taken.ok()) return taken;
  }
  for (const auto& [key, since] : alarm_since_ms_) {
    if (all.contains(key) || !has_source(known_alarms_.at(key), source)) continue;
    if (source.empty() && !is_watched(key.type)) continue;
    if (Outcome cleared = clear_alarm(changes, now, key, source, "it is over"); !cleared.ok()) return cleared;
  }
  return done;
}

Outcome Catalogue::take_own_alarms(Transaction& changes, Now now) {
  return take_alarms(changes, now, "", monitor_.active(now.monotonic_ms));
}

// Nobody raises what is not his to raise.
std::vector<ActiveAlarm> Catalogue::admitted(Now now, const std::string& node, pki::Roles roles,
                                             const std::vector<ActiveAlarm>& reported) const {
  const unsigned may = (roles.has(pki::Role::ssa) ? unsigned{alarms::by_ssa} : 0U) |
                       (roles.has(pki::Role::shareholder) ? unsigned{alarms::by_shareholder} : 0U);
  std::vector<ActiveAlarm> all;
  for (const ActiveAlarm& alarm : reported) {
    const AlarmType* const type = alarms::find_type(alarm.key.type);
    if (type == nullptr || (type->raisers & may) == 0) continue;  // of a version to come, or not its own
    const bool about = type->of_another ? alarm.key.resource != node && nodes_.contains(alarm.key.resource)
                                        : alarm.key.resource == node;
    bool paired = alarm.key.peer.empty();
    if (type->resource == alarms::Resource::association) {
      const auto peer = nodes_.find(alarm.key.peer);
      // With one that was taken away nothing has to go on.
      paired = peer != nodes_.end() && (!is_out(peer->first) || is_up(peer->second, now));
    }
    if (about && paired) all.push_back(alarm);
  }
  return all;
}

void Catalogue::watch_node_alarms(Now now, const std::string& name, const NodeState& state,
                                  bool holds_something) {
  const std::uint64_t time = now.monotonic_ms;
  const bool up = is_up(state, now);
  const bool early =
      !state.health.reported && now.since_ms(opened_ms_) <= down_after_reports * policy_.report_ms;
  if (!early) {
    monitor_.set(
        "node_down", name, "", !up && (!is_out(name) || holds_something),
        state.health.reported ? "it does not report any more" : "it has not reported since the start", time);
  }
  const std::string why = contradiction(name, state.record.registration.labels);
  monitor_.set("labels_contradict", name, "", !why.empty(), why, time);
  const auto replaced = replacing_.find(name);
  const bool stuck = replaced != replacing_.end() && !replaced->second.trouble.empty();
  monitor_.set("replacement_stuck", name, "", stuck, stuck ? replaced->second.trouble : "", time);
}

void Catalogue::tell_stalled(Now now, const std::string& jobs) {
  monitor_.set("reshare_stalled", "network", "", !jobs.empty(), jobs, now.monotonic_ms);
}

void Catalogue::tell_certificate(Now now, const std::string& trouble) {
  monitor_.set("controller_certificate_ends", own, "", !trouble.empty(), trouble, now.monotonic_ms);
}

void Catalogue::tell_audit(Now now, const std::string& trouble) {
  monitor_.set("audit_failed", own, "", !trouble.empty(), trouble, now.monotonic_ms);
}

// One that is removed: nobody looks at it any more.
Outcome Catalogue::forget_node_alarms(Transaction& changes, Now now, const std::string& node) {
  for (const char* const type : {"node_down", "labels_contradict", "replacement_stuck"}) {
    monitor_.set(type, node, "", false, "", now.monotonic_ms);
  }
  if (Outcome taken = take_alarms(changes, now, node, {}); !taken.ok()) return taken;
  return clear_alarm(changes, now, {"unknown_holdings", node, ""}, "", "the node was removed");
}

// Whether a write that says nothing, or a class, would find its holders.
void Catalogue::watch_placement(Now now) {
  if (now.monotonic_ms < placement_next_ms_) return;
  placement_next_ms_ = now.monotonic_ms + placement_each_ms;
  const bool early = now.since_ms(opened_ms_) <= down_after_reports * policy_.report_ms;
  if (nodes_.empty() || early) return;
  const auto trouble_of = [&](const ClassPolicy& policy) {
    Result<Layout> layout = layout_for(WriteRequest(), policy);
    const Outcome placed = layout.ok() ? place_object(now, PadShares::no, "", {0, 0, policy.domains},
                                                      policy.keys, layout.value(), nullptr)
                                       : Outcome(layout.error());
    return placed.ok() ? std::string() : placed.error().why;
  };
  std::string why = trouble_of(policy_);
  for (auto at = policy_.classes.begin(); why.empty() && at != policy_.classes.end(); ++at) {
    why = trouble_of(at->second);
    why = why.empty() ? why : fmt::format("class {}: {}", at->first, why);
  }
  monitor_.set("too_few_nodes", "network", "", !why.empty(), why, now.monotonic_ms);
}

// While it cannot be written the alarm is in memory only; afterwards its story is written down.
Outcome Catalogue::watch_database(Now now) {
  const std::string failure = database_.failure();
  if (failure.empty() && !database_alarm_) return done;
  if (!failure.empty() && !database_alarm_) {
    database_alarm_ = Alarm{{std::string(database_failed), own, ""},
                            alarms::find_type(database_failed)->severity,
                            alarms::cut_text(failure, text_max),
                            now.wall_ms,
                            0,
                            1,
                            {""},
                            ""};
  }
  Transaction changes(database_);
  const Now then{database_alarm_->raised_ms, now.monotonic_ms};
  if (Outcome raised = raise_alarm(changes, then, database_alarm_->key, "", database_alarm_->text);
      !raised.ok()) {
    return raised;
  }
  if (Outcome cleared = clear_alarm(changes, now, database_alarm_->key, "", "it can be written again");
      !cleared.ok()) {
    return cleared;
  }
  if (Outcome committed = changes.commit(); !committed.ok()) return committed;
  database_alarm_.reset();
  return done;
}

Outcome Catalogue::watch_alarms(Now now) {
  if (Outcome watched = watch_database(now); !watched.ok()) return watched;
  for (const auto& [name, state] : nodes_) {
    bool holds = true;
    if (is_out(name) && !is_up(state, now)) {
      const std::string prefix = keys::holdings(name);
      const Result<std::vector<Row>> any = database_.scan(prefix, keys::end_of(prefix), 1);
      if (!any.ok()) return any.error();
      holds = !any.value().empty();
    }
    watch_node_alarms(now, name, state, holds);
  }
  watch_placement(now);
  if (Outcome watched = watch_refreshes(now); !watched.ok()) return watched;
  Transaction changes(database_);
  if (Outcome taken = take_own_alarms(changes, now); !taken.ok()) return taken;
  // What a node said that will not come back is not true for ever.
  for (const auto& [name, state] : nodes_) {
    if (!is_out(name) || is_up(state, now)) continue;
    if (Outcome taken = take_alarms(changes, now, name, {}); !taken.ok()) return taken;
  }
  if (Outcome cleared = clear_unmarked(changes, now); !cleared.ok()) return cleared;
  if (Outcome forgotten = forget_alarms(changes, now); !forgotten.ok()) return forgotten;
  return changes.commit();
}

// Those that are over: the oldest, beyond a number or an age.
Outcome Catalogue::forget_alarms(Transaction& changes, Now now) {
  std::vector<std::pair<std::uint64_t, const AlarmKey*>> over;
  for (const auto& [key, alarm] : known_alarms_) {
    if (alarm.cleared_ms != 0) over.emplace_back(alarm.cleared_ms, &key);
  }
  std::sort(over.begin(), over.end());
  const std::uint64_t before = now.wall_ms - std::min(now.wall_ms, alarms_kept_ms);
  for (std::size_t i = 0; i < over.size(); ++i) {
    if (over[i].first >= before && over.size() - i <= alarms_kept_max) break;
    const Result<std::optional<Alarm>> alarm = changes.get<Alarm>(keys::alarm(*over[i].second));
    if (!alarm.ok()) return alarm.error();
    if (alarm.value() && alarm.value()->cleared_ms != 0) changes.erase(keys::alarm(*over[i].second));
  }
  return done;
}

// For how long something is known that makes the node fail; nothing: it does not.
std::optional<std::uint64_t> Catalogue::failed_for(Now now, const std::string& node, std::string& why) const {
  std::optional<std::uint64_t> longest;
  for (const AlarmType& type : alarms::inventory()) {
    if (!type.fails_node) continue;
    const auto since = alarm_since_ms_.find({std::string(type.name), node, ""});
    if (since == alarm_since_ms_.end()) continue;
    const std::uint64_t ms = now.since_ms(since->second);
    if (!longest || ms > *longest) why = type.name;
    longest = std::max(longest.value_or(0), ms);
  }
  return longest;
}

Result<AlarmPage> Catalogue::alarms(Now now, const AlarmFilter& filter, const std::string& after,
                                    std::size_t limit) {
  const std::size_t most = std::clamp<std::size_t>(limit, 1, page_max);
  const std::lock_guard lock(mutex_);
  if (Outcome read = refresh_alarms(now); !read.ok()) return read.error();
  std::map<AlarmKey, Alarm> all = known_alarms_;
  if (database_alarm_) all.insert_or_assign(database_alarm_->key, *database_alarm_);
  AlarmPage page;
  page.last_event = database_.last_event();
  std::string last;
  for (auto& [key, alarm] : all) {
    const std::string place = keys::alarm(key);
    if ((!after.empty() && place <= after) || (!filter.all && alarm.cleared_ms != 0) ||
        (!filter.type.empty() && key.type != filter.type) ||
        (!filter.resource.empty() && key.resource != filter.resource && key.peer != filter.resource) ||
        alarm.severity < filter.least) {
      continue;
    }
    if (page.alarms.size() == most) {
      page.next = last;
      break;
    }
    last = place;
    const AlarmType* const type = alarms::find_type(key.type);
    alarm.repair = type == nullptr ? "" : type->repair;
    page.alarms.push_back(std::move(alarm));
  }
  return page;
}

}  // namespace ssn::controller
