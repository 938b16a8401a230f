// SPDX-License-Identifier: BSD-3-Clause
// Sessions of data owners at an SSA: what the agent asks for them becomes commands to workers, and what came
// of writes is told to the controller. docs/storage.md.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <vector>

#include "membership_guard.h"
#include "owner_rates.h"
#include "ssn/dataplane/agent_source.h"
#include "ssn/dataplane/controller_link.h"
#include "ssn/dataplane/session_host.h"
#include "storage_member.h"

namespace ssn::dataplane {

class OwnerSessions final : public agent::SessionHost {
 public:
  /// Everything outlives it.
  struct Setup {
    const Configuration* configuration = nullptr;
    std::vector<StorageMember*> members;
    ControllerLink* controller = nullptr;
    MembershipGuard* guard = nullptr;  ///< null: no membership is pinned
    roles::SsaOptions options;
    std::uint32_t cell_room = 0;  ///< bytes of the longest cell
    std::uint16_t port = 0;       ///< that owners come by
    std::function<Result<HostGuest>(const GuestSpec&)> make_guest;
    std::function<void(std::string_view)> report;
  };
  explicit OwnerSessions(Setup setup);
  ~OwnerSessions() override;

  // ---- For the agent: any thread.
  Result<std::string> object_owner(const agent::SessionObject& key) override;
  std::optional<std::string> session_owner(std::uint64_t session) override;
  Result<agent::Session> open_write(const agent::SessionRequest& request) override;
  Result<agent::Session> open_read(const agent::SessionRequest& request) override;
  Result<agent::WriteStatus> finish_write(std::uint64_t session, std::uint64_t size, std::uint64_t blocks,
                                          std::chrono::milliseconds wait) override;
  void close_session(std::uint64_t session) override;

  // ---- For the node.
  /// Of open writes, whose leases are to be renewed.
  std::vector<controller::ObjectKey> writes() const;
  /// The controller gave the write up.
  void ended(const controller::ObjectKey& key);
  /// What the controller says of them counts for open sessions, too.
  OwnerRates& rates() noexcept { return rates_; }
  /// Something happened at a worker.
  void happened(unsigned worker, const roles::SsaEvent& event);
  /// Closes sessions that nobody uses, and destroys those that are over.
  void tend();
  /// No session is opened any more, and nobody waits.
  void refuse();
  /// The same; those that are open are closed, too. Fails where a worker does not answer.
  Outcome stop();

  struct Numbers {
    std::uint64_t open = 0, opened = 0, refused = 0, idle = 0, ended = 0;
    std::uint64_t writes_sealed = 0, writes_degraded = 0, writes_failed = 0;
  };
  Numbers numbers() const;
  void add_status(agent::Status& status) const;

  struct Record;

 private:
  using Lock = std::unique_lock<std::mutex>;

  Result<agent::Session> open(const agent::SessionRequest& request, bool writes);
  Result<controller::Object> look_up(const agent::SessionRequest& request, bool writes);
  Outcome check_secrecy(const controller::Object& object) const;
  Result<roles::ObjectLayout> layout_of(const controller::Object& object) const;
  Result<std::shared_ptr<Record>> reserve(const agent::SessionRequest& request, bool writes);
  Outcome equip(Record& record, const agent::SessionRequest& request, agent::Session& answer);
  Outcome order(Record& record);
  Outcome give(Record& record);
  void give_up(const Record& record);
  void free_slot(Record& record);
  void retire(const std::shared_ptr<Record>& record);
  std::shared_ptr<Record> find(std::uint64_t session) const;
  void close(Record& record);
  bool command(Record& record, void (*run)(void* record));
  agent::WriteStatus status_of(const Record& record) const;
  void conclude(Record& record);
  std::string node_of(std::uint16_t holder) const;

  Setup setup_;
  OwnerRates rates_;
  mutable std::mutex mutex_;  // of what follows; never held while somebody waits
  std::condition_variable changed_;
  bool stopping_ = false;
  std::map<std::uint64_t, std::shared_ptr<Record>> open_;
  std::map<std::uint64_t, std::shared_ptr<Record>> over_;  // for questions about sessions that ended
  std::deque<std::uint64_t> over_order_;
  std::set<agent::SessionObject> written_;  // that have, or had, a write
  std::deque<agent::SessionObject> written_order_;
  std::vector<std::vector<bool>> slots_;  // of each worker: in use
  Numbers numbers_;
};

}  // namespace ssn::dataplane
