// SPDX-License-Identifier: BSD-3-Clause
// What a device knows of one peer: what its key manager says about keys with it, and how to ask for them.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "back_off.h"
#include "pool.h"
#include "settings.h"
#include "types.h"

namespace ssn::hw::etsi014 {

struct Peer {
  Peer(std::string its_name, const Settings& settings)
      : name(std::move(its_name)),
        window(settings.batches),
        window_most(settings.batches),
        status_retry(settings.retry_least, settings.retry_most),
        enc_retry(settings.retry_least, settings.retry_most),
        low_wait_most(std::max<Time>(low_wait_least, std::min<Time>(1000, settings.status_interval))) {}

  const std::string name;
  std::optional<BodyPool> pool;  ///< for batches under way to it; made with the first sender's stream

  std::optional<KmeStatus> status;
  Time status_at = 0;
  Time status_due = 0;
  bool status_under_way = false;
  std::uint64_t available_bits = UINT64_MAX;  ///< by the last status, less what was drawn since

  void status_received(KmeStatus received, Time now, Time interval, std::uint64_t request_bytes) {
    status_at = now;
    status_due = now + interval;
    status_retry.succeeded();
    available_bits = UINT64_MAX;
    const bool counted = received.has_stored_key_count && received.key_size != 0;
    if (counted && received.stored_key_count <= UINT64_MAX / received.key_size) {
      available_bits = received.stored_key_count * received.key_size;
    }
    // A key manager with plenty is asked again as soon as that was drawn, one with little not too often.
    const bool plenty = available_bits / 8 >= request_bytes;
    low_wait = plenty ? 0 : std::clamp(low_wait * 2, low_wait_least, low_wait_most);
    status = std::move(received);
  }
  void drew(std::uint64_t bytes) {
    if (available_bits != UINT64_MAX) {
      available_bits -= std::min(available_bits, bytes * 8);
    }
  }

  Time enc_not_before = 0;
  unsigned caution = 0;          ///< smaller requests after failed ones: see plan_keys
  unsigned cautious = 0;         ///< batches that came through since
  unsigned cautious_needed = 1;  ///< for the next larger request; more when one failed again
  bool relaxed = false;          ///< requests grew since the last failure

  void raise_caution() {
    cautious_needed = relaxed ? std::min(cautious_needed * 2, 64U) : cautious_needed;
    relaxed = false;
    cautious = 0;
    caution = std::min(caution + 1, 8U);
  }

  // Batches under way. Some key managers drop what was not yet fetched at the other end when more is asked
  // for: after a lost key only one batch is under way, until many came through.
  std::size_t window;
  std::size_t window_most;
  std::size_t clean = 0;
  std::size_t clean_needed = 64;

  BackOff status_retry, enc_retry;

  // How soon to ask again for the status of a key manager that has less than could be drawn.
  static constexpr Time low_wait_least = 50;
  Time low_wait_most;
  Time low_wait = low_wait_least;
  bool probe_armed = false;  ///< at a stock of 0, one key is tried after a pause

  void batch_settled(bool lossy) {
    if (!lossy && caution > 0 && ++cautious >= cautious_needed) {
      --caution;
      cautious = 0;
      relaxed = true;
    }
    if (lossy) {
      window = 1;
      clean = 0;
      clean_needed = std::min<std::size_t>(clean_needed * 2, 4096);
    } else if (++clean >= clean_needed && window < window_most) {
      ++window;
      clean = 0;
    }
  }
};

}  // namespace ssn::hw::etsi014
