// SPDX-License-Identifier: BSD-3-Clause
// What owners do: docs/controller.md, "The life of an object".
#include <fmt/core.h>

#include <algorithm>

#include "catalogue.h"

namespace ssn::controller {
namespace {

constexpr const char* what_begin = "cannot begin the write";
constexpr const char* what_commit = "cannot commit the object";

std::string shown(std::uint64_t id) { return fmt::format("object {:016x}", id); }

Error no_object(const char* what, std::string where) {
  return {Exit::not_found, what, "there is no such object", std::move(where), "see `ssn ls`"};
}

// What reveals no more than the class, or the write, allows.
Result<Layout> secret_layout_for(const WriteRequest& request, const ClassPolicy& policy) {
  Result<Layout> layout = layout_for(request, policy);
  if (!layout.ok()) {
    return layout.error();
  }
  const Outcome secret = check_secrecy(layout.value(), protection_for(request, policy));
  return secret.ok() ? std::move(layout) : Result<Layout>(secret.error());
}

Outcome check_cell(std::uint32_t bytes) {
  if (bytes % 64 == 0 && bytes <= cell_bytes_max) {
    return done;
  }
  return Error{Exit::usage, what_begin, fmt::format("a cell of {} bytes is none", bytes), "cell_bytes",
               fmt::format("give a multiple of 64 up to {}", cell_bytes_max)};
}

// Whose id the name has.
Result<ObjectRecord> object_of_name(Transaction& reads, const NumberRecord& id, const std::string& name,
                                    const char* what) {
  Result<std::optional<ObjectRecord>> record = reads.get<ObjectRecord>(keys::object(id.number));
  if (!record.ok()) {
    return record.error();
  }
  if (!record.value()) {
    return Error{Exit::integrity, what, "the name leads to no object", name,
                 "restore the database from a copy: docs/controller.md"};
  }
  return std::move(*record.value());
}

// Whether as many have it, and as well protected, as was asked for.
Outcome check_good_enough(const Object& object, bool degraded) {
  const std::uint32_t sealed = count_of(object.layout, ShareState::sealed);
  if (sealed < object.layout.quorum && !degraded) {
    return Error{Exit::temporary, what_commit,
                 fmt::format("{} of {} holders have sealed it", sealed, object.layout.quorum),
                 shown(object.id), "wait for more of them, or take it degraded"};
  }
  if (object.protection < object.minimum_protection) {
    return Error{Exit::refused, what_commit,
                 fmt::format("it was protected as {}, at least {} was asked for", name(object.protection),
                             name(object.minimum_protection)),
                 shown(object.id), "see that all links have keys of that kind, and write it again"};
  }
  return done;
}

}  // namespace

// Also for another owner's: nobody learns what others have.
Result<ObjectRecord> Catalogue::own_object(Transaction& changes, const std::string& owner,
                                           const ObjectKey& key, const char* what) {
  Result<std::optional<ObjectRecord>> record = changes.get<ObjectRecord>(keys::object(key.object));
  if (!record.ok()) {
    return record.error();
  }
  // What was committed may have been re-shared since.
  const auto is_it = [&](const Object& object) {
    return object.generation == key.generation ||
           (object.committed_ms != 0 && key.generation != 0 && key.generation < object.generation);
  };
  if (!record.value() || record.value()->object.owner != owner || !is_it(record.value()->object)) {
    return no_object(what, shown(key.object));
  }
  return std::move(*record.value());
}

Result<ObjectRecord> Catalogue::named_object(Transaction& changes, const std::string& owner,
                                             const std::string& name, const char* what) {
  if (!is_good_name(name)) {
    return Error{Exit::usage, what, "the name is not 1 to 1024 bytes of UTF-8 without control characters",
                 "name", "choose another one"};
  }
  const Result<std::optional<NumberRecord>> id = changes.get<NumberRecord>(keys::name(owner, name));
  if (!id.ok()) {
    return id.error();
  }
  return id.value() ? object_of_name(changes, *id.value(), name, what) : no_object(what, name);
}

Outcome Catalogue::count_object(Transaction& changes, const Object& object, std::int64_t by) {
  Result<OwnerRecord> record = changes.get_or_new<OwnerRecord>(keys::owner(object.owner));
  if (!record.ok()) {
    return record.error();
  }
  OwnerRecord& has = record.value();
  const std::uint64_t bytes = object.size_known ? object.size : 0;
  (is_open(object) ? has.writes : has.objects) += static_cast<std::uint64_t>(by);
  (is_open(object) ? has.writing_bytes : has.bytes) += static_cast<std::uint64_t>(by) * bytes;
  changes.put(keys::owner(object.owner), has);
  return done;
}

// What is being written counts as if it were there, and what it replaces is until then: so open writes never
// exceed the limit together. One that did not say how much is looked at when it commits.
Outcome Catalogue::check_room(Transaction& changes, const std::string& owner, const WriteRequest& request,
                              bool replaces) {
  const Result<OwnerRecord> record = changes.get_or_new<OwnerRecord>(keys::owner(owner));
  if (!record.ok()) {
    return record.error();
  }
  const OwnerRecord& has = record.value();
  const OwnerLimits limits = limits_of(policy_, owner);
  if (has.writes >= limits.writes) {
    return Error{Exit::temporary, what_begin, fmt::format("{} writes are open already", has.writes), owner,
                 "commit or abort some, or wait until they end"};
  }
  if (!replaces && has.objects >= limits.objects) {
    return Error{Exit::temporary, what_begin, fmt::format("{} objects are the most", limits.objects), owner,
                 "remove some, or have the limit raised: [limits] or [[owner]] objects"};
  }
  const std::uint64_t used = has.bytes + has.writing_bytes;
  const std::uint64_t free = limits.bytes - std::min(limits.bytes, used);
  if (limits.bytes != 0 && (free == 0 || request.size.value_or(0) > free)) {
    return Error{Exit::temporary, what_begin,
                 fmt::format("{} of at most {} bytes are used, {} of them by open writes", used, limits.bytes,
                             has.writing_bytes),
                 owner, "remove some objects, or have the limit raised: [limits] or [[owner]] bytes"};
  }
  return done;
}

// Exact: what is counted is what this transaction leaves.
Outcome Catalogue::check_commit(Transaction& changes, const Object& object, const Object* replaced) {
  const Result<OwnerRecord> record = changes.get_or_new<OwnerRecord>(keys::owner(object.owner));
  if (!record.ok()) {
    return record.error();
  }
  const OwnerLimits limits = limits_of(policy_, object.owner);
  const std::uint64_t others = record.value().bytes - (replaced == nullptr ? 0 : replaced->size);
  if (replaced == nullptr && record.value().objects >= limits.objects) {
    return Error{Exit::temporary, what_commit, fmt::format("{} objects are the most", limits.objects),
                 object.owner, "remove some, or have the limit raised: [limits] or [[owner]] objects"};
  }
  if (limits.bytes != 0 && object.size > limits.bytes - std::min(limits.bytes, others)) {
    return Error{Exit::temporary, what_commit,
                 fmt::format("with its {} bytes there would be {}, at most {} are allowed", object.size,
                             others + object.size, limits.bytes),
                 object.owner, "remove some objects, or have the limit raised: [limits] or [[owner]] bytes"};
  }
  return done;
}

Result<std::uint64_t> Catalogue::new_id(Transaction& changes) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    std::uint8_t bytes[8];
    random_(bytes, sizeof bytes);
    std::uint64_t id = 0;
    for (const std::uint8_t byte : bytes) {
      id = id << 8U | byte;
    }
    const Result<std::optional<ObjectRecord>> taken = changes.get<ObjectRecord>(keys::object(id));
    if (!taken.ok()) {
      return taken.error();
    }
    if (id != 0 && !taken.value()) {
      return id;
    }
  }
  return Error{Exit::failed, what_begin, "the random generator repeats itself", "", "report this as a bug"};
}

Result<WriteTicket> Catalogue::ticket(const ObjectRecord& record, Now now) const {
  WriteTicket ticket{record.object, address_of(record.object.ssa), policy_.lease_ms};
  fill_in(ticket.object, now);
  return ticket;
}

Result<WriteTicket> Catalogue::begin_write(Now now, const std::string& owner, const WriteRequest& request) {
  if (Outcome checked = check(request); !checked.ok()) {
    return checked.error();
  }
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  const Result<std::optional<NumberRecord>> before =
      changes.get<NumberRecord>(keys::token(owner, request.token));
  if (!before.ok()) {
    return before.error();
  }
  if (!before.value()) {
    return new_write(now, owner, request, changes);
  }
  const Result<std::optional<ObjectRecord>> record =
      changes.get<ObjectRecord>(keys::object(before.value()->number));
  if (!record.ok()) {
    return record.error();
  }
  if (!record.value() || record.value()->request_digest != digest_of(request)) {
    return Error{Exit::refused, what_begin, "its token came with another request before", "token",
                 "draw another token for another write"};
  }
  return ticket(*record.value(), now);
}

Result<WriteTicket> Catalogue::new_write(Now now, const std::string& owner, const WriteRequest& request,
                                         Transaction& changes) {
  Result<std::string> chosen = class_for(request, owner, policy_);
  if (!chosen.ok()) {
    return chosen.error();
  }
  const ClassPolicy& policy = class_of(policy_, chosen.value());
  Result<Layout> layout = secret_layout_for(request, policy);
  if (!layout.ok()) {
    return layout.error();
  }
  ObjectRecord record;
  Object& object = record.object;
  object.cell_bytes = request.cell_bytes == 0 ? policy.cell_bytes : request.cell_bytes;
  if (Outcome cell = check_cell(object.cell_bytes); !cell.ok()) {
    return cell.error();
  }
  object.size_known = request.size.has_value();
  object.size = request.size.value_or(0);
  const std::uint64_t cells = cells_for(object.size, object.cell_bytes, layout.value().secret_blocks);
  if (cells > cells_max) {
    return Error{Exit::usage, what_begin, "it has too many cells", "size", "write several objects"};
  }
  const Result<std::optional<NumberRecord>> there =
      changes.get<NumberRecord>(keys::name(owner, request.name));
  if (!there.ok()) {
    return there.error();
  }
  if (Outcome room = check_room(changes, owner, request, there.value().has_value()); !room.ok()) {
    return room.error();
  }
  if (request.create_only && there.value()) {
    return Error{Exit::refused, what_begin, "the name has an object", request.name,
                 "choose another name, or allow it to be replaced"};
  }
  const Result<std::string> ssa = choose_ssa(now, request.ssa, policy.keys);
  if (!ssa.ok()) {
    return ssa.error();
  }
  const Result<std::uint64_t> id = new_id(changes);
  if (!id.ok()) {
    return id.error();
  }
  if (Outcome placed = place_object(now, pads_for(request, policy), ssa.value(),
                                    {id.value(), cells * object.cell_bytes, policy.domains}, policy.keys,
                                    layout.value(), nullptr);
      !placed.ok()) {
    return placed.error();
  }
  object.id = id.value();
  object.owner = owner;
  object.name = request.name;
  object.state = ObjectState::writing;
  object.generation = 1;
  object.layout = std::move(layout.value());
  object.minimum_protection = protection_for(request, policy);
  object.class_name = std::move(chosen.value());
  object.created_ms = now.wall_ms;
  object.ssa = ssa.value();
  record.token = request.token;
  record.request_digest = digest_of(request);
  record.create_only = request.create_only;
  const Result<bool> noted = note_pads(changes, now, object);
  if (!noted.ok()) {
    return noted.error();
  }
  Result<WriteTicket> written = store_write(now, record, changes);
  if (written.ok() && noted.value()) pads_noted_[object.ssa] = object.layout.pad_rule;
  return written;
}

Result<WriteTicket> Catalogue::store_write(Now now, const ObjectRecord& record, Transaction& changes) {
  const Object& object = record.object;
  changes.put(keys::object(object.id), record);
  changes.put(keys::token(object.owner, record.token), NumberRecord{object.id});
  changes.put(keys::open(object.id), NumberRecord{object.id});
  for (std::uint32_t i = 0; i < object.layout.n; ++i) {
    changes.put(keys::holding(object.layout.holders[i].node, object.key()), NumberRecord{i + 1});
  }
  if (Outcome counted = count_object(changes, object, 1); !counted.ok()) {
    return counted.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed.error();
  }
  note_open(object, now);
  return ticket(record, now);
}

// The object is not visible any more from this transaction on; each holder gets an order.
Outcome Catalogue::end_object(Transaction& changes, ObjectRecord& record, Now now, std::string reason) {
  Object& object = record.object;
  if (is_open(object)) {
    changes.erase(keys::open(object.id));
  }
  if (Outcome counted = count_object(changes, object, -1); !counted.ok()) {
    return counted;
  }
  const AccountOperation operation = is_open(object) ? AccountOperation::abandoned : AccountOperation::remove;
  if (Outcome noted = note_account(changes, now, operation, object,
                                   is_open(object) ? pads_of(object, object.layout.n) : 0);
      !noted.ok()) {
    return noted;
  }
  object.state = ObjectState::deleting;
  object.end_reason = std::move(reason);
  record.ended_ms = now.wall_ms;
  for (const Holder& holder : object.layout.holders) {
    changes.put(keys::removal(holder.node, object.key()), NumberRecord{1});
  }
  if (Outcome put = put_object(changes, now, record); !put.ok()) {
    return put;
  }
  changes.erase(keys::mark("reshare_undone", "network", {object.id, 0}));
  changes.erase(keys::mark("reshare_unverified", "network", {object.id, 0}));
  return done;
}

Outcome Catalogue::end_write(Now now, std::uint64_t id, const std::string& reason) {
  Transaction changes(database_);
  Result<std::optional<ObjectRecord>> record = changes.get<ObjectRecord>(keys::object(id));
  if (!record.ok()) {
    return record.error();
  }
  if (record.value() && is_open(record.value()->object)) {
    if (Outcome ended = end_object(changes, *record.value(), now, reason); !ended.ok()) {
      return ended;
    }
    if (Outcome committed = changes.commit(); !committed.ok()) {
      return committed;
    }
    counts_.removals += record.value()->object.layout.n;
  }
  note_closed(id);
  return done;
}

Result<CommitAnswer> Catalogue::commit(Now now, const std::string& owner, const ObjectKey& key,
                                       bool degraded) {
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  Result<ObjectRecord> record = own_object(changes, owner, key, what_commit);
  if (!record.ok()) {
    return record.error();
  }
  const Object& object = record.value().object;
  if (object.committed_ms != 0) {  // again
    CommitAnswer answer{object, count_of(object.layout, ShareState::sealed) < object.layout.quorum, 0};
    fill_in(answer.object, now);
    return answer;
  }
  if (object.state == ObjectState::writing) {
    return Error{Exit::temporary, what_commit,
                 fmt::format("{} of at least {} holders have sealed it",
                             count_of(object.layout, ShareState::sealed), object.layout.minimum),
                 shown(object.id), "wait until the SSA says so"};
  }
  if (object.state != ObjectState::sealed) {
    return Error{Exit::refused, what_commit, fmt::format("the write is over: {}", object.end_reason),
                 shown(object.id), "write it again"};
  }
  return first_commit(now, std::move(record.value()), changes, degraded);
}

Result<CommitAnswer> Catalogue::first_commit(Now now, ObjectRecord record, Transaction& changes,
                                             bool degraded) {
  Object& object = record.object;
  const bool is_degraded = count_of(object.layout, ShareState::sealed) < object.layout.quorum;
  if (Outcome good = check_good_enough(object, degraded); !good.ok()) {
    return good.error();
  }
  const std::string name_key = keys::name(object.owner, object.name);
  const Result<std::optional<NumberRecord>> before = changes.get<NumberRecord>(name_key);
  if (!before.ok()) {
    return before.error();
  }
  if (before.value() && record.create_only) {
    return Error{Exit::refused, what_commit, "the name got another object meanwhile", object.name,
                 "choose another name, or allow it to be replaced"};
  }
  std::uint64_t removals = 0;
  if (!before.value()) {
    if (Outcome room = check_commit(changes, object, nullptr); !room.ok()) {
      return room.error();
    }
  } else {
    Result<ObjectRecord> old = named_object(changes, object.owner, object.name, what_commit);
    if (!old.ok()) {
      return old.error();
    }
    if (Outcome room = check_commit(changes, object, &old.value().object); !room.ok()) {
      return room.error();
    }
    if (Outcome ended = end_object(changes, old.value(), now, fmt::format("replaced by {:016x}", object.id));
        !ended.ok()) {
      return ended.error();
    }
    removals = old.value().object.layout.n;
  }
  if (Outcome counted = count_object(changes, object, -1); !counted.ok()) {
    return counted.error();
  }
  object.state = ObjectState::committed;
  object.committed_ms = std::max<std::uint64_t>(now.wall_ms, 1);
  object.generation_ms = clock_ms(now);
  changes.put(name_key, NumberRecord{object.id});
  if (Outcome put = put_object(changes, now, record); !put.ok()) {
    return put.error();
  }
  changes.erase(keys::open(object.id));
  if (Outcome counted = count_object(changes, object, 1); !counted.ok()) {
    return counted.error();
  }
  if (Outcome noted =
          note_account(changes, now, AccountOperation::put, object, pads_of(object, object.layout.n));
      !noted.ok()) {
    return noted.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed.error();
  }
  note_closed(object.id);
  counts_.removals += removals;
  counts_.objects += before.value() ? 0 : 1;
  CommitAnswer answer{std::move(object), is_degraded, before.value() ? before.value()->number : 0};
  fill_in(answer.object, now);
  return answer;
}

Outcome Catalogue::abort(Now now, const std::string& owner, const ObjectKey& key) {
  constexpr const char* what = "cannot abort the write";
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  const Result<ObjectRecord> record = own_object(changes, owner, key, what);
  if (!record.ok()) {
    return record.error();
  }
  if (record.value().object.committed_ms != 0) {
    return Error{Exit::refused, what, "it is committed", shown(key.object), "remove the object instead"};
  }
  return is_open(record.value().object) ? end_write(now, key.object, "aborted by its owner") : Outcome(done);
}

Result<ObjectPage> Catalogue::list(Now now, const std::string& owner, const std::string& prefix,
                                   const std::string& after, std::size_t limit) {
  const std::string names = keys::names(owner);
  const std::string first = keys::name(owner, prefix);
  std::string from = keys::name(owner, after);
  from.push_back('\0');  // the next one
  from = after.empty() ? first : std::max(first, from);
  const std::size_t most = std::clamp<std::size_t>(limit, 1, page_max);
  const std::lock_guard lock(mutex_);
  const Result<std::vector<Row>> rows = database_.scan(from, keys::end_of(first), most);
  if (!rows.ok()) {
    return rows.error();
  }
  Transaction reads(database_);
  ObjectPage page;
  for (const Row& row : rows.value()) {
    const Result<NumberRecord> id = decode<NumberRecord>(row.key, row.value);
    if (!id.ok()) {
      return id.error();
    }
    Result<ObjectRecord> record =
        object_of_name(reads, id.value(), row.key.substr(names.size()), "cannot list the objects");
    if (!record.ok()) {
      return record.error();
    }
    Object& object = record.value().object;
    fill_in(object, now);
    const Layout& layout = object.layout;
    const auto up = std::count_if(layout.holders.begin(), layout.holders.end(), [](const Holder& holder) {
      return holder.up && holder.state == ShareState::sealed;
    });
    page.objects.push_back({object.id, object.name, object.size, layout.k, layout.n,
                            count_of(layout, ShareState::sealed), static_cast<std::uint32_t>(up),
                            object.protection, object.committed_ms});
  }
  if (rows.value().size() == most) {
    page.next = page.objects.back().name;
  }
  return page;
}

Result<Object> Catalogue::stat(Now now, const std::string& owner, const std::string& name) {
  const std::lock_guard lock(mutex_);
  Transaction reads(database_);
  Result<ObjectRecord> record = named_object(reads, owner, name, "cannot show the object");
  if (!record.ok()) {
    return record.error();
  }
  fill_in(record.value().object, now);
  return std::move(record.value().object);
}

Result<std::uint64_t> Catalogue::remove(Now now, const std::string& owner, const std::string& name,
                                        std::uint64_t id) {
  constexpr const char* what = "cannot remove the object";
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  if (id != 0) {  // again?
    const Result<std::optional<ObjectRecord>> known = changes.get<ObjectRecord>(keys::object(id));
    if (!known.ok()) {
      return known.error();
    }
    if (known.value() && known.value()->object.owner == owner && known.value()->object.name == name &&
        known.value()->object.state >= ObjectState::deleting) {
      return id;
    }
  }
  Result<ObjectRecord> record = named_object(changes, owner, name, what);
  if (!record.ok()) {
    return record.error();
  }
  const Object& object = record.value().object;
  if (id != 0 && object.id != id) {
    return Error{Exit::refused, what, "the name has another object", name, "see `ssn stat`"};
  }
  changes.erase(keys::name(owner, name));
  if (Outcome ended = end_object(changes, record.value(), now, "removed by its owner"); !ended.ok()) {
    return ended.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed.error();
  }
  counts_.objects -= 1;
  counts_.removals += object.layout.n;
  return object.id;
}

Result<ReadTicket> Catalogue::open_read(Now now, const std::string& owner, const std::string& name) {
  const std::lock_guard lock(mutex_);
  Transaction reads(database_);
  Result<ObjectRecord> record = named_object(reads, owner, name, "cannot open the object");
  if (!record.ok()) {
    return record.error();
  }
  // Near what it wrote last, if that is up.
  Result<std::string> ssa = choose_ssa(now, record.value().object.ssa);
  if (!ssa.ok()) {
    ssa = choose_ssa(now, "");
  }
  if (!ssa.ok()) {
    return ssa.error();
  }
  ReadTicket ticket{std::move(record.value().object), address_of(ssa.value())};
  note_read(now, ticket.object);
  fill_in(ticket.object, now);
  return ticket;
}

}  // namespace ssn::controller
