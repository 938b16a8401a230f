// SPDX-License-Identifier: BSD-3-Clause
// Prepared matrices for sets of shares, the latest few of them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "ssn/kernels/code.h"
#include "ssn/kernels/transform.h"
#include "ssn/protocol/wire_stream.h"

namespace ssn::roles {

class TransformCache {
 public:
  enum class Kind : std::uint8_t { recover, syndromes };
  static constexpr std::size_t most = 8;

  TransformCache(const kernels::Code& code, Kind kind)
      : code_(code), kind_(kind), places_(std::make_unique<std::array<Place, most>>()) {}

  /// For these shares, ascending. Valid until the next call.
  const kernels::Transform& get(std::span<const std::uint8_t> shares) noexcept;

 private:
  struct Place {
    protocol::ShareSet shares;
    std::uint64_t used = 0;  // 0: empty
    kernels::Transform transform;
  };

  kernels::Code code_;
  Kind kind_;
  std::unique_ptr<std::array<Place, most>> places_;
  std::uint64_t clock_ = 0;
};

}  // namespace ssn::roles
