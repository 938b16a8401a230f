// SPDX-License-Identifier: BSD-3-Clause
#include "link_model.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

namespace ssn::kme {
namespace {

constexpr Microseconds second = 1'000'000;
constexpr Microseconds forever = std::numeric_limits<Microseconds>::max();

Microseconds saturating_add(Microseconds a, Microseconds b) { return a > forever - b ? forever : a + b; }

// The end of the outage that covers `at`, or `at` when none does.
Microseconds end_of(const Outage& outage, Microseconds at) {
  if (outage.length == 0 || at < outage.start) {
    return at;
  }
  const Microseconds since = at - outage.start;
  const Microseconds phase = outage.every == 0 ? since : since % outage.every;
  return phase < outage.length ? saturating_add(at, outage.length - phase) : at;
}

// The beginning of the first outage after `at`.
Microseconds start_after(const Outage& outage, Microseconds at) {
  if (outage.length == 0) {
    return forever;
  }
  if (at < outage.start) {
    return outage.start;
  }
  if (outage.every == 0) {
    return forever;
  }
  return saturating_add(at, outage.every - (at - outage.start) % outage.every);
}

}  // namespace

LinkModel::LinkModel(LinkSettings settings, Microseconds now) : settings_(std::move(settings)), now_(now) {
  assert(settings_.bits_per_second <= bits_per_second_max);
  assert(settings_.stock_bits <= stock_bits_max && settings_.start_bits <= settings_.stock_bits);
  assert(settings_.outages.size() <= outages_max);
  for (Outage& outage : settings_.outages) {
    assert(outage.every == 0 || (outage.every >= every_min && outage.length < outage.every));
    outage.start = saturating_add(outage.start, now);  // the schedule counts from the beginning
  }
  stock_ = static_cast<std::int64_t>(settings_.start_bits);
}

Microseconds LinkModel::outage_end(Microseconds at) const {
  // One outage may begin within another: go on until none covers the time.
  for (Microseconds end = at;;) {
    Microseconds further = end_of(commanded_, end);
    for (const Outage& outage : settings_.outages) {
      further = std::max(further, end_of(outage, end));
    }
    if (further == end || further == forever) {
      return further;
    }
    end = further;
  }
}

Microseconds LinkModel::next_outage(Microseconds at) const {
  Microseconds next = start_after(commanded_, at);
  for (const Outage& outage : settings_.outages) {
    next = std::min(next, start_after(outage, at));
  }
  return next;
}

void LinkModel::add(std::uint64_t bits) {
  const std::int64_t room = static_cast<std::int64_t>(settings_.stock_bits) - stock_;
  const std::uint64_t added = std::min(bits, static_cast<std::uint64_t>(std::max<std::int64_t>(room, 0)));
  stock_ += static_cast<std::int64_t>(added);
  made_ += added;
}

void LinkModel::make(Microseconds duration) {
  if (settings_.bits_per_second == 0) {
    add(stock_bits_max * 2);
    return;
  }
  // Long times would overflow, and fill any stock: a century at 1 bit/s is below stock_bits_max.
  const std::uint64_t seconds = std::min<std::uint64_t>(duration / second, std::uint64_t{1} << 23);
  const std::uint64_t part = settings_.bits_per_second * (duration % second) + remainder_;
  remainder_ = part % second;
  add(settings_.bits_per_second * seconds + part / second);
}

void LinkModel::advance(Microseconds now) {
  now = std::max(now, now_);  // callers on several threads read the clock before they get here
  while (now_ < now) {
    if (const Microseconds end = outage_end(now_); end > now_) {
      now_ = std::min(end, now);
      continue;
    }
    const Microseconds until = std::min(next_outage(now_), now);
    make(until - now_);
    now_ = until;
  }
  // Unlimited key needs no time to pass.
  if (settings_.bits_per_second == 0 && up(now_)) {
    make(0);
  }
}

std::uint64_t LinkModel::stock_bits(Microseconds now) {
  advance(now);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(stock_, 0));
}

bool LinkModel::draw(Microseconds now, std::uint64_t bits) {
  if (bits > stock_bits(now)) {
    return false;
  }
  stock_ -= static_cast<std::int64_t>(bits);
  return true;
}

std::uint64_t LinkModel::draw_bytes(Microseconds now, std::uint64_t bytes) {
  const std::uint64_t drawn = std::min(bytes, stock_bits(now) / 8);
  stock_ -= static_cast<std::int64_t>(drawn * 8);
  return drawn;
}

void LinkModel::note_drawn(Microseconds now, std::uint64_t bits) {
  advance(now);
  // The debt has a limit too: a peer that reports nonsense cannot stop the link for ever.
  const std::int64_t floor = -static_cast<std::int64_t>(settings_.stock_bits);
  const std::uint64_t most = static_cast<std::uint64_t>(stock_ - floor);
  stock_ -= static_cast<std::int64_t>(std::min(bits, most));
}

void LinkModel::put_back(Microseconds now, std::uint64_t bits) {
  advance(now);
  const std::int64_t limit = static_cast<std::int64_t>(settings_.stock_bits);
  const std::uint64_t room = static_cast<std::uint64_t>(std::max<std::int64_t>(limit - stock_, 0));
  stock_ += static_cast<std::int64_t>(std::min(bits, room));
}

bool LinkModel::up(Microseconds now) const { return outage_end(now) == now; }

void LinkModel::begin_outage(Microseconds now, Microseconds length) {
  advance(now);
  commanded_ = {now_, length == 0 ? forever : length, 0};
}

void LinkModel::end_outage(Microseconds now) {
  advance(now);
  commanded_ = {};
}

void LinkModel::set_rate(Microseconds now, std::uint64_t bits_per_second) {
  assert(bits_per_second <= bits_per_second_max);
  advance(now);
  settings_.bits_per_second = bits_per_second;
}

void LinkModel::drain(Microseconds now) {
  advance(now);
  stock_ = std::min<std::int64_t>(stock_, 0);
}

std::uint64_t LinkModel::made_bits(Microseconds now) {
  advance(now);
  return made_;
}

}  // namespace ssn::kme
