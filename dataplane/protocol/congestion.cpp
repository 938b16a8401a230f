// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/congestion.h"

#include <algorithm>

namespace ssn::protocol {
namespace {

constexpr std::uint64_t initial_packets = 10;
constexpr std::uint64_t least_packets = 2;
/// A burst may have that many packets whatever the pace.
constexpr std::uint64_t burst_packets = 16;
constexpr std::uint64_t one_second_ns = 1'000'000'000;

}  // namespace

void RoundTrip::sample(std::uint64_t measured_ns, std::uint64_t delay_ns) noexcept {
  latest_ = std::max<std::uint64_t>(measured_ns, 1);
  if (!measured_) {
    measured_ = true;
    least_ = latest_;
    smoothed_ = latest_;
    variation_ = latest_ / 2;
    return;
  }
  least_ = std::min(least_, latest_);
  const std::uint64_t adjusted = latest_ >= least_ + delay_ns ? latest_ - delay_ns : latest_;
  const std::uint64_t difference = smoothed_ > adjusted ? smoothed_ - adjusted : adjusted - smoothed_;
  variation_ = (3 * variation_ + difference) / 4;
  smoothed_ = (7 * smoothed_ + adjusted) / 8;
}

std::uint64_t RoundTrip::loss_delay(unsigned eighths) const noexcept {
  return std::max(std::max(smoothed_, latest_) / 8 * eighths, granularity_);
}

std::uint64_t RoundTrip::probe_timeout(std::uint64_t ack_delay_ns) const noexcept {
  return smoothed_ + std::max(4 * variation_, granularity_) + ack_delay_ns;
}

CongestionWindow::CongestionWindow(std::uint32_t packet_bytes, std::uint64_t most, bool controlled) noexcept
    : packet_bytes_(packet_bytes),
      most_(std::max<std::uint64_t>(most, least_packets * packet_bytes)),
      controlled_(controlled),
      window_(controlled ? std::min(initial_packets * packet_bytes, most_) : most_) {}

void CongestionWindow::sent(std::uint32_t bytes) noexcept {
  in_flight_ += bytes;
  // Growth goes on only while what is sent fills the window.
  if (in_flight_ + packet_bytes_ > window_) {
    held_back_ = true;
  } else if (in_flight_ * 2 < window_) {
    held_back_ = false;
  }
}

void CongestionWindow::left(std::uint32_t bytes) noexcept { in_flight_ -= bytes; }

void CongestionWindow::acknowledged(std::uint32_t bytes, std::uint64_t sent_ns) noexcept {
  const bool in_recovery = recovered_once_ && sent_ns <= recovery_begin_;
  if (!controlled_ || in_recovery || !held_back_) return;
  if (slow_start()) {
    window_ = std::min(window_ + bytes, most_);
  } else {
    grown_ += bytes;
    if (grown_ >= window_) {
      grown_ -= window_;
      window_ = std::min(window_ + packet_bytes_, most_);
    }
  }
}

bool CongestionWindow::lost(std::uint64_t sent_ns, std::uint64_t now_ns) noexcept {
  if (recovered_once_ && sent_ns <= recovery_begin_) {
    ++episode_lost_;
    return false;
  }
  window_before_ = window_;
  threshold_before_ = threshold_;
  episode_lost_ = 1;
  recovered_once_ = true;
  recovery_begin_ = now_ns;
  if (!controlled_) return false;
  window_ = std::max(window_ / 2, least_packets * packet_bytes_);
  threshold_ = window_;
  grown_ = 0;
  return true;
}

void CongestionWindow::not_lost() noexcept {
  if (episode_lost_ == 0 || --episode_lost_ != 0 || window_before_ <= window_) return;
  window_ = window_before_;
  threshold_ = threshold_before_;
}

void CongestionWindow::persistent() noexcept {
  if (!controlled_) return;
  window_ = least_packets * packet_bytes_;
  recovered_once_ = false;
  episode_lost_ = 0;
}

void Pacer::set_pace(const CongestionWindow& window, const RoundTrip& trip) noexcept {
  // 1024 bytes take trip / window * 1024, shortened by 5/4, or 5/2 in slow start.
  const std::uint64_t trip_ns = std::min<std::uint64_t>(trip.smoothed(), one_second_ns * 8);
  per_kibibyte_ = trip_ns * 1024 * 4 / (window.bytes() * (window.slow_start() ? 10 : 5));
  if (cap_ != 0) per_kibibyte_ = std::max(per_kibibyte_, one_second_ns * 1024 / cap_);
}

// How far behind the clock the next packet's time may be: what was not used of the pace until then.
std::uint64_t Pacer::behind() const noexcept {
  return std::max(tolerance_, (burst_packets - 1) * packet_bytes_ * per_kibibyte_ / 1024);
}

std::uint64_t Pacer::allowed(std::uint32_t bytes, std::uint64_t now_ns) const noexcept {
  const std::uint64_t each = std::max<std::uint64_t>(bytes * per_kibibyte_ / 1024, 1);
  const std::uint64_t since = std::max(next_, now_ns > behind() ? now_ns - behind() : 0);
  return since > now_ns ? 0 : (now_ns - since) / each + 1;
}

void Pacer::sent(std::uint64_t bytes, std::uint64_t now_ns) noexcept {
  next_ = std::max(next_, now_ns > behind() ? now_ns - behind() : 0);
  rest_ += bytes * per_kibibyte_;
  next_ += rest_ / 1024;
  rest_ %= 1024;
}

}  // namespace ssn::protocol
