// SPDX-License-Identifier: BSD-3-Clause
#include "random_streams.h"

namespace ssn::dataplane {

Result<std::shared_ptr<RandomStream>> RandomStreams::get(std::size_t worker) {
  const std::lock_guard guard(lock_);
  if (std::shared_ptr<RandomStream> there = streams_[worker].lock(); there && !there->failed()) {
    return there;
  }
  const std::shared_ptr<hw::KeyDevice> device = find_();
  if (!device) {
    return Error{Exit::temporary, "cannot get random bytes for shares",
                 "no key device that delivers random bytes is open", "",
                 "see why in the status of the key devices, or take random = \"drbg\" for the streams"};
  }
  Result<std::shared_ptr<RandomStream>> opened = RandomStream::open(*device, ring_bytes_, pages_);
  if (opened.ok()) {
    streams_[worker] = opened.value();
  }
  return opened;
}

}  // namespace ssn::dataplane
