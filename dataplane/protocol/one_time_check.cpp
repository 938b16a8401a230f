// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/one_time_check.h"

#include <cassert>
#include <cstring>
#include <memory>

namespace ssn::protocol {

OneTimeCheck::OneTimeCheck(const kernels::Implementation& implementation, hw::SecretBuffer& memory)
    : implementation_(&implementation) {
  assert(memory.locked());
  void* at = memory.data();
  std::size_t space = memory.size();
  at = std::align(alignof(kernels::TagKey), sizeof(kernels::TagKey), at, space);
  assert(at != nullptr);
  key_ = static_cast<kernels::TagKey*>(at);
  std::construct_at(key_);
}

OneTimeCheck::~OneTimeCheck() { std::destroy_at(key_); }

OneTimeCheck::Bound OneTimeCheck::bind(const PacketHeader& header,
                                       std::span<const std::uint8_t> fields) noexcept {
  assert(fields.size() <= max_fields);
  Bound bound;
  write_header(header, bound.bytes);
  write_number(0, bound.bytes);
  std::memcpy(bound.bytes + header_bytes, fields.data(), fields.size());
  bound.length = header_bytes + fields.size();
  return bound;
}

kernels::Tagging OneTimeCheck::begin(const Bound& bound, const std::uint8_t* keys) noexcept {
  key_->expand(*implementation_, std::span<const std::uint8_t, 16>(keys, 16));
  return {key_, bound.bytes, bound.length, keys + 16};
}

void OneTimeCheck::end() noexcept {
  std::destroy_at(key_);  // which erases it
  std::construct_at(key_);
}

void OneTimeCheck::compute(const PacketHeader& header, std::span<const std::uint8_t> fields,
                           std::span<const std::uint8_t> range, const std::uint8_t* keys,
                           std::uint8_t* tag) noexcept {
  const Bound bound = bind(header, fields);
  const kernels::Status status =
      kernels::tag(*implementation_, begin(bound, keys), range.data(), range.size(), tag);
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
  end();
}

bool OneTimeCheck::matches(const PacketHeader& header, std::span<const std::uint8_t> fields,
                           std::span<const std::uint8_t> range, const std::uint8_t* keys,
                           const std::uint8_t* tag) noexcept {
  const Bound bound = bind(header, fields);
  const kernels::Status status =
      kernels::verify(*implementation_, begin(bound, keys), range.data(), range.size(), tag);
  end();
  return status == kernels::Status::ok;
}

}  // namespace ssn::protocol
