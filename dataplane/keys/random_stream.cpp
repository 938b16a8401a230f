// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/random_stream.h"

#include "ring_size.h"

namespace ssn::dataplane {

Result<std::shared_ptr<RandomStream>> RandomStream::open(hw::KeyDevice& device, std::uint64_t ring_bytes,
                                                         hw::RingMemory::Pages pages) {
  const ssn_key_device_info info = device.info();
  Result<hw::KeyStream> stream =
      device.open_stream(SSN_KEY_RANDOM, hw::Ksid{}, "", ring_size(ring_bytes, info), {.pages = pages});
  if (!stream.ok()) {
    return stream.error();
  }
  return std::shared_ptr<RandomStream>(new RandomStream(std::move(stream.value()), info.protection));
}

RandomStream::RandomStream(hw::KeyStream stream, enum ssn_protection protection)
    : stream_(std::move(stream)), protection_(protection), source_(*stream_.get(), marks_) {
  marks_.grant(UINT64_MAX);  // random bytes are nobody else's: there is no epoch, and nothing to write ahead
}

void RandomStream::service() noexcept {
  if (source_.poll() == SSN_FAILED) failed_.store(true, std::memory_order_relaxed);
  source_.give_back();
}

StreamReport RandomStream::report() const noexcept {
  StreamReport report;
  report.account = source_.account();
  report.statistics = stream_.statistics();
  report.available = source_.available();
  report.health = failed() ? SSN_KEY_HEALTH_FAILED : stream_.health();
  return report;
}

}  // namespace ssn::dataplane
