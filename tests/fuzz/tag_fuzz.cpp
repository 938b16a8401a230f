// SPDX-License-Identifier: BSD-3-Clause
// tag and verify: any key, mask, header and data, at any offset. All implementations must give what GHASH bit
// by bit gives.
#include <array>
#include <cstring>

#include "fuzz_input.h"
#include "guarded.h"
#include "reference.h"

using ssn::test::Bytes;
using ssn::test::require;
namespace kernels = ssn::kernels;
namespace reference = ssn::test::reference;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t max_length = 4096;
  static ssn::test::BufferPool pool(max_length);
  ssn::test::FuzzInput input(data, size);
  reference::Block r{};
  const Bytes key_bytes = input.bytes(16), mask = input.bytes(16);
  std::memcpy(r.data(), key_bytes.data(), 16);
  const unsigned offset = input.byte() & 63U;
  const Bytes header = input.bytes(input.byte());
  const std::uint8_t flip = input.byte();
  const Bytes message = input.bytes(std::clamp<std::size_t>(input.left(), 1, max_length));
  const reference::Block hash = reference::ghash(r, header, message);
  const Bytes expected = reference::exclusive_or(Bytes(hash.begin(), hash.end()), mask);
  ssn::test::for_each_supported([&](const kernels::Implementation& implementation) {
    pool.reset();
    std::uint8_t* message_at = pool.take(message.size(), {(offset & 1U) != 0, offset});
    std::memcpy(message_at, message.data(), message.size());
    std::uint8_t* header_at = pool.take(std::max<std::size_t>(header.size(), 1), {true, 0});
    std::copy(header.begin(), header.end(), header_at);
    kernels::TagKey key;
    key.expand(implementation, r);
    const kernels::Tagging tagging{&key, header_at, header.size(), mask.data()};
    Bytes tag(16);
    const std::string name(kernels::name(implementation));
    require(
        kernels::tag(implementation, tagging, message_at, message.size(), tag.data()) == kernels::Status::ok,
        name + ": tag failed");
    require(tag == expected, name + ": wrong tag");
    const auto verify = [&] {
      return kernels::verify(implementation, tagging, message_at, message.size(), tag.data());
    };
    require(verify() == kernels::Status::ok, name + ": verify refused a right tag");
    tag[flip % 16U] = static_cast<std::uint8_t>(tag[flip % 16U] ^ (1U << (flip >> 4) % 8));
    require(verify() == kernels::Status::tag_mismatch, name + ": verify took a wrong tag");
    require(pool.intact(), name + ": wrote beside a buffer");
  });
  return 0;
}
