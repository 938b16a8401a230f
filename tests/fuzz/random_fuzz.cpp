// SPDX-License-Identifier: BSD-3-Clause
// random: any seed, any start and any sequence of lengths. All implementations must give what OpenSSL gives.
#include <cstring>

#include "fuzz_input.h"
#include "guarded.h"
#include "openssl.h"

using ssn::test::Bytes;
using ssn::test::require;
namespace kernels = ssn::kernels;
using kernels::RandomGenerator;
using kernels::Status;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr unsigned max_length = 5000;
  static ssn::test::BufferPool pool(max_length);
  ssn::test::FuzzInput input(data, size);
  const Bytes seed = input.bytes(RandomGenerator::seed_bytes);
  const std::uint64_t start = input.number(5) % (RandomGenerator::max_blocks + 1);
  Bytes rest = input.bytes(std::min<std::size_t>(input.left(), 60));
  ssn::test::for_each_supported([&](const kernels::Implementation& implementation) {
    const std::string name(kernels::name(implementation));
    RandomGenerator generator;
    generator.seed(std::span<const std::uint8_t, RandomGenerator::seed_bytes>(seed.data(), seed.size()));
    std::uint64_t block = 0;
    require(generator.take(start, block) == Status::ok && block == 0, "take() refused");
    block = start;
    ssn::test::FuzzInput pieces(rest.data(), rest.size());
    while (!pieces.empty()) {
      const std::size_t length = 1 + pieces.below(max_length);
      const unsigned placement = pieces.byte();
      pool.reset();
      std::uint8_t* out = pool.take(length, {(placement & 0x80U) != 0, placement & 63U});
      const Status status = kernels::random(implementation, generator, out, length);
      const std::uint64_t blocks = (length + 15) / 16;
      if (block + blocks > RandomGenerator::max_blocks) {
        require(status == Status::random_exhausted, name + ": went beyond the limit");
        require(generator.blocks_left() == RandomGenerator::max_blocks - block,
                name + ": a refusal took blocks");
        continue;
      }
      require(status == Status::ok, name + ": random failed");
      const Bytes expected = ssn::test::openssl::aes256_keystream(seed, block, length);
      require(std::memcmp(out, expected.data(), length) == 0, name + ": wrong bytes");
      require(pool.intact(), name + ": wrote beside the buffer");
      block += blocks;
    }
  });
  return 0;
}
