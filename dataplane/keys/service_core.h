// SPDX-License-Identifier: BSD-3-Clause
// The key service behind its header: the ledger thread, and what belongs to it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "device_thread.h"
#include "event_log.h"
#include "inbox.h"
#include "peer_session.h"
#include "random_streams.h"
#include "ssn/dataplane/key_service.h"

namespace ssn::dataplane {

class KeyService::Core {
 public:
  Core(KeyServiceConfiguration configuration, ledger::FileLedger ledger, PeerChannel& channel,
       ConnectionSink& sink, const kernels::Implementation& implementation);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core();

  /// Makes devices and sessions, and tries every device once.
  Outcome prepare();
  void start(PeerReceiver& receiver);
  Outcome stop(std::chrono::milliseconds patience);

  KeyReport report();
  std::uint32_t connection_id(std::size_t peer, std::uint16_t worker) const noexcept;
  Outcome readmit(const std::string& peer);
  void readmit_self() { inbox_.put(ReadmitSelf{}); }
  void on_connected(const std::string& peer);
  void on_message(const std::string& peer, PeerMessageKind kind, std::span<const std::uint8_t> bytes);

 private:
  using Clock = std::chrono::steady_clock;
  /// Lives as long as a driver may call it.
  struct Gate {
    std::mutex lock;
    PeerChannel* channel = nullptr;
  };

  hw::KeyDevice::SendToPeer send_to_peer();
  Outcome check_random() const;
  void run();
  void handle(Letter letter, Clock::time_point now);
  void handle_device(DeviceResult result, Clock::time_point now);
  bool step_sessions(Clock::time_point now);
  bool step();
  void write_ledger();
  Clock::time_point next_look(bool busy, Clock::time_point now);
  bool all_idle() const;
  void publish_report();

  KeyServiceConfiguration configuration_;
  ledger::FileLedger ledger_;
  std::chrono::nanoseconds moving_tick_;
  PeerChannel* channel_;
  const kernels::Implementation* implementation_;
  EventLog events_;
  SessionContext context_;
  std::shared_ptr<Gate> gate_;
  RandomStreams random_;
  Inbox inbox_;
  std::vector<std::unique_ptr<DeviceThread>> devices_;
  std::vector<std::unique_ptr<PeerSession>> sessions_;
  std::map<std::string, std::size_t, std::less<>> index_of_;

  std::thread thread_;
  std::atomic<bool> running_{false};
  std::atomic<bool> stopping_{false};
  Clock::time_point deadline_{};  // set before stopping_
  bool told_ledger_ = false;
  bool suspended_ = false;
  std::uint64_t slow_syncs_ = 0;
  std::uint64_t last_progress_ = 0;
  Clock::time_point moved_at_{};
  std::size_t abandoned_ = 0;

  std::mutex report_lock_;
  std::condition_variable report_made_;
  KeyReport report_;
  std::uint64_t reports_ = 0;
  std::atomic<bool> report_wanted_{false};
};

}  // namespace ssn::dataplane
