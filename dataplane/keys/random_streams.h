// SPDX-License-Identifier: BSD-3-Clause
// One random stream for each worker, shared by its connections; gone when the last of them is.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "ssn/dataplane/random_stream.h"

namespace ssn::dataplane {

/// Any thread. Opening one blocks the others.
class RandomStreams {
 public:
  /// Gives a device that delivers random bytes; null while there is none.
  using Find = std::function<std::shared_ptr<hw::KeyDevice>()>;

  RandomStreams(std::size_t workers, std::uint64_t ring_bytes, hw::RingMemory::Pages pages, Find find)
      : find_(std::move(find)), ring_bytes_(ring_bytes), pages_(pages), streams_(workers) {}

  /// The worker's, or a new one where it has none that works.
  Result<std::shared_ptr<RandomStream>> get(std::size_t worker);

 private:
  const Find find_;
  const std::uint64_t ring_bytes_;
  const hw::RingMemory::Pages pages_;
  std::mutex lock_;
  std::vector<std::weak_ptr<RandomStream>> streams_;
};

}  // namespace ssn::dataplane
