// SPDX-License-Identifier: BSD-3-Clause
// Calls of the control side in virtual time: requests and answers that are lost, late, or cut off.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "ssa_world.h"

namespace ssn::sim {

struct ControlLoss {
  unsigned lost_percent = 0;  ///< of requests, and of answers
  unsigned late_percent = 0;  ///< of requests: they are carried out when nobody waits any more
};

class ControlNet {
 public:
  /// Carried out where the request arrives; false: nobody is there, or it ended meanwhile.
  using There = std::function<bool()>;
  /// Exactly once. False: no answer in time; what was asked may have been done, or may be done later.
  using Back = std::function<void(bool reached)>;

  /// `world` outlives it, and whatever calls name lives until the world runs no more.
  ControlNet(test::SsaWorld& world, const ControlLoss& loss, std::uint64_t seed)
      : world_(world), loss_(loss), random_(seed) {}
  ControlNet(const ControlNet&) = delete;
  ControlNet& operator=(const ControlNet&) = delete;

  /// Between the controller and `node`, whoever of the two asks.
  void call(const std::string& node, There there, Back back);
  void cut(const std::string& node, bool cut);
  /// From now on everything arrives.
  void heal();
  std::uint64_t lost() const noexcept { return lost_; }

 private:
  bool loses(const std::string& node);

  test::SsaWorld& world_;
  ControlLoss loss_;
  test::TestRandom random_;
  std::set<std::string> cut_;
  std::uint64_t lost_ = 0;
};

}  // namespace ssn::sim
