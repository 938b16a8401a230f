// SPDX-License-Identifier: BSD-3-Clause
// The receiver's end of one key stream: draws the announced keys with dec_keys in their order, lays out those
// that it got, and answers which these were. Time, keys and messages come in as arguments.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sender.h"

namespace ssn::hw::etsi014 {

/// Why a dec_keys request gave nothing.
enum class Refusal {
  answered,   ///< with an error that may mean that the keys are not there (400, 401, 404, 500, HTML, ...)
  no_answer,  ///< no connection, no answer in time, or 503: nothing is known of the keys
};

/// The batch that a receiver works on.
struct ReceiverWork {
  std::uint64_t sequence = 0;
  Announcement announcement;
  enum class KeyState : std::uint8_t { open, got, missing };
  std::vector<KeyState> keys;
  std::uint64_t offset = 0;
  std::vector<std::size_t> group;  // under way
  std::size_t most = max_keys_per_batch;
  unsigned refusals = 0;
  Time split_at = never;  // from then on keys that are not there are looked for one by one
  Time give_up_at = never;
  Time retry_at = 0;
  BackOff wait{20, 500};
};

class Receiver {
 public:
  static constexpr std::uint64_t window = 16;
  static constexpr std::size_t answers_kept = 32;

  Receiver(const Ksid& ksid, std::string peer, const Settings& settings, Delivery& delivery, Jitter& jitter)
      : ksid_(ksid), peer_(std::move(peer)), settings_(settings), delivery_(delivery), jitter_(jitter) {}
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  /// An announcement or an end from the peer.
  void on_message(const PeerMessage& message, KeyIdMemory& seen, Time now, Outbox& outbox);
  /// The keys to ask for next, in order; empty where there is nothing to ask for now. `max_per_request`: the
  /// key manager's limit.
  std::vector<KeyId> wanted(Time now, std::uint64_t max_per_request, KeyIdMemory& seen, Outbox& outbox);
  void request_begun() noexcept { requesting_ = true; }
  void on_keys(const KeyContainer& container, const Body& body, KeyIdMemory& seen, Time now, Outbox& outbox);
  void on_refusal(Refusal refusal, KeyIdMemory& seen, Time now, Outbox& outbox);
  void close(Outbox& outbox);

  bool failed() const noexcept { return failed_; }
  bool working() const noexcept { return work_.has_value(); }
  /// Whether it waits for room in the ring.
  bool full() const noexcept { return full_; }
  Time next_timer() const noexcept;

 private:
  using KeyState = ReceiverWork::KeyState;

  void on_announcement(const PeerMessage& message, KeyIdMemory& seen, Time now, Outbox& outbox);
  void start_next(KeyIdMemory& seen, Outbox& outbox);
  void finish_if_settled(KeyIdMemory& seen, Outbox& outbox);
  bool settled() const noexcept;
  void drop_rest() noexcept;
  bool take(const Announcement::Key& key, const KeyContainer& container, const Body& body) noexcept;
  void reply(std::uint64_t sequence, Answer answer, Outbox& outbox);
  void fail(End::Reason reason, std::uint64_t instance, Outbox& outbox);

  const Ksid ksid_;
  const std::string peer_;
  const Settings& settings_;
  Delivery& delivery_;
  Jitter& jitter_;
  std::uint64_t instance_ = 0;  // 0: not yet heard
  std::uint64_t next_sequence_ = 0;
  std::map<std::uint64_t, Announcement> pending_;
  std::optional<ReceiverWork> work_;
  std::deque<std::pair<Announcement, Bytes>> answers_;  // of the batches before next_sequence_
  bool requesting_ = false;
  bool full_ = false;
  bool failed_ = false;
};

}  // namespace ssn::hw::etsi014
