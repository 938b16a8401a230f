// SPDX-License-Identifier: BSD-3-Clause
// Where the emulated key bytes come from: AES-256 in counter mode under seeds that are derived from one
// secret per link (HMAC-SHA256), so that two processes with the same secret make the same keys without
// sending them. A seed depends on all that makes a key different from another: link, run of both ends, key ID
// or KSID, direction, length.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"
#include "stream_source.h"

namespace ssn::kme {

inline constexpr std::size_t secret_bytes = 32;
using Nonce = std::array<std::uint8_t, 16>;
using KeyId = std::array<std::uint8_t, 16>;

/// RFC 4122: lower case out, either case in.
std::string to_text(const KeyId& id);
std::optional<KeyId> parse_key_id(std::string_view text);
/// Version 4, from the operating system's generator; that one failing ends the process.
KeyId fresh_key_id();
Nonce fresh_nonce();

/// The secret that both ends of a link share, or what was derived from it for one run. Moves only.
class LinkSecret {
 public:
  static Result<LinkSecret> random();
  /// 64 hexadecimal digits in a regular file of this user that nobody else may read.
  static Result<LinkSecret> from_file(const std::string& path);

  /// For as long as both ends run: each of them contributes a fresh nonce, in the order of the link's ends.
  Result<LinkSecret> session(std::string_view link, const Nonce& first, const Nonce& second) const;

  using Seed = std::span<std::uint8_t, secret_bytes>;
  void key_seed(Seed out, const KeyId& id, std::uint64_t bits, std::string_view master,
                std::string_view slave) const;
  void stream_seed(Seed out, const Ksid& ksid, std::string_view sender, std::string_view receiver,
                   std::uint64_t segment) const;

 private:
  explicit LinkSecret(hw::SecretBuffer bytes) noexcept : bytes_(std::move(bytes)) {}
  static Result<LinkSecret> empty();

  hw::SecretBuffer bytes_;
};

/// Keys on their way to one SAE, as seeds: their bytes are made while they are sent. Erased on destruction.
class KeyBatch {
 public:
  static Result<KeyBatch> make(std::size_t keys);
  void add(const KeyId& id, std::uint64_t bits, const LinkSecret& session, std::string_view master,
           std::string_view slave);

  std::size_t size() const noexcept { return ids_.size(); }
  const KeyId& id(std::size_t i) const { return ids_[i]; }
  std::uint64_t bits(std::size_t i) const { return bits_[i]; }
  std::uint64_t total_bits() const noexcept;
  std::span<const std::uint8_t, secret_bytes> seed(std::size_t i) const;

 private:
  KeyBatch() noexcept = default;

  std::vector<KeyId> ids_;
  std::vector<std::uint64_t> bits_;
  hw::SecretBuffer seeds_;
};

/// The bytes of one key stream, in order, in pieces of any length.
class StreamBytes {
 public:
  StreamBytes(const kernels::Implementation& implementation, std::shared_ptr<const LinkSecret> session,
              const Ksid& ksid, std::string sender, std::string receiver);
  StreamBytes(const StreamBytes&) = delete;
  StreamBytes& operator=(const StreamBytes&) = delete;
  ~StreamBytes();

  void generate(std::span<std::uint8_t> out) noexcept;

 private:
  void begin_segment() noexcept;
  void generate_blocks(std::span<std::uint8_t> out) noexcept;  // whole blocks

  const kernels::Implementation& implementation_;
  std::shared_ptr<const LinkSecret> session_;
  Ksid ksid_;
  std::string sender_;
  std::string receiver_;
  kernels::RandomGenerator generator_;
  std::uint64_t segment_ = 0;
  std::array<std::uint8_t, 16> block_{};  // made and not yet wholly given
  std::size_t block_left_ = 0;
};

}  // namespace ssn::kme
