// SPDX-License-Identifier: BSD-3-Clause
// What owners have, and what was done for them: docs/network-configuration.md, "Accounting".
#include <fmt/core.h>

#include <algorithm>

#include "catalogue.h"
#include "check.h"

namespace ssn::controller {
namespace {

constexpr std::size_t looked_at_once = 5'000;  // by one call, so that none holds up others
constexpr std::size_t forgotten_at_once = 200;

Account account_of(Now now, AccountOperation operation, const Object& object, std::uint64_t pad_bytes) {
  return {0,
          now.wall_ms,
          object.owner,
          object.id,
          object.name,
          operation,
          object.size_known ? object.size : 0,
          pad_bytes,
          object.class_name,
          object.protection};
}

}  // namespace

std::uint64_t pads_of(const Object& object, std::uint64_t shares) noexcept {
  const std::uint64_t cells = object.cells != 0
                                  ? object.cells
                                  : cells_for(object.size, object.cell_bytes, object.layout.secret_blocks);
  return cells * object.cell_bytes * shares;
}

// Of databases of before this was counted: once.
Outcome Catalogue::count_bytes() {
  Transaction changes(database_);
  Result<MetaRecord> meta = changes.get_or_new<MetaRecord>(keys::meta());
  if (!meta.ok()) return meta.error();
  if (meta.value().bytes_counted) return done;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> bytes;  // of objects, of open writes
  const std::string from(keys::all_objects);
  const Outcome read = for_each_row(database_, from, keys::end_of(from), [&](const Row& row) {
    const Result<ObjectRecord> record = decode<ObjectRecord>(row.key, row.value);
    if (!record.ok()) return Outcome(record.error());
    const Object& object = record.value().object;
    if (!is_over(object) && object.size_known) {
      auto& [there, open] = bytes[object.owner];
      (is_open(object) ? open : there) += object.size;
    }
    return Outcome(done);
  });
  if (!read.ok()) return read;
  for (const auto& [owner, sums] : bytes) {
    Result<OwnerRecord> record = changes.get_or_new<OwnerRecord>(keys::owner(owner));
    if (!record.ok()) return record.error();
    record.value().bytes = sums.first;
    record.value().writing_bytes = sums.second;
    changes.put(keys::owner(owner), record.value());
  }
  meta.value().bytes_counted = true;
  changes.put(keys::meta(), meta.value());
  return changes.commit();
}

Outcome Catalogue::note_account(Transaction& changes, Account account) {
  if (policy_.accounts_max == 0) return done;
  Result<MetaRecord> meta = changes.get_or_new<MetaRecord>(keys::meta());
  if (!meta.ok()) return meta.error();
  account.number = meta.value().next_account++;
  changes.put(keys::meta(), meta.value());
  changes.put(keys::account(account.number), account);
  if (account.number > policy_.accounts_max) {
    changes.erase(keys::account(account.number - policy_.accounts_max));
  }
  return done;
}

Outcome Catalogue::note_account(Transaction& changes, Now now, AccountOperation operation,
                                const Object& object, std::uint64_t pad_bytes) {
  return note_account(changes, account_of(now, operation, object, pad_bytes));
}

// To write each down before it is answered would make every read wait for the disk.
void Catalogue::note_read(Now now, const Object& object) {
  if (policy_.accounts_max == 0) return;
  if (reads_.size() >= reads_max && !write_reads().ok()) {
    ++reads_lost_;
    return;
  }
  const std::uint64_t shares = std::min(object.layout.k + 1, object.layout.n);
  reads_.push_back(account_of(now, AccountOperation::get, object, pads_of(object, shares)));
}

Outcome Catalogue::write_reads() {
  if (reads_.empty()) return done;
  Transaction changes(database_);
  for (const Account& read : reads_) {
    if (Outcome noted = note_account(changes, read); !noted.ok()) return noted;
  }
  if (reads_lost_ != 0) {
    Event event{0,
                reads_.back().time_ms,
                true,
                "accounts_lost",
                "controller",
                fmt::format("{} reads could not be written down", reads_lost_)};
    if (Outcome noted = note(changes, std::move(event)); !noted.ok()) return noted;
  }
  if (Outcome committed = changes.commit(); !committed.ok()) return committed;
  reads_.clear();
  reads_lost_ = 0;
  return done;
}

Outcome Catalogue::forget_accounts(Now now) {
  const std::string from(keys::all_accounts);
  const Result<std::vector<Row>> rows = database_.scan(from, keys::end_of(from), forgotten_at_once);
  if (!rows.ok()) return rows.error();
  Transaction changes(database_);
  const Result<MetaRecord> meta = changes.get_or_new<MetaRecord>(keys::meta());
  if (!meta.ok()) return meta.error();
  for (const Row& row : rows.value()) {
    const Result<Account> account = decode<Account>(row.key, row.value);
    if (!account.ok()) return account.error();
    const bool many = account.value().number + policy_.accounts_max < meta.value().next_account;
    const bool old = now.wall_ms > account.value().time_ms &&
                     now.wall_ms - account.value().time_ms > policy_.accounts_keep_ms;
    if (!many && !old) break;
    changes.erase(row.key);
  }
  return changes.commit();
}

Result<AccountPage> Catalogue::accounts(Now now, const AccountFilter& filter, std::uint64_t after,
                                        std::size_t limit) {
  const std::size_t most = std::clamp<std::size_t>(limit, 1, page_max);
  if (after == UINT64_MAX) return AccountPage();  // none has a larger number
  const std::lock_guard lock(mutex_);
  if (Outcome written = write_reads(); !written.ok() && database_.trouble().empty()) {
    return written.error();
  }
  const Result<std::vector<Row>> rows =
      database_.scan(keys::account(after + 1), keys::end_of(std::string(keys::all_accounts)), looked_at_once);
  if (!rows.ok()) return rows.error();
  AccountPage page;
  std::size_t seen = 0;
  for (const Row& row : rows.value()) {
    if (page.accounts.size() == most) break;
    ++seen;
    Result<Account> account = decode<Account>(row.key, row.value);
    if (!account.ok()) return account.error();
    page.next = account.value().number;
    const bool old = now.wall_ms > account.value().time_ms &&
                     now.wall_ms - account.value().time_ms > policy_.accounts_keep_ms;
    if (!old && account.value().time_ms >= filter.since_ms &&
        (filter.owner.empty() || filter.owner == account.value().owner)) {
      page.accounts.push_back(std::move(account.value()));
    }
  }
  if (seen == rows.value().size() && seen < looked_at_once) page.next = 0;
  return page;
}

Result<std::vector<Usage>> Catalogue::usage(Now now, const std::string& owner, const std::string& after,
                                            std::size_t limit) {
  const std::lock_guard lock(mutex_);
  std::vector<Usage> all;
  const auto add = [&](const std::string& name, const OwnerRecord& has) {
    const OwnerLimits limits = limits_of(policy_, name);
    Usage usage{name,           has.objects,   has.writes,   has.bytes,   has.writing_bytes,
                limits.objects, limits.writes, limits.bytes, limits.rate, {}};
    for (const auto& [node, state] : nodes_) {
      if (is_up(state, now) && state.health.slowed.contains(name)) usage.slowed_at.push_back(node);
    }
    all.push_back(std::move(usage));
  };
  if (!owner.empty()) {
    Transaction reads(database_);
    const Result<OwnerRecord> record = reads.get_or_new<OwnerRecord>(keys::owner(owner));
    if (!record.ok()) return record.error();
    add(owner, record.value());
    return all;
  }
  std::string from = keys::owner(after);
  if (!after.empty()) from.push_back('\0');  // the next one
  const Result<std::vector<Row>> rows = database_.scan(from, keys::end_of(std::string(keys::all_owners)),
                                                       std::clamp<std::size_t>(limit, 1, page_max));
  if (!rows.ok()) return rows.error();
  for (const Row& row : rows.value()) {
    const Result<OwnerRecord> record = decode<OwnerRecord>(row.key, row.value);
    if (!record.ok()) return record.error();
    add(row.key.substr(keys::all_owners.size()), record.value());
  }
  return all;
}

}  // namespace ssn::controller
