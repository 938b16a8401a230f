// SPDX-License-Identifier: BSD-3-Clause
// How an Error travels with a failed call: control/api/error.proto.
#pragma once

#include <string>
#include <string_view>

#include "ssn/hw/result.h"

namespace grpc {
class Status;
}
namespace ssn::v1 {
class Error;
}

namespace ssn::pki {

/// Cuts text to `most` bytes, and replaces what is not UTF-8 or would command a terminal, as protocol buffers
/// and people want it.
std::string clean_text(std::string_view text, std::size_t most);

void write(const Error& error, v1::Error& message);
Error read(const v1::Error& message);

/// An error travels in the details of a gRPC status.
grpc::Status to_status(const Error& error);

/// Whom a client calls, for errors that gRPC found by itself.
struct Callee {
  const char* what;     ///< "cannot ask the data plane"
  const char* program;  ///< "ssn-dataplane"
  const char* caller;   ///< who may: "an operator, or the local socket"
  std::string where;    ///< its address
};
/// How begins what a client's judge says of a server that it does not believe: gRPC hands that on as text.
inline constexpr const char* const server_refused = "the server is refused: ";
/// The error that the callee sent; without one it is gRPC's own, and its code says what to do.
Error from_status(const grpc::Status& status, const Callee& callee);

}  // namespace ssn::pki
