// SPDX-License-Identifier: BSD-3-Clause
// The agent: what others may ask of this process, over gRPC (control/api/*.proto). Operators and the
// controller get status, counters, traces, the graph and configuration swaps; peers exchange associations and
// messages of key devices. Data owners get sessions of an SSA. Everybody else gets nothing.
//
// Threads: the agent makes its own, which call no DPDK. They run where the thread may run that starts the
// agent: start it before EAL, from a thread that is bound to cores that are not workers'.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ssn/dataplane/agent_source.h"
#include "ssn/dataplane/reshare_host.h"
#include "ssn/dataplane/session_host.h"
#include "ssn/hw/result.h"

namespace ssn::audit {
class AuditLog;
}
namespace ssn::dataplane {
class PeerChannel;
}

namespace ssn::agent {

struct PeerAddress {
  std::string name;     ///< the CN of its certificate
  std::string address;  ///< "192.0.2.1:7001", "[2001:db8::1]:7001", "host:7001"; empty: it calls us
};

struct AgentSettings {
  std::string name;    ///< of this node; the CN of its certificate must be the same
  std::string listen;  ///< for TLS: "127.0.0.1:7000", port 0: any that is free; empty: none, hence no peers
  std::string socket;  ///< path of the local UNIX socket, made with mode 0600; empty: none
  std::string certificate;             ///< PEM file with its chain; ECDSA (others would let TLS 1.2 in)
  std::string key;                     ///< PEM file, readable by this user only
  std::string ca;                      ///< PEM file: who may have signed the certificates of others
  std::vector<std::string> operators;  ///< CNs that may ask what the local socket may
  std::vector<PeerAddress> peers;      ///< CNs that may exchange messages of peers
  bool owners = false;     ///< this node is an SSA: certificates with the OU owner may ask for sessions
  bool reshares = false;   ///< this node is a shareholder that makes shares anew
  std::string controller;  ///< CN of the controller that may order that, as operators may; empty: none
  /// Whether the certificate (PEM) of that name may be a peer's, beside all else that is asked of it; asked
  /// again and again while it is connected. Null: any. Any thread.
  std::function<bool(const std::string& peer, const std::string& certificate)> admits = nullptr;
  std::string crl = {};  ///< PEM file: what the authorities in `ca` revoked; empty: nobody is looked up
  audit::AuditLog* audit = nullptr;  ///< where every decision is noted; outlives the agent. Null: nowhere
};

inline constexpr std::size_t peers_max = 512;
inline constexpr std::size_t operators_max = 64;

struct PeerState {
  std::string name;
  bool connected = false;
  std::uint64_t connections = 0;  ///< how many there were
  std::uint64_t sent = 0;         ///< messages
  std::uint64_t received = 0;     ///< messages
  std::uint64_t not_sent = 0;     ///< messages refused: no connection, or the queue was full
  std::string trouble;            ///< why there is no connection; empty with one
};

class Agent {
 public:
  /// Listens at once; calls of operators fail as "starting" until serve(). Sets GRPC_SSL_CIPHER_SUITES in the
  /// environment, and the umask for a moment, so no other thread may rely on these meanwhile. The socket of a
  /// process that is gone is replaced.
  static Result<std::unique_ptr<Agent>> start(const AgentSettings& settings);
  /// As stop_serving() and its like; then ends connections and removes the socket.
  virtual ~Agent() = default;

  /// From now on answers operators out of `source`, which must live until stop_serving() returns.
  virtual void serve(AgentSource& source) = 0;
  /// Ends streams and waits for calls into the source.
  virtual void stop_serving() = 0;

  /// The same for data owners, where the settings say that there are any. What waits in finish_write() is the
  /// host's to end.
  virtual void serve_owners(SessionHost& host) = 0;
  virtual void stop_serving_owners() = 0;

  /// The same for those who order re-sharing, where the settings say that this node does it.
  virtual void serve_resharing(ReshareHost& host) = 0;
  virtual void stop_serving_resharing() = 0;

  /// Messages to and from peers; lives as long as the agent. Null without `listen`.
  virtual dataplane::PeerChannel* peer_channel() = 0;
  /// After a configuration swap. Peers that are not listed any more lose their connection.
  virtual Outcome set_peers(const std::vector<PeerAddress>& peers) = 0;
  virtual std::vector<PeerState> peers() const = 0;
  /// Where it listens for TLS, with the real port; empty without.
  virtual const std::string& listening() const = 0;
  /// What is wrong with its certificate, lists and files, or will be soon; empty: nothing. Any thread.
  virtual std::string certificate_trouble() const = 0;
  /// The agent's own counters: calls, refusals, streams: "agent.refused", ... Sorted by name.
  virtual void counters(std::vector<Counter>& out) const = 0;
};

}  // namespace ssn::agent
