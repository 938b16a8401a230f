// SPDX-License-Identifier: BSD-3-Clause
#include "store_setup.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "ssn/hw/secret_buffer.h"
#include "ssn/store/memory_store.h"
#include "ssn/store/rocksdb_store.h"

namespace ssn::dataplane {
namespace {

constexpr std::size_t key_file_header = 4096;
constexpr std::size_t key_slot = 128;

// The key file of a store that nothing outlives.
class MemoryFile final : public store::StorageFile {
 public:
  explicit MemoryFile(hw::SecretBuffer memory) : memory_(std::move(memory)) {}

  std::uint64_t size() const noexcept override { return size_; }
  Outcome read(std::uint64_t offset, std::span<std::uint8_t> bytes) override {
    if (!is_inside(offset, bytes.size())) return beyond();
    std::memcpy(bytes.data(), memory_.data() + offset, bytes.size());
    return done;
  }
  Outcome write(std::uint64_t offset, store::Bytes bytes) override {
    if (!is_inside(offset, bytes.size())) return beyond();
    std::memcpy(memory_.data() + offset, bytes.data(), bytes.size());
    return done;
  }
  Outcome extend(std::uint64_t size) override {
    if (size > memory_.size()) {
      return Error{Exit::temporary, "cannot keep another key", "the store in memory is full", "keys",
                   "remove objects, or raise [shareholder] generations"};
    }
    size_ = std::max(size_, size);
    return done;
  }
  Outcome sync() override { return done; }

 private:
  bool is_inside(std::uint64_t offset, std::size_t bytes) const noexcept {
    return offset <= size_ && bytes <= size_ - offset;
  }
  static Error beyond() {
    return {Exit::usage, "cannot reach the key file", "that is beyond its end", "keys", "report this"};
  }

  hw::SecretBuffer memory_;
  std::uint64_t size_ = 0;
};

struct Parts {
  std::unique_ptr<store::KeyValueStore> database;
  std::unique_ptr<store::StorageFile> keys;
};

Result<Parts> open_memory(const ShareholderConfiguration& configuration) {
  // The file grows by whole steps; twice what is asked for is more than it takes.
  const std::size_t bytes = key_file_header + 2 * key_slot * std::size_t{configuration.generations} + 65536;
  Result<hw::SecretBuffer> memory = hw::SecretBuffer::make(bytes, hw::SecretBuffer::Locking::best_effort);
  if (!memory.ok()) return memory.error();
  Parts parts;
  parts.database = std::make_unique<store::MemoryStore>(configuration.capacity);
  parts.keys = std::make_unique<MemoryFile>(std::move(memory.value()));
  return parts;
}

Result<Parts> open_disk(const ShareholderConfiguration& configuration,
                        const std::function<void(std::string_view)>& report) {
  const std::string& folder = configuration.directory;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error(errno, "cannot make the folder of the share store", folder);
  }
  store::RocksdbOptions options;
  options.directory = folder + "/shares";
  Result<store::OpenedRocksdb> database = store::open_rocksdb(options);
  if (!database.ok()) return database.error();
  if (!database.value().damage.empty()) report("store: " + database.value().damage);
  Result<std::unique_ptr<store::StorageFile>> keys = store::open_storage_file(folder + "/keys");
  if (!keys.ok()) return keys.error();
  return Parts{std::move(database.value().store), std::move(keys.value())};
}

}  // namespace

Result<std::unique_ptr<store::StoreThread>> start_store(const ShareholderConfiguration& configuration,
                                                        std::size_t workers, std::size_t requests,
                                                        const std::function<void(std::string_view)>& report) {
  const bool in_memory = configuration.store == ShareholderConfiguration::Store::memory;
  Result<Parts> parts = in_memory ? open_memory(configuration) : open_disk(configuration, report);
  if (!parts.ok()) return parts.error();
  Result<store::GenerationKeys> keys =
      store::GenerationKeys::open(std::move(parts.value().keys), configuration.generations);
  if (!keys.ok()) return keys.error();
  store::ShareStoreOptions options;
  options.memory_bytes = configuration.buffer;
  options.reserve_bytes = in_memory ? 0 : configuration.reserve;
  Result<store::ShareStore> store =
      store::ShareStore::open(std::move(parts.value().database), std::move(keys.value()), options);
  if (!store.ok()) return store.error();
  store::StoreThreadOptions thread;
  thread.workers = workers;
  thread.requests = std::bit_ceil(std::max<std::size_t>(requests, 64));
  thread.scrub.bytes_per_second = in_memory ? 0 : configuration.scrub;
  return store::StoreThread::start(std::move(store.value()), thread);
}

}  // namespace ssn::dataplane
