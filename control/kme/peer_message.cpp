// SPDX-License-Identifier: BSD-3-Clause
#include <simdjson.h>

#include "json.h"
#include "peer_link.h"

namespace ssn::kme {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t depth_max = 8;

// Nonces are written like key IDs: as UUIDs.
bool read_nonce(const dom::element& from, const char* name, Nonce& out) {
  std::string_view text;
  if (from[name].get(text) != simdjson::SUCCESS) {
    return false;
  }
  const std::optional<KeyId> id = parse_key_id(text);
  if (id) {
    out = *id;
  }
  return id.has_value();
}

bool read_text(const dom::element& from, const char* name, std::string& out) {
  std::string_view text;
  if (from[name].get(text) != simdjson::SUCCESS || text.size() > SSN_PEER_NAME_MAX) {
    return false;
  }
  out = text;
  return true;
}

bool parse(dom::parser& parser, std::string_view body, dom::element& root) {
  return !body.empty() &&  // the library would copy from a null pointer
         parser.allocate(body.size() + simdjson::SIMDJSON_PADDING, depth_max) == simdjson::SUCCESS &&
         parser.parse(body.data(), body.size(), true).get(root) == simdjson::SUCCESS && root.is_object();
}

}  // namespace

std::string write_run(const RunMessage& message) {
  cli::JsonWriter json;
  json.begin_object().member("link", message.link).member("nonce", to_text(message.nonce)).end_object();
  return json.text();
}

std::string write_keys(const std::string& link, const Run& run, const std::vector<Announcement>& keys) {
  cli::JsonWriter json;
  json.begin_object()
      .member("link", link)
      .member("first", to_text(run[0]))
      .member("second", to_text(run[1]))
      .key("keys")
      .begin_array();
  for (const Announcement& key : keys) {
    json.begin_object()
        .member("id", to_text(key.id))
        .member("bits", key.bits)
        .member("master", key.master)
        .member("slave", key.slave)
        .end_object();
  }
  json.end_array().end_object();
  return json.text();
}

std::optional<RunMessage> parse_run(std::string_view body) {
  dom::parser parser;
  dom::element root;
  RunMessage message;
  if (!parse(parser, body, root) || !read_text(root, "link", message.link) ||
      !read_nonce(root, "nonce", message.nonce)) {
    return std::nullopt;
  }
  return message;
}

std::optional<KeysMessage> parse_keys(std::string_view body, std::size_t most) {
  dom::parser parser;
  dom::element root;
  dom::array array;
  KeysMessage message;
  if (!parse(parser, body, root) || !read_text(root, "link", message.link) ||
      !read_nonce(root, "first", message.run[0]) || !read_nonce(root, "second", message.run[1]) ||
      root["keys"].get(array) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  for (const dom::element element : array) {
    Announcement key;
    if (message.keys.size() == most || !element.is_object() || !read_nonce(element, "id", key.id) ||
        element["bits"].get(key.bits) != simdjson::SUCCESS || !read_text(element, "master", key.master) ||
        !read_text(element, "slave", key.slave)) {
      return std::nullopt;
    }
    message.keys.push_back(std::move(key));
  }
  return message.keys.empty() ? std::nullopt : std::optional(std::move(message));
}

}  // namespace ssn::kme
