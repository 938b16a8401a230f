// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <charconv>
#include <utility>

#include "key_request.h"

namespace ssn::kme {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;
constexpr std::size_t parameters_max = 16;

ApiError bad_query(std::string why) { return {400, "bad request format", {{"query", std::move(why)}}}; }

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

Parsed<Parameters> split_query(std::string_view query) {
  Parameters parameters;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos || parameters.size() == parameters_max) {
      return bad_query("it is no list of NAME=VALUE");
    }
    std::optional<std::string> name = percent_decode(part.substr(0, equals));
    std::optional<std::string> value = percent_decode(part.substr(equals + 1));
    if (!name || !value) {
      return bad_query("a % is not followed by two hexadecimal digits");
    }
    parameters.emplace_back(std::move(*name), std::move(*value));
  }
  return parameters;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0 || (high == 0 && low == 0)) {
      return std::nullopt;
    }
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return out;
}

ApiError keys_not_found() { return {400, "one or more keys specified are not found on KME", {}}; }

Parsed<KeyRequest> parse_key_query(std::string_view query) {
  Parsed<Parameters> parameters = split_query(query);
  if (ApiError* const error = std::get_if<ApiError>(&parameters)) {
    return std::move(*error);
  }
  KeyRequest request;
  for (const auto& [name, value] : std::get<Parameters>(parameters)) {
    std::optional<std::uint64_t>* const target =
        name == "number" ? &request.number : (name == "size" ? &request.size : nullptr);
    if (target == nullptr) {
      return bad_query("only number and size may be given with GET; use POST for the rest");
    }
    if (*target) {
      return bad_query(name + " is given twice");
    }
    *target = parse_number(value);
    if (!*target) {
      return bad_query(name + " is no number");
    }
  }
  return request;
}

Parsed<std::vector<KeyId>> parse_key_id_query(std::string_view query) {
  Parsed<Parameters> parameters = split_query(query);
  if (ApiError* const error = std::get_if<ApiError>(&parameters)) {
    return std::move(*error);
  }
  const Parameters& given = std::get<Parameters>(parameters);
  if (given.size() != 1 || given.front().first != "key_ID") {
    return bad_query("GET wants key_ID once and nothing else; use POST for several keys");
  }
  const std::optional<KeyId> id = parse_key_id(given.front().second);
  if (!id) {
    return keys_not_found();
  }
  return std::vector<KeyId>{*id};
}

}  // namespace ssn::kme
