// SPDX-License-Identifier: BSD-3-Clause
#include "credentials.h"

#include <fmt/core.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>

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

std::string first_of(const grpc::AuthContext& context, const char* property) {
  const std::vector<grpc::string_ref> values = context.FindPropertyValues(property);
  return values.size() == 1 ? std::string(values[0].data(), values[0].size()) : std::string();
}

// gRPC's C++ interface for TLS takes certificates once; its C interface asks for them with each handshake,
// and stays with those before where new ones will not do.
class ServerTls final : public grpc::ServerCredentials {
 public:
  explicit ServerTls(std::vector<std::shared_ptr<const LiveIdentity>> lives) : lives_(std::move(lives)) {
    assert(!lives_.empty());
  }

  // Nothing of ours needs one.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    grpc_server_credentials* const credentials = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch, this));
    const int port = grpc_server_add_http2_port(server, address.c_str(), credentials);
    grpc_server_credentials_release(credentials);
    return port;
  }

  // gRPC calls it from one thread at a time.
  static grpc_ssl_certificate_config_reload_status fetch(void* self,
                                                         grpc_ssl_server_certificate_config** config) {
    auto& tls = *static_cast<ServerTls*>(self);
    std::uint64_t generations = 0;  // each only grows
    for (const auto& live : tls.lives_) generations += live->generation();
    if (tls.fetched_ == generations) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    std::string authorities;
    for (const auto& live : tls.lives_) authorities.append(live->identity()->ca).append("\n");
    const std::shared_ptr<const Identity> now = tls.lives_.front()->identity();
    const grpc_ssl_pem_key_cert_pair pair{now->key.c_str(), now->certificate.c_str()};
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    tls.fetched_ = generations;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const std::vector<std::shared_ptr<const LiveIdentity>> lives_;
  std::uint64_t fetched_ = UINT64_MAX;
};

// Judges a server before anything is sent to it.
class ServerJudge final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  ServerJudge(std::shared_ptr<LiveIdentity> live, std::string name)
      : live_(std::move(live)), name_(std::move(name)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>, grpc::Status* status) override {
    const auto text = [](grpc::string_ref of) { return std::string_view(of.data(), of.size()); };
    const Result<Holder> holder = live_->judge(
        text(request->peer_cert()), text(request->peer_cert_full_chain()), Purpose::server, ::time(nullptr));
    const std::string wrong = !holder.ok() ? holder.error().why
                              : holder.value().name != name_
                                  ? fmt::format("the certificate there is not that of {}", name_)
                                  : "";
    *status = wrong.empty() ? grpc::Status::OK
                            : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, server_refused + wrong);
    return true;  // judged at once
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::shared_ptr<LiveIdentity> live_;
  const std::string name_;
};

std::shared_ptr<grpc::ChannelCredentials> client_credentials(const std::shared_ptr<LiveIdentity>& live,
                                                             const std::string& name) {
  using namespace grpc::experimental;
  const std::shared_ptr<const Identity> now = live->identity();
  TlsChannelCredentialsOptions options;
  std::vector<IdentityKeyCertPair> pairs(1);  // no temporary of the key
  pairs[0].private_key = now->key;
  pairs[0].certificate_chain = now->certificate;
  options.set_certificate_provider(std::make_shared<StaticDataCertificateProvider>(now->ca, pairs));
  OPENSSL_cleanse(pairs[0].private_key.data(), pairs[0].private_key.size());
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  options.set_check_call_host(false);  // names are in certificates' common names here, and compared above
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<ServerJudge>(live, name));
  return TlsCredentials(options);
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

std::shared_ptr<grpc::ServerCredentials> server_credentials(std::shared_ptr<const LiveIdentity> live) {
  return std::make_shared<ServerTls>(std::vector{std::move(live)});
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(
    std::vector<std::shared_ptr<const LiveIdentity>> lives) {
  return std::make_shared<ServerTls>(std::move(lives));
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

std::shared_ptr<grpc::Channel> connect_to(const std::shared_ptr<LiveIdentity>& live,
                                          const std::string& address, const std::string& name,
                                          int longest_answer) {
  grpc::ChannelArguments with = arguments(longest_answer);
  with.SetSslTargetNameOverride(name);
  return grpc::CreateCustomChannel(target_of(address), client_credentials(live, name), with);
}

std::shared_ptr<grpc::Channel> connect_to_socket(const std::string& path) {
  grpc::ChannelArguments with = arguments(answer_max);
  with.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  return grpc::CreateCustomChannel("unix:" + path, grpc::experimental::LocalCredentials(UDS), with);
}

std::shared_ptr<grpc::Channel> LiveChannel::get() {
  const std::lock_guard lock(mutex_);
  const std::int64_t now = ::time(nullptr);
  if (now != looked_) {
    looked_ = now;
    live_->refresh(now);
  }
  if (const std::uint64_t generation = live_->generation();
      channel_ == nullptr || generation != generation_) {
    channel_ = connect_to(live_, address_, name_);
    generation_ = generation;
  }
  return channel_;
}

Caller caller_of(const grpc::AuthContext& context, LiveIdentity* live, Purpose peer) {
  const std::string transport = first_of(context, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  if (transport == "local") {
    return {Caller::Kind::local, "", {}, "the local socket shows no certificate"};
  }
  Caller caller;
  caller.why = "the caller's certificate names nobody";
  const bool encrypted =
      transport == GRPC_SSL_TRANSPORT_SECURITY_TYPE || transport == GRPC_TLS_TRANSPORT_SECURITY_TYPE;
  if (!encrypted || !context.IsPeerAuthenticated() || live == nullptr) {
    return caller;
  }
  Result<Holder> holder =
      live->judge(first_of(context, GRPC_X509_PEM_CERT_PROPERTY_NAME),
                  first_of(context, GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME), peer, ::time(nullptr));
  if (!holder.ok()) {
    caller.why = holder.error().why;
  } else if (!holder.value().name.empty()) {
    return {Caller::Kind::certified, std::move(holder.value().name), holder.value().roles, ""};
  }
  return caller;
}

CallerProof::CallerProof(const grpc::AuthContext& context, LiveIdentity* live, Purpose peer)
    : live_(live),
      peer_(peer),
      certificate_(first_of(context, GRPC_X509_PEM_CERT_PROPERTY_NAME)),
      chain_(first_of(context, GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME)),
      caller_(caller_of(context, live, peer)) {}

bool CallerProof::holds() const {
  if (caller_.kind != Caller::Kind::certified) return caller_.kind == Caller::Kind::local;
  const Result<Holder> holder = live_->judge(certificate_, chain_, peer_, ::time(nullptr));
  return holder.ok() && holder.value().name == caller_.name && holder.value().roles == caller_.roles;
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
