// SPDX-License-Identifier: BSD-3-Clause
#include "call_audit.h"

#include <fmt/core.h>
#include <google/protobuf/message.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/support/server_interceptor.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <string_view>

#include "audit_log.h"
#include "call_error.h"
#include "certificate.h"
#include "error.pb.h"
#include "issuer.h"
#include "openssl_types.h"

namespace ssn::audit {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

// Of requests only these are noted: names and numbers, no texts of configurations, no keys, no tags.
constexpr std::string_view noted[] = {"owner",  "name",    "object", "generation", "key",
                                      "prefix", "node",    "ssa",    "from",       "to",
                                      "job",    "version", "peer",   "session"};
constexpr std::size_t known_max = 256;

// Who shows a certificate, believed or not.
struct Shown {
  std::string name;
  std::vector<std::string> roles;
  std::string fingerprint;
};

Shown shown_by(const std::string& pem) {
  Shown shown;
  const pki::CertificatePointer certificate = pki::certificate_from(pem);
  if (certificate == nullptr) return shown;
  const pki::Holder holder = pki::holder_of(*certificate);
  shown.name = holder.name;
  for (std::size_t i = 0; i < pki::roles_count; ++i) {
    if (holder.roles.has(static_cast<pki::Role>(i))) {
      shown.roles.emplace_back(pki::name(static_cast<pki::Role>(i)));
    }
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned bytes = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), digest.data(), &bytes) == 1) {
    for (unsigned i = 0; i < bytes; ++i) shown.fingerprint += fmt::format("{:02x}", digest[i]);
  }
  return shown;
}

// "ipv4:192.0.2.1:50123", "ipv6:%5B2001:db8::1%5D:50123", "unix:" as people write them.
std::string address_of(const std::string& peer) {
  std::string address = peer;
  for (const std::string_view scheme : {"ipv4:", "ipv6:"}) {
    if (address.starts_with(scheme)) address.erase(0, scheme.size());
  }
  for (const auto& [code, text] : {std::pair{"%5B", "["}, std::pair{"%5D", "]"}}) {
    if (const std::size_t at = address.find(code); at != std::string::npos) address.replace(at, 3, text);
  }
  return address;
}

// "/ssn.controller.v1.Objects/BeginWrite" is "Objects.BeginWrite".
std::string method_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return std::string(path);
  const std::size_t dot = path.rfind('.', slash);
  const std::size_t begin = dot == std::string_view::npos ? 1 : dot + 1;
  return fmt::format("{}.{}", path.substr(begin, slash - begin), path.substr(slash + 1));
}

void note_fields(const google::protobuf::Message& message, Decision& decision, bool inside = false) {
  using google::protobuf::FieldDescriptor;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* const field : fields) {
    if (decision.about.size() == fields_max) return;
    if (field->is_repeated() ||
        std::find(std::begin(noted), std::end(noted), field->name()) == std::end(noted)) {
      continue;
    }
    std::string value;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        if (field->type() != FieldDescriptor::TYPE_STRING) continue;  // bytes
        value = reflection.GetString(message, field);
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        value = field->name() == "object" ? fmt::format("{:016x}", reflection.GetUInt64(message, field))
                                          : std::to_string(reflection.GetUInt64(message, field));
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        value = std::to_string(reflection.GetUInt32(message, field));
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (!inside) note_fields(reflection.GetMessage(message, field), decision, true);
        continue;
      default:
        continue;
    }
    decision.about.emplace_back(field->name(), std::move(value));
  }
}

class Noter;

// One call.
class CallNote final : public grpc::experimental::Interceptor {
 public:
  CallNote(Noter& noter, ServerRpcInfo& call);
  void Intercept(InterceptorBatchMethods* methods) override;

 private:
  void note(const grpc::Status& status);

  Noter& noter_;
  ServerRpcInfo& call_;
  Decision decision_;
  bool told_ = false;
};

class Noter final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Noter(AuditLog& log) : log_(log) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(ServerRpcInfo* call) override {
    return new CallNote(*this, *call);  // gRPC's to delete
  }
  AuditLog& log() const noexcept { return log_; }
  std::string next_request() { return fmt::format("{:x}-{:x}", begun_, ++requests_); }

  // The same connection calls again and again.
  Shown shown(const std::string& pem) {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(pem); known != known_.end()) return known->second;
    if (known_.size() >= known_max) known_.clear();
    return known_[pem] = shown_by(pem);
  }

 private:
  AuditLog& log_;
  const std::int64_t begun_ = ::time(nullptr);
  std::atomic<std::uint64_t> requests_{0};
  std::mutex mutex_;
  std::map<std::string, Shown> known_;
};

CallNote::CallNote(Noter& noter, ServerRpcInfo& call) : noter_(noter), call_(call) {
  decision_.method = method_of(call.method());
  decision_.request = noter.next_request();
}

void CallNote::note(const grpc::Status& status) {
  const grpc::ServerContextBase& context = *call_.server_context();
  const std::shared_ptr<const grpc::AuthContext> proof = context.auth_context();
  decision_.address = address_of(context.peer());
  const auto first = [&](const char* property) {
    const std::vector<grpc::string_ref> values = proof->FindPropertyValues(property);
    return values.empty() ? std::string() : std::string(values[0].data(), values[0].size());
  };
  if (proof != nullptr && first(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME) == "local") {
    decision_.caller.assign("local");
  } else if (proof != nullptr) {
    Shown shown = noter_.shown(first(GRPC_X509_PEM_CERT_PROPERTY_NAME));
    decision_.caller = std::move(shown.name);
    decision_.roles = std::move(shown.roles);
    decision_.fingerprint = std::move(shown.fingerprint);
  }
  decision_.allowed = status.error_code() != grpc::StatusCode::PERMISSION_DENIED &&
                      status.error_code() != grpc::StatusCode::UNAUTHENTICATED;
  decision_.result = std::string(name(Exit::ok));
  decision_.reason.clear();
  if (!status.ok()) {
    v1::Error message;
    const bool ours = message.ParseFromString(status.error_details()) && !message.what().empty();
    const Error error = ours ? pki::read(message) : Error{Exit::failed, "", status.error_message(), "", ""};
    decision_.result = std::string(name(error.code));
    decision_.reason = pki::clean_text(error.why, text_max);
  }
  noter_.log().note(decision_);
}

// A call is decided when it is answered; a stream with its first message, and once more where its caller is
// refused in the middle.
void CallNote::Intercept(InterceptorBatchMethods* methods) {
  if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE) &&
      call_.type() != ServerRpcInfo::Type::BIDI_STREAMING && decision_.about.empty() &&
      methods->GetRecvMessage() != nullptr) {
    // All our calls take messages of protocol buffers, of which this is the only base, at the same address.
    note_fields(*static_cast<const google::protobuf::Message*>(methods->GetRecvMessage()), decision_);
  }
  if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
    const grpc::Status status = methods->GetSendStatus();
    if (!told_ || status.error_code() == grpc::StatusCode::PERMISSION_DENIED) note(status);
    if (auto* const metadata = methods->GetSendTrailingMetadata(); metadata != nullptr) {
      metadata->emplace("ssn-request", decision_.request);
    }
  } else if (!told_ && methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE)) {
    told_ = true;
    note(grpc::Status::OK);
  }
  methods->Proceed();
}

}  // namespace

void note_calls(grpc::ServerBuilder& builder, AuditLog* log) {
  if (log == nullptr) return;
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<Noter>(*log));
  builder.experimental().SetInterceptorCreators(std::move(factories));
}

}  // namespace ssn::audit
