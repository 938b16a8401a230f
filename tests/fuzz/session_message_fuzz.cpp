// SPDX-License-Identifier: BSD-3-Clause
// Session messages of peers: what is taken is written back as it came, what is not is explained.
#include "session_message.h"

#include <algorithm>

#include "fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ssn;
  const Result<dataplane::SessionMessage> read = dataplane::parse_session_message({data, size});
  if (!read.ok()) {
    test::require(!read.error().why.empty() && !read.error().fix.empty(), "a refusal explains nothing");
    return 0;
  }
  const std::vector<std::uint8_t> written = dataplane::encode(read.value());
  test::require(std::equal(written.begin(), written.end(), data, data + size),
                "a message changes when it is written");
  return 0;
}
