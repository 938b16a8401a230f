// SPDX-License-Identifier: BSD-3-Clause
#include "key_delivery.h"

#include <fmt/core.h>

#include <algorithm>

#include "json.h"

namespace ssn::kme {
namespace {

using cli::JsonWriter;

constexpr std::string_view prefix = "/api/v1/keys/";

struct Target {
  std::string sae;
  std::string_view method;
  std::string_view query;
};

// /api/v1/keys/{SAE_ID}/METHOD?QUERY, also with https://HOST in front of it (RFC 7230, 5.3.2).
std::optional<Target> parse_target(std::string_view target) {
  if (const std::size_t scheme = target.find("://"); scheme != std::string_view::npos && target[0] != '/') {
    const std::size_t path = target.find('/', scheme + 3);
    target = path == std::string_view::npos ? std::string_view() : target.substr(path);
  }
  const std::size_t question = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, question);
  if (path.substr(0, prefix.size()) != prefix) {
    return std::nullopt;
  }
  const std::string_view rest = path.substr(prefix.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos || slash == 0) {
    return std::nullopt;
  }
  std::optional<std::string> sae = percent_decode(rest.substr(0, slash));
  if (!sae) {
    return std::nullopt;
  }
  return Target{std::move(*sae), rest.substr(slash + 1),
                question == target.size() ? std::string_view() : target.substr(question + 1)};
}

bool is_json(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && type.back() == ' ') {
    type.pop_back();
  }
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return type == "application/json";
}

// A body must say that it is JSON; GET must have none.
std::optional<ApiError> check_body(const HttpRequest& request) {
  if (request.body.empty()) {
    return std::nullopt;
  }
  if (request.method == "GET") {
    return ApiError{400, "bad request format", {{"body", "GET has none; use POST"}}};
  }
  if (!is_json(request.content_type)) {
    return ApiError{400, "bad request format", {{"Content-Type", "it shall be application/json"}}};
  }
  return std::nullopt;
}

HttpResponse method_not_allowed(const char* allowed) {
  HttpResponse response = error_response({405, fmt::format("only {} is defined here", allowed), {}});
  response.allow = allowed;
  return response;
}

HttpResponse with_keys(Network::KeyAnswer& answer, std::string extension) {
  if (const ApiError* const error = std::get_if<ApiError>(&answer)) {
    return error_response(*error);
  }
  HttpResponse response;
  response.keys =
      std::make_shared<const KeyContainer>(std::move(std::get<KeyBatch>(answer)), std::move(extension));
  return response;
}

ApiError extension_error(const char* message, const char* kind, const Extension& extension, const char* why) {
  return {400, message, {{kind, fmt::format("{} {}", extension.name, why)}}};
}

bool understood(const Extension& extension) {
  return extension.name == KeyDelivery::max_hops_extension && extension.number.has_value();
}

}  // namespace

HttpResponse error_response(const ApiError& error) {
  HttpResponse response;
  response.status = error.status;
  if (error.status == 401) {
    return response;
  }
  JsonWriter json;
  json.begin_object().member("message", error.message);
  if (!error.details.empty()) {
    json.key("details").begin_array();
    for (const auto& [name, value] : error.details) {
      json.begin_object().member(name, value).end_object();
    }
    json.end_array();
  }
  json.end_object();
  response.body = json.text();
  return response;
}

void KeyDelivery::count(Method method, int status) noexcept {
  const auto known = std::find(status_codes.begin(), status_codes.end(), status);
  const std::size_t code =
      known == status_codes.end() ? 1 : static_cast<std::size_t>(known - status_codes.begin());
  answers_[static_cast<std::size_t>(method)][code].fetch_add(1, std::memory_order_relaxed);
}

HttpResponse KeyDelivery::handle(const HttpRequest& request) {
  Method method = Method::other;
  HttpResponse response = dispatch(request, method);
  count(method, response.status);
  return response;
}

HttpResponse KeyDelivery::dispatch(const HttpRequest& request, Method& method) {
  const std::optional<Target> target = parse_target(request.target);
  if (target) {
    const auto named = std::find_if(method_names.begin(), method_names.begin() + 3,
                                    [&](const char* name) { return target->method == name; });
    method = static_cast<Method>(named - method_names.begin());
  }
  if (!network_.knows(site_, request.caller)) {
    return error_response({401, "", {}});
  }
  if (method == Method::other) {
    return error_response({404, "there is no such resource", {}});
  }
  const bool get = request.method == "GET";
  if (!get && (request.method != "POST" || method == Method::status)) {
    return method_not_allowed(method == Method::status ? "GET" : "GET, POST");
  }
  if (const std::optional<ApiError> wrong = check_body(request)) {
    return error_response(*wrong);
  }
  switch (method) {
    case Method::status:
      return status(request, target->sae);
    case Method::enc_keys:
      return enc_keys(request, target->sae, target->query);
    case Method::dec_keys:
    case Method::other:
      break;
  }
  return dec_keys(request, target->sae, target->query);
}

HttpResponse KeyDelivery::status(const HttpRequest& request, const std::string& slave) {
  const std::variant<KeyStatus, ApiError> answer = network_.status(site_, slave);
  if (const ApiError* const error = std::get_if<ApiError>(&answer)) {
    return error_response(*error);
  }
  const KeyStatus& known = std::get<KeyStatus>(answer);
  const Limits& limits = network_.configuration().limits;
  JsonWriter json;
  json.begin_object()
      .member("source_KME_ID", known.source_kme)
      .member("target_KME_ID", known.target_kme)
      .member("master_SAE_ID", request.caller)
      .member("slave_SAE_ID", slave)
      .member("key_size", limits.key_size)
      .member("stored_key_count", known.stored_key_count)
      .member("max_key_count", limits.max_key_count)
      .member("max_key_per_request", limits.max_key_per_request)
      .member("max_key_size", limits.max_key_size)
      .member("min_key_size", limits.min_key_size)
      .member("max_SAE_ID_count", std::uint64_t{0});
  json.key("status_extension")
      .begin_object()
      .member("shareline_emulator", true)
      .member("shareline_name", "Shareline QKD key manager EMULATOR")
      .member("shareline_protection", "emulated: no protection is claimed")
      .member("shareline_hops", known.hops)
      .member("shareline_link_up", known.link_up)
      .member("shareline_stock_bits", known.stock_bits)
      .member("shareline_bits_per_second", known.bits_per_second)
      .end_object()
      .end_object();
  HttpResponse response;
  response.body = json.text();
  return response;
}

std::optional<ApiError> KeyDelivery::check(const KeyRequest& request, std::uint64_t hops) const {
  const Limits& limits = network_.configuration().limits;
  const std::uint64_t number = request.number.value_or(1);
  const std::uint64_t size = request.size.value_or(limits.key_size);
  if (number < 1 || number > limits.max_key_per_request) {
    return ApiError{400, fmt::format("number shall be from 1 to {}", limits.max_key_per_request), {}};
  }
  if (size % 8 != 0) {
    return ApiError{400, "size shall be a multiple of 8", {}};
  }
  if (size < limits.min_key_size || size > limits.max_key_size) {
    return ApiError{
        400, fmt::format("size shall be from {} to {}", limits.min_key_size, limits.max_key_size), {}};
  }
  if (!request.additional_slave_sae_ids.empty()) {
    return ApiError{400, "additional_slave_SAE_IDs are not supported: max_SAE_ID_count is 0", {}};
  }
  for (const Extension& extension : request.extension_mandatory) {
    if (!understood(extension)) {
      return extension_error("not all extension_mandatory parameters are supported",
                             "extension_mandatory_unsupported", extension, "is not supported");
    }
    if (*extension.number < hops) {
      return extension_error("not all extension_mandatory request options could be met",
                             "extension_mandatory_unmet", extension,
                             fmt::format("is less than {}", hops).c_str());
    }
  }
  // Options that we do not know we may ignore; one that we do know and cannot meet is reported.
  for (const Extension& extension : request.extension_optional) {
    if (understood(extension) && *extension.number < hops) {
      return extension_error("not all extension_optional request options handled",
                             "extension_optional_unhandled", extension,
                             fmt::format("is less than {}", hops).c_str());
    }
  }
  return std::nullopt;
}

HttpResponse KeyDelivery::enc_keys(const HttpRequest& request, const std::string& slave,
                                   std::string_view query) {
  Parsed<KeyRequest> parsed =
      request.method == "GET" ? parse_key_query(query) : parse_key_request(request.body);
  if (const ApiError* const error = std::get_if<ApiError>(&parsed)) {
    return error_response(*error);
  }
  const KeyRequest& wanted = std::get<KeyRequest>(parsed);
  const std::uint64_t hops = network_.hops(site_, slave);
  if (const std::optional<ApiError> wrong = check(wanted, hops)) {
    return error_response(*wrong);
  }
  Network::KeyAnswer answer =
      network_.enc_keys(site_, request.caller, slave, wanted.number.value_or(1),
                        wanted.size.value_or(network_.configuration().limits.key_size));
  const auto ours = [](const Extension& extension) { return understood(extension); };
  const bool asked =
      std::any_of(wanted.extension_mandatory.begin(), wanted.extension_mandatory.end(), ours) ||
      std::any_of(wanted.extension_optional.begin(), wanted.extension_optional.end(), ours);
  return with_keys(answer, asked ? fmt::format("{{\"shareline_hops\":{}}}", hops) : "");
}

HttpResponse KeyDelivery::dec_keys(const HttpRequest& request, const std::string& master,
                                   std::string_view query) {
  Parsed<std::vector<KeyId>> parsed =
      request.method == "GET"
          ? parse_key_id_query(query)
          : parse_key_ids(request.body, network_.configuration().limits.max_key_per_request);
  if (const ApiError* const error = std::get_if<ApiError>(&parsed)) {
    return error_response(*error);
  }
  Network::KeyAnswer answer =
      network_.dec_keys(site_, request.caller, master, std::get<std::vector<KeyId>>(parsed));
  return with_keys(answer, "");
}

}  // namespace ssn::kme
