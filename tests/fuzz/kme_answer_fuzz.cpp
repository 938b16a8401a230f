// SPDX-License-Identifier: BSD-3-Clause
// What a key manager answers (ETSI GS QKD 014): HTTP read in pieces, then the body as status, keys and error.
// Every key that is found lies in the body and decodes.
#include <cstring>

#include "base64.h"
#include "fuzz_input.h"
#include "http.h"
#include "json.h"

using ssn::test::require;
using namespace ssn::hw::etsi014;

namespace {

constexpr std::size_t room = 65536;

void check_keys(JsonReader& json, Body& body) {
  const ssn::Result<KeyContainer> keys = json.keys(body);
  if (!keys.ok()) {
    return;
  }
  require(keys.value().keys.size() <= max_keys_per_batch, "too many keys");
  for (const DeliveredKey& key : keys.value().keys) {
    require(acceptable(key.id), "an ID that is not acceptable");
    require(key.begin + key.length <= body.length, "a key outside of the body");
    std::vector<std::uint8_t> out(key.bytes);
    require(base64_decode(body.data() + key.begin, key.length, out.data()), "a key that does not decode");
  }
}

}  // namespace

// First byte: size of the pieces; then what was received.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static ssn::Result<ssn::hw::SecretBuffer> memory = ssn::hw::SecretBuffer::make(room + body_slack);
  static JsonReader json;
  require(memory.ok(), "no memory for secrets");
  if (size == 0 || size > room) {
    return 0;
  }
  const std::size_t piece = data[0] + 1U;
  ++data;
  --size;
  ResponseReader reader;
  ResponseReader::Progress progress = ResponseReader::Progress::more;
  Body body;
  body.memory = std::move(memory.value());
  for (std::size_t filled = 0; filled < size && progress == ResponseReader::Progress::more;) {
    const std::size_t count = std::min(piece, size - filled);
    std::memcpy(body.memory.data() + filled, data + filled, count);
    filled += count;
    body.written = filled;
    progress = reader.advance(body.memory.data(), filled);
  }
  if (progress == ResponseReader::Progress::more) {
    progress = reader.closed();
  }
  if (progress == ResponseReader::Progress::complete) {
    body.begin = reader.body_begin();
    body.length = reader.body_length();
    require(body.begin + body.length <= body.written, "a body outside of what was received");
    (void)json.status(body);
    require(json.error_message(body).size() <= 100, "a long error message");
    check_keys(json, body);
  }
  body.erase();
  memory.value() = std::move(body.memory);
  return 0;
}
