// SPDX-License-Identifier: BSD-3-Clause
// The configuration of ssn-dataplane: what its TOML file says, checked as a whole. Plain values; no DPDK.
// docs/dataplane.md lists every key with its default; names here are the names there.
//
//   Result<Configuration> configuration = Configuration::load("sae-a.toml");
//
// Whatever load() gives is consistent: names are found, addresses are of one family, shares fit links,
// packets fit MTUs. What only the machine can say (does the device exist, is there memory) is checked by
// eal/. Everything is read on control threads; values do not change once they are read.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "audit_log.h"
#include "ssn/dataplane/ip_address.h"
#include "ssn/hw/key_device_configuration.h"
#include "ssn/hw/result.h"

namespace ssn::dataplane {

/// [eal]
struct EalConfiguration {
  enum class HugePages {
    automatic,  ///< where there are enough; otherwise normal pages, and a line that says so
    require,
    off,
  };
  HugePages huge_pages = HugePages::automatic;
  std::uint64_t memory = std::uint64_t{256} << 20;  ///< bytes, for packets and tables
  std::string file_prefix;                          ///< of DPDK's run-time files; unique on the machine
  std::optional<unsigned> main_core;                ///< of the control thread; nothing: chosen
};

/// [workers]
struct WorkersConfiguration {
  /// What a worker does that finds nothing to do.
  enum class Idle {
    event,  ///< spins, then yields, then sleeps until something happens
    yield,  ///< spins, then yields its core to whoever wants it
    poll,   ///< spins
  };
  std::vector<unsigned> cores;  ///< one worker each, in this order; empty: chosen
  Idle idle = Idle::event;
};

/// [[port]]
struct PortConfiguration {
  std::string name;
  /// "packet_socket,iface=va", vdev arguments ("net_af_packet0,iface=va"), or a PCI address ("0000:3b:00.0").
  std::string device;
  std::uint32_t mtu = 1500;  ///< bytes of an IP packet: without Ethernet header and check sequence
  std::vector<IpPrefix> addresses;
  std::vector<IpAddress> gateways;  ///< at most one of each family
  unsigned queues = 1;              ///< for receiving; for sending each worker has its own where possible
  std::string where;                ///< "file:line:column"

  bool is_pci() const noexcept;
};

/// [[bridge]]: what one port receives the other sends, unchanged. Plain forwarding.
struct BridgeConfiguration {
  std::string ports[2];
  std::string where;
};

/// [[peer.link]]
struct LinkConfiguration {
  std::string port;
  IpAddress local;  ///< one of the port's addresses
  IpAddress remote;
  std::uint16_t udp_port = 0;  ///< at both ends
  std::string where;
};

/// [[peer]]
struct PeerConfiguration {
  /// What it is to a node with [ssa] or [shareholder]; says what it may ask for.
  enum class Role { ssa, shareholder };
  std::string name;   ///< SAE ID, and the common name of its certificate
  std::string agent;  ///< "host:port" of its agent; may be empty: then it must call us
  Role role = Role::shareholder;
  std::vector<LinkConfiguration> links;
  /// Key managers and relays that pads with it cross, seen from here, without our own key manager; its own
  /// comes last. Nothing: unknown, and then it keeps no pads.
  std::optional<std::vector<std::string>> key_path;
  std::string where;
};

/// Without keys.
enum class KeyShortage { refuse, wait, aes_256_gcm };
/// Where random blocks come from.
enum class RandomSource { stream, drbg };

/// [[stream]]: frames of a client port, shared over the links to one peer, and back.
struct StreamConfiguration {
  enum class Scheme { systematic, classic, ramp, rs };
  using Random = RandomSource;
  using Shortage = KeyShortage;
  /// What becomes of frames that the filter does not pick.
  enum class Others { drop, pass };

  std::uint16_t id = 0;  ///< equal at both ends
  std::string port;
  std::string peer;
  Scheme scheme = Scheme::systematic;
  unsigned k = 3;
  unsigned n = 5;
  unsigned data_blocks = 1;   ///< L of ramp; k for rs; 1 otherwise
  std::uint32_t cell = 1344;  ///< bytes of a share; a multiple of 64
  Random random = Random::stream;
  std::chrono::nanoseconds latency{0};  ///< how long a frame may wait for a block to fill
  std::chrono::nanoseconds reorder = std::chrono::milliseconds(5);  ///< how long a block may wait for shares
  Shortage shortage = Shortage::refuse;
  std::vector<std::size_t> links;         ///< share i goes over peer.links[links[i-1]]; n of them
  std::vector<std::uint16_t> ethertypes;  ///< the filter; empty: every frame
  Others others = Others::drop;
  std::string pass_to;  ///< port, where others is pass
  std::string where;
};

/// [ssa]: owners' objects, shared among the peers, which are shareholders.
struct SsaConfiguration {
  static constexpr std::size_t owners_limit = 256;  ///< of one worker: places in its table of connections

  bool present = false;
  std::string port;            ///< that owners are reached over
  IpAddress address;           ///< one of the port's
  std::uint16_t udp_port = 0;  ///< that owners send to
  unsigned owners = 32;        ///< sessions that are open at a time, at each worker
  std::chrono::nanoseconds idle = std::chrono::seconds(60);  ///< after which a session is closed
  /// How long a shareholder may hold up an owner in a write, all in all; then it has failed for the object.
  std::chrono::nanoseconds patience = std::chrono::seconds(10);
  RandomSource random = RandomSource::stream;
  KeyShortage shortage = KeyShortage::refuse;
  /// Holders keep pad as their shares where the controller says so and no key path here forbids it.
  bool pad_shares = true;
  /// Shares of what is written here that must tell nothing, whatever the controller says; 0: erasure codes,
  /// too.
  unsigned minimum_t = 1;
  std::string where;
};

/// [shareholder]: shares of those peers that are SSAs, on disk; peers that are shareholders make shares anew
/// with it: docs/resharing.md.
struct ShareholderConfiguration {
  enum class Store { rocksdb, memory };

  bool present = false;
  Store store = Store::rocksdb;
  std::string directory;       ///< of databases and key files; one of each for every worker
  std::uint64_t capacity = 0;  ///< bytes that are offered to the controller; 0: what the disk has
  std::uint64_t buffer = std::uint64_t{64} << 20;   ///< bytes of stripes in memory, of each worker
  std::uint64_t reserve = std::uint64_t{64} << 20;  ///< bytes of the disk that stay free
  std::uint32_t generations = 65536;                ///< that keys are kept for, of each worker
  std::uint64_t scrub = std::uint64_t{16} << 20;    ///< bytes a second; 0: never
  KeyShortage shortage = KeyShortage::refuse;
  RandomSource random = RandomSource::stream;             ///< of refresh and redistribute
  unsigned reshare_jobs = 2;                              ///< at a time, at each worker; 0: none
  std::uint64_t reshare_memory = std::uint64_t{4} << 20;  ///< locked, for each of them
  std::uint64_t reshare_rate = 0;                         ///< bytes a second that a job gives; 0: any
  unsigned minimum_t = 1;                                 ///< of every generation that is made
  std::string where;
};

/// [membership]: what operators signed, and what counts against whatever a controller says. Without it there
/// are only the local floors, minimum_t of [ssa] and [shareholder].
struct MembershipConfiguration {
  static constexpr unsigned threshold_max = 32;

  bool present = false;
  std::string document;    ///< TOML: docs/membership.md
  std::string signatures;  ///< CMS in PEM
  std::string signers;     ///< certificates in PEM: who may sign
  unsigned threshold = 1;  ///< so many of them must have
  std::string where;
};

/// [controller]. No address: there is none.
struct ControllerConfiguration {
  std::string address;  ///< "host:port"
  std::string name;     ///< in its certificate
  // What this node says of itself; empty: nothing. docs/controller.md, "Labels".
  std::string site;
  std::string operated_by;
  std::string power;
  std::string key_manager;
  std::string where;
};

/// [offload]
struct OffloadConfiguration {
  std::string driver = "cpu";
  std::vector<std::pair<std::string, std::string>> settings;
  std::chrono::nanoseconds deadline = std::chrono::milliseconds(1);  ///< after which the CPU does it again
};

/// [keys]: memory for key streams, all of it locked. For each worker and peer two rings of pads and two of
/// tag keys, and 64 bytes for each packet of the window.
struct KeysConfiguration {
  std::uint64_t pad_ring = std::uint64_t{8} << 20;     ///< bytes, a power of two
  std::uint64_t tag_ring = 0;                          ///< as pad_ring; 0: as much as suits the window
  std::uint64_t random_ring = std::uint64_t{4} << 20;  ///< as pad_ring; one for each worker
  std::uint32_t window = 16384;  ///< packets that may overtake each other; a power of two
};

/// [agent]. No address and no socket: nothing may be asked of the process.
struct AgentConfiguration {
  std::string listen;  ///< "address:port" for mutual TLS; empty: none
  std::string socket;  ///< UNIX socket; empty: none
  std::string certificate, key, ca;
  std::string crl;                     ///< list of revoked certificates; empty: none is kept
  std::vector<std::string> operators;  ///< names in certificates that may ask what the socket may
};

struct Configuration {
  static constexpr std::size_t ports_max = 64;
  static constexpr std::size_t addresses_max = 32;  ///< of a port
  static constexpr std::size_t workers_max = 64;
  static constexpr std::size_t bridges_max = 32;
  static constexpr std::size_t peers_max = 256;
  static constexpr std::size_t links_max = 255;  ///< to a peer
  static constexpr std::size_t streams_max = 256;
  static constexpr std::size_t filter_max = 32;  ///< EtherTypes
  static constexpr std::size_t operators_max = 64;
  static constexpr std::size_t name_max = 32;  ///< bytes of a port's name
  static constexpr std::size_t label_max = 64;
  static constexpr std::size_t crosses_max = 32;  ///< key managers and relays of a path
  static constexpr std::uint32_t mtu_min = 256, mtu_max = 9600;
  static constexpr std::uint16_t default_udp_port = 4404;
  static constexpr std::uint16_t default_owner_udp_port = 4405;

  std::string file;
  std::string name;    ///< SAE ID
  std::string ledger;  ///< file; may be empty where there are no streams
  EalConfiguration eal;
  WorkersConfiguration workers;
  std::vector<PortConfiguration> ports;
  std::vector<hw::KeyDeviceConfiguration> key_devices;
  std::vector<PeerConfiguration> peers;
  std::vector<StreamConfiguration> streams;
  std::vector<BridgeConfiguration> bridges;
  KeysConfiguration keys;
  OffloadConfiguration offload;
  AgentConfiguration agent;
  audit::AuditSettings audit;  ///< [audit] of what the agent decides
  SsaConfiguration ssa;
  ShareholderConfiguration shareholder;
  ControllerConfiguration controller;
  MembershipConfiguration membership;

  /// Whether the node plays a role of the storage network: [ssa] or [shareholder].
  bool is_storage() const noexcept { return ssa.present || shareholder.present; }
  /// Whether it is a shareholder that makes shares anew with others.
  bool reshares() const noexcept;
  /// Of a node that plays a role.
  KeyShortage storage_shortage() const noexcept { return ssa.present ? ssa.shortage : shareholder.shortage; }

  static Result<Configuration> load(const std::string& file);
  /// `file` stands for the text in messages; relative paths are taken from its folder.
  static Result<Configuration> parse(std::string_view text, const std::string& file);

  /// Null where there is none.
  const PortConfiguration* port(std::string_view port_name) const noexcept;
  const PeerConfiguration* peer(std::string_view peer_name) const noexcept;

  /// Whether a running process can take `next` without a restart: only peers, streams, bridges and the
  /// addresses of ports may differ, and nothing of a node of the storage network. The error names what
  /// differs.
  Outcome check_swap(const Configuration& next) const;
  /// What a swap to `next` changes, a line each; empty where nothing does.
  std::vector<std::string> changes(const Configuration& next) const;
};

// As the file writes them.
std::string_view name(EalConfiguration::HugePages value) noexcept;
std::string_view name(WorkersConfiguration::Idle value) noexcept;
std::string_view name(StreamConfiguration::Scheme value) noexcept;
std::string_view name(RandomSource value) noexcept;
std::string_view name(KeyShortage value) noexcept;
std::string_view name(PeerConfiguration::Role value) noexcept;
std::string_view name(ShareholderConfiguration::Store value) noexcept;

}  // namespace ssn::dataplane
