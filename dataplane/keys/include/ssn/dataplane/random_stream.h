// SPDX-License-Identifier: BSD-3-Clause
// A worker's random bytes from a key device, for the random blocks of shares (`random = "stream"`). Taken
// like pads: each byte serves once, is erased after use, and is accounted for.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "ssn/dataplane/stream_report.h"
#include "ssn/hw/key_device.h"
#include "ssn/protocol/pad_stream.h"
#include "ssn/protocol/stream_marks.h"

namespace ssn::dataplane {

/// Belongs to one worker, and is shared by all of its connections. One thread at a time.
class RandomStream {
 public:
  static Result<std::shared_ptr<RandomStream>> open(hw::KeyDevice& device, std::uint64_t ring_bytes,
                                                    hw::RingMemory::Pages pages);

  /// reserve(), then use() or discard(), as of pads. There is no ledger: it never says not_written_ahead.
  protocol::PadSender& source() noexcept { return source_; }
  /// For an offload device.
  ssn_memory memory() const noexcept { return stream_.memory(); }
  /// The device has ended it. Any thread.
  bool failed() const noexcept { return failed_.load(std::memory_order_relaxed); }
  void service() noexcept;
  StreamReport report() const noexcept;
  enum ssn_protection protection() const noexcept { return protection_; }

 private:
  RandomStream(hw::KeyStream stream, enum ssn_protection protection);

  hw::KeyStream stream_;
  enum ssn_protection protection_;
  protocol::StreamMarks marks_;
  protocol::PadSender source_;
  std::atomic<bool> failed_{false};
};

}  // namespace ssn::dataplane
