// SPDX-License-Identifier: BSD-3-Clause
// The worked examples of docs/wire-format.md, and ends of a connection with their key streams.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "packet_ends.h"

namespace ssn::test {

/// Of tests/vectors/wire.txt, by name.
inline std::map<std::string, Bytes> read_wire_examples(const std::string& folder) {
  std::ifstream file(folder + "/wire.txt");
  std::map<std::string, Bytes> out;
  std::string line;
  std::string name;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] != ' ') {
      name = line.substr(0, line.size() - 1);
      continue;
    }
    std::istringstream words(line);
    std::string offset;
    words >> offset;
    EXPECT_EQ(std::stoul(offset), out[name].size());
    for (std::string byte; words >> byte;) {
      out[name].push_back(static_cast<std::uint8_t>(std::stoul(byte, nullptr, 16)));
    }
  }
  return out;
}

/// Ends whose key streams are those of the examples.
struct ExampleEnds : PacketEnds {
  ExampleEnds() {
    for (TestKeyStream* const stream : {&d_out, &d_in, &a_out, &a_in}) {
      const bool d = stream == &d_out || stream == &d_in;
      stream->deliver(4096);
      (void)ssn_key_stream_poll(&stream->stream());
      for (unsigned i = 0; i < 4096; ++i) {
        stream->stream().ring[i] = static_cast<std::uint8_t>(d ? i * 7 + 1 : i * 13 + 5);
      }
    }
    poll();
  }
};

}  // namespace ssn::test
