// SPDX-License-Identifier: BSD-3-Clause
// The sender's end of one key stream: turns the answers of enc_keys into batches, announces them until the
// receiver has answered, and lays out what both ends have. Time, keys and messages come in as arguments.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "back_off.h"
#include "delivery.h"
#include "key_ids.h"
#include "peer_messages.h"
#include "pool.h"
#include "settings.h"

namespace ssn::hw::etsi014 {

struct OutgoingMessage {
  std::string peer;
  Bytes bytes;
};
using Outbox = std::vector<OutgoingMessage>;

/// One enc_keys request.
struct KeyPlan {
  std::uint64_t number = 1;
  std::uint64_t size = 0;   ///< bits; 0: left to the key manager
  std::uint64_t bytes = 0;  ///< room that is kept for it
};

/// The largest request that everyone's limits allow, for at most `room` bytes. `available_bits`: what the key
/// manager says that it has; UINT64_MAX: unknown; 0: one key is tried. Each step of `caution` halves the
/// number; from 2 on, the size is the key manager's own.
std::optional<KeyPlan> plan_keys(const KmeStatus& status, const Settings& settings, std::uint64_t room,
                                 std::uint64_t available_bits, unsigned caution);

class Sender {
 public:
  static constexpr std::size_t max_batches = 8;

  Sender(const Ksid& ksid, std::string peer, std::uint64_t instance, const Settings& settings,
         Delivery& delivery, BodyPool& pool, Jitter& jitter, Time now);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  /// Room for more keys, in bytes; 0 where none are to be asked for now.
  std::uint64_t wanted() const noexcept;
  void request_begun(const KeyPlan& plan) noexcept;
  void request_failed() noexcept;
  /// Takes in an answer of enc_keys. Gives the number of usable keys; the body stays here where there are
  /// any, and goes back to the pool otherwise.
  std::size_t deliver(KeyContainer container, Body body, KeyIdMemory& seen, Time now);

  struct Settled {
    std::size_t batches = 0;  ///< that left the queue, batch 0 not counted
    std::size_t lossy = 0;    ///< of these, with keys that the receiver could not get
    std::size_t empty = 0;    ///< of these, with no key at all that it could get
  };
  /// An answer or an end from the peer; lays out what became certain.
  Settled on_message(const PeerMessage& message, Time now, Outbox& outbox);
  /// Announces what is due.
  void tick(Time now, Outbox& outbox);
  /// Tells the peer that this end is closed, and erases what is under way.
  void close(Outbox& outbox);

  bool failed() const noexcept { return failed_; }
  bool peer_silent(Time now) const noexcept;
  /// Batches with keys that await their answer, and a request under way.
  std::size_t outstanding() const noexcept;
  Time next_timer() const noexcept;

 private:
  struct Batch {
    std::uint64_t sequence = 0;
    Body body;
    std::vector<DeliveredKey> keys;
    std::uint64_t bytes = 0;
    Bytes announcement;
    std::optional<Answer> answer;
    BackOff repeat{200, 2000};
    Time resend_at = 0;
    bool sent = false;
  };

  void add_batch(std::vector<DeliveredKey> keys, Body body, std::uint64_t bytes, Time now);
  bool lay_out(Batch& batch, Settled& settled);
  void drop_batches() noexcept;
  void fail(End::Reason reason, Outbox& outbox);
  void send_end(End::Reason reason, Outbox& outbox);

  const Ksid ksid_;
  const std::string peer_;
  const std::uint64_t instance_;
  const Settings& settings_;
  Delivery& delivery_;
  BodyPool& pool_;
  Jitter& jitter_;
  std::deque<Batch> batches_;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t reserved_ = 0;     // by the request under way
  std::uint64_t outstanding_ = 0;  // bytes in batches
  bool requesting_ = false;
  bool established_ = false;
  bool failed_ = false;
  Time heard_at_;
};

}  // namespace ssn::hw::etsi014
