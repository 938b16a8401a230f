// SPDX-License-Identifier: BSD-3-Clause
// store_bench DIRECTORY MEBIBYTES CELL_BYTES: how fast a share store takes shares and gives them back, beside
// a file that is written and synced in pieces of the same size. One JSON object a line on standard output.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "ssn/hw/file_descriptor.h"
#include "ssn/store/memory_store.h"
#include "ssn/store/rocksdb_store.h"
#include "ssn/store/share_store.h"

namespace {

using namespace ssn;
using namespace ssn::store;

constexpr std::size_t piece = std::size_t{4} << 20;  // what the store writes and syncs at once

std::uint64_t clock_ns(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

class Timer {
 public:
  void report(const char* name, std::uint64_t bytes) const {
    const double wall = static_cast<double>(clock_ns(CLOCK_MONOTONIC) - wall_) * 1e-9;
    const double cpu = static_cast<double>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_) * 1e-9;
    std::printf("{\"name\": \"%s\", \"bytes\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", name,
                static_cast<unsigned long long>(bytes), wall, cpu);
  }

 private:
  std::uint64_t wall_ = clock_ns(CLOCK_MONOTONIC);
  std::uint64_t cpu_ = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
};

[[noreturn]] void fail(const Error& error) {
  std::fprintf(stderr, "store_bench: %s: %s (%s)\n", error.what.c_str(), error.why.c_str(),
               error.where.c_str());
  std::exit(1);
}
[[noreturn]] void fail(const char* what, StoreResult result) {
  std::fprintf(stderr, "store_bench: %s: %s\n", what, std::string(name(result)).c_str());
  std::exit(1);
}

// As random as shares are, and not the same for two cells.
void make_cell(std::uint8_t* to, std::size_t bytes, std::uint64_t number) {
  std::uint64_t state = number * 0x9E3779B97F4A7C15U + 1;
  for (std::size_t i = 0; i < bytes; i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(to + i, &state, 8);
  }
}

void raw_disk(const std::string& directory, std::uint64_t bytes) {
  const std::string path = directory + "/raw";
  const hw::FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (fd.get() < 0) fail(system_error(errno, "cannot make a file", path));
  std::vector<std::uint8_t> block(piece);
  make_cell(block.data(), block.size(), 7);
  const Timer timer;
  for (std::uint64_t at = 0; at < bytes; at += piece) {
    if (::pwrite(fd.get(), block.data(), piece, static_cast<off_t>(at)) != static_cast<ssize_t>(piece) ||
        ::fdatasync(fd.get()) != 0) {
      fail(system_error(errno, "cannot write a file", path));
    }
  }
  timer.report("disk/write", bytes);
  (void)::unlink(path.c_str());
}

// `bytes`: of the share. A quarter of it fits the store's own memory, so that little is read from there.
ShareStore open_store(std::unique_ptr<KeyValueStore> database, const std::string& keys_path,
                      std::uint64_t bytes) {
  Result<std::unique_ptr<StorageFile>> file = open_storage_file(keys_path);
  if (!file.ok()) fail(file.error());
  Result<GenerationKeys> keys = GenerationKeys::open(std::move(file.value()), 1000);
  if (!keys.ok()) fail(keys.error());
  ShareStoreOptions options;
  options.memory_bytes = std::min<std::size_t>(options.memory_bytes, bytes / 4);
  Result<ShareStore> store = ShareStore::open(std::move(database), std::move(keys.value()), options);
  if (!store.ok()) fail(store.error());
  return std::move(store.value());
}

void put_all(ShareStore& store, const std::string& label, const ShareId& share, std::uint32_t cells,
             std::uint32_t cell_bytes) {
  std::vector<std::uint8_t> cell(cell_bytes);
  make_cell(cell.data(), cell_bytes, 1);
  std::vector<PutCompletion> completions;
  std::uint64_t stored = 0;
  const Timer timer;
  for (std::uint32_t i = 0; i < cells; ++i) {
    std::memcpy(cell.data(), &i, sizeof i);  // each cell another one
    const std::uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (const StoreResult taken = store.put(share, 0, i, cell, i, now); taken != StoreResult::done)
      fail("put", taken);
    if (now >= store.next_flush()) store.flush(now, ShareStore::Flush::due, completions);
    for (const PutCompletion& put : completions) stored += put.result == StoreResult::done ? 1U : 0U;
    completions.clear();
  }
  const AttemptRun run{0, 0};
  const SealAnswer sealed = store.seal(share, cells, {&run, 1}, clock_ns(CLOCK_MONOTONIC), completions);
  if (sealed.result != StoreResult::done) fail("seal", sealed.result);
  for (const PutCompletion& put : completions) stored += put.result == StoreResult::done ? 1U : 0U;
  timer.report((label + "/put").c_str(), std::uint64_t{cells} * cell_bytes);
  if (stored != cells) fail("put", StoreResult::incomplete);
}

void get_all(ShareStore& store, const std::string& label, const ShareId& share, std::uint32_t cells,
             std::uint32_t cell_bytes) {
  std::vector<std::uint8_t> memory(std::size_t{stripe_cells} * cell_bytes);
  std::array<std::uint8_t*, stripe_cells> into{};
  for (std::size_t i = 0; i < stripe_cells; ++i) into[i] = memory.data() + i * cell_bytes;
  bool right = true;
  const Timer timer;
  for (std::uint32_t stripe = 0; stripe < cells / stripe_cells; ++stripe) {
    const CellRead read = store.read(share, 0, stripe, UINT64_MAX, into, cell_bytes);
    if (read.result != StoreResult::done) fail("read", read.result);
    for (std::uint32_t i = 0; i < stripe_cells; ++i) {
      const std::uint32_t expected = stripe * stripe_cells + i;
      right = right && std::memcmp(into[i], &expected, sizeof expected) == 0;
    }
  }
  timer.report((label + "/get").c_str(), std::uint64_t{cells} * cell_bytes);
  if (!right) fail("read gives other bytes than were put", StoreResult::conflict);
}

// Every byte, which takes longer than reading.
void check_all(ShareStore& store, const ShareId& share, std::uint32_t cells, std::uint32_t cell_bytes) {
  std::vector<std::uint8_t> memory(std::size_t{stripe_cells} * cell_bytes), expected(cell_bytes);
  make_cell(expected.data(), cell_bytes, 1);
  std::array<std::uint8_t*, stripe_cells> into{};
  for (std::size_t i = 0; i < stripe_cells; ++i) into[i] = memory.data() + i * cell_bytes;
  for (std::uint32_t cell = 0; cell < cells; ++cell) {
    const std::uint32_t at = cell % stripe_cells;
    if (at == 0) {
      const CellRead read = store.read(share, 0, cell / stripe_cells, UINT64_MAX, into, cell_bytes);
      if (read.result != StoreResult::done) fail("read", read.result);
    }
    std::memcpy(expected.data(), &cell, sizeof cell);
    if (std::memcmp(into[at], expected.data(), cell_bytes) != 0) {
      fail("read gives other bytes than were put", StoreResult::conflict);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("Usage: store_bench DIRECTORY MEBIBYTES CELL_BYTES\n", stderr);
    return 2;
  }
  const std::uint64_t bytes = std::strtoull(argv[2], nullptr, 10) << 20;
  const auto cell_bytes = static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10));
  if (bytes < 16 * piece || cell_bytes == 0 || cell_bytes % cell_granule != 0 ||
      cell_bytes > max_cell_bytes) {
    std::fputs("store_bench: at least 64 MiB, and cells of a multiple of 64 up to 16320 bytes\n", stderr);
    return 2;
  }
  const std::string directory = argv[1];
  const auto cells = static_cast<std::uint32_t>(bytes / cell_bytes / stripe_cells * stripe_cells);
  const ShareId share{1, 1, 1};
  raw_disk(directory, bytes);
  {
    ShareStore store = open_store(std::make_unique<MemoryStore>(2 * bytes + (std::uint64_t{256} << 20)),
                                  directory + "/memory-keys", bytes);
    put_all(store, "memory", share, cells, cell_bytes);
    get_all(store, "memory", share, cells, cell_bytes);
    check_all(store, share, cells, cell_bytes);
  }
  RocksdbOptions options;
  options.directory = directory + "/db";
  Result<OpenedRocksdb> opened = open_rocksdb(options);
  if (!opened.ok()) fail(opened.error());
  ShareStore store = open_store(std::move(opened.value().store), directory + "/rocksdb-keys", bytes);
  put_all(store, "rocksdb", share, cells, cell_bytes);
  get_all(store, "rocksdb", share, cells, cell_bytes);
  check_all(store, share, cells, cell_bytes);
  return 0;
}
