// SPDX-License-Identifier: BSD-3-Clause
// The header of a share file: the bytes as they are, and once more with magic number, version and checksum
// made right, so that the fields behind them are reached. What is accepted must keep every limit and come
// back when written; what is refused must come with a reason and something to do.
#include "share_file.h"

#include <algorithm>
#include <array>

#include "fuzz_input.h"

namespace {

namespace cli = ssn::cli;
using ssn::test::require;
using Span = std::span<const std::uint8_t>;

void check_error(const ssn::Error& error) {
  require(error.code == ssn::Exit::not_a_share || error.code == ssn::Exit::integrity,
          "a refusal has another code");
  require(!error.what.empty() && !error.why.empty() && !error.fix.empty(), "a refusal explains nothing");
}

void check_geometry(const cli::ShareHeader& header) {
  const std::uint64_t blocks = cli::block_count(header);
  require((blocks == 0) == (header.object_bytes == 0),
          "an object without blocks, or blocks without an object");
  require(cli::share_file_bytes(header) >= header.header_bytes, "the length of the file overflowed");
  if (blocks == 0) return;
  const std::uint64_t full = std::uint64_t{header.block_bytes} * header.data_blocks;
  const std::uint64_t last = cli::block_data_bytes(header, blocks - 1);
  require((blocks - 1) * full + last == header.object_bytes, "blocks do not add up to the object");
  require(last >= 1 && last <= full, "the last block has an impossible length");
  for (const std::uint64_t block : {std::uint64_t{0}, blocks / 2, blocks - 1}) {
    const std::size_t share = cli::block_share_bytes(header, block);
    require(share >= 1 && share <= header.block_bytes, "a block of a share has an impossible length");
    require(std::uint64_t{share} * header.data_blocks >= cli::block_data_bytes(header, block),
            "data does not fit");
  }
}

void check_accepted(const cli::ShareHeader& header) {
  ssn::kernels::Code code;
  require(ssn::kernels::Code::make(header.scheme, header.k, header.n, header.data_blocks, code) ==
              ssn::kernels::Status::ok,
          "an impossible code was accepted");
  require(header.share >= 1 && header.share <= header.n, "a share index out of range was accepted");
  require(header.block_bytes >= cli::block_bytes_min && header.block_bytes <= cli::block_bytes_max,
          "a block size out of range was accepted");
  require(std::uint64_t{header.block_bytes} * header.n <= cli::blocks_of_all_shares_max,
          "too much memory accepted");
  require(header.object_bytes <= cli::object_bytes_max, "too large an object was accepted");
  require(cli::to_hex(header.object_id).size() == 2 * header.object_id.size(), "an object id does not print");
  check_geometry(header);
  std::array<std::uint8_t, cli::share_header_bytes> written;
  cli::encode_header(header, written);
  const ssn::Result<cli::ShareHeader> again = cli::parse_header(written);
  require(again.ok() && again.value().same_object(header) && again.value().share == header.share,
          "a header does not survive writing and reading");
}

void parse(Span bytes) {
  const ssn::Result<std::size_t> length =
      cli::parse_prefix(bytes.first(std::min(bytes.size(), cli::share_prefix_bytes)));
  if (length.ok()) {
    require(length.value() >= cli::share_header_bytes && length.value() <= cli::share_header_bytes_max,
            "parse_prefix gives a length out of range");
  } else {
    check_error(length.error());
  }
  const ssn::Result<cli::ShareHeader> header = cli::parse_header(bytes);
  if (!header.ok()) {
    check_error(header.error());
    return;
  }
  require(length.ok() && header.value().header_bytes == length.value(), "two parsers disagree");
  check_accepted(header.value());
}

/// A valid header of the same length with the input's fields.
std::vector<std::uint8_t> repaired(Span bytes) {
  cli::ShareHeader plain;
  plain.k = 2;
  plain.n = 3;
  plain.share = 1;
  plain.random = cli::RandomOrigin::drbg;
  plain.block_bytes = cli::block_bytes_min;
  std::array<std::uint8_t, cli::share_header_bytes> valid;
  cli::encode_header(plain, valid);
  std::vector<std::uint8_t> out(valid.begin(), valid.end());
  constexpr std::size_t checksum_bytes = 8;
  const std::size_t first_field = cli::share_prefix_bytes;
  const std::size_t count = std::min(bytes.size(), out.size() - checksum_bytes);
  if (count > first_field)
    std::copy(bytes.begin() + first_field, bytes.begin() + static_cast<std::ptrdiff_t>(count),
              out.begin() + first_field);
  const std::uint64_t checksum = cli::crc64(Span(out).first(out.size() - checksum_bytes));
  for (std::size_t i = 0; i < checksum_bytes; ++i) {
    out[out.size() - checksum_bytes + i] = static_cast<std::uint8_t>(checksum >> (8 * i));
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Span bytes(data, size);
  parse(bytes);
  const std::vector<std::uint8_t> fixed = repaired(bytes);
  parse(fixed);
  parse(Span(fixed).first(fixed.size() - 1));
  return 0;
}
