// SPDX-License-Identifier: BSD-3-Clause
// An SSA without shareholders: it speaks the whole protocol with data owners and with the controller, over
// real sockets, but keeps blocks in memory instead of splitting them. For tests of owners, which can make it
// fail in the ways in which a real one does.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "controller_client.h"
#include "session_link.h"
#include "ssn/dataplane/session_host.h"
#include "ssn/protocol/requests.h"
#include "test_random.h"
#include "udp_relay.h"

namespace ssn::test {

/// Take effect at once, from any thread.
struct SsaFaults {
  std::atomic<unsigned> opens_fail{0};            ///< so many more, as temporary
  std::atomic<unsigned> holders_fail{0};          ///< the last ones of each object do not seal
  std::atomic<unsigned> sealing_answers{0};       ///< so many more are "ask again"
  std::atomic<unsigned> busy_answers{0};          ///< so many more reads are
  std::atomic<bool> deaf{false};                  ///< no packet is read or sent
  std::atomic<int> block_answer{0};               ///< protocol::AnswerCode for blocks as they come; 0: none
  std::atomic<int> read_answer{0};                ///< the same for reads of block 7
  std::atomic<unsigned> incomplete_answers{0};    ///< so many more reads of block 7 are answered so
  std::atomic<unsigned> answers_late_ms{0};       ///< answers to block 7 leave so much later
  std::atomic<unsigned> reads_ignored{0};         ///< so many more are acknowledged, and nothing else
  std::atomic<bool> strays{false};                ///< with each block that is read come wrong ones
  std::atomic<std::uint64_t> lies_about_size{0};  ///< added to the size of what is read
  std::function<void()> after_sealed;             ///< once the controller knows; set while no write runs
};

struct SsaOptions {
  std::uint32_t window_blocks = 256;
  std::optional<RelayOptions> relay;  ///< between owner and SSA, for each session
  std::uint64_t seed = 1;
};

class MemorySsa final : public agent::SessionHost {
 public:
  /// `controller`: as the node that plays the SSA; outlives it.
  MemorySsa(client::ControllerClient& controller, const SsaOptions& options);
  ~MemorySsa() override;

  Result<std::string> object_owner(const agent::SessionObject& key) override;
  std::optional<std::string> session_owner(std::uint64_t session) override;
  Result<agent::Session> open_write(const agent::SessionRequest& request) override;
  Result<agent::Session> open_read(const agent::SessionRequest& request) override;
  Result<agent::WriteStatus> finish_write(std::uint64_t session, std::uint64_t size, std::uint64_t blocks,
                                          std::chrono::milliseconds wait) override;
  void close_session(std::uint64_t session) override;

  SsaFaults faults;
  SsaOptions options;  ///< for sessions to come

  std::size_t open_sessions() const;
  std::uint64_t packets_lost() const { return lost_; }
  /// The blocks of the last object that was opened for writing, one behind the other; nothing where one is
  /// missing.
  Bytes last_written() const;

 private:
  struct Blocks {
    std::mutex mutex;
    std::map<std::uint64_t, Bytes> at;
    std::uint64_t size = 0;
  };
  struct Running;

  Result<agent::Session> open(const agent::SessionRequest& request, bool writes);

  client::ControllerClient& controller_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Blocks>> objects_;
  std::map<std::uint64_t, std::shared_ptr<Running>> sessions_;
  std::map<std::uint64_t, std::string> owners_;  // of sessions, also closed ones
  std::shared_ptr<Blocks> last_;
  std::uint64_t next_session_ = 1000;
  std::atomic<std::uint64_t> lost_{0};
  TestRandom random_;
};

}  // namespace ssn::test
