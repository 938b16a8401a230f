// SPDX-License-Identifier: BSD-3-Clause
// The only file that includes simdjson. Its on-demand reader indexes the text in place, and nothing here asks
// it for a string: it would copy whole vector registers, and with a short string the beginning of the key
// that stands behind it.
#include <simdjson.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>

#include "base64.h"
#include "json.h"

namespace ssn::hw::etsi014 {
namespace {

namespace ondemand = simdjson::ondemand;
constexpr std::size_t max_name_length = 256;
constexpr std::string_view emulator_member = "shareline_emulator";

static_assert(simdjson::SIMDJSON_PADDING <= body_slack / 2);

// The bytes of a scalar up to the next one, without the white space behind it.
template <typename Value>
std::string_view token_of(Value& value) {
  std::string_view token;
  if (simdjson::simdjson_result<std::string_view>(value.raw_json_token()).get(token) != simdjson::SUCCESS) {
    return {};
  }
  while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') {
    token.remove_suffix(1);
  }
  return token;
}

bool is_string(ondemand::value& value) {
  ondemand::json_type type{};
  return value.type().get(type) == simdjson::SUCCESS && type == ondemand::json_type::string;
}

// The name of a member, as it is written; empty where it is long.
std::string_view name_of(ondemand::field& field) {
  const char* const begin = field.key().raw();
  const void* const end = std::memchr(begin, '"', max_name_length);
  return end == nullptr
             ? std::string_view{}
             : std::string_view(begin, static_cast<std::size_t>(static_cast<const char*>(end) - begin));
}

// The next member of an object. False where the text is broken.
bool take_member(simdjson::simdjson_result<ondemand::field> next, std::string_view& name,
                 ondemand::value& value) {
  ondemand::field field;
  if (std::move(next).get(field) != simdjson::SUCCESS) {
    return false;
  }
  name = name_of(field);
  value = field.value();
  return true;
}

// A short text that is no secret, without resolving escapes; a number is taken as it is written.
KeyId read_text(ondemand::value& value) {
  KeyId id;
  std::string_view token = token_of(value);
  if (is_string(value)) {
    const bool whole = token.size() >= 2 && token.back() == '"';
    id.text = whole ? token.substr(1, std::min(token.size() - 2, max_name_length)) : std::string_view{};
    return id;
  }
  if (!token.empty() && (token.front() == '-' || (token.front() >= '0' && token.front() <= '9'))) {
    id.text = token.substr(0, max_name_length);
    id.number = true;
  }
  return id;
}

// A count or a size: a number, or one in a string; 0 for anything else.
std::uint64_t read_count(ondemand::value& value, bool* present = nullptr) {
  const KeyId text = read_text(value);
  std::uint64_t count = 0;
  const char* const end = text.text.data() + text.text.size();
  const auto [stop, error] = std::from_chars(text.text.data(), end, count);
  // 352.0 is 352 as well.
  const bool good = error == std::errc() && (stop == end || *stop == '.');
  if (present != nullptr) {
    *present = good;
  }
  return good ? count : 0;
}

// Whether an extension object has our emulator's mark. Anything that is no object has not.
bool read_emulator(ondemand::value& value) {
  ondemand::object object;
  bool emulator = false;
  if (value.get_object().get(object) != simdjson::SUCCESS) {
    return false;
  }
  for (auto field : object) {
    std::string_view name;
    ondemand::value member;
    if (!take_member(field, name, member)) {
      return emulator;
    }
    if (name == emulator_member) {
      emulator = token_of(member) == "true";
    }
  }
  return emulator;
}

unsigned hex_digit(std::uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10U;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10U;
  return 256;
}

// Replaces \/ and \u00XX in the text of a key. Some servers escape + and /, which tells where they are to
// whoever measures them; reading it cannot be better. Gives the new length; 0 where another escape occurs.
std::size_t unescape(std::uint8_t* text, std::size_t length) {
  std::size_t to = 0;
  for (std::size_t from = 0; from < length; ++to) {
    if (text[from] != '\\') {
      text[to] = text[from++];
    } else if (from + 1 < length && text[from + 1] == '/') {
      text[to] = '/';
      from += 2;
    } else if (from + 5 < length && text[from + 1] == 'u' && text[from + 2] == '0' && text[from + 3] == '0') {
      const unsigned code = hex_digit(text[from + 4]) << 4 | hex_digit(text[from + 5]);
      if (code > 0x7f) {
        return 0;
      }
      text[to] = static_cast<std::uint8_t>(code);
      from += 6;
    } else {
      return 0;
    }
  }
  return to;
}

// Where the text of a key lies in the body. False where it is none.
bool read_key(ondemand::value& value, Body& body, DeliveredKey& key) {
  if (!is_string(value)) {
    return false;
  }
  const std::string_view token = token_of(value);
  if (token.size() < 2 || token.front() != '"' || token.back() != '"') {
    return false;
  }
  key.begin = static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(token.data()) - body.data()) + 1;
  key.length = token.size() - 2;
  std::uint8_t* const text = body.data() + key.begin;
  if (has_backslash(text, key.length)) {
    key.length = unescape(text, key.length);
  }
  key.bytes = base64_decoded_bytes(text, key.length);
  return key.bytes >= 1 && key.bytes <= max_key_bytes && base64_valid(text, key.length);
}

// One entry of "keys". False where the JSON itself is broken.
bool read_entry(ondemand::value& entry, Body& body, KeyContainer& container) {
  ondemand::object object;
  if (entry.get_object().get(object) != simdjson::SUCCESS) {
    return false;
  }
  DeliveredKey key;
  bool has_key = false;
  for (auto field : object) {
    std::string_view name;
    ondemand::value member;
    if (!take_member(field, name, member)) {
      return false;
    }
    if (name == "key_ID") {
      key.id = read_text(member);
    } else if (name == "key") {
      has_key = read_key(member, body, key);
    }
  }
  if (has_key && acceptable(key.id) && container.keys.size() < max_keys_per_batch) {
    container.keys.push_back(std::move(key));
  } else {
    ++container.unusable;
  }
  return true;
}

bool read_entries(ondemand::value& value, Body& body, KeyContainer& container) {
  ondemand::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) {
    return false;
  }
  for (auto element : array) {
    ondemand::value entry;
    if (element.get(entry) != simdjson::SUCCESS || !read_entry(entry, body, container)) {
      return false;
    }
  }
  return true;
}

void read_status_member(std::string_view name, ondemand::value& value, KmeStatus& status) {
  const std::pair<std::string_view, std::string*> texts[] = {{"source_KME_ID", &status.source_kme},
                                                             {"target_KME_ID", &status.target_kme},
                                                             {"master_SAE_ID", &status.master_sae},
                                                             {"slave_SAE_ID", &status.slave_sae}};
  for (const auto& [known, text] : texts) {
    if (name == known) {
      *text = read_text(value).text;
      return;
    }
  }
  const std::pair<std::string_view, std::uint64_t*> counts[] = {
      {"key_size", &status.key_size},
      {"max_key_count", &status.max_key_count},
      {"max_key_per_request", &status.max_key_per_request},
      {"max_key_size", &status.max_key_size},
      {"min_key_size", &status.min_key_size},
      {"max_SAE_ID_count", &status.max_sae_id_count}};
  for (const auto& [known, count] : counts) {
    if (name == known) {
      *count = read_count(value);
      return;
    }
  }
  if (name == "stored_key_count") {
    status.stored_key_count = read_count(value, &status.has_stored_key_count);
  } else if (name == "status_extension") {
    status.emulator = read_emulator(value);
  }
}

// Whether nothing follows.
bool at_end(ondemand::document& document) {
  return document.current_location().error() == simdjson::OUT_OF_BOUNDS;
}

Error not_understood(std::string why) {
  return {Exit::temporary, "cannot understand the key manager", std::move(why), "",
          "check its URL and version"};
}

}  // namespace

struct JsonReader::Implementation {
  ondemand::parser parser;

  // Calls visit(name, value) for each member of the object that the body is; false where it is broken. The
  // text is filled up with blanks, so that the parser's copy of the last block of 64 holds nothing else.
  template <typename Visit>
  bool members(Body& body, Visit visit) {
    assert(body.memory.size() >= body.begin + body.length + body_slack);
    constexpr std::size_t blanks = body_slack / 2;
    std::memset(body.data() + body.length, ' ', blanks);
    body.written = std::max(body.written, body.begin + body.length + blanks);
    ondemand::document document;
    ondemand::object object;
    if (parser.iterate(body.data(), body.length + blanks, body.length + body_slack).get(document) !=
            simdjson::SUCCESS ||
        document.get_object().get(object) != simdjson::SUCCESS) {
      return false;
    }
    for (auto field : object) {
      std::string_view name;
      ondemand::value value;
      if (!take_member(field, name, value) || !visit(name, value)) {
        return false;
      }
    }
    return at_end(document);
  }
};

JsonReader::JsonReader() : implementation_(std::make_unique<Implementation>()) {}
JsonReader::~JsonReader() = default;

Result<KmeStatus> JsonReader::status(Body& body) {
  KmeStatus status;
  std::size_t known = 0;
  const bool whole = implementation_->members(body, [&](std::string_view name, ondemand::value& value) {
    known += name == "key_size" || name == "max_key_per_request" || name == "stored_key_count";
    read_status_member(name, value, status);
    return true;
  });
  if (!whole || known == 0) {
    return not_understood(whole ? "its status has no key_size" : "its status is not a JSON object");
  }
  return status;
}

Result<KeyContainer> JsonReader::keys(Body& body) {
  KeyContainer container;
  bool found = false;
  const bool whole = implementation_->members(body, [&](std::string_view name, ondemand::value& value) {
    // Table 11 of the standard prints "Keys", its examples "keys"; there is a server for each.
    if (!found && (name == "keys" || name == "Keys")) {
      found = true;
      return read_entries(value, body, container);
    }
    if (name == "key_container_extension") {
      container.emulator = read_emulator(value);
    }
    return true;
  });
  if (!whole || !found) {
    return not_understood(whole ? "its key container has no keys" : "its key container is not a JSON object");
  }
  return container;
}

std::string JsonReader::error_message(Body& body) {
  std::string message;
  (void)implementation_->members(body, [&](std::string_view name, ondemand::value& value) {
    if (name == "message" && is_string(value)) {
      message = read_text(value).text.substr(0, 100);
    }
    return true;
  });
  std::replace_if(message.begin(), message.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return message;
}

bool JsonReader::is_array_of_objects(std::string_view text) {
  simdjson::padded_string padded(text);
  ondemand::document document;
  ondemand::array array;
  if (implementation_->parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.get_array().get(array) != simdjson::SUCCESS) {
    return false;
  }
  for (auto element : array) {
    ondemand::object object;
    bool empty = false;
    if (element.get_object().get(object) != simdjson::SUCCESS ||
        object.is_empty().get(empty) != simdjson::SUCCESS) {
      return false;
    }
  }
  return at_end(document);
}

}  // namespace ssn::hw::etsi014
