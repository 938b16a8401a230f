// SPDX-License-Identifier: BSD-3-Clause
// Random blocks of one worker, whatever their source is now: a random stream of a key device, which comes and
// goes with connections, or a generator.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "ssn/dataplane/storage_worker.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"
#include "ssn/roles/random_blocks.h"

namespace ssn::dataplane {

class WorkerRandom final : public roles::RandomBlocks {
 public:
  /// `stream`: random blocks come from the key device; otherwise a generator is seeded here.
  static Result<std::unique_ptr<WorkerRandom>> make(bool stream,
                                                    const kernels::Implementation& implementation);
  ~WorkerRandom() override;

  bool fill(std::span<std::uint8_t> to) noexcept override { return source_ != nullptr && source_->fill(to); }
  bool computational() const noexcept override { return generator_ != nullptr; }
  /// After the worker's channels became others. Those that joined count, and `joining`, which may be null: a
  /// channel that never joined goes, with its connection and stream, without the role being told.
  void choose(std::span<StorageChannel* const> channels, const StorageChannel* joining) noexcept;

 private:
  WorkerRandom() = default;
  Outcome seed(const kernels::Implementation& implementation);

  hw::SecretBuffer generator_memory_;
  kernels::RandomGenerator* generator_ = nullptr;  // in generator_memory_
  std::optional<roles::GeneratedBlocks> generated_;
  std::optional<roles::StreamBlocks> streamed_;
  RandomStream* stream_ = nullptr;
  roles::RandomBlocks* source_ = nullptr;
};

}  // namespace ssn::dataplane
