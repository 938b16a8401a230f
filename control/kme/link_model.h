// SPDX-License-Identifier: BSD-3-Clause
// What a QKD link does over time: it makes key at a rate, keeps up to a limit of it in stock, and stops while
// it is out. Pure: the time comes in, nothing is asked of the system, so that a test can run a year in a
// moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ssn::kme {

/// Microseconds since whatever the caller counts from. Never goes back.
using Microseconds = std::uint64_t;

/// A time without new key. Repeats every `every` microseconds from `start`, where that is not 0.
struct Outage {
  Microseconds start = 0;
  Microseconds length = 0;
  Microseconds every = 0;
};

struct LinkSettings {
  std::uint64_t bits_per_second = 0;  ///< 0: unlimited, the stock is full whenever the link is up
  std::uint64_t stock_bits = 0;       ///< the most that is kept
  std::uint64_t start_bits = 0;       ///< in stock at the beginning
  std::vector<Outage> outages;        ///< at most LinkModel::outages_max
};

class LinkModel {
 public:
  static constexpr std::uint64_t bits_per_second_max = std::uint64_t{1} << 40;
  static constexpr std::uint64_t stock_bits_max = std::uint64_t{1} << 50;
  static constexpr std::size_t outages_max = 64;
  /// Repeated outages lie at least this far apart.
  static constexpr Microseconds every_min = 1'000'000;

  LinkModel(LinkSettings settings, Microseconds now);

  /// What is in stock; 0 while more was drawn at the other end than there was.
  std::uint64_t stock_bits(Microseconds now);
  /// All or nothing.
  bool draw(Microseconds now, std::uint64_t bits);
  /// As many whole bytes as there are, up to `bytes`.
  std::uint64_t draw_bytes(Microseconds now, std::uint64_t bytes);
  /// Drawn at the other end, which had the same stock. May leave a debt, so that the rate stays right.
  void note_drawn(Microseconds now, std::uint64_t bits);
  /// Takes back what was drawn and not delivered to anybody.
  void put_back(Microseconds now, std::uint64_t bits);

  bool up(Microseconds now) const;
  /// Ends any outage on command first. `length` 0: until end_outage().
  void begin_outage(Microseconds now, Microseconds length);
  /// Ends an outage on command. Scheduled ones stay.
  void end_outage(Microseconds now);
  /// At most bits_per_second_max; 0: unlimited.
  void set_rate(Microseconds now, std::uint64_t bits_per_second);
  /// Throws the stock away.
  void drain(Microseconds now);

  std::uint64_t bits_per_second() const noexcept { return settings_.bits_per_second; }
  std::uint64_t stock_bits_limit() const noexcept { return settings_.stock_bits; }
  /// Made since the beginning, without what did not fit into the stock.
  std::uint64_t made_bits(Microseconds now);

 private:
  void advance(Microseconds now);
  void make(Microseconds duration);
  void add(std::uint64_t bits);
  Microseconds outage_end(Microseconds at) const;
  Microseconds next_outage(Microseconds at) const;

  LinkSettings settings_;
  Outage commanded_;  // length 0: none
  Microseconds now_;
  std::int64_t stock_;           // below 0: a debt
  std::uint64_t remainder_ = 0;  // of the last division, in bits * microseconds / second
  std::uint64_t made_ = 0;
};

}  // namespace ssn::kme
