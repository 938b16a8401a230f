// SPDX-License-Identifier: BSD-3-Clause
// The preamble of a sealed file: the bytes as they are, and once more with the magic number and what must be
// zero made right. What is accepted keeps every limit and survives writing and reading; what is refused has a
// reason.
#include <algorithm>
#include <array>
#include <cstring>

#include "fuzz_input.h"
#include "sealed_file.h"

namespace {

namespace cli = ssn::cli;
using ssn::test::require;
using Bytes = std::array<std::uint8_t, cli::preamble_bytes>;

void check_accepted(const cli::Preamble& preamble, std::span<const std::uint8_t> from) {
  require(preamble.cell_bytes >= 64 && preamble.cell_bytes <= ssn::protocol::max_payload, "cell size");
  require(preamble.cells() <= cli::sealed_cells_max, "too many cells");
  require(preamble.sealed_bytes() > preamble.file_bytes, "the length of the file overflowed");
  require((preamble.cells() == 0) == (preamble.file_bytes == 0), "cells do not add up to the file");
  if (preamble.cells() > 0) {
    const std::uint64_t last = preamble.bytes_of(preamble.cells() - 1);
    require(last >= 1 && (preamble.cells() - 1) * preamble.cell_bytes + last == preamble.file_bytes,
            "cells do not add up to the file");
  }
  Bytes written;
  cli::write_preamble(preamble, written);
  require(std::equal(written.begin(), written.end(), from.begin()), "a preamble has two forms");
}

void parse(std::span<const std::uint8_t> bytes) {
  const ssn::Result<cli::Preamble> read = cli::read_preamble(bytes, "file");
  if (read.ok()) {
    return check_accepted(read.value(), bytes);
  }
  const ssn::Error& error = read.error();
  require(error.code == ssn::Exit::not_a_share || error.code == ssn::Exit::integrity,
          "a refusal has another code");
  require(!error.what.empty() && !error.why.empty() && !error.fix.empty(), "a refusal explains nothing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  parse({data, size});
  Bytes repaired{};
  std::copy_n(data, std::min(size, repaired.size()), repaired.begin());
  constexpr std::uint8_t start[12] = {'S', 'S', 'N', 'S', 'E', 'A', 'L', 1, 0, 0, 2, 128};
  std::memcpy(repaired.data(), start, sizeof start);
  std::memset(&repaired[69], 0, 3);
  std::memset(&repaired[584], 0, 56);
  parse(repaired);
  return 0;
}
