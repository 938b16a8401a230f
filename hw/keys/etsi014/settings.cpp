// SPDX-License-Identifier: BSD-3-Clause
#include "settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "driver_support.h"
#include "http.h"
#include "json.h"

namespace ssn::hw::etsi014 {
namespace {

constexpr std::size_t max_extension = 4096;

Error setting_error(std::string_view name, std::string why, std::string fix) {
  return {Exit::usage, "cannot open the key device etsi014", std::move(why), "setting " + std::string(name),
          std::move(fix)};
}

struct TextSetting {
  const char* name;
  std::string Settings::* member;
  const char* example;  // null: may be left out
};
constexpr TextSetting text_settings[] = {
    {"kme_id", &Settings::kme_id, "kme-a"},
    {"ca", &Settings::ca, "kme-ca.pem"},
    {"certificate", &Settings::certificate, "sae-a.pem"},
    {"private_key", &Settings::private_key, "sae-a.key"},
    {"extension_mandatory", &Settings::extension_mandatory, nullptr},
    {"extension_optional", &Settings::extension_optional, nullptr},
};

struct SizeSetting {
  const char* name;
  std::size_t Settings::* member;
  std::uint64_t least, most;
};
constexpr SizeSetting size_settings[] = {
    {"request_bytes", &Settings::request_bytes, 1024, max_key_bytes},
    {"keys_per_request", &Settings::keys_per_request, 1, max_keys_per_batch},
    {"stock_bytes", &Settings::stock_bytes, 1024, std::uint64_t{1} << 40},
    {"connections", &Settings::connections, 1, 8},
    {"batches", &Settings::batches, 1, 8},
};

struct TimeSetting {
  const char* name;
  Time Settings::* member;
  std::uint64_t least, most;
};
constexpr TimeSetting time_settings[] = {
    {"connect_timeout_ms", &Settings::connect_timeout, 10, 600000},
    {"request_timeout_ms", &Settings::request_timeout, 10, 600000},
    {"retry_least_ms", &Settings::retry_least, 1, 600000},
    {"retry_most_ms", &Settings::retry_most, 1, 3600000},
    {"key_wait_ms", &Settings::key_wait, 0, 600000},
    {"status_interval_ms", &Settings::status_interval, 10, 3600000},
    {"peer_timeout_ms", &Settings::peer_timeout, 10, 3600000},
};

// https://HOST[:PORT][/PATH], an IPv6 address in brackets.
Outcome read_url(std::string_view url, Settings& settings) {
  const Error error = setting_error("url", fmt::format("'{}' is not https://HOST[:PORT][/PATH]", url),
                                    "give the URL of the key manager; ETSI GS QKD 014 knows HTTPS only");
  constexpr std::string_view scheme = "https://";
  if (url.substr(0, scheme.size()) != scheme || std::any_of(url.begin(), url.end(), [](char c) {
        return c <= ' ' || c > '~' || c == '?' || c == '#';
      })) {
    return error;
  }
  url.remove_prefix(scheme.size());
  const std::size_t slash = std::min(url.find('/'), url.size());
  settings.path = url.substr(slash);
  while (!settings.path.empty() && settings.path.back() == '/') {
    settings.path.pop_back();
  }
  std::string_view authority = url.substr(0, slash);
  const bool bracket = !authority.empty() && authority.front() == '[';
  const std::size_t host_end =
      bracket ? authority.find(']') : std::min(authority.find(':'), authority.size());
  if (host_end == std::string_view::npos || authority.find('@') != std::string_view::npos) {
    return error;
  }
  settings.host = bracket ? authority.substr(1, host_end - 1) : authority.substr(0, host_end);
  std::string_view rest = authority.substr(bracket ? host_end + 1 : host_end);
  settings.port = "443";
  if (!rest.empty()) {
    unsigned port = 0;
    const char* const end = rest.data() + rest.size();
    const auto [stop, wrong] = std::from_chars(rest.data() + 1, end, port);
    if (rest.front() != ':' || wrong != std::errc() || stop != end || port == 0 || port > 65535) {
      return error;
    }
    settings.port = std::to_string(port);
  }
  if (settings.host.empty()) {
    return error;
  }
  return done;
}

Outcome read_texts(const DriverSettings& given, Settings& settings) {
  for (const TextSetting& known : text_settings) {
    if (known.example != nullptr) {
      Result<std::string> value = given.require(known.name, known.example);
      if (!value.ok()) {
        return std::move(value.error());
      }
      settings.*known.member = std::move(value.value());
    } else if (const std::optional<std::string_view> value = given.find(known.name)) {
      settings.*known.member = *value;
      JsonReader json;
      if (value->size() > max_extension || !json.is_array_of_objects(*value)) {
        return setting_error(known.name, "it is not a JSON array of objects of at most 4096 characters",
                             "write it as ETSI GS QKD 014 wants it, such as [{\"vendor_option\": 1}]");
      }
    }
  }
  settings.crl = given.find("crl").value_or("");
  const std::string_view tls = given.find("tls_min").value_or("1.2");
  if (tls != "1.2" && tls != "1.3") {
    return setting_error("tls_min", fmt::format("'{}' is no TLS version that is permitted", tls),
                         "give 1.2 or 1.3");
  }
  settings.tls_1_3_only = tls == "1.3";
  return done;
}

Outcome read_numbers(const DriverSettings& given, Settings& settings) {
  for (const SizeSetting& known : size_settings) {
    Result<std::uint64_t> value = given.number(known.name, settings.*known.member, known.least, known.most);
    if (!value.ok()) {
      return std::move(value.error());
    }
    settings.*known.member = static_cast<std::size_t>(value.value());
  }
  for (const TimeSetting& known : time_settings) {
    Result<std::uint64_t> value =
        given.number(known.name, static_cast<std::uint64_t>(settings.*known.member), known.least, known.most);
    if (!value.ok()) {
      return std::move(value.error());
    }
    settings.*known.member = static_cast<Time>(value.value());
  }
  if (settings.retry_most < settings.retry_least) {
    return setting_error("retry_most_ms", "it is less than retry_least_ms", "raise it");
  }
  return done;
}

}  // namespace

std::string Settings::authority() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  std::string text;
  if (ipv6) {
    text += '[';
  }
  text += host;
  text.append(ipv6 ? "]:" : ":").append(port);
  return text;
}

std::size_t Settings::body_bytes() const {
  constexpr std::size_t json_per_key = 320;  // ID, names of members, some extension
  return ResponseReader::max_head + request_bytes / 3 * 4 + keys_per_request * json_per_key + 8192 +
         body_slack;
}

Result<Settings> read_settings(const ssn_key_device_config& config) {
  Result<DriverSettings> given = DriverSettings::read(config, {"url",
                                                               "kme_id",
                                                               "ca",
                                                               "certificate",
                                                               "private_key",
                                                               "crl",
                                                               "tls_min",
                                                               "request_bytes",
                                                               "keys_per_request",
                                                               "stock_bytes",
                                                               "connections",
                                                               "batches",
                                                               "connect_timeout_ms",
                                                               "request_timeout_ms",
                                                               "retry_least_ms",
                                                               "retry_most_ms",
                                                               "key_wait_ms",
                                                               "status_interval_ms",
                                                               "peer_timeout_ms",
                                                               "extension_mandatory",
                                                               "extension_optional"});
  if (!given.ok()) {
    return std::move(given.error());
  }
  Settings settings;
  settings.local_name = config.local_name == nullptr ? "" : config.local_name;
  if (settings.local_name.empty() || settings.local_name.size() > SSN_PEER_NAME_MAX) {
    return Error{Exit::usage, "cannot open the key device etsi014",
                 "the SAE ID of this node must have 1 to 255 characters", "local_name",
                 "give this node a SAE ID"};
  }
  const Result<std::string> url = given.value().require("url", "https://kme-a.example:8443");
  if (!url.ok()) {
    return url.error();
  }
  std::array outcomes{read_url(url.value(), settings), read_texts(given.value(), settings),
                      read_numbers(given.value(), settings)};
  for (Outcome& outcome : outcomes) {
    if (!outcome.ok()) {
      return std::move(outcome.error());
    }
  }
  return settings;
}

}  // namespace ssn::hw::etsi014
