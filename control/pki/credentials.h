// SPDX-License-Identifier: BSD-3-Clause
// How connections are protected, and their limits. TLS 1.3 or nothing: packaged gRPC cannot be told so, but
// its list of TLS 1.2 ciphers can be made one that nobody can use.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "live_identity.h"

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

/// For one address. Each handshake is made with what `live` says at that time. They must outlive the server:
/// gRPC asks them for as long.
std::shared_ptr<grpc::ServerCredentials> server_credentials(std::shared_ptr<const LiveIdentity> live);
/// The same for callers under several authorities: each of `lives` believes one's, and shows the certificate
/// of the first. A handshake says only that one of them may believe the caller: judge by each on every call.
std::shared_ptr<grpc::ServerCredentials> server_credentials(
    std::vector<std::shared_ptr<const LiveIdentity>> lives);
/// For a UNIX socket.
std::shared_ptr<grpc::ServerCredentials> local_credentials();

/// "192.0.2.1:7001" and the like as gRPC's resolver takes it. Empty where it is no such thing.
std::string target_of(const std::string& address);

/// Longest message that a client takes.
inline constexpr int answer_max = 16 << 20;

/// Connects to nobody but the holder of a certificate with `name`, whom `live` believes at that time: nothing
/// is sent to others. Connecting happens with the first call. Our own certificate is the one of now for as
/// long as the channel lives.
std::shared_ptr<grpc::Channel> connect_to(const std::shared_ptr<LiveIdentity>& live,
                                          const std::string& address, const std::string& name,
                                          int longest_answer = answer_max);
std::shared_ptr<grpc::Channel> connect_to_socket(const std::string& path);

/// The channel of a client that lives long, and has nobody else who looks at its files. Thread-safe.
class LiveChannel {
 public:
  LiveChannel(std::shared_ptr<LiveIdentity> live, std::string address, std::string name)
      : live_(std::move(live)), address_(std::move(address)), name_(std::move(name)) {}
  /// Another one after a change of the files, which are looked at once a second at most.
  std::shared_ptr<grpc::Channel> get();
  LiveIdentity& live() const noexcept { return *live_; }

 private:
  const std::shared_ptr<LiveIdentity> live_;
  const std::string address_;
  const std::string name_;
  std::mutex mutex_;
  std::shared_ptr<grpc::Channel> channel_;
  std::uint64_t generation_ = 0;
  std::int64_t looked_ = 0;
};

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
