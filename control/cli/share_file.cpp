// SPDX-License-Identifier: BSD-3-Clause
#include "share_file.h"

#include <fmt/core.h>
#include <isa-l/crc64.h>

#include <algorithm>
#include <cstring>

namespace ssn::cli {
namespace {

// A first byte above 127 and both kinds of line end: text-mode copying breaks it visibly.
constexpr std::array<std::uint8_t, 8> magic{0x89, 'S', 'S', 'N', '\r', '\n', 0x1A, '\n'};
constexpr unsigned version_known = 1;

// Offsets, as in docs/share-file-format.md.
constexpr std::size_t at_version = 8;
constexpr std::size_t at_header_bytes = 10;
constexpr std::size_t at_scheme = 12;
constexpr std::size_t at_k = 13;
constexpr std::size_t at_n = 14;
constexpr std::size_t at_data_blocks = 15;
constexpr std::size_t at_share = 16;
constexpr std::size_t at_random = 17;
constexpr std::size_t at_required_features = 18;
constexpr std::size_t at_optional_features = 19;
constexpr std::size_t at_block_bytes = 20;
constexpr std::size_t at_object_bytes = 24;
constexpr std::size_t at_object_id = 32;
constexpr std::size_t at_reserved = 48;
constexpr std::size_t checksum_bytes = 8;

template <typename T>
T load(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  assert(at + sizeof(T) <= bytes.size());
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>((static_cast<std::uint64_t>(value) << 8) | bytes[at + i]);
  }
  return value;
}

template <typename T>
void store(std::span<std::uint8_t> bytes, std::size_t at, T value) noexcept {
  assert(at + sizeof(T) <= bytes.size());
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes[at + i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i));
  }
}

Error not_a_share(std::string why, std::string fix) {
  return Error{Exit::not_a_share, "cannot use this file as a share", std::move(why), "", std::move(fix)};
}

Error damaged_header(std::string why) {
  return Error{Exit::integrity, "cannot use this share", "its header is damaged: " + std::move(why), "",
               "use another copy of this share, or other shares"};
}

bool known(kernels::Scheme scheme) {
  return scheme == kernels::Scheme::systematic || scheme == kernels::Scheme::classic ||
         scheme == kernels::Scheme::ramp || scheme == kernels::Scheme::rs;
}

// Fields that carry the right checksum and still make no sense: written by a broken or hostile program.
Outcome check_fields(const ShareHeader& header) {
  if (!known(header.scheme)) {
    return damaged_header(fmt::format("it names scheme {}", static_cast<unsigned>(header.scheme)));
  }
  kernels::Code code;
  const kernels::Status status =
      kernels::Code::make(header.scheme, header.k, header.n, header.data_blocks, code);
  if (status != kernels::Status::ok) {
    return damaged_header(fmt::format("scheme {} with k = {}, n = {}, L = {}: {}",
                                      kernels::name(header.scheme), header.k, header.n, header.data_blocks,
                                      kernels::describe(status)));
  }
  if (header.share < 1 || header.share > header.n) {
    return damaged_header(fmt::format("share index {} of {}", header.share, header.n));
  }
  if ((header.random == RandomOrigin::none) != (header.scheme == kernels::Scheme::rs) ||
      header.random > RandomOrigin::device) {
    return damaged_header(fmt::format("random source {}", static_cast<unsigned>(header.random)));
  }
  if (header.block_bytes < block_bytes_min || header.block_bytes > block_bytes_max ||
      std::uint64_t{header.block_bytes} * header.n > blocks_of_all_shares_max) {
    return damaged_header(fmt::format("blocks of {} bytes for {} shares", header.block_bytes, header.n));
  }
  if (header.object_bytes > object_bytes_max) {
    return damaged_header(fmt::format("an object of {} bytes", header.object_bytes));
  }
  return done;
}

// What a version 1 reader may skip and what it may not.
Outcome check_features(std::span<const std::uint8_t> bytes) {
  if (bytes[at_required_features] != 0) {
    return not_a_share(fmt::format("it needs features (0x{:02x}) that this program does not know",
                                   bytes[at_required_features]),
                       "use a newer ssn");
  }
  const auto reserved = bytes.subspan(at_reserved, bytes.size() - at_reserved - checksum_bytes);
  const bool zero = std::all_of(reserved.begin(), reserved.end(), [](std::uint8_t b) { return b == 0; });
  if (bytes[at_optional_features] == 0 && !zero) {
    return damaged_header("reserved bytes are not zero");
  }
  return done;
}

}  // namespace

std::string_view name(RandomOrigin origin) noexcept {
  switch (origin) {
    case RandomOrigin::none:
      return "none";
    case RandomOrigin::drbg:
      return "drbg";
    case RandomOrigin::device:
      return "device";
  }
  return "unknown";
}

std::string to_hex(const ObjectId& id) {
  std::string out;
  for (const std::uint8_t byte : id) {
    out += fmt::format("{:02x}", byte);
  }
  return out;
}

bool ShareHeader::same_object(const ShareHeader& other) const noexcept {
  return scheme == other.scheme && k == other.k && n == other.n && data_blocks == other.data_blocks &&
         random == other.random && block_bytes == other.block_bytes && object_bytes == other.object_bytes &&
         object_id == other.object_id;
}

void encode_header(const ShareHeader& header, std::span<std::uint8_t, share_header_bytes> out) noexcept {
  assert(check_fields(header).ok());
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  std::copy(magic.begin(), magic.end(), out.begin());
  store<std::uint16_t>(out, at_version, version_known);
  store<std::uint16_t>(out, at_header_bytes, share_header_bytes);
  out[at_scheme] = static_cast<std::uint8_t>(header.scheme);
  out[at_k] = static_cast<std::uint8_t>(header.k);
  out[at_n] = static_cast<std::uint8_t>(header.n);
  out[at_data_blocks] = static_cast<std::uint8_t>(header.data_blocks);
  out[at_share] = static_cast<std::uint8_t>(header.share);
  out[at_random] = static_cast<std::uint8_t>(header.random);
  store<std::uint32_t>(out, at_block_bytes, header.block_bytes);
  store<std::uint64_t>(out, at_object_bytes, header.object_bytes);
  std::copy(header.object_id.begin(), header.object_id.end(), out.begin() + at_object_id);
  const std::size_t end = out.size() - checksum_bytes;
  store<std::uint64_t>(out, end, crc64(out.first(end)));
}

Result<std::size_t> parse_prefix(std::span<const std::uint8_t> prefix) {
  const std::size_t compared = std::min(prefix.size(), magic.size());
  if (compared == 0) {
    return not_a_share("it is empty", "name share files only");
  }
  if (!std::equal(magic.begin(), magic.begin() + static_cast<std::ptrdiff_t>(compared), prefix.begin())) {
    return not_a_share("it does not begin like a share file",
                       "name share files only; for shares of gfsplit add --format gfshare");
  }
  if (prefix.size() < share_prefix_bytes) {
    return not_a_share("it is truncated within the header", "use another copy of this share");
  }
  const unsigned version = load<std::uint16_t>(prefix, at_version);
  if (version != version_known) {
    return not_a_share(
        fmt::format("it has format version {}, and this program knows version {}", version, version_known),
        version > version_known ? "use a newer ssn" : "the file is damaged: use another copy of this share");
  }
  const std::size_t length = load<std::uint16_t>(prefix, at_header_bytes);
  if (length < share_header_bytes || length > share_header_bytes_max) {
    return damaged_header(fmt::format("it says that it is {} bytes long", length));
  }
  return length;
}

Result<ShareHeader> parse_header(std::span<const std::uint8_t> bytes) {
  const Result<std::size_t> length = parse_prefix(bytes.first(std::min(bytes.size(), share_prefix_bytes)));
  if (!length.ok()) {
    return length.error();
  }
  if (bytes.size() < length.value()) {
    return not_a_share("it is truncated within the header", "use another copy of this share");
  }
  bytes = bytes.first(length.value());
  const std::size_t end = bytes.size() - checksum_bytes;
  if (load<std::uint64_t>(bytes, end) != crc64(bytes.first(end))) {
    return damaged_header("its checksum does not match");
  }
  if (const Outcome features = check_features(bytes); !features.ok()) {
    return features.error();
  }
  ShareHeader header;
  header.scheme = static_cast<kernels::Scheme>(bytes[at_scheme]);
  header.k = bytes[at_k];
  header.n = bytes[at_n];
  header.data_blocks = bytes[at_data_blocks];
  header.share = bytes[at_share];
  header.random = static_cast<RandomOrigin>(bytes[at_random]);
  header.block_bytes = load<std::uint32_t>(bytes, at_block_bytes);
  header.object_bytes = load<std::uint64_t>(bytes, at_object_bytes);
  std::copy_n(bytes.begin() + at_object_id, header.object_id.size(), header.object_id.begin());
  header.header_bytes = bytes.size();
  if (const Outcome fields = check_fields(header); !fields.ok()) {
    return fields.error();
  }
  return header;
}

std::uint64_t block_count(const ShareHeader& header) noexcept {
  const std::uint64_t per_block = std::uint64_t{header.block_bytes} * header.data_blocks;
  assert(per_block > 0);
  return header.object_bytes / per_block + (header.object_bytes % per_block != 0 ? 1 : 0);
}

std::size_t block_data_bytes(const ShareHeader& header, std::uint64_t block) noexcept {
  assert(block < block_count(header));
  const std::uint64_t per_block = std::uint64_t{header.block_bytes} * header.data_blocks;
  return static_cast<std::size_t>(std::min(per_block, header.object_bytes - block * per_block));
}

std::size_t block_share_bytes(const ShareHeader& header, std::uint64_t block) noexcept {
  return (block_data_bytes(header, block) + header.data_blocks - 1) / header.data_blocks;
}

std::uint64_t share_file_bytes(const ShareHeader& header) noexcept {
  const std::uint64_t blocks = block_count(header);
  if (blocks == 0) {
    return header.header_bytes;
  }
  return header.header_bytes + (blocks - 1) * header.block_bytes + block_share_bytes(header, blocks - 1) +
         blocks * block_checksum_bytes;
}

std::uint64_t crc64(std::span<const std::uint8_t> bytes, std::uint64_t previous) noexcept {
  return ::crc64_ecma_refl(previous, bytes.data(), bytes.size());
}

BlockChecksum::BlockChecksum(const ObjectId& object_id, unsigned share) noexcept {
  std::array<std::uint8_t, 4> index{};
  store<std::uint32_t>(index, 0, share);
  start_ = crc64(index, crc64(object_id));
}

std::uint64_t BlockChecksum::of(std::uint64_t block,
                                std::span<const std::uint8_t> share_bytes) const noexcept {
  std::array<std::uint8_t, 8> number{};
  store<std::uint64_t>(number, 0, block);
  return crc64(share_bytes, crc64(number, start_));
}

void BlockChecksum::seal(std::uint64_t block, std::span<std::uint8_t> buffer) const noexcept {
  assert(buffer.size() > block_checksum_bytes);
  const std::size_t end = buffer.size() - block_checksum_bytes;
  store<std::uint64_t>(buffer, end, of(block, buffer.first(end)));
}

bool BlockChecksum::matches(std::uint64_t block, std::span<const std::uint8_t> buffer) const noexcept {
  assert(buffer.size() > block_checksum_bytes);
  const std::size_t end = buffer.size() - block_checksum_bytes;
  return load<std::uint64_t>(buffer, end) == of(block, buffer.first(end));
}

std::uint32_t default_block_bytes(unsigned n) noexcept {
  // 64 MiB for the shares at most; never more than 1 MiB each.
  std::uint32_t bytes = 1U << 20;
  while (std::uint64_t{bytes} * n > (std::uint64_t{64} << 20)) {
    bytes /= 2;
  }
  return bytes;
}

}  // namespace ssn::cli
