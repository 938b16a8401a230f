// SPDX-License-Identifier: BSD-3-Clause
// Requests of SAEs and messages of key managers: whatever the bytes are, the answer is a request within its
// limits or an error with a text. What is taken apart and written again stays what it was.
#include "key_request.h"

#include "fuzz_input.h"
#include "peer_link.h"

namespace {

using namespace ssn::kme;
using ssn::test::require;

constexpr std::uint64_t keys_max = 128;

template <typename T>
bool good(const Parsed<T>& parsed) {
  const ApiError* const error = std::get_if<ApiError>(&parsed);
  require(error == nullptr || error->status == 400 || error->status == 503, "another status than defined");
  require(error == nullptr || !error->message.empty(), "an error without a message");
  return error == nullptr;
}

void check_ids(const Parsed<std::vector<KeyId>>& parsed) {
  if (!good(parsed)) {
    return;
  }
  const std::vector<KeyId>& ids = std::get<std::vector<KeyId>>(parsed);
  require(!ids.empty() && ids.size() <= keys_max, "an impossible number of IDs");
  for (const KeyId& id : ids) {
    require(parse_key_id(to_text(id)) == id, "an ID does not survive writing and reading");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Parsed<KeyRequest> request = parse_key_request(text);
  require(good(request) || !text.empty(), "an empty request is refused");
  good(parse_key_query(text));
  check_ids(parse_key_ids(text, keys_max));
  check_ids(parse_key_id_query(text));
  if (const std::optional<KeysMessage> message = parse_keys(text, keys_max)) {
    require(!message->keys.empty() && message->keys.size() <= keys_max, "an impossible number of keys");
    require(parse_keys(write_keys(message->link, message->run, message->keys), keys_max).has_value(),
            "a message does not survive writing and reading");
  }
  if (const std::optional<RunMessage> message = parse_run(text)) {
    require(parse_run(write_run(*message)).has_value(), "a message does not survive writing and reading");
  }
  if (const std::optional<std::string> decoded = percent_decode(text)) {
    require(decoded->size() <= text.size(), "decoding made it longer");
  }
  return 0;
}
