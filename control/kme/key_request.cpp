// SPDX-License-Identifier: BSD-3-Clause
// Reads request bodies. The only file here that includes the JSON library.
#include "key_request.h"

#include <simdjson.h>

#include <set>

namespace ssn::kme {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t depth_max = 32;
constexpr std::size_t extensions_max = 64;
constexpr std::size_t sae_ids_max = 1024;

ApiError bad_format(std::string why) { return {400, "bad request format", {{"body", std::move(why)}}}; }

// The members of the object that a body must be. The parser owns the memory.
Parsed<dom::object> parse_object(dom::parser& parser, std::string_view body) {
  if (parser.allocate(body.size() + simdjson::SIMDJSON_PADDING, depth_max) != simdjson::SUCCESS) {
    return ApiError{503, "the KME is out of memory", {}};
  }
  if (body.empty()) {  // the library would copy from a null pointer
    return bad_format("it is no JSON: it is empty");
  }
  dom::element root;
  if (const simdjson::error_code error = parser.parse(body.data(), body.size(), true).get(root)) {
    return bad_format(std::string("it is no JSON: ") + simdjson::error_message(error));
  }
  dom::object object;
  if (root.get(object) != simdjson::SUCCESS) {
    return bad_format("it is no JSON object");
  }
  std::set<std::string_view> names;
  for (const dom::key_value_pair member : object) {
    if (!names.insert(member.key).second) {
      return bad_format("a member is given twice: " + std::string(member.key));
    }
  }
  return object;
}

std::optional<ApiError> read_number(const dom::key_value_pair& member, std::optional<std::uint64_t>& out) {
  std::uint64_t number = 0;
  if (member.value.get(number) != simdjson::SUCCESS) {
    return bad_format(std::string(member.key) + " is no non-negative integer");
  }
  out = number;
  return std::nullopt;
}

std::optional<ApiError> read_sae_ids(const dom::element& value, std::vector<std::string>& out) {
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) {
    return bad_format("additional_slave_SAE_IDs is no array");
  }
  for (const dom::element element : array) {
    std::string_view text;
    if (element.get(text) != simdjson::SUCCESS || out.size() == sae_ids_max) {
      return bad_format("additional_slave_SAE_IDs is no array of strings, or a very long one");
    }
    out.emplace_back(text);
  }
  return std::nullopt;
}

std::optional<ApiError> read_extensions(const dom::key_value_pair& member, std::vector<Extension>& out) {
  dom::array array;
  if (member.value.get(array) != simdjson::SUCCESS) {
    return bad_format(std::string(member.key) + " is no array");
  }
  for (const dom::element element : array) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS) {
      return bad_format(std::string(member.key) + " is no array of objects");
    }
    for (const dom::key_value_pair extension : object) {
      if (out.size() == extensions_max) {
        return bad_format(std::string(member.key) + " is too long");
      }
      std::uint64_t number = 0;
      const bool numeric = extension.value.get(number) == simdjson::SUCCESS;
      out.push_back({std::string(extension.key), numeric ? std::optional(number) : std::nullopt});
    }
  }
  return std::nullopt;
}

std::optional<ApiError> read_member(const dom::key_value_pair& member, KeyRequest& request) {
  if (member.value.is_null()) {
    return std::nullopt;  // as good as not there
  }
  if (member.key == "number") return read_number(member, request.number);
  if (member.key == "size") return read_number(member, request.size);
  if (member.key == "additional_slave_SAE_IDs") {
    return read_sae_ids(member.value, request.additional_slave_sae_ids);
  }
  if (member.key == "extension_mandatory") return read_extensions(member, request.extension_mandatory);
  if (member.key == "extension_optional") return read_extensions(member, request.extension_optional);
  return std::nullopt;  // of a later version of the standard: must not be understood
}

// One element of key_IDs.
std::optional<ApiError> read_key_id(const dom::element& element, std::vector<KeyId>& out) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) {
    return bad_format("key_IDs is no array of objects");
  }
  bool found = false;
  for (const dom::key_value_pair member : object) {
    dom::object extension;
    if (member.key == "key_ID_extension" && !member.value.is_null() &&
        member.value.get(extension) != simdjson::SUCCESS) {
      return bad_format("key_ID_extension is no object");
    }
    if (member.key != "key_ID") {
      continue;
    }
    std::string_view text;
    if (found || member.value.get(text) != simdjson::SUCCESS) {
      return bad_format("key_ID is no string, or given twice");
    }
    found = true;
    const std::optional<KeyId> id = parse_key_id(text);
    if (!id) {
      return keys_not_found();
    }
    out.push_back(*id);
  }
  return found ? std::nullopt : std::optional(bad_format("key_ID is missing"));
}

}  // namespace

Parsed<KeyRequest> parse_key_request(std::string_view body) {
  KeyRequest request;
  if (body.empty()) {
    return request;
  }
  dom::parser parser;
  Parsed<dom::object> object = parse_object(parser, body);
  if (ApiError* const error = std::get_if<ApiError>(&object)) {
    return std::move(*error);
  }
  for (const dom::key_value_pair member : std::get<dom::object>(object)) {
    if (std::optional<ApiError> error = read_member(member, request)) {
      return std::move(*error);
    }
  }
  return request;
}

Parsed<std::vector<KeyId>> parse_key_ids(std::string_view body, std::uint64_t most) {
  dom::parser parser;
  Parsed<dom::object> object = parse_object(parser, body);
  if (ApiError* const error = std::get_if<ApiError>(&object)) {
    return std::move(*error);
  }
  dom::array array;
  dom::element extension;
  const dom::object& members = std::get<dom::object>(object);
  if (members["key_IDs"].get(array) != simdjson::SUCCESS) {
    return bad_format("key_IDs is missing, or no array");
  }
  if (members["key_IDs_extension"].get(extension) == simdjson::SUCCESS && !extension.is_null() &&
      !extension.is_object()) {
    return bad_format("key_IDs_extension is no object");
  }
  std::vector<KeyId> ids;
  for (const dom::element element : array) {
    if (ids.size() == most) {
      return ApiError{400, "more keys than max_key_per_request", {}};
    }
    if (std::optional<ApiError> error = read_key_id(element, ids)) {
      return std::move(*error);
    }
  }
  if (ids.empty()) {
    return bad_format("key_IDs is empty");
  }
  return ids;
}

}  // namespace ssn::kme
