// SPDX-License-Identifier: BSD-3-Clause
// Sees every job that goes to an offload device and every packet that goes on a wire, and notices a pad, a
// mask or a random block that serves two messages.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>

#include "oracle.h"
#include "ssn/kernels/code.h"
#include "ssn/offload_device.h"
#include "ssn/protocol/cell.h"

namespace ssn::sim {

class Recorder {
 public:
  /// What was made with the keys `d` and `a`.
  void submitted(const Ksid& d, const Ksid& a, const ssn_offload_job& job);
  /// The device did not do it: its pads and masks are burnt.
  void failed(const Ksid& d, const ssn_offload_job& job);
  void sealed(const Ksid& d, const Ksid& a, const protocol::Cell& cell, const kernels::Code& code,
              std::uint64_t message);

  Oracle& oracle() noexcept { return wire_; }
  void violation(const std::string& what) { wire_.violation(what); }
  /// All that was found.
  std::vector<std::string> violations() const;
  bool clean() const { return wire_.violations().empty() && device_.violations().empty(); }

 private:
  struct Share {
    protocol::PacketHeader header;
    std::uint32_t length;
  };
  static Share share_of(const ssn_offload_job& job, std::uint32_t output);
  void random_block(const Ksid& d, const protocol::Cell& cell, std::uint64_t message);

  Oracle wire_;
  Oracle device_;  // what devices have seen: also of jobs of which no packet came
  std::set<std::pair<Ksid, std::uint64_t>> burnt_;
  std::unordered_map<std::uint64_t, std::uint64_t> random_blocks_;  // fingerprint, and whose it is
};

}  // namespace ssn::sim
