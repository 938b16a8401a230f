// SPDX-License-Identifier: BSD-3-Clause
// What an SAE asks for, read from JSON or from a query (ETSI GS QKD 014, clauses 6.2 and 6.4). Untrusted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "network.h"

namespace ssn::kme {

/// One member of an object in extension_mandatory or extension_optional.
struct Extension {
  std::string name;
  std::optional<std::uint64_t> number;  ///< where its value is one
};

struct KeyRequest {
  std::optional<std::uint64_t> number;
  std::optional<std::uint64_t> size;
  std::vector<std::string> additional_slave_sae_ids;
  std::vector<Extension> extension_mandatory;
  std::vector<Extension> extension_optional;
};

template <typename T>
using Parsed = std::variant<T, ApiError>;

/// An empty body asks for the default.
Parsed<KeyRequest> parse_key_request(std::string_view body);
/// At least one and at most `most` IDs. What is no UUID cannot be a key of ours: "not found".
Parsed<std::vector<KeyId>> parse_key_ids(std::string_view body, std::uint64_t most);

/// "number=3&size=1024", nothing else.
Parsed<KeyRequest> parse_key_query(std::string_view query);
/// "key_ID=..." once, nothing else.
Parsed<std::vector<KeyId>> parse_key_id_query(std::string_view query);

/// RFC 3986, 2.1. Null when a % is not followed by two hexadecimal digits, or for a zero byte.
std::optional<std::string> percent_decode(std::string_view text);

ApiError keys_not_found();

}  // namespace ssn::kme
