// SPDX-License-Identifier: BSD-3-Clause
// Counters of a data plane as tables of rates, for `ssn dataplane top`. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent_client.h"

namespace ssn::cli {

/// Keeps two snapshots of all counters.
class RateTable {
 public:
  /// The first one complete, later ones with what changed.
  void update(const client::CounterUpdate& update);
  /// False before the second snapshot.
  bool has_rates() const noexcept { return seconds() > 0; }
  double seconds() const noexcept;

  struct Row {
    std::string name;
    agent::Counter::Kind kind{};
    std::uint64_t value = 0;
    double per_second = 0;  ///< of a gauge: how fast it changes
  };
  /// Sorted by name.
  std::vector<Row> rows() const;

  /// "stream.1.bytes_in" stands in a table of streams, in row 1, column bytes_in: rates per second, gauges as
  /// they are. Columns with nothing but zeros are left out, and so are rows of drops. `width` is that of the
  /// terminal.
  std::string text(std::size_t width) const;

 private:
  struct Value {
    agent::Counter::Kind kind{};
    std::uint64_t now = 0;
    std::uint64_t before = 0;
  };
  std::map<std::string, Value> values_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t before_ns_ = 0;
};

}  // namespace ssn::cli
