// SPDX-License-Identifier: BSD-3-Clause
// A share store behind StoreAccess in virtual time: the real ShareStore, served by what serves a store
// thread, over a medium that fails and crashes by a seed. What comes back takes as long as the seed says, and
// overtakes.
#pragma once

#include <memory>
#include <queue>
#include <vector>

#include "crash_store.h"
#include "ssn/roles/store_access.h"
#include "test_random.h"

namespace ssn::test {

struct VirtualStoreOptions {
  std::size_t requests = 4096;
  std::uint64_t most_delay_ns = 300'000;  ///< each way
  store::ShareStoreOptions store;         ///< its times are virtual, too
};

class VirtualStore final : public roles::StoreAccess {
 public:
  /// `medium` stays until the end.
  VirtualStore(CrashMedium& medium, const VirtualStoreOptions& options, std::uint64_t seed)
      : medium_(medium), options_(options), random_(seed) {}
  /// As after a start of the process. Nothing may be on its way.
  Outcome open();

  bool submit(store::StoreRequest& request) noexcept override;
  std::size_t collect(std::span<store::StoreRequest*> requests) noexcept override;
  std::size_t credit() const noexcept override { return options_.requests - outstanding_; }

  /// Serves and flushes what is due.
  void work(std::uint64_t now_ns);
  std::uint64_t next_due() const;
  /// Everything that was submitted comes to its end now, and can be collected.
  void drain();
  /// Removes a generation at once; puts that wait for it come back as removed.
  store::StoreResult remove(const store::GenerationId& generation);
  /// So many reads from now on come back as busy.
  void refuse_reads(unsigned count) { busy_reads_ = count; }
  /// Does not begin anything new.
  void stall(bool stalled) { stalled_ = stalled; }

  std::size_t outstanding() const { return outstanding_; }
  std::size_t most_outstanding() const { return most_outstanding_; }
  store::ShareStore& store() { return *store_; }

 private:
  struct Waiting {
    std::uint64_t at_ns;
    std::uint64_t order;
    store::StoreRequest* request;
    bool operator<(const Waiting& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : order > other.order;
    }
  };
  void take_finished(const store::StoreRequest* except = nullptr);

  CrashMedium& medium_;
  VirtualStoreOptions options_;
  TestRandom random_;
  std::unique_ptr<store::ShareStore> store_;
  std::unique_ptr<store::RequestServer> server_;
  std::priority_queue<Waiting> submitted_;
  std::priority_queue<Waiting> finished_;
  std::vector<store::RequestServer::Finished> scratch_;
  unsigned busy_reads_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint64_t order_ = 0;
  std::uint64_t last_submit_ns_ = 0;
  std::size_t outstanding_ = 0;
  std::size_t most_outstanding_ = 0;
  bool stalled_ = false;
};

}  // namespace ssn::test
