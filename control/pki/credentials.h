// SPDX-License-Identifier: BSD-3-Clause
// How connections are protected, and their limits. TLS 1.3 or nothing: packaged gRPC cannot be told so, but
// its list of TLS 1.2 ciphers can be made one that nobody can use.
#pragma once

#include <memory>
#include <string>

#include "certificate.h"

namespace grpc {
class Channel;
class ServerBuilder;
class ServerCredentials;
}  // namespace grpc

namespace ssn::pki {

/// What gRPC says of its own accord, such as who failed a handshake. Strangers cause that, so at most a line
/// each second is shown.
enum class GrpcLog { silent, limited };

/// Before any other use of gRPC in the process, while no other thread reads the environment: TLS 1.3 only,
/// and where gRPC's messages go.
/// `program` begins the lines.
void prepare_grpc(GrpcLog log, const char* program = "");

std::shared_ptr<grpc::ServerCredentials> server_credentials(const Identity& identity);
/// For a UNIX socket.
std::shared_ptr<grpc::ServerCredentials> local_credentials();

/// "192.0.2.1:7001" and the like as gRPC's resolver takes it. Empty where it is no such thing.
std::string target_of(const std::string& address);

/// Longest message that a client takes.
inline constexpr int answer_max = 16 << 20;

/// Connects to nobody but the holder of a certificate with `name`. Connecting happens with the first call.
std::shared_ptr<grpc::Channel> connect_to(const Identity& identity, const std::string& address,
                                          const std::string& name, int longest_answer = answer_max);
std::shared_ptr<grpc::Channel> connect_to_socket(const std::string& path);

/// What one server may cost. Keepalive, handshake and metadata have limits in any case.
struct ServerLimits {
  const char* name;            ///< for gRPC's own books
  int threads;                 ///< that serve calls
  std::size_t memory;          ///< of gRPC, in bytes
  int request;                 ///< longest message to it, in bytes
  int streams_per_connection;  ///< calls at once
};
void set_limits(grpc::ServerBuilder& builder, const ServerLimits& limits);

}  // namespace ssn::pki
