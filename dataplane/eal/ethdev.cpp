// SPDX-License-Identifier: BSD-3-Clause
#include "ethdev.h"

#include <fmt/core.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>

#include "devices.h"
#include "ssn/dataplane/eal.h"
#include "ssn/dataplane/ports.h"

namespace ssn::dataplane {
namespace {

static_assert(RTE_MAX_ETHPORTS <= Ports::own_ids);

constexpr std::uint16_t descriptors = 512;
constexpr std::uint64_t known_receive_offloads = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
constexpr std::uint64_t known_send_offloads = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;

class Ethdev final : public PortDevice {
 public:
  explicit Ethdev(std::uint16_t id) noexcept : id_(id) {}
  ~Ethdev() override {
    ::rte_eth_dev_stop(id_);
    ::rte_eth_dev_close(id_);
    // Soft devices go with their port; a PCI device stays where EAL found it.
    if (!virtual_device.empty()) {
      ::rte_eal_hotplug_remove("vdev", virtual_device.c_str());
    }
  }

  std::uint16_t receive(std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept override {
    return rte_eth_rx_burst(id_, queue, packets, count);
  }
  std::uint16_t prepare(std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept override {
    return rte_eth_tx_prepare(id_, queue, packets, count);
  }
  std::uint16_t transmit(std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept override {
    return rte_eth_tx_burst(id_, queue, packets, count);
  }
  void arm(std::uint16_t queue) noexcept override { rte_eth_dev_rx_intr_enable(id_, queue); }
  void disarm(std::uint16_t queue) noexcept override { rte_eth_dev_rx_intr_disable(id_, queue); }

  LinkStatus link_status() const override {
    rte_eth_link link{};
    if (::rte_eth_link_get_nowait(id_, &link) != 0) {
      return {};
    }
    // Drivers of interfaces say "up" whatever happens.
    if (!interface.empty()) {
      link.link_status = interface_is_running(interface) ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN;
    }
    const bool known =
        link.link_speed != RTE_ETH_SPEED_NUM_NONE && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN;
    return {link.link_status == RTE_ETH_LINK_UP, known ? std::uint64_t{link.link_speed} * 1'000'000U : 0};
  }
  PortStatistics statistics() const override {
    rte_eth_stats stats{};
    if (::rte_eth_stats_get(id_, &stats) != 0) {
      return {};
    }
    return {stats.ipackets,
            stats.ibytes,
            stats.imissed,
            stats.ierrors,
            stats.rx_nombuf,
            stats.opackets,
            stats.obytes,
            stats.oerrors,
            0,
            0};
  }

  std::string interface;       // of the kernel, where there is one
  std::string virtual_device;  // DPDK's name; empty: it is none

 private:
  const std::uint16_t id_;
};

class EthdevOpener {
 public:
  EthdevOpener(const PortConfiguration& configuration, Port& port)
      : configuration_(configuration), device_(device_arguments(configuration)), port_(port) {}

  Outcome open(unsigned workers, rte_mempool& pool) {
    if (Outcome outcome = remove_stale_socket(configuration_, device_); !outcome.ok()) {
      return outcome;
    }
    const PacketSockets before = packet_sockets();
    if (Outcome outcome = probe(); !outcome.ok()) {
      return outcome;
    }
    if (Outcome outcome = configure(workers); !outcome.ok()) {
      return outcome;
    }
    if (Outcome outcome = make_queues(pool); !outcome.ok()) {
      return outcome;
    }
    if (Outcome outcome = set_mtu(); !outcome.ok()) {
      return outcome;
    }
    if (const int result = ::rte_eth_dev_start(port_.id); result != 0) {
      return failure("cannot start", result);
    }
    set_filter();
    if (is_interface()) {
      port_.interface = device_.value("iface");
      opened_->interface = port_.interface;
    }
    if (device_.driver == "net_af_packet") {
      port_.wake_fds = new_packet_sockets(before, port_.interface);
    }
    port_.wake_fds.resize(port_.receive_queues, -1);
    return done;
  }

 private:
  Error failure(const char* what, int result) const {
    std::string said = eal_log_since(mark_);
    return {Exit::failed, fmt::format("{} port {}", what, configuration_.name),
            said.empty() ? ::rte_strerror(-result) : said, configuration_.where,
            fmt::format("check its device, {}", configuration_.device)};
  }

  Outcome probe() {
    if (!configuration_.is_pci()) {
      const int result = ::rte_eal_hotplug_add("vdev", device_.name.c_str(), device_.arguments.c_str());
      if (result != 0) {
        return failure("cannot open", result);
      }
    }
    for (std::uint64_t next = ::rte_eth_find_next_owned_by(0, RTE_ETH_DEV_NO_OWNER); next < RTE_MAX_ETHPORTS;
         next = ::rte_eth_find_next_owned_by(static_cast<std::uint16_t>(next + 1), RTE_ETH_DEV_NO_OWNER)) {
      const auto id = static_cast<std::uint16_t>(next);
      rte_eth_dev_info info{};
      if (::rte_eth_dev_info_get(id, &info) == 0 && info.device != nullptr &&
          device_.name == ::rte_dev_name(info.device)) {
        port_.id = id;
        // From here on it is closed with the port, also where it is opened only halfway.
        auto opened = std::make_unique<Ethdev>(id);
        opened_ = opened.get();
        if (!configuration_.is_pci()) {
          opened_->virtual_device = device_.name;
        }
        port_.io = std::move(opened);
        info_ = info;
        port_.driver = info.driver_name != nullptr ? info.driver_name : "";
        return done;
      }
    }
    return Error{Exit::failed, fmt::format("cannot open port {}", configuration_.name),
                 fmt::format("DPDK has no driver for {}, or it made no port", device_.name),
                 configuration_.where,
                 "see `dpdk-devbind.py --status` for PCI devices, or correct the device's name"};
  }

  Outcome configure(unsigned workers) {
    if (configuration_.queues > info_.max_rx_queues) {
      return Error{Exit::refused, fmt::format("cannot open port {}", configuration_.name),
                   fmt::format("{} queues are wanted, {} has {}", configuration_.queues, device_.name,
                               info_.max_rx_queues),
                   configuration_.where, "lower queues"};
    }
    if (info_.max_mtu != 0 && configuration_.mtu > info_.max_mtu && !is_interface()) {
      return Error{Exit::refused, fmt::format("cannot open port {}", configuration_.name),
                   fmt::format("an MTU of {} is wanted, {} takes {} at most", configuration_.mtu,
                               device_.name, info_.max_mtu),
                   configuration_.where, "lower mtu"};
    }
    port_.receive_queues = static_cast<std::uint16_t>(configuration_.queues);
    port_.send_queues = static_cast<std::uint16_t>(std::min<unsigned>(workers, info_.max_tx_queues));
    if (port_.driver == "net_tap") {
      port_.send_queues = port_.receive_queues;  // it makes pairs of them
    }
    rte_eth_conf wanted{};
    wanted.rxmode.mtu = std::clamp<std::uint32_t>(std::min(configuration_.mtu, mtu_max()),
                                                  std::max<std::uint32_t>(info_.min_mtu, 68),
                                                  info_.max_mtu != 0 ? info_.max_mtu : UINT16_MAX);
    wanted.rxmode.offloads = info_.rx_offload_capa & known_receive_offloads;
    // Soft ports would leave the sum to whoever is behind them, or compute it just as we do.
    wanted.txmode.offloads = configuration_.is_pci() ? info_.tx_offload_capa & known_send_offloads : 0;
    if (port_.receive_queues > 1) {
      wanted.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
      wanted.rx_adv_conf.rss_conf.rss_hf = info_.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
      if (wanted.rx_adv_conf.rss_conf.rss_hf == 0) {
        wanted.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
      }
    }
    const int result = ::rte_eth_dev_configure(port_.id, port_.receive_queues, port_.send_queues, &wanted);
    if (result != 0) {
      return failure("cannot configure", result);
    }
    port_.offloads = {(wanted.rxmode.offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0,
                      (wanted.rxmode.offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM) != 0,
                      (wanted.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0,
                      (wanted.txmode.offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0};
    return done;
  }

  Outcome make_queues(rte_mempool& pool) {
    port_.pool = &pool;
    port_.numa_node = ::rte_eth_dev_socket_id(port_.id);
    const auto node = static_cast<unsigned>(port_.numa_node);
    std::uint16_t receive = descriptors;
    std::uint16_t send = descriptors;
    if (const int result = ::rte_eth_dev_adjust_nb_rx_tx_desc(port_.id, &receive, &send); result != 0) {
      return failure("cannot size the rings of", result);
    }
    for (std::uint16_t queue = 0; queue < port_.receive_queues; ++queue) {
      const int result = ::rte_eth_rx_queue_setup(port_.id, queue, receive, node, nullptr, &pool);
      if (result != 0) {
        return failure("cannot make a queue of", result);
      }
    }
    for (std::uint16_t queue = 0; queue < port_.send_queues; ++queue) {
      const int result = ::rte_eth_tx_queue_setup(port_.id, queue, send, node, nullptr);
      if (result != 0) {
        return failure("cannot make a queue of", result);
      }
    }
    return done;
  }

  // Two drivers pass on whatever their interface does, and claim less.
  bool is_interface() const { return device_.driver == "net_af_packet" || device_.driver == "net_af_xdp"; }
  std::uint32_t mtu_max() const {
    const std::uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
    return is_interface() && info_.max_rx_pktlen > overhead ? info_.max_rx_pktlen - overhead : UINT16_MAX;
  }

  // Some have none at all and take what comes.
  Outcome set_mtu() {
    port_.mtu = configuration_.mtu;
    if (is_interface()) {
      return set_interface_mtu(configuration_, std::string(device_.value("iface")));
    }
    const int result = ::rte_eth_dev_set_mtu(port_.id, static_cast<std::uint16_t>(port_.mtu));
    return result == 0 || result == -ENOTSUP ? Outcome(done)
                                             : Outcome(failure("cannot set the MTU of", result));
  }

  // A port with addresses is a host; one without passes on whatever comes. Devices that cannot filter give
  // everything, which the nodes sort out.
  void set_filter() {
    if (configuration_.addresses.empty()) {
      ::rte_eth_promiscuous_enable(port_.id);
    } else {
      ::rte_eth_allmulticast_enable(port_.id);
    }
    rte_ether_addr mac{};
    if (::rte_eth_macaddr_get(port_.id, &mac) == 0) {
      std::copy(std::begin(mac.addr_bytes), std::end(mac.addr_bytes), port_.mac.begin());
    }
  }

  const PortConfiguration& configuration_;
  const DeviceArguments device_;
  Port& port_;
  Ethdev* opened_ = nullptr;
  rte_eth_dev_info info_{};
  const std::size_t mark_ = eal_log_mark();
};

}  // namespace

Outcome open_ethdev(const PortConfiguration& configuration, unsigned workers, rte_mempool& pool, Port& port) {
  return EthdevOpener(configuration, port).open(workers, pool);
}

}  // namespace ssn::dataplane
