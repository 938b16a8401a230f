// SPDX-License-Identifier: BSD-3-Clause
// What lies on the disks of all holders, looked at from outside.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "ssa_world.h"
#include "types.h"

namespace ssn::sim {

class Shares {
 public:
  explicit Shares(test::SsaWorld& world) : world_(world) {}

  /// How many whole shares of what the catalogue says there are, and whether they agree with each other and
  /// with the object's contents. Empty: at least k, and they do.
  std::string judge(const controller::Object& object, const test::Bytes& content);
  /// Notes who has which share of which generation; says who ever had two of one.
  std::string watch();
  /// Its disk is about to fail: to look at it would be what makes it.
  void hide(std::size_t holder, bool hidden) {
    hidden_.erase(holder);
    if (hidden) hidden_.insert(holder);
  }
  /// Generations that lie at a holder.
  std::set<controller::ObjectKey> at(std::size_t holder);

 private:
  using Whole = std::map<std::uint8_t, test::Bytes>;  // by share
  Whole whole_shares(const controller::Object& object);
  test::Bytes share(const controller::Object& object, std::size_t share);

  test::SsaWorld& world_;
  std::set<std::size_t> hidden_;
  std::map<std::tuple<std::size_t, std::uint64_t, std::uint32_t>, std::uint8_t> seen_;
};

}  // namespace ssn::sim
