// SPDX-License-Identifier: BSD-3-Clause
// What a worker does that finds nothing to do. Where cores are plenty it spins, yields for a moment and
// sleeps: packets find it awake. Where others want its core that is wrong twice: spinning takes the time that
// they need to send something, and who yields may get the core back after their whole time slices only. There
// it naps: nobody can wake it but its timer, so senders need not, and what arrives becomes a burst.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ssn/dataplane/configuration.h"

namespace ssn::dataplane {

class IdlePolicy {
 public:
  using Idle = WorkersConfiguration::Idle;
  enum class Rest : std::uint8_t {
    spin,
    yield,
    nap,    ///< for nap_ns(), whatever packets come
    sleep,  ///< until something happens
  };

  // Spinning costs a core and little time, yielding costs a system call, sleeping the time to be woken.
  static constexpr unsigned spins = 64;
  static constexpr unsigned yields = 64;
  static constexpr unsigned crowded_spins = 2;
  /// Nobody else has run where a yield takes less.
  static constexpr std::uint64_t long_yield_ns = 30'000;
  /// How long one such yield is believed.
  static constexpr std::uint64_t crowded_ns = 100'000'000;
  static constexpr std::uint64_t usual_nap_ns = 200'000;
  static constexpr std::uint64_t least_nap_ns = 50'000;

  explicit IdlePolicy(Idle idle) noexcept : idle_(idle) {}

  /// `idle_walks`: that found nothing, before this one. `awake`: something is under way that nobody
  /// announces.
  Rest rest(unsigned idle_walks, bool awake, std::uint64_t now_ns) const noexcept {
    if (idle_ == Idle::poll) return Rest::spin;
    if (crowded(now_ns)) {
      if (idle_walks < crowded_spins) return Rest::spin;
      return idle_walks == crowded_spins || awake ? Rest::nap : Rest::sleep;
    }
    if (idle_walks < spins) return Rest::spin;
    return idle_ == Idle::yield || awake || idle_walks < spins + yields ? Rest::yield : Rest::sleep;
  }
  /// A yield was given the core back after so long.
  void yielded(std::uint64_t took_ns, std::uint64_t now_ns) noexcept {
    if (idle_ == Idle::event && took_ns >= long_yield_ns) crowded_until_ns_ = now_ns + crowded_ns;
  }
  bool crowded(std::uint64_t now_ns) const noexcept { return now_ns < crowded_until_ns_; }
  /// `wake_ns`: when something is due.
  static std::uint64_t nap_ns(bool awake, std::uint64_t now_ns, std::uint64_t wake_ns) noexcept {
    const std::uint64_t until = wake_ns > now_ns ? wake_ns - now_ns : 0;
    return std::clamp(until, least_nap_ns, awake ? least_nap_ns : usual_nap_ns);
  }

 private:
  Idle idle_;
  std::uint64_t crowded_until_ns_ = 0;
};

}  // namespace ssn::dataplane
