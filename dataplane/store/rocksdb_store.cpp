// SPDX-License-Identifier: BSD-3-Clause
// The only file that knows RocksDB.
#include "ssn/store/rocksdb_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>

namespace ssn::store {
namespace {

// Large values, the stripes, live in blob files; heads and directories in the tree.
constexpr std::uint64_t least_blob_bytes = 4096;

rocksdb::Slice slice(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
Buffer buffer(const rocksdb::Slice& slice) {
  const auto* const first = reinterpret_cast<const std::uint8_t*>(slice.data());
  return {first, first + slice.size()};
}

Error failure(const rocksdb::Status& status, std::string what, const std::string& directory) {
  Error error{Exit::failed, std::move(what), status.ToString(), directory,
              "look at the disk and the system log; then restart this process"};
  if (status.IsCorruption() || status.IsPathNotFound()) {
    error.code = Exit::integrity;
    error.fix = "repair what is missing from other holders; replace the disk if it happens again";
  } else if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit) {
    error.code = Exit::temporary;
    error.fix = "free space on this file system, or remove objects";
  } else if (status.IsBusy() || status.IsTryAgain()) {
    error.code = Exit::temporary;
    error.why = "RocksDB is still making sure that it can write";
    error.fix = "wait a few seconds";
  } else if (status.IsIOError() && status.ToString().find("/LOCK") != std::string::npos) {
    error.code = Exit::temporary;
    error.fix = "stop the other process that uses this database";
  }
  return error;
}

rocksdb::Options options_of(const RocksdbOptions& wanted) {
  rocksdb::Options options;
  options.create_if_missing = wanted.create;
  options.paranoid_checks = true;
  options.track_and_verify_wals_in_manifest = true;
  // Nothing that failed is tried again behind our back.
  options.max_bgerror_resume_count = 0;
  options.compression = rocksdb::kNoCompression;
  options.enable_blob_files = true;
  options.min_blob_size = least_blob_bytes;
  options.blob_file_size = wanted.blob_file_bytes;
  options.blob_compression_type = rocksdb::kNoCompression;
  options.enable_blob_garbage_collection = true;
  options.blob_garbage_collection_age_cutoff = 0.5;
  options.blob_garbage_collection_force_threshold = 0.5;
  options.write_buffer_size = wanted.write_buffer_bytes;
  options.max_write_buffer_number = 3;
  options.max_background_jobs = 2;
  options.max_open_files = 512;
  options.max_log_file_size = std::size_t{1} << 20;
  options.keep_log_file_num = 2;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(wanted.cache_bytes);
  table.cache_index_and_filter_blocks = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class RocksdbStore final : public KeyValueStore {
 public:
  explicit RocksdbStore(const RocksdbOptions& wanted)
      : options_(options_of(wanted)), directory_(wanted.directory) {}
  ~RocksdbStore() override {
    if (database_ == nullptr) return;
    if (!failure_) (void)database_->SyncWAL();  // Sync::later; nobody was promised anything
    (void)database_->Close();
  }
  /// Once, before anything else. `damage`: of the log.
  Outcome open(std::string& damage);

  Outcome write(Batch& batch, Sync sync) override {
    Outcome result = check(batch);
    if (result.ok()) result = write_checked(batch, sync);
    batch.clear();
    return result;
  }
  Result<bool> get(Bytes key, Buffer& value) override;
  Result<std::vector<Item>> scan(Bytes first, Bytes end, std::size_t limit, Values values) override;
  std::uint64_t approximate_bytes() override;
  Result<Space> space() override;
  Outcome recover() override;
  Outcome reclaim() override;
  std::string_view name() const noexcept override { return "rocksdb"; }

 private:
  std::uint64_t promised_bytes();
  Outcome write_checked(const Batch& batch, Sync sync);
  Outcome fail(const rocksdb::Status& status);

  rocksdb::Options options_;
  const std::string directory_;
  std::shared_mutex mutex_;                // of the pointer and failure_: whoever uses the database shares it
  std::unique_ptr<rocksdb::DB> database_;  // null only where failure_ says why
  std::optional<Error> failure_;
};

Outcome RocksdbStore::open(std::string& damage) {
  rocksdb::DB* database = nullptr;
  // What a crash leaves at the end of the log is dropped; anything else that is wrong with it is not.
  options_.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  rocksdb::Status status = rocksdb::DB::Open(options_, directory_, &database);
  if (status.IsCorruption()) {
    damage = status.ToString();
    options_.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    status = rocksdb::DB::Open(options_, directory_, &database);
  }
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit) {
    // Room to write what the log has comes with removals: until then it stays in memory and in the log.
    options_.avoid_flush_during_recovery = true;
    status = rocksdb::DB::Open(options_, directory_, &database);
  }
  if (!status.ok()) return failure(status, "cannot open the share database", directory_);
  database_.reset(database);
  return done;
}

Outcome RocksdbStore::write_checked(const Batch& batch, Sync sync) {
  std::shared_lock lock(mutex_);
  if (failure_) return *failure_;
  rocksdb::WriteBatch writes(batch.bytes() + 32 * batch.operations().size());
  rocksdb::Status status;
  for (const Batch::Operation& operation : batch.operations()) {
    const rocksdb::Slice key = slice(operation.key);
    switch (operation.kind) {
      case Batch::Kind::put:
        status = writes.Put(key, slice(operation.value));
        break;
      case Batch::Kind::erase:
        status = writes.Delete(key);
        break;
      case Batch::Kind::erase_range:
        status = key_less(operation.key, operation.value) ? writes.DeleteRange(key, slice(operation.value))
                                                          : rocksdb::Status::OK();
        break;
    }
    if (!status.ok()) return failure(status, "cannot collect what to write", directory_);
  }
  rocksdb::WriteOptions how;
  how.sync = sync == Sync::durable;
  status = database_->Write(how, &writes);
  if (status.ok()) return done;
  lock.unlock();
  return fail(status);
}

Outcome RocksdbStore::fail(const rocksdb::Status& status) {
  const std::unique_lock lock(mutex_);
  failure_ = failure(status, "cannot write to the share database", directory_);
  // Corruption here is what a compaction met: the disk lost what it had.
  if (failure_->code == Exit::integrity) failure_->code = Exit::failed;
  return *failure_;
}

Result<bool> RocksdbStore::get(Bytes key, Buffer& value) {
  if (Outcome checked = check_key(key); !checked.ok()) return checked.error();
  const std::shared_lock lock(mutex_);
  if (database_ == nullptr) return *failure_;
  rocksdb::PinnableSlice found;
  const rocksdb::Status status =
      database_->Get(rocksdb::ReadOptions(), database_->DefaultColumnFamily(), slice(key), &found);
  if (status.IsNotFound()) return false;
  if (!status.ok()) return failure(status, "cannot read from the share database", directory_);
  const auto* const first = reinterpret_cast<const std::uint8_t*>(found.data());
  value.assign(first, first + found.size());
  return true;
}

Result<std::vector<KeyValueStore::Item>> RocksdbStore::scan(Bytes first, Bytes end, std::size_t limit,
                                                            Values values) {
  const std::shared_lock lock(mutex_);
  if (database_ == nullptr) return *failure_;
  rocksdb::ReadOptions how;
  const rocksdb::Slice stop = slice(end);
  if (!end.empty()) how.iterate_upper_bound = &stop;
  const std::unique_ptr<rocksdb::Iterator> at(database_->NewIterator(how));
  std::vector<Item> items;
  std::size_t bytes = 0;
  for (at->Seek(slice(first)); at->Valid() && items.size() < limit && bytes < max_scan_bytes; at->Next()) {
    items.push_back({buffer(at->key()), values == Values::wanted ? buffer(at->value()) : Buffer()});
    bytes += items.back().value.size();
  }
  if (!at->status().ok()) return failure(at->status(), "cannot list the share database", directory_);
  return items;
}

std::uint64_t RocksdbStore::approximate_bytes() {
  const std::shared_lock lock(mutex_);
  std::uint64_t sum = 0;
  if (database_ == nullptr) return sum;
  for (const char* const property :
       {"rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size", "rocksdb.cur-size-all-mem-tables"}) {
    std::uint64_t value = 0;
    if (database_->GetIntProperty(property, &value)) sum += value;
  }
  return sum;
}

// What is in memory is in the log, too, which goes only after all of it was written to files.
std::uint64_t RocksdbStore::promised_bytes() {
  const std::shared_lock lock(mutex_);
  std::uint64_t bytes = 0;
  if (database_ == nullptr || !database_->GetIntProperty("rocksdb.cur-size-all-mem-tables", &bytes)) return 0;
  return bytes;
}

Result<KeyValueStore::Space> RocksdbStore::space() {
  struct statvfs status{};
  if (::statvfs(directory_.c_str(), &status) != 0) {
    return system_error(errno, "cannot learn how much space is free", directory_);
  }
  const std::uint64_t free = std::uint64_t{status.f_bavail} * status.f_frsize;
  return Space{free - std::min(free, promised_bytes()), std::uint64_t{status.f_blocks} * status.f_frsize};
}

// After a write that did not fit: all that is in memory goes to new files, which are synced. The log that the
// failure tore may still be the present one then (where nothing was in memory), and RocksDB takes writing to
// such a log for broken code and aborts; so the database is opened anew, with a new log. Where not even that
// what is in memory fits, it is opened anew as well: what was removed meanwhile need not be written then.
Outcome RocksdbStore::recover() {
  const std::unique_lock lock(mutex_);
  if (!failure_) return done;
  if (fault_of(*failure_) != Fault::full) return *failure_;
  if (database_ != nullptr) {
    if (const rocksdb::Status status = database_->Resume(); !status.ok()) {
      const Error error = failure(status, "cannot go on writing to the share database", directory_);
      if (fault_of(error) != Fault::full) {
        failure_ = error;
        return error;
      }
    }
    (void)database_->Close();
    database_.reset();
  }
  std::string damage;
  if (Outcome opened = open(damage); !opened.ok()) {
    if (fault_of(opened.error()) != Fault::full) failure_ = opened.error();
    return opened;
  }
  failure_.reset();
  return done;
}

// Blob files go once nothing in the tree names them any more.
Outcome RocksdbStore::reclaim() {
  const std::shared_lock lock(mutex_);
  if (database_ == nullptr) return *failure_;
  rocksdb::CompactRangeOptions how;
  how.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  const rocksdb::Status status = database_->CompactRange(how, nullptr, nullptr);
  if (!status.ok()) return failure(status, "cannot reclaim space in the share database", directory_);
  return done;
}

}  // namespace

Result<OpenedRocksdb> open_rocksdb(const RocksdbOptions& wanted) {
  OpenedRocksdb opened;
  auto store = std::make_unique<RocksdbStore>(wanted);
  if (Outcome outcome = store->open(opened.damage); !outcome.ok()) return outcome.error();
  opened.store = std::move(store);
  return opened;
}

}  // namespace ssn::store
