// SPDX-License-Identifier: BSD-3-Clause
// Coverage marks: counters of rare branches. A run over many seeds is only worth something if they were met.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace ssn::sim {

class Marks {
 public:
  /// `name` is one of expected().
  void hit(std::string_view name, std::uint64_t count = 1);
  void add(const Marks& other);
  std::uint64_t of(std::string_view name) const;
  const std::map<std::string, std::uint64_t, std::less<>>& all() const noexcept { return counts_; }

  /// Every mark there is; a long run must meet all of them.
  static std::span<const std::string_view> expected() noexcept;

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

}  // namespace ssn::sim
