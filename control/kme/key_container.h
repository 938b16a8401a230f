// SPDX-License-Identifier: BSD-3-Clause
// The answer with keys (ETSI GS QKD 014, clause 6.3), made piece by piece while it is sent: no more than one
// piece of key is in memory, and is erased after it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "key_material.h"

namespace ssn::kme {

class KeyContainer {
 public:
  /// `extension` is the key_container_extension, a JSON object; empty: none.
  KeyContainer(KeyBatch batch, std::string extension);

  /// Bytes of the whole answer.
  std::uint64_t length() const noexcept { return length_; }
  const KeyBatch& batch() const noexcept { return batch_; }

  /// Gives the pieces to `sink` in order; stops and returns false when it does, or when there is no memory.
  using Sink = std::function<bool(const char* piece, std::size_t length)>;
  bool write(const kernels::Implementation& implementation, const Sink& sink) const;

 private:
  bool write_key(const kernels::Implementation& implementation, std::size_t i, std::span<std::uint8_t> buffer,
                 const Sink& sink) const;
  std::string head(std::size_t i) const;
  std::string tail() const;

  KeyBatch batch_;
  std::string extension_;
  std::uint64_t length_;
};

/// RFC 4648, with padding. Takes the same time whatever the bytes are. `out` has base64_length(length) room.
void base64_encode(const std::uint8_t* bytes, std::size_t length, char* out) noexcept;
constexpr std::uint64_t base64_length(std::uint64_t bytes) noexcept { return (bytes + 2) / 3 * 4; }

}  // namespace ssn::kme
