// SPDX-License-Identifier: BSD-3-Clause
#include "credentials.h"

#include <fmt/core.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "call_error.h"
#include "caller.h"

namespace ssn::pki {
namespace {

// Wants a pre-shared key, which nobody here has: so it is never agreed on, whatever the certificates.
constexpr const char* const unusable_cipher = "PSK-AES256-GCM-SHA384";

constexpr int keepalive_ms = 10'000;
constexpr int keepalive_timeout_ms = 5'000;
constexpr int metadata_max = 16 << 10;
constexpr int handshake_ms = 5'000;
// Who was away for a moment is asked again at once, who was away for an hour soon after that: gRPC's own
// choice is one second at first, and two minutes later on. An attempt that nobody answers is given up for a
// new one.
constexpr int first_reconnect_ms = 100;
constexpr int last_reconnect_ms = 2'000;
constexpr int connect_ms = 5'000;

grpc::SslCredentialsOptions options_of(const Identity& identity) {
  return {identity.ca, identity.key, identity.certificate};
}

// No proxies, no look-ups of service configurations, no connection shared with others.
grpc::ChannelArguments arguments(int longest_answer) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_timeout_ms);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, first_reconnect_ms);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, last_reconnect_ms);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connect_ms);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, metadata_max);
  arguments.SetMaxReceiveMessageSize(longest_answer);
  return arguments;
}

// Set before there are other threads.
const char* program_name = "";

void drop_log(gpr_log_func_args*) {}

void limit_log(gpr_log_func_args* message) {
  static std::atomic<std::int64_t> next_ns{0};
  static std::atomic<std::uint64_t> left_out{0};
  const std::int64_t now =
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  std::int64_t next = next_ns.load();
  if (message->severity < GPR_LOG_SEVERITY_ERROR || now < next ||
      !next_ns.compare_exchange_strong(next, now + 1'000'000'000)) {
    left_out += message->severity < GPR_LOG_SEVERITY_ERROR ? 0 : 1;
    return;
  }
  const std::uint64_t others = left_out.exchange(0);
  const std::string more = others == 0 ? "" : fmt::format(" ({} others since the last one)", others);
  fmt::print(stderr, "{}: {}{}\n", program_name, clean_text(message->message, 400), more);
}

}  // namespace

void prepare_grpc(GrpcLog log, const char* program) {
  program_name = program;
  ::setenv("GRPC_SSL_CIPHER_SUITES", unusable_cipher, 1);
  gpr_set_log_function(log == GrpcLog::silent ? drop_log : limit_log);
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(const Identity& identity) {
  grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = identity.ca;
  options.pem_key_cert_pairs.push_back({identity.key, identity.certificate});
  return grpc::SslServerCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> local_credentials() {
  return grpc::experimental::LocalServerCredentials(UDS);
}

std::string target_of(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return "";
  }
  const std::string host = address.substr(0, colon);
  unsigned port = 0;
  const char* const end = address.data() + address.size();
  const auto [last, problem] = std::from_chars(address.data() + colon + 1, end, port);
  if (problem != std::errc() || last != end || port > 65535) {
    return "";
  }
  const auto all_of = [&](const std::string& text, const char* allowed) {
    return text.find_first_not_of(allowed) == std::string::npos;
  };
  if (host.front() == '[') {
    const bool good = host.size() > 2 && host.back() == ']' &&
                      all_of(host.substr(1, host.size() - 2), "0123456789abcdefABCDEF:.");
    return good ? fmt::format("ipv6:%5B{}%5D:{}", host.substr(1, host.size() - 2), port) : "";
  }
  if (all_of(host, "0123456789.")) {
    return fmt::format("ipv4:{}:{}", host, port);
  }
  const bool name = std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
  return name ? fmt::format("dns:///{}:{}", host, port) : "";
}

std::shared_ptr<grpc::Channel> connect_to(const Identity& identity, const std::string& address,
                                          const std::string& name, int longest_answer) {
  grpc::ChannelArguments with = arguments(longest_answer);
  with.SetSslTargetNameOverride(name);
  return grpc::CreateCustomChannel(target_of(address), grpc::SslCredentials(options_of(identity)), with);
}

std::shared_ptr<grpc::Channel> connect_to_socket(const std::string& path) {
  grpc::ChannelArguments with = arguments(answer_max);
  with.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  return grpc::CreateCustomChannel("unix:" + path, grpc::experimental::LocalCredentials(UDS), with);
}

Caller caller_of(const grpc::AuthContext& context) {
  const auto first = [&](const char* property) {
    const std::vector<grpc::string_ref> values = context.FindPropertyValues(property);
    return values.size() == 1 ? std::string(values[0].data(), values[0].size()) : std::string();
  };
  const std::string transport = first(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  if (transport == "local") {
    return {Caller::Kind::local, "", {}};
  }
  if (transport == GRPC_SSL_TRANSPORT_SECURITY_TYPE && context.IsPeerAuthenticated()) {
    Holder holder = holder_of(first(GRPC_X509_PEM_CERT_PROPERTY_NAME));
    return {Caller::Kind::certified, std::move(holder.name), holder.roles};
  }
  return {};
}

void set_limits(grpc::ServerBuilder& builder, const ServerLimits& limits) {
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  grpc::ResourceQuota quota(limits.name);
  quota.SetMaxThreads(limits.threads);
  quota.Resize(limits.memory);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(limits.request);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.streams_per_connection);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, metadata_max);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, handshake_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_timeout_ms);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, keepalive_timeout_ms);
}

}  // namespace ssn::pki
