// SPDX-License-Identifier: BSD-3-Clause
#include "packet_socket.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>

#include "../devices.h"
#include "receive_queue.h"
#include "send_queue.h"

namespace ssn::dataplane {
namespace {

// Of each socket. A run counts with a third more than its bytes.
constexpr int receive_buffer = 16 << 20;
constexpr int send_buffer = 8 << 20;
// PACKET_FANOUT_FLAG_IGNORE_OUTGOING of Linux 5.11, which headers of that age lack. A group hears for its
// sockets, so that what these ignore by themselves would come nevertheless.
constexpr std::uint32_t fanout_ignores_outgoing = 0x4000;

class Socket {
 public:
  explicit Socket(int fd) noexcept : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

template <typename Value>
bool set(const Socket& socket, int level, int option, const Value& value) {
  return ::setsockopt(socket.fd(), level, option, &value, sizeof value) == 0;
}

// Which a queue keeps the descriptor of.
struct Receiver {
  Receiver(Socket&& made, ReceiveQueue::Setup setup) : socket(std::move(made)), queue(with(setup, socket)) {}
  static ReceiveQueue::Setup with(ReceiveQueue::Setup setup, const Socket& socket) {
    setup.fd = socket.fd();
    return setup;
  }
  Socket socket;
  ReceiveQueue queue;
};
struct Sender {
  Sender(Socket&& made, bool segments) : socket(std::move(made)), queue(socket.fd(), segments) {}
  Socket socket;
  SendQueue queue;
};

class PacketSocketPort final : public PortDevice {
 public:
  explicit PacketSocketPort(std::string interface) : interface_(std::move(interface)) {}

  std::uint16_t receive(std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept override {
    return receivers[queue]->queue.receive(packets, count);
  }
  // Nothing that it could refuse.
  std::uint16_t prepare(std::uint16_t, rte_mbuf**, std::uint16_t count) noexcept override { return count; }
  std::uint16_t transmit(std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept override {
    return senders[queue]->queue.transmit(packets, count);
  }
  // Sockets need not be told.
  void arm(std::uint16_t) noexcept override {}
  void disarm(std::uint16_t) noexcept override {}

  LinkStatus link_status() const override { return {interface_is_running(interface_), 0}; }
  PortStatistics statistics() const override {
    PortStatistics all;
    for (const std::unique_ptr<Receiver>& each : receivers) {
      const ReceiveStatistics& of = each->queue.statistics();
      all.rx_packets += of.packets.read();
      all.rx_bytes += of.bytes.read();
      all.rx_runs += of.runs.read();
      all.rx_errors += of.errors.read();
      all.rx_no_memory += of.no_memory.read();
    }
    for (const std::unique_ptr<Sender>& each : senders) {
      const SendStatistics& of = each->queue.statistics();
      all.tx_packets += of.packets.read();
      all.tx_bytes += of.bytes.read();
      all.tx_runs += of.runs.read();
      all.tx_errors += of.errors.read();
    }
    all.rx_missed = missed();
    return all;
  }

  std::vector<std::unique_ptr<Receiver>> receivers;
  std::vector<std::unique_ptr<Sender>> senders;

 private:
  // The kernel forgets what it told.
  std::uint64_t missed() const {
    const std::lock_guard lock(mutex_);
    for (const std::unique_ptr<Receiver>& each : receivers) {
      tpacket_stats stats{};
      socklen_t length = sizeof stats;
      if (::getsockopt(each->socket.fd(), SOL_PACKET, PACKET_STATISTICS, &stats, &length) == 0) {
        missed_ += stats.tp_drops;
      }
    }
    return missed_;
  }

  const std::string interface_;
  mutable std::mutex mutex_;
  mutable std::uint64_t missed_ = 0;
};

class Opener {
 public:
  Opener(const PortConfiguration& configuration, Port& port)
      : configuration_(configuration),
        device_(device_arguments(configuration)),
        interface_(device_.value("iface")),
        is_host_(!configuration.addresses.empty()),
        port_(port) {}

  Outcome open(unsigned workers, std::uint16_t id, rte_mempool& pool) {
    index_ = static_cast<int>(::if_nametoindex(interface_.c_str()));
    if (index_ == 0) {
      return failure("find the interface");
    }
    if (Outcome outcome = set_interface_mtu(configuration_, interface_); !outcome.ok()) {
      return outcome;
    }
    auto device = std::make_unique<PacketSocketPort>(interface_);
    if (Outcome outcome = make_receivers(*device, {-1, &pool, id, !is_host_}); !outcome.ok()) {
      return outcome;
    }
    if (Outcome outcome = make_senders(*device, workers); !outcome.ok()) {
      return outcome;
    }
    if (!interface_address(interface_, port_.mac)) {
      return failure("ask the address of the interface");
    }
    port_.id = id;
    port_.driver = device_.driver;
    port_.interface = interface_;
    port_.mtu = configuration_.mtu;
    port_.receive_queues = static_cast<std::uint16_t>(device->receivers.size());
    port_.send_queues = static_cast<std::uint16_t>(device->senders.size());
    port_.offloads.receive_ipv4_checksum = port_.offloads.receive_udp_checksum = true;
    // A run has open checksums, which the kernel fills in where somebody needs them.
    port_.offloads.send_udp_checksum = true;
    port_.pool = &pool;
    port_.io = std::move(device);
    return done;
  }

 private:
  Error failure(const char* step) const {
    return system_error(errno, fmt::format("cannot open port {}", configuration_.name),
                        fmt::format("{}: interface {}, {}", configuration_.where, interface_, step));
  }

  // What both directions need. Protocol 0: it receives nothing.
  Result<Socket> make_socket() const {
    Socket socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.fd() < 0) {
      return failure("make a packet socket");
    }
    if (!set(socket, SOL_PACKET, PACKET_VNET_HDR, 1)) {
      return failure("ask for headers with segmentation");
    }
    return socket;
  }

  Outcome bind_to(const Socket& socket, std::uint16_t protocol) const {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = index_;
    if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return failure("bind to it");
    }
    return done;
  }

  // A port with addresses is a host, which wants no frames for others; one without passes on whatever comes.
  Outcome choose_frames(const Socket& socket) const {
    packet_mreq wanted{};
    wanted.mr_ifindex = index_;
    wanted.mr_type = is_host_ ? PACKET_MR_ALLMULTI : PACKET_MR_PROMISC;
    if (!set(socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, wanted)) {
      return failure("choose frames");
    }
    constexpr auto packet_type = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE);
    sock_filter not_for_others[] = {{BPF_LD | BPF_B | BPF_ABS, 0, 0, packet_type},
                                    {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PACKET_OTHERHOST},
                                    {BPF_RET | BPF_K, 0, 0, 0},
                                    {BPF_RET | BPF_K, 0, 0, UINT32_MAX}};
    const sock_fprog program{static_cast<std::uint16_t>(std::size(not_for_others)), not_for_others};
    if (is_host_ && !set(socket, SOL_SOCKET, SO_ATTACH_FILTER, program)) {
      return failure("filter frames");
    }
    return done;
  }

  // Frames of a flow go to one of the queues.
  Outcome join(const Socket& socket, std::optional<std::uint16_t>& group) const {
    if (configuration_.queues == 1) {
      return done;
    }
    const bool first = !group.has_value();
    const std::uint32_t type =
        PACKET_FANOUT_HASH | fanout_ignores_outgoing | (first ? PACKET_FANOUT_FLAG_UNIQUEID : 0U);
    if (!set(socket, SOL_PACKET, PACKET_FANOUT, type << 16 | group.value_or(0))) {
      return failure("spread frames over queues");
    }
    std::uint32_t made = 0;
    socklen_t length = sizeof made;
    if (first && ::getsockopt(socket.fd(), SOL_PACKET, PACKET_FANOUT, &made, &length) != 0) {
      return failure("spread frames over queues");
    }
    if (first) group = static_cast<std::uint16_t>(made);
    return done;
  }

  Outcome make_receivers(PacketSocketPort& device, const ReceiveQueue::Setup& setup) {
    std::optional<std::uint16_t> group;  // 0 is one, too
    for (unsigned i = 0; i < configuration_.queues; ++i) {
      Result<Socket> made = make_socket();
      if (!made.ok()) {
        return made.error();
      }
      Socket& socket = made.value();
      if (!set(socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) ||
          !set(socket, SOL_PACKET, PACKET_AUXDATA, 1) ||
          !set(socket, SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)) {
        return failure("set up a receiving socket");
      }
      Outcome outcome = choose_frames(socket);
      if (outcome.ok()) outcome = bind_to(socket, ETH_P_ALL);
      if (outcome.ok()) outcome = join(socket, group);
      if (!outcome.ok()) {
        return outcome;
      }
      port_.wake_fds.push_back(socket.fd());
      device.receivers.push_back(std::make_unique<Receiver>(std::move(socket), setup));
    }
    return done;
  }

  Outcome make_senders(PacketSocketPort& device, unsigned workers) {
    for (unsigned i = 0; i < workers; ++i) {
      Result<Socket> made = make_socket();
      if (!made.ok()) {
        return made.error();
      }
      Socket& socket = made.value();
      // Not past the queueing discipline (PACKET_QDISC_BYPASS): on that way the kernel drops runs that the
      // interface does not take as one, instead of cutting them up.
      if (!set(socket, SOL_SOCKET, SO_SNDBUFFORCE, send_buffer)) {
        return failure("set up a sending socket");
      }
      if (Outcome outcome = bind_to(socket, 0); !outcome.ok()) {
        return outcome;
      }
      device.senders.push_back(
          std::make_unique<Sender>(std::move(socket), device_.value("segmentation") != "off"));
    }
    return done;
  }

  const PortConfiguration& configuration_;
  const DeviceArguments device_;
  const std::string interface_;
  const bool is_host_;
  Port& port_;
  int index_ = 0;
};

}  // namespace

Outcome open_packet_socket(const PortConfiguration& configuration, unsigned workers, std::uint16_t id,
                           rte_mempool& pool, Port& port) {
  return Opener(configuration, port).open(workers, id, pool);
}

}  // namespace ssn::dataplane
