// SPDX-License-Identifier: BSD-3-Clause
// A process with a share store over RocksDB is killed again and again. What it had said to be durable must be
// there at the next start; what it had only begun may be.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "backends.h"
#include "ssn/store/rocksdb_store.h"
#include "test_store.h"

extern char** environ;

namespace ssn::store {
namespace {

using test::TestRandom;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t cell_bytes = 320;
constexpr std::uint32_t most_cells = 200;

// What the killed process said of a generation, and what was seen of it since.
struct Known {
  std::uint32_t tried = 0;   // cells 0 to tried - 1 were put
  std::uint32_t stored = 0;  // and these were durable
  std::uint32_t sealed = 0;  // cells; answered
  bool removing = false;
  bool removed = false;
};
using Knowledge = std::map<std::uint64_t, Known>;  // by object

ShareId share_of(std::uint64_t object) { return {object, 1, 2}; }

Result<ShareStore> open_store(const std::string& directory) {
  RocksdbOptions database;
  database.directory = directory + "/db";
  database.write_buffer_bytes = std::uint64_t{256} << 10;  // so that files are made and merged all the time
  database.blob_file_bytes = std::uint64_t{256} << 10;
  Result<OpenedRocksdb> opened = open_rocksdb(database);
  if (!opened.ok()) return opened.error();
  if (!opened.value().damage.empty()) {
    return Error{Exit::integrity, "the log was damaged", opened.value().damage, directory, ""};
  }
  Result<std::unique_ptr<StorageFile>> file = open_storage_file(directory + "/keys");
  if (!file.ok()) return file.error();
  Result<GenerationKeys> keys = GenerationKeys::open(std::move(file.value()), 10000);
  if (!keys.ok()) return keys.error();
  ShareStoreOptions options;
  options.reserve_bytes = 0;
  return ShareStore::open(std::move(opened.value().store), std::move(keys.value()), options);
}

// The process that is killed. Says on its output: V verified; then, of an object, p before cells are put, d
// when they are durable, s when it is sealed, r before and R after it is removed; ! and a reason when a
// promise broke.
class Worker {
 public:
  Worker(const std::string& directory, std::uint64_t seed) : directory_(directory), random_(seed) {}

  int run() {
    Result<ShareStore> opened = open_store(directory_);
    if (!opened.ok()) return broken(opened.error().what + ": " + opened.error().why);
    store_ = std::make_unique<ShareStore>(std::move(opened.value()));
    std::ifstream file(directory_ + "/known");
    std::uint64_t object = 0;
    Known known;
    while (file >> object >> known.tried >> known.stored >> known.sealed >> known.removing >> known.removed) {
      if (!verify(object, known)) return 1;
      known_[object] = known;
    }
    say('V', 0, 0);
    for (object = known_.empty() ? 1 : known_.rbegin()->first + 1;; ++object) {
      if (!work(object)) return 1;
    }
  }

 private:
  int broken(const std::string& why) {
    const std::string line = "! 0 0 " + why + "\n";
    (void)!::write(STDOUT_FILENO, line.data(), line.size());
    return 1;
  }
  void say(char what, std::uint64_t object, std::uint32_t cells) {
    char line[64];
    const int length = std::snprintf(line, sizeof line, "%c %llu %u\n", what,
                                     static_cast<unsigned long long>(object), cells);
    if (::write(STDOUT_FILENO, line, static_cast<std::size_t>(length)) != length) ::_exit(0);
  }
  bool verify(std::uint64_t object, const Known& known) {
    const Result<ShareSummary> found = store_->find(share_of(object));
    if (known.removed) {
      return !found.ok() || broken("object " + std::to_string(object) + " was removed and is there") == 0;
    }
    if (known.removing && !found.ok()) return true;
    test::StripeReader reader(cell_bytes);
    for (std::uint32_t cell = 0; cell < known.tried; ++cell) {
      const CellRead read = reader.read(*store_, share_of(object), 0, cell / stripe_cells,
                                        std::uint64_t{1} << (cell % stripe_cells));
      const std::string where = " cell " + std::to_string(cell) + " of object " + std::to_string(object);
      if (read.result == StoreResult::done) {
        if (reader.cell(cell % stripe_cells) != test::cell_content(share_of(object), 0, cell, cell_bytes)) {
          return broken("wrong bytes in" + where) == 0;
        }
      } else if (cell < known.stored && !known.removing) {
        return broken("lost" + where + ": " + std::string(name(read.result))) == 0;
      }
    }
    if (known.sealed != 0 && !known.removing && (!found.ok() || found.value().cells != known.sealed)) {
      return broken("object " + std::to_string(object) + " is not sealed any more") == 0;
    }
    return true;
  }
  bool work(std::uint64_t object) {
    std::uint32_t cells = 0;
    std::vector<PutCompletion> completions;
    while (cells < most_cells && random_.below(6) != 0) {
      const auto more = static_cast<std::uint32_t>(random_.between(1, 50));
      say('p', object, cells + more);
      for (std::uint32_t i = 0; i < more; ++i) {
        const Buffer content = test::cell_content(share_of(object), 0, cells + i, cell_bytes);
        const StoreResult taken = store_->put(share_of(object), 0, cells + i, content, 0, 0);
        if (taken != StoreResult::done) return broken("put: " + std::string(name(taken))) == 0;
      }
      cells += more;
      completions.clear();
      store_->flush(0, ShareStore::Flush::all, completions);
      for (const PutCompletion& completion : completions) {
        if (completion.result != StoreResult::done) return broken("flush failed") == 0;
      }
      say('d', object, cells);
    }
    if (cells != 0 && random_.coin()) {
      const AttemptRun run{0, 0};
      const SealAnswer answer = store_->seal(share_of(object), cells, {&run, 1}, 0, completions);
      if (answer.result != StoreResult::done) return broken("seal: " + std::string(name(answer.result))) == 0;
      say('s', object, cells);
    }
    known_[object];
    if (known_.size() > 5 || random_.below(5) == 0) {
      const std::uint64_t victim = known_.begin()->first;
      known_.erase(known_.begin());
      say('r', victim, 0);
      (void)store_->remove(share_of(victim).generation_id(), completions);
      say('R', victim, 0);
    }
    return true;
  }

  std::string directory_;
  TestRandom random_;
  std::unique_ptr<ShareStore> store_;
  Knowledge known_;
};

class Killer {
 public:
  explicit Killer(std::string directory) : directory_(std::move(directory)) {}

  // One life: true if it got as far as to verify everything.
  bool life(TestRandom& random) {
    write_known();
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = start(ends[1], random.next());
    ::close(ends[1]);
    const bool early = random.below(5) == 0;
    // Early ones while it opens and looks; the others behind some of its messages, which is work that was
    // done.
    const auto limit =
        early ? std::chrono::microseconds(random.between(200, 40000)) : std::chrono::seconds(60);
    const auto deadline = Clock::now() + limit;
    const std::size_t messages = random.below(40);
    heard_ = 0;
    std::string rest;
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      pollfd event{ends[0], POLLIN, 0};
      if (left <= 0 || ::poll(&event, 1, static_cast<int>(left)) == 0) break;
      if (!take(ends[0], rest) || (!early && verified_ && heard_ > messages)) break;
    }
    ::usleep(static_cast<useconds_t>(random.below(3000)));
    (void)::kill(child, SIGKILL);
    while (take(ends[0], rest)) {
    }
    ::close(ends[0]);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it ended by itself";
    return std::exchange(verified_, false);
  }
  std::uint64_t durable() const { return durable_; }

 private:
  pid_t start(int output, std::uint64_t seed) {
    std::string program = "/proc/self/exe";
    std::string mode = "--worker";
    std::string number = std::to_string(seed);
    char* const arguments[] = {program.data(), mode.data(), directory_.data(), number.data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    pid_t child = -1;
    EXPECT_EQ(::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    return child;
  }
  void write_known() {
    std::ofstream file(directory_ + "/known");
    for (auto at = known_.begin(); at != known_.end();) {
      const Known& known = at->second;
      file << at->first << ' ' << known.tried << ' ' << known.stored << ' ' << known.sealed << ' '
           << known.removing << ' ' << known.removed << '\n';
      // One look at what was removed is enough; the highest number stays, so that none comes twice.
      at = known.removed && std::next(at) != known_.end() ? known_.erase(at) : std::next(at);
    }
  }
  bool take(int from, std::string& rest) {
    char bytes[4096];
    const ssize_t got = ::read(from, bytes, sizeof bytes);
    if (got <= 0) return false;
    rest.append(bytes, static_cast<std::size_t>(got));
    for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
      hear(rest.substr(0, end));
      rest.erase(0, end + 1);
    }
    return true;
  }
  void hear(const std::string& line) {
    ++heard_;
    char what = 0;
    unsigned long long object = 0;
    unsigned cells = 0;
    ASSERT_EQ(std::sscanf(line.c_str(), "%c %llu %u", &what, &object, &cells), 3) << line;
    ASSERT_NE(what, '!') << line;
    if (what == 'V') {
      verified_ = true;
      return;
    }
    Known& known = known_[object];
    if (what == 'p') known.tried = cells;
    if (what == 'd') known.stored = cells;
    if (what == 's') known.sealed = cells;
    if (what == 'r') known.removing = true;
    if (what == 'R') known.removed = true;
    durable_ += what == 'd' ? 1U : 0U;
  }

  std::string directory_;
  Knowledge known_;
  bool verified_ = false;
  std::size_t heard_ = 0;
  std::uint64_t durable_ = 0;
};

TEST(ShareStoreKill, LosesNothingThatWasDurable) {
  TestRandom random = TestRandom::labelled("ShareStoreKill");
  test::TestDirectory directory;
  Killer killer(directory.path());
  const char* const wanted = std::getenv("SSN_STORE_KILL_SECONDS");
  const auto seconds = std::chrono::seconds(wanted != nullptr ? std::atoi(wanted) : 6);
  const auto end = Clock::now() + seconds;
  int kills = 0;
  int verified = 0;
  while ((Clock::now() < end || verified < 20) && !HasFailure()) {
    ++kills;
    verified += killer.life(random) ? 1 : 0;
  }
  std::printf("%d kills, %d of them behind a check of everything, %llu batches\n", kills, verified,
              static_cast<unsigned long long>(killer.durable()));
  EXPECT_GT(killer.durable(), 20U);
}

}  // namespace
}  // namespace ssn::store

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "--worker") == 0) {
    return ssn::store::Worker(argv[2], std::strtoull(argv[3], nullptr, 10)).run();
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
