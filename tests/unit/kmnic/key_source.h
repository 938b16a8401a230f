// SPDX-License-Identifier: BSD-3-Clause
// Keys that a test can predict, as fast as a test wants, behind the interface of the link model.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "ssn/hw/key_device.h"
#include "stream_source.h"

namespace ssn::kmnic_test {

/// Byte `offset` of a stream.
std::uint8_t key_byte(const hw::Ksid& ksid, std::uint64_t offset) noexcept;

/// What a test turns while the model runs. Thread-safe.
struct Valve {
  std::atomic<std::uint64_t> limit{UINT64_MAX};  ///< bytes that each stream may give in all
  std::atomic<bool> alive{true};
  std::atomic<int> open{0};  ///< sources that exist
};

/// Links between any two nodes but "nobody"; "busy" has no key manager.
class TestProvider final : public kme::StreamProvider {
 public:
  explicit TestProvider(std::shared_ptr<Valve> valve = std::make_shared<Valve>())
      : valve_(std::move(valve)) {}
  Result<std::unique_ptr<kme::StreamSource>> open(const Request& request) override;

 private:
  std::shared_ptr<Valve> valve_;
  std::set<std::pair<kme::Ksid, int>> used_;
};

}  // namespace ssn::kmnic_test
