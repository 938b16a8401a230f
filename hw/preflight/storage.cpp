// SPDX-License-Identifier: BSD-3-Clause
// Where the ledger of pads is to lie.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "checks.h"
#include "ssn/hw/file_names.h"

namespace ssn::hw::preflight {
namespace {

bool is_one_of(const std::string& type, std::initializer_list<std::string_view> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

void check_type(const std::string& folder, const SystemView::Storage& storage, Report& report) {
  constexpr const char* id = "ledger.file-system";
  if (is_one_of(storage.type, {"tmpfs", "ramfs", "hugetlbfs"})) {
    report.error(id, fmt::format("{} lies in memory ({})", folder, storage.type),
                 "after a power cut nobody would know which pads were used", "choose a folder on a disk");
  } else if (is_one_of(storage.type, {"nfs", "smb", "cifs", "fuse", "9p", "ceph"})) {
    report.warning(id,
                   fmt::format("{} lies on a network or user-space file system ({})", folder, storage.type),
                   "a lock may not hold against another machine, and written may not mean on disk",
                   "choose a folder on a local ext4 or xfs");
  } else if (is_one_of(storage.type, {"btrfs", "zfs", "overlay", "bcachefs"})) {
    report.note(id, fmt::format("{} lies on {}", folder, storage.type),
                "a snapshot that is restored takes the ledger back: peers then refuse this node",
                "keep the folder out of snapshots; for overlay: mount a volume there");
  } else {
    report.ok(id, fmt::format("{} lies on {}", folder, storage.type));
  }
}

// Whether the file operations worked that a ledger is made of.
bool check_operations(const std::string& folder, const SystemView::Storage& storage, Report& report) {
  constexpr const char* id = "ledger.folder";
  if (storage.write_error != 0) {
    report.error(id, fmt::format("cannot write to {}: {}", folder, std::strerror(storage.write_error)),
                 "no pad may be used that the ledger does not know of",
                 storage.write_error == ENOSPC ? "df -h " + quoted(folder)
                                               : fmt::format("chown {} {}", "$(id -u)", quoted(folder)));
  } else if (storage.sync_error != 0) {
    report.error(id, fmt::format("fdatasync fails in {}: {}", folder, std::strerror(storage.sync_error)),
                 "the ledger would not survive a power cut", "choose a folder on a local ext4 or xfs");
  } else if (storage.lock_error != 0) {
    report.error(id, fmt::format("flock fails in {}: {}", folder, std::strerror(storage.lock_error)),
                 "two processes could use one ledger, and with it pads twice",
                 "choose a folder on a local ext4 or xfs");
  } else {
    report.ok(id, fmt::format("{}: writing, fdatasync and flock work", folder));
    return true;
  }
  return false;
}

// The ledger is a file that is made when it is missing: its folder counts.
std::string folder_of(const SystemView& system, const std::string& ledger) {
  constexpr std::uint32_t kind_mask = 0170000;
  constexpr std::uint32_t folder_kind = 0040000;
  const std::optional<SystemView::FileStatus> status = system.status(ledger);
  if ((status && (status->mode & kind_mask) == folder_kind) || ledger.ends_with('/')) {
    return ledger;
  }
  return directory_of(ledger);
}

}  // namespace

void check_ledger(const Context& context, Report& report) {
  if (context.wish.ledger.empty()) {
    return;
  }
  const std::string folder = folder_of(context.system, context.wish.ledger);
  const std::optional<SystemView::FileStatus> status = context.system.status(folder);
  if (!status) {
    report.error("ledger.folder", fmt::format("there is no folder {}", folder),
                 "no pad may be used that the ledger does not know of",
                 "install -d -m 700 " + quoted(folder));
    return;
  }
  if ((status->mode & 022U) != 0) {
    report.error("ledger.folder", fmt::format("others may write to {}", folder),
                 "who changes the ledger makes this node use pads twice", "chmod go-w " + quoted(folder));
    return;
  }
  const Result<SystemView::Storage> storage = context.system.storage(folder);
  if (!storage.ok()) {
    report.error("ledger.folder", storage.error().what + ": " + storage.error().why,
                 "no pad may be used that the ledger does not know of", storage.error().fix);
    return;
  }
  if (!check_operations(folder, storage.value(), report)) {
    return;
  }
  check_type(folder, storage.value(), report);
  if (storage.value().free_bytes < context.wish.ledger_bytes) {
    report.error("ledger.space",
                 fmt::format("{} are free in {}, {} are wanted", show_bytes(storage.value().free_bytes),
                             folder, show_bytes(context.wish.ledger_bytes)),
                 "a ledger that cannot be written stops all sending", "df -h " + quoted(folder));
  } else {
    report.ok("ledger.space", show_bytes(storage.value().free_bytes) + " free");
  }
}

}  // namespace ssn::hw::preflight
