// SPDX-License-Identifier: BSD-3-Clause
#include <cassert>

#include "json.h"

namespace ssn::hw::etsi014 {

std::string key_request_json(std::uint64_t number, std::uint64_t size, std::string_view extension_mandatory,
                             std::string_view extension_optional) {
  std::string text = "{\"number\":" + std::to_string(number);
  if (size != 0) {
    text += ",\"size\":" + std::to_string(size);
  }
  for (const auto& [name, value] : {std::pair{"extension_mandatory", extension_mandatory},
                                    std::pair{"extension_optional", extension_optional}}) {
    if (!value.empty()) {
      text.append(",\"").append(name).append("\":").append(value);
    }
  }
  return text + "}";
}

std::string key_ids_json(const std::vector<KeyId>& ids) {
  std::string text = "{\"key_IDs\":[";
  for (const KeyId& id : ids) {
    assert(acceptable(id));
    if (&id != &ids.front()) {
      text += ',';
    }
    const char* const quote = id.number ? "" : "\"";
    text.append("{\"key_ID\":").append(quote).append(id.text).append(quote).append("}");
  }
  return text + "]}";
}

std::string percent_encoded(std::string_view text) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                            c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', digits[byte >> 4], digits[byte & 15U]};
    }
  }
  return out;
}

}  // namespace ssn::hw::etsi014
