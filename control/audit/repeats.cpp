// SPDX-License-Identifier: BSD-3-Clause
#include "repeats.h"

namespace ssn::audit {
namespace {

// Callers choose their ports.
std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

// Stands for what found no place of its own.
Decision others() {
  Decision decision;
  decision.result = "refused";
  decision.reason = "too many different ones to tell them apart";
  return decision;
}

}  // namespace

bool Repeats::take(const Decision& decision, bool routine, std::uint64_t now_ms) {
  if (decision.allowed && !routine) return true;
  if (now_ms - refusals_since_ms_ >= while_ms) {
    refusals_since_ms_ = now_ms;
    refusals_ = 0;
  }
  Kind kind{decision.allowed, decision.caller, decision.fingerprint, host_of(decision.address),
            decision.method};
  const bool room = counts_.contains(kind) || counts_.size() < kinds_max;
  if (!room) kind = Kind{};
  Count& count = counts_[kind];
  if (count.written == 0 && count.times == 0) count.since_ms = now_ms;
  const unsigned most = decision.allowed ? 1 : refusals_each;
  const bool flooded = !decision.allowed && refusals_ >= refusals_all;
  if (room && !flooded && count.written < most) {
    ++count.written;
    refusals_ += decision.allowed ? 0 : 1;
    return true;
  }
  const std::uint64_t time_ms = decision.time_ms;
  count.last = room ? decision : others();
  count.last.time_ms = time_ms;
  count.last.request.clear();
  ++count.times;
  return false;
}

std::vector<Decision> Repeats::due(std::uint64_t now_ms, bool all) {
  std::vector<Decision> over;
  for (auto at = counts_.begin(); at != counts_.end();) {
    Count& count = at->second;
    if (!all && now_ms - count.since_ms < while_ms) {
      ++at;
      continue;
    }
    if (count.times == 0) {
      at = counts_.erase(at);
      continue;
    }
    over.push_back(std::move(count.last));
    over.back().times = count.times;
    // It goes on being counted: who repeats itself for hours has one line a minute.
    const unsigned written = count.written;
    count = Count{now_ms, written, {}, 0};
    ++at;
  }
  return over;
}

}  // namespace ssn::audit
