// SPDX-License-Identifier: BSD-3-Clause
#include "call_error.h"

#include <fmt/core.h>
#include <grpcpp/support/status.h>

#include <algorithm>

#include "error.pb.h"

namespace ssn::pki {
namespace {

constexpr std::size_t error_text_max = 1000;  // four of them fit into the metadata of an answer

// Length of the UTF-8 sequence that begins at `at` (RFC 3629), or 0.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) {
    return 1;
  }
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) {
    return 0;
  }
  for (std::size_t i = at + 1; i < at + length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return 0;
    }
  }
  const unsigned char second = byte(at + 1);
  const bool outside = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                       (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return outside ? 0 : length;
}

struct CodePair {
  Exit code;
  grpc::StatusCode status;
};
constexpr CodePair codes[] = {
    {Exit::failed, grpc::StatusCode::INTERNAL},           {Exit::usage, grpc::StatusCode::INVALID_ARGUMENT},
    {Exit::not_found, grpc::StatusCode::NOT_FOUND},       {Exit::temporary, grpc::StatusCode::UNAVAILABLE},
    {Exit::refused, grpc::StatusCode::PERMISSION_DENIED},
};

// What our judge, or OpenSSL before it, found wrong with the server's certificate; empty where it was
// something else that failed.
std::string refusal_in(const std::string& message) {
  const std::string_view judged = server_refused;
  if (const std::size_t at = message.find(judged); at != std::string::npos) {
    return clean_text(std::string_view(message).substr(at + judged.size()), error_text_max);
  }
  return message.find("certificate verify failed") == std::string::npos
             ? ""
             : "no authority that we trust has signed the certificate there, or it does not hold now";
}

// What gRPC itself found.
Error transport_error(const grpc::Status& status, const Callee& callee) {
  const std::string why = status.error_message().empty() ? "no reason was given"
                                                         : clean_text(status.error_message(), error_text_max);
  const std::string& where = callee.where;
  const char* const what = callee.what;
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      if (const std::string refused = refusal_in(status.error_message()); !refused.empty()) {
        return {Exit::refused, what, refused, where,
                fmt::format("see that {} listens there and shows its own certificate, valid and signed by an "
                            "authority that is trusted here",
                            callee.program)};
      }
      // Not "not found": a caller that takes a missing thing for a removed one must not hear that here.
      return {Exit::temporary, what, why, where,
              fmt::format("see that {} runs and listens there; over TLS also that each side's certificate is "
                          "signed by the other side's CA and names whom it should",
                          callee.program)};
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return {Exit::refused, what, why, where, fmt::format("use a certificate of {}", callee.caller)};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {Exit::temporary, what, "it did not answer in time", where,
              "try again; if it lasts, look at what the process waits for"};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {Exit::temporary, what, why, where, "end other calls, or ask for less"};
    case grpc::StatusCode::UNIMPLEMENTED:
      return {Exit::failed, what, "it does not know the call", where, "use programs of the same version"};
    default:
      return {Exit::failed, what, why, where, "try again; else report it as a bug"};
  }
}

}  // namespace

std::string clean_text(std::string_view text, std::size_t most) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    const auto first = static_cast<unsigned char>(text[at]);
    const bool control = length == 1 && (first < 0x20 || first == 0x7F) && first != '\n';
    const bool control_c1 = length == 2 && first == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0;
    const bool good = length != 0 && !control && !control_c1;
    const std::string_view piece = good ? text.substr(at, length) : std::string_view("?");
    if (out.size() + piece.size() > most) {
      break;
    }
    out += piece;
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

void write(const Error& error, v1::Error& message) {
  message.set_code(static_cast<std::uint32_t>(error.code));
  message.set_what(clean_text(error.what, error_text_max));
  message.set_why(clean_text(error.why, error_text_max));
  message.set_where(clean_text(error.where, error_text_max));
  message.set_fix(clean_text(error.fix, error_text_max));
}

Error read(const v1::Error& message) {
  Error error;
  const std::uint32_t last = static_cast<std::uint32_t>(Exit::kernels_refused);
  error.code =
      message.code() >= 1 && message.code() <= last ? static_cast<Exit>(message.code()) : Exit::failed;
  error.what = clean_text(message.what(), error_text_max);
  error.why = clean_text(message.why(), error_text_max);
  error.where = clean_text(message.where(), error_text_max);
  error.fix = clean_text(message.fix(), error_text_max);
  return error;
}

grpc::Status to_status(const Error& error) {
  const auto* const pair = std::find_if(std::begin(codes), std::end(codes),
                                        [&](const CodePair& p) { return p.code == error.code; });
  const grpc::StatusCode code =
      pair == std::end(codes) ? grpc::StatusCode::FAILED_PRECONDITION : pair->status;
  v1::Error message;
  write(error, message);
  return {code, message.what() + ": " + message.why(), message.SerializeAsString()};
}

Error from_status(const grpc::Status& status, const Callee& callee) {
  v1::Error message;
  if (!status.error_details().empty() && message.ParseFromString(status.error_details()) &&
      !message.what().empty()) {
    return read(message);
  }
  return transport_error(status, callee);
}

}  // namespace ssn::pki
