// SPDX-License-Identifier: BSD-3-Clause
// What the control side said of generations when it ordered re-sharing, on disk: it can tell a node no two
// stories of one of them, and cannot have it help one node to a second share of one, whatever was restarted
// meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/roles/resharing.h"

namespace ssn::dataplane {

class ToldLayouts {
 public:
  using Generation = std::pair<std::uint64_t, std::uint32_t>;  // object, generation

  /// A file that is not there has nothing. `most`: generations that are remembered; those beyond are refused.
  /// integrity: what is there is no such file.
  static Result<ToldLayouts> open(std::string path, std::size_t most);

  enum class Judgement : std::uint8_t {
    fits,
    contradicts,  ///< another scheme, k, n, L or rows than before
    repeated,     ///< a node would have had two shares of the generation
    full,         ///< no more generations are remembered
  };
  /// Whether a layout fits all that was told before. Changes nothing.
  Judgement judge(const Generation& generation, const roles::ReshareLayout& layout) const;
  /// Remembers it. Durable when it returns.
  Outcome remember(const Generation& generation, const roles::ReshareLayout& layout);
  /// Its shares here are gone.
  Outcome forget(const Generation& generation);

  /// Nodes that have, or had, a share of the generation, by its index.
  std::map<std::uint8_t, std::set<std::uint64_t>> nodes_of(const Generation& generation) const;
  std::size_t size() const noexcept { return known_.size(); }

 private:
  struct Told {
    roles::ReshareLayout layout;  // without nodes
    std::map<std::uint8_t, std::set<std::uint64_t>> nodes;
    bool operator==(const Told&) const = default;
  };

  ToldLayouts(std::string path, std::size_t most) : path_(std::move(path)), most_(most) {}
  Outcome read();
  bool take(const std::string& line);
  static std::string line_of(const Generation& generation, const Told& told);

  std::string path_;
  std::size_t most_;
  std::map<Generation, Told> known_;
};

}  // namespace ssn::dataplane
