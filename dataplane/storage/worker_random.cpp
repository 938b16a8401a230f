// SPDX-License-Identifier: BSD-3-Clause
#include "worker_random.h"

#include <sys/random.h>

#include <cerrno>
#include <new>

namespace ssn::dataplane {

Result<std::unique_ptr<WorkerRandom>> WorkerRandom::make(bool stream,
                                                         const kernels::Implementation& implementation) {
  std::unique_ptr<WorkerRandom> random(new WorkerRandom);
  if (stream) return random;
  if (Outcome outcome = random->seed(implementation); !outcome.ok()) return outcome.error();
  return random;
}

WorkerRandom::~WorkerRandom() {
  generated_.reset();
  if (generator_ != nullptr) generator_->~RandomGenerator();
}

Outcome WorkerRandom::seed(const kernels::Implementation& implementation) {
  using Generator = kernels::RandomGenerator;
  Result<hw::SecretBuffer> memory =
      hw::SecretBuffer::make(sizeof(Generator), hw::SecretBuffer::Locking::required);
  if (!memory.ok()) return memory.error();
  Result<hw::SecretBuffer> seed =
      hw::SecretBuffer::make(Generator::seed_bytes, hw::SecretBuffer::Locking::required);
  if (!seed.ok()) return seed.error();
  if (::getrandom(seed.value().data(), Generator::seed_bytes, 0) != Generator::seed_bytes) {
    return system_error(errno, "cannot seed the generator of random blocks", "getrandom");
  }
  generator_memory_ = std::move(memory.value());
  generator_ = new (generator_memory_.data()) Generator;
  generator_->seed(std::span<const std::uint8_t, Generator::seed_bytes>(seed.value().span()));
  generated_.emplace(implementation, *generator_);
  source_ = &*generated_;
  return done;
}

// A worker has one random stream for each key device; any of them will do, as long as its connection stays.
void WorkerRandom::choose(std::span<StorageChannel* const> channels, const StorageChannel* joining) noexcept {
  if (generator_ != nullptr) return;
  RandomStream* found = nullptr;
  for (StorageChannel* const each : channels) {
    if (!each->joined && each != joining) continue;
    if (each->connection == nullptr || each->connection->random() == nullptr) continue;
    found = each->connection->random();
    if (found == stream_) return;
  }
  stream_ = found;
  streamed_.reset();
  if (found != nullptr) streamed_.emplace(found->source());
  source_ = found != nullptr ? &*streamed_ : nullptr;
}

}  // namespace ssn::dataplane
