// SPDX-License-Identifier: BSD-3-Clause
#include "decision.h"

#include <fmt/core.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "json.h"

namespace ssn::audit {
namespace {

constexpr std::string_view beginning = "{\"number\":";

std::string text(std::string_view of) { return cli::json_string(of.substr(0, text_max)); }

std::string read_text(const simdjson::dom::element& object, const char* key) {
  std::string_view value;
  return object[key].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

std::uint64_t read_number(const simdjson::dom::element& object, const char* key) {
  std::uint64_t value = 0;
  return object[key].get(value) == simdjson::SUCCESS ? value : 0;
}

}  // namespace

std::string line_of(const Decision& decision) {
  std::string roles;
  for (const std::string& role : decision.roles) {
    roles += fmt::format("{}{}", roles.empty() ? "" : ",", text(role));
  }
  std::string about;
  for (std::size_t i = 0; i < std::min(decision.about.size(), fields_max); ++i) {
    about += fmt::format("{}{}:{}", i == 0 ? "" : ",", text(decision.about[i].first),
                         text(decision.about[i].second));
  }
  return fmt::format(
      "{}{},\"time_ms\":{},\"request\":{},\"method\":{},\"caller\":{},\"roles\":[{}],\"fingerprint\":{},"
      "\"address\":{},\"about\":{{{}}},\"decision\":\"{}\",\"result\":{},\"reason\":{},\"times\":{}}}\n",
      beginning, decision.number, decision.time_ms, text(decision.request), text(decision.method),
      text(decision.caller), roles, text(decision.fingerprint), text(decision.address), about,
      decision.allowed ? "allowed" : "refused", text(decision.result), text(decision.reason), decision.times);
}

std::uint64_t number_of(std::string_view line) noexcept {
  std::uint64_t number = 0;
  if (!line.starts_with(beginning)) return 0;
  const char* const end = line.data() + line.size();
  const auto [last, problem] = std::from_chars(line.data() + beginning.size(), end, number);
  return problem == std::errc() && last != end && *last == ',' ? number : 0;
}

Result<Decision> decision_of(std::string_view line) {
  const Error no_record{Exit::integrity, "cannot read the record", "it is no line of an audit log", "",
                        "see who else writes to the file"};
  simdjson::dom::parser parser;
  simdjson::dom::element object;
  if (parser.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS || !object.is_object()) {
    return no_record;
  }
  Decision decision;
  decision.number = read_number(object, "number");
  decision.time_ms = read_number(object, "time_ms");
  decision.request = read_text(object, "request");
  decision.method = read_text(object, "method");
  decision.caller = read_text(object, "caller");
  decision.fingerprint = read_text(object, "fingerprint");
  decision.address = read_text(object, "address");
  decision.result = read_text(object, "result");
  decision.reason = read_text(object, "reason");
  decision.times = read_number(object, "times");
  const std::string word = read_text(object, "decision");
  decision.allowed = word == "allowed";
  simdjson::dom::array roles;
  if (object["roles"].get(roles) == simdjson::SUCCESS) {
    for (const simdjson::dom::element role : roles) {
      std::string_view name;
      if (role.get(name) == simdjson::SUCCESS) decision.roles.emplace_back(name);
    }
  }
  simdjson::dom::object about;
  if (object["about"].get(about) == simdjson::SUCCESS) {
    for (const simdjson::dom::key_value_pair field : about) {
      std::string_view value;
      if (field.value.get(value) == simdjson::SUCCESS) decision.about.emplace_back(field.key, value);
    }
  }
  if (decision.number == 0 || decision.times == 0 || (!decision.allowed && word != "refused")) {
    return no_record;
  }
  return decision;
}

bool passes(const Decision& decision, const DecisionFilter& filter) {
  const auto is_method = [&] {
    return decision.method == filter.method || decision.method.starts_with(filter.method + ".");
  };
  const auto is_about = [&](const auto& field) { return field.second == filter.about; };
  return (filter.caller.empty() || decision.caller == filter.caller) &&
         (filter.method.empty() || is_method()) && (!filter.refused || !decision.allowed) &&
         decision.time_ms >= filter.since_ms &&
         (filter.about.empty() || std::any_of(decision.about.begin(), decision.about.end(), is_about));
}

}  // namespace ssn::audit
