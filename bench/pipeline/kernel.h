// SPDX-License-Identifier: BSD-3-Clause
// The fused kernel by itself, on blocks of the same code and size as the pipeline's: called directly with
// everything made ready, and through the driver `cpu` of offload devices.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "../kernels/arena.h"
#include "ssn/hw/offload_device.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/wire_stream.h"

namespace ssn::bench {

class KernelBench {
 public:
  static constexpr unsigned burst = 32;  ///< blocks in a call of the driver
  enum Contender : unsigned { split_kernel, split_driver, recover_kernel, recover_driver, contenders };

  /// `first`: the lowest of the k successive shares that are recovered from. `cold`: data and shares are in
  /// no cache. Empty error: the kernel and the driver were seen to give the same bytes, and the data back.
  KernelBench(const protocol::WireStream& stream, unsigned first, bool cold, hw::OffloadDevice& device,
              const kernels::Implementation& implementation);
  const std::string& error() const noexcept { return error_; }

  /// On the core that is measured: each contender once on a burst, `times` over.
  void measure(unsigned times) noexcept;
  /// Ticks for a block: the mean of the better half.
  double cycles(Contender contender) const;
  /// Of the driver to the kernel, pair by pair: the median.
  double ratio(Contender kernel, Contender driver) const;
  bool failed() const noexcept { return failed_; }

 private:
  static constexpr std::size_t samples_max = 20000;

  struct Block {
    std::vector<std::uint8_t*> random, data, out, pads, shares, share_pads, again;
    std::vector<kernels::Tagging> tagging, share_tagging;
    std::unique_ptr<std::uint8_t[][kernels::tag_bytes]> tags;
    kernels::SplitJob split;
    kernels::RecoverJob recover;
    std::vector<ssn_offload_buffer> split_in, split_out, split_pads, recover_in, recover_out, recover_pads;
    std::vector<ssn_offload_tagging> split_tagging, recover_tagging;
    alignas(64) ssn_offload_job split_job{};
    alignas(64) ssn_offload_job recover_job{};
  };

  void lay_out(Block& block, std::uint64_t& random);
  void describe_for_kernel(Block& block);
  void describe_for_driver(Block& block);
  void verify();
  bool open(hw::OffloadDevice& device);
  std::uint64_t run(Contender contender) noexcept;
  bool run_kernel(bool splits) noexcept;
  bool run_driver(bool splits) noexcept;
  void cool(bool splits) noexcept;

  protocol::WireStream stream_;
  unsigned first_;
  bool cold_;
  const kernels::Implementation& implementation_;
  std::string error_;
  bool failed_ = false;
  Arena arena_;
  std::unique_ptr<protocol::StreamCode> code_;
  kernels::Transform recover_;
  kernels::TagKey key_;
  hw::OffloadTagKey device_key_;
  hw::OffloadQueue queue_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::array<ssn_offload_job*, burst> split_jobs_{}, recover_jobs_{};
  std::array<std::vector<std::uint64_t>, contenders> samples_;
};

}  // namespace ssn::bench
