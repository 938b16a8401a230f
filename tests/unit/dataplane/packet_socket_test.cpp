// SPDX-License-Identifier: BSD-3-Clause
// Ports on packet sockets, over a veth pair in a network namespace of the test's own: what other programs get
// of what a port sends (kernel sockets, captures, ports), and what a port gets of what they send.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>

#include "eal_fixture.h"
#include "udp_frames.h"

namespace ssn::dataplane {
namespace {

using test::Bytes;
using test::datagram;
using test::DatagramForm;

constexpr std::uint16_t udp_port = 4404;

// With packets that hold jumbo frames.
Eal* eal() {
  static const std::unique_ptr<Eal> one = []() -> std::unique_ptr<Eal> {
    Result<MachineState> machine = machine_state();
    if (!machine.ok()) return nullptr;
    machine.value().worker_cpus.assign(1, machine.value().allowed_cpus.front());
    const Result<EalPlan> plan = make_eal_plan(
        test_configuration("[[port]]\nname = \"x\"\ndevice = \"net_null0\"\nmtu = 9000\n"), machine.value());
    EXPECT_TRUE(plan.ok()) << plan.error().why;
    if (!plan.ok()) return nullptr;
    Result<std::unique_ptr<Eal>> started = Eal::start(plan.value(), [](std::string_view) {});
    EXPECT_TRUE(started.ok()) << started.error().why;
    return started.ok() ? std::move(started.value()) : nullptr;
  }();
  return one.get();
}

bool shell(const std::string& command) { return std::system((command + " >/dev/null").c_str()) == 0; }

// Empty: there is one, with va and vb in it. Otherwise why not.
const std::string& network() {
  static const std::string lacking = []() -> std::string {
    if (::geteuid() != 0) return "network namespaces need root";
    if (::unshare(CLONE_NEWNET) != 0) return std::string("no network namespace: ") + std::strerror(errno);
    // No kernel says anything by itself on either end; each knows the other's address.
    if (!shell("ip link add va mtu 9000 address 02:00:00:00:00:01 type veth "
               "peer name vb mtu 9000 address 02:00:00:00:00:02")) {
      return "this system makes no veth links";
    }
    const bool good = shell(
        "ip link set lo up; sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 "
        "net.ipv6.conf.va.disable_ipv6=1; "
        "ip link set va up arp off; ip link set vb up; ip addr add 10.77.0.2/24 dev vb; "
        "ip addr add fd00:77::2/64 dev vb nodad; ip neigh add 10.77.0.1 lladdr 02:00:00:00:00:01 dev vb; "
        "ip neigh add fd00:77::1 lladdr 02:00:00:00:00:01 dev vb");
    return good ? "" : "the veth link could not be set up (ip of iproute2)";
  }();
  return lacking;
}

std::uint64_t udp_errors() {
  std::uint64_t all = 0;
  for (const char* path : {"/proc/net/snmp", "/proc/net/snmp6"}) {
    std::ifstream file(path);
    std::vector<std::string> names;
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string word;
      words >> word;
      if (word == "Udp6InCsumErrors" || word == "Udp6InErrors") {
        std::uint64_t value = 0;
        words >> value;
        all += value;
      } else if (word == "Udp:" && names.empty()) {
        while (words >> word) names.push_back(word);
      } else if (word == "Udp:") {
        for (const std::string& name : names) {
          std::uint64_t value = 0;
          words >> value;
          if (name == "InCsumErrors" || name == "InErrors") all += value;
        }
      }
    }
  }
  return all;
}

class PacketSockets : public testing::Test {
 protected:
  static void SetUpTestSuite() { static_cast<void>(network()); }
  void SetUp() override {
    if (!network().empty()) GTEST_SKIP() << network();
    ASSERT_NE(eal(), nullptr);
    pool_ = &eal()->packets();
    set_offloads(true);
  }
  void TearDown() override {
    ports_.clear();
    if (pool_ != nullptr) {
      EXPECT_EQ(rte_mempool_in_use_count(pool_), 0U);
    }
  }

  // Of both ends.
  static void set_offloads(bool on) {
    const std::string value = on ? " on" : " off";
    for (const std::string name : {"va", "vb"}) {
      ASSERT_TRUE(shell("ethtool -K " + name + " tx" + value + " tso" + value + " gso" + value +
                        " tx-udp-segmentation" + value + " 2>/dev/null"))
          << "ethtool";
    }
  }
  Port& open(const std::string& interface, const std::string& more = "", bool host = true) {
    const std::string address = interface == "va" ? "1" : "2";
    configurations_.push_back(std::make_unique<Configuration>(test_configuration(
        "[[port]]\nname = \"" + interface + "\"\ndevice = \"packet_socket,iface=" + interface +
        "\"\nmtu = 9000\n" +
        (host ? "addresses = [\"10.77.0." + address + "/24\", \"fd00:77::" + address + "/64\"]\n" : "") +
        more)));
    Result<std::unique_ptr<Ports>> ports = Ports::open(*configurations_.back(), 1, *pool_);
    EXPECT_TRUE(ports.ok()) << ports.error().what << ": " << ports.error().why;
    if (!ports.ok()) std::abort();
    ports_.push_back(std::move(ports.value()));
    return *ports_.back()->all()[0];
  }

  Packet* packet(const DatagramForm& form) const {
    Packet* const made = allocate(*pool_);
    EXPECT_NE(made, nullptr);
    const Bytes frame = test::open_datagram(form);
    set_length(*made, static_cast<std::uint16_t>(frame.size()));
    std::memcpy(data_of(*made), frame.data(), frame.size());
    made->l2_len = 14;
    made->l3_len = form.v6 ? 40 : 20;
    made->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | (form.v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
    return made;
  }
  void send(Port& port, const std::vector<DatagramForm>& forms) const {
    std::vector<Packet*> packets;
    for (const DatagramForm& form : forms) packets.push_back(packet(form));
    std::size_t done = 0;
    for (int tries = 0; done < packets.size() && tries < 10000; ++tries) {
      done += port.io->transmit(0, packets.data() + done,
                                static_cast<std::uint16_t>(std::min<std::size_t>(64, packets.size() - done)));
    }
    ASSERT_EQ(done, packets.size());
  }

  static int kernel_socket(bool v6) {
    const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int buffer = 8 << 20;
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer), 0);
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(udp_port);
    sockaddr_in in4{};
    in4.sin_family = AF_INET;
    in4.sin_port = htons(udp_port);
    const int bound = v6 ? ::bind(fd, reinterpret_cast<sockaddr*>(&in6), sizeof in6)
                         : ::bind(fd, reinterpret_cast<sockaddr*>(&in4), sizeof in4);
    EXPECT_EQ(bound, 0) << std::strerror(errno);
    return fd;
  }
  // As many as are wanted, or what there is after a while.
  static std::vector<Bytes> read_all(int fd, std::size_t wanted) {
    std::vector<Bytes> all;
    Bytes room(1 << 17);
    while (all.size() < wanted) {
      pollfd entry{fd, POLLIN, 0};
      if (::poll(&entry, 1, 3000) != 1) break;
      const ssize_t got = ::recv(fd, room.data(), room.size(), MSG_DONTWAIT);
      if (got < 0) break;
      all.emplace_back(room.begin(), room.begin() + got);
    }
    return all;
  }
  static int capture(const char* interface) {
    const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    const int buffer = 8 << 20;
    const int one = 1;
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer), 0);
    EXPECT_EQ(::setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one), 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  struct Received {
    Bytes frame;
    std::uint64_t flags;
  };
  static std::vector<Received> receive(Port& port, std::size_t wanted, std::uint16_t queue = 0) {
    std::vector<Received> all;
    while (all.size() < wanted) {
      Packet* packets[32];
      const std::uint16_t count = port.io->receive(queue, packets, 32);
      if (count == 0) {
        pollfd entry{port.wake_fds[queue], POLLIN, 0};
        if (::poll(&entry, 1, 3000) != 1) break;
        continue;
      }
      for (std::uint16_t i = 0; i < count; ++i) {
        EXPECT_EQ(packets[i]->port, port.id);
        EXPECT_TRUE(is_contiguous(*packets[i]));
        all.push_back(
            {Bytes(data_of(*packets[i]), data_of(*packets[i]) + packets[i]->data_len), packets[i]->ol_flags});
        release(*packets[i]);
      }
    }
    return all;
  }

  rte_mempool* pool_ = nullptr;
  std::vector<std::unique_ptr<Configuration>> configurations_;
  std::vector<std::unique_ptr<Ports>> ports_;
};

struct Shape {
  const char* name;
  std::vector<DatagramForm> forms;
  std::uint64_t runs;  // that they become
};

std::vector<DatagramForm> some(std::size_t count, std::size_t payload, bool v6, std::size_t last = 0,
                               std::uint16_t source_port = 49152) {
  std::vector<DatagramForm> forms(count);
  for (std::size_t i = 0; i < count; ++i) {
    forms[i].v6 = v6;
    forms[i].payload = last != 0 && i + 1 == count ? last : payload;
    forms[i].number = static_cast<std::uint32_t>(i + source_port);
    forms[i].source_port = source_port;
  }
  return forms;
}

std::vector<Shape> shapes(bool v6) {
  std::vector<Shape> all = {{"one", some(1, 1408, v6), 0},
                            {"equal", some(17, 1408, v6), 1},
                            {"shorter last", some(17, 1408, v6, 1), 1},
                            {"more than 64", some(150, 400, v6), 3},
                            {"more than 64 KiB", some(64, 1400, v6), 2},
                            {"jumbo", some(17, 8900, v6), 3}};
  Shape mixed{"flows in turns", {}, 0};
  for (std::uint16_t i = 0; i < 12; ++i) {  // alone, alone, ... then runs of three
    const std::vector<DatagramForm> next =
        some(i < 6 ? 1 : 3, 700, v6, 0, static_cast<std::uint16_t>(50000 + i));
    mixed.forms.insert(mixed.forms.end(), next.begin(), next.end());
  }
  mixed.runs = 6;
  all.push_back(mixed);
  return all;
}

TEST_F(PacketSockets, KernelSocketsGetEachDatagram) {
  Port& port = open("va");
  for (const bool offloads : {true, false}) {
    set_offloads(offloads);
    for (const bool v6 : {false, true}) {
      const int fd = kernel_socket(v6);
      const std::uint64_t errors = udp_errors();
      for (const Shape& shape : shapes(v6)) {
        SCOPED_TRACE(testing::Message()
                     << shape.name << ", IPv" << (v6 ? 6 : 4) << ", offloads " << offloads);
        const std::uint64_t runs = Ports::statistics(port).tx_runs;
        send(port, shape.forms);
        const std::vector<Bytes> got = read_all(fd, shape.forms.size());
        ASSERT_EQ(got.size(), shape.forms.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
          EXPECT_EQ(got[i], test::payload_of(shape.forms[i].number, shape.forms[i].payload)) << i;
        }
        EXPECT_EQ(Ports::statistics(port).tx_runs - runs, shape.runs);
      }
      ::close(fd);
      EXPECT_EQ(udp_errors(), errors) << "wrong checksums";
    }
  }
  EXPECT_EQ(Ports::statistics(port).tx_errors, 0U);
}

// Without offloads the kernel cuts runs up as they leave, and fills in checksums.
TEST_F(PacketSockets, ACaptureSeesDatagramsOfAWire) {
  Port& port = open("va");
  set_offloads(false);
  const int fd = capture("vb");
  for (const bool v6 : {false, true}) {
    for (const Shape& shape : shapes(v6)) {
      SCOPED_TRACE(testing::Message() << shape.name << ", IPv" << (v6 ? 6 : 4));
      send(port, shape.forms);
      const std::vector<Bytes> got = read_all(fd, shape.forms.size());
      ASSERT_EQ(got.size(), shape.forms.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        DatagramForm form = shape.forms[i];
        if (!v6) form.identification = static_cast<std::uint16_t>(got[i][18] << 8 | got[i][19]);
        EXPECT_EQ(got[i], datagram(form)) << i;
      }
    }
  }
  ::close(fd);
}

TEST_F(PacketSockets, PortsGetEachDatagramAndItsFlags) {
  Port& from = open("va");
  Port& to = open("vb");
  for (const bool v6 : {false, true}) {
    for (const Shape& shape : shapes(v6)) {
      SCOPED_TRACE(testing::Message() << shape.name << ", IPv" << (v6 ? 6 : 4));
      const std::uint64_t runs = Ports::statistics(to).rx_runs;
      send(from, shape.forms);
      const std::vector<Received> got = receive(to, shape.forms.size());
      ASSERT_EQ(got.size(), shape.forms.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        const DatagramForm& form = shape.forms[i];
        const auto header = static_cast<std::ptrdiff_t>(test::udp_at(form) + 8);
        EXPECT_EQ(Bytes(got[i].frame.begin() + header, got[i].frame.end()),
                  test::payload_of(form.number, form.payload))
            << i;
        EXPECT_EQ(got[i].flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
      }
      EXPECT_EQ(Ports::statistics(to).rx_runs - runs, shape.runs) << "they crossed as one";
    }
  }
  EXPECT_EQ(Ports::statistics(to).rx_missed, 0U);
  EXPECT_EQ(Ports::statistics(to).rx_errors, 0U);
}

TEST_F(PacketSockets, GetWhatAKernelSendsAsOne) {
  for (const bool host : {true, false}) {
    Port& port = open("va", "", host);
    for (const bool v6 : {false, true}) {
      SCOPED_TRACE(testing::Message() << "IPv" << (v6 ? 6 : 4) << (host ? ", host" : ", passes on"));
      const int fd = kernel_socket(v6);
      sockaddr_storage to{};
      if (v6) {
        auto& in = reinterpret_cast<sockaddr_in6&>(to);
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(49152);
        ASSERT_EQ(::inet_pton(AF_INET6, "fd00:77::1", &in.sin6_addr), 1);
      } else {
        auto& in = reinterpret_cast<sockaddr_in&>(to);
        in.sin_family = AF_INET;
        in.sin_port = htons(49152);
        ASSERT_EQ(::inet_pton(AF_INET, "10.77.0.1", &in.sin_addr), 1);
      }
      ASSERT_EQ(
          ::connect(fd, reinterpret_cast<sockaddr*>(&to), v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)),
          0);
      const int segment = 1000;
      ASSERT_EQ(::setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
      const Bytes all = test::payload_of(5, 20 * 1000 + 333);
      ASSERT_EQ(::send(fd, all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
      const std::vector<Received> got = receive(port, 21);
      ASSERT_EQ(got.size(), 21U);
      Bytes joined;
      for (std::size_t i = 0; i < got.size(); ++i) {
        const std::size_t header = test::udp_at({.v6 = v6}) + 8;
        ASSERT_EQ(got[i].frame.size(), header + (i < 20 ? 1000U : 333U));
        joined.insert(joined.end(), got[i].frame.begin() + static_cast<std::ptrdiff_t>(header),
                      got[i].frame.end());
        if (host) {
          EXPECT_EQ(got[i].flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
        } else {  // what is passed on must be right by itself
          std::uint32_t sum = 17 + static_cast<std::uint32_t>(got[i].frame.size() - header + 8);
          for (std::size_t at = header - 8 - (v6 ? 32 : 8); at < got[i].frame.size(); ++at) {
            sum += static_cast<std::uint32_t>(got[i].frame[at]) << ((header - at) % 2 == 0 ? 8 : 0);
          }
          while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
          EXPECT_EQ(sum, 0xFFFFU);
        }
      }
      EXPECT_EQ(joined, all);
      EXPECT_GE(Ports::statistics(port).rx_runs, 1U);
      ::close(fd);
    }
    ports_.clear();
  }
}

// Tags that the kernel takes off frames on their way in are there again.
TEST_F(PacketSockets, KeepVlanTags) {
  Port& from = open("va", "", false);
  Port& to = open("vb", "", false);
  std::vector<DatagramForm> forms = some(5, 600, false);
  for (DatagramForm& form : forms) form.vlan = true;
  std::vector<Packet*> packets;
  for (const DatagramForm& form : forms) {
    packets.push_back(packet(form));
    packets.back()->l2_len = 18;
  }
  ASSERT_EQ(from.io->transmit(0, packets.data(), 5), 5);
  const std::vector<Received> got = receive(to, 5);
  ASSERT_EQ(got.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    DatagramForm form = forms[i];
    form.identification = static_cast<std::uint16_t>(got[i].frame[22] << 8 | got[i].frame[23]);
    EXPECT_EQ(got[i].frame, datagram(form)) << i;
  }
}

TEST_F(PacketSockets, HostsHearNothingThatIsForOthers) {
  Port& from = open("va");
  Port& host = open("vb");
  Port& bridge = open("vb", "", false);
  std::vector<DatagramForm> forms = some(1, 100, false, 0, 1);
  forms[0].mac = 99;
  const std::vector<DatagramForm> ours = some(1, 100, false, 0, 2);
  forms.insert(forms.end(), ours.begin(), ours.end());
  send(from, forms);
  EXPECT_EQ(receive(bridge, 2).size(), 2U);
  const std::vector<Received> got = receive(host, 1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].frame[5], 2);
  Packet* none[1];
  EXPECT_EQ(host.io->receive(0, none, 1), 0);
  EXPECT_EQ(from.io->receive(0, none, 1), 0) << "what the interface sends itself";
}

TEST_F(PacketSockets, SpreadFlowsOverQueues) {
  Port& from = open("va");
  Port& to = open("vb", "queues = 2\n");
  EXPECT_EQ(to.receive_queues, 2);
  ASSERT_EQ(to.wake_fds.size(), 2U);
  std::vector<DatagramForm> forms;
  for (std::uint16_t flow = 0; flow < 32; ++flow) {
    const std::vector<DatagramForm> next = some(3, 500, false, 0, static_cast<std::uint16_t>(50000 + flow));
    forms.insert(forms.end(), next.begin(), next.end());
  }
  send(from, forms);
  std::set<std::uint16_t> flows[2];
  std::size_t count = 0;
  EXPECT_TRUE([&] {
    for (int tries = 0; count < forms.size() && tries < 3000; ++tries) {
      for (std::uint16_t queue = 0; queue < 2; ++queue) {
        Packet* packets[32];
        const std::uint16_t got = to.io->receive(queue, packets, 32);
        for (std::uint16_t i = 0; i < got; ++i) {
          const std::uint8_t* const frame = data_of(*packets[i]);
          flows[queue].insert(static_cast<std::uint16_t>(frame[34] << 8 | frame[35]));
          release(*packets[i]);
        }
        count += got;
      }
      ::usleep(1000);
    }
    return count == forms.size();
  }());
  EXPECT_EQ(flows[0].size() + flows[1].size(), 32U) << "a flow has one queue";
  EXPECT_FALSE(flows[0].empty());
  EXPECT_FALSE(flows[1].empty());
  const std::vector<DatagramForm> own = some(1, 100, false);
  send(to, own);
  ASSERT_GE(receive(from, 1).size(), 1U);  // the kernel may have said something, too
  for (std::uint16_t queue = 0; queue < 2; ++queue) {
    Packet* packets[32];
    const std::uint16_t got = to.io->receive(queue, packets, 32);
    for (std::uint16_t i = 0; i < got; ++i) {
      const std::uint8_t* const frame = data_of(*packets[i]);
      EXPECT_NE(Bytes(frame, frame + packets[i]->data_len), datagram(own[0]))
          << "what the interface sends itself";
      release(*packets[i]);
    }
  }
}

TEST_F(PacketSockets, SayWhatTheKernelDropped) {
  Port& from = open("va");
  Port& to = open("vb");
  // Nobody reads; its buffer holds 16 MiB (twice that as the kernel counts).
  std::uint64_t sent = 0;
  while (Ports::statistics(to).rx_missed == 0 && sent < 200'000) {
    send(from, some(64, 1400, false));
    sent += 64;
  }
  const std::uint64_t missed = Ports::statistics(to).rx_missed;
  EXPECT_GT(missed, 0U);
  EXPECT_GE(Ports::statistics(to).rx_missed, missed) << "it does not forget";
  Packet* packets[64];
  while (const std::uint16_t count = to.io->receive(0, packets, 64)) release(packets, count);
}

TEST_F(PacketSockets, TellTheLinkAndTheAddress) {
  Port& port = open("va");
  EXPECT_EQ(format(port.mac), "02:00:00:00:00:01");
  EXPECT_EQ(port.driver, "packet_socket");
  EXPECT_EQ(port.interface, "va");
  EXPECT_TRUE(Ports::link_status(port).up);
  ASSERT_TRUE(shell("ip link set vb down"));
  for (int i = 0; Ports::link_status(port).up && i < 5000; ++i) ::usleep(1000);  // the kernel tells it later
  EXPECT_FALSE(Ports::link_status(port).up);
  ASSERT_TRUE(shell("ip link set va down"));
  std::vector<Packet*> packets = {packet({}), packet({})};
  EXPECT_EQ(port.io->transmit(0, packets.data(), 2), 2) << "gone, and nothing waits for it";
  EXPECT_EQ(Ports::statistics(port).tx_errors, 2U);
  ASSERT_TRUE(
      shell("ip link set va up; ip link set vb up; ip addr add fd00:77::2/64 dev vb nodad; "
            "ip neigh replace 10.77.0.1 lladdr 02:00:00:00:00:01 dev vb; "
            "ip neigh replace fd00:77::1 lladdr 02:00:00:00:00:01 dev vb"));
}

TEST_F(PacketSockets, RefuseAnInterfaceThatIsNotThere) {
  const Configuration configuration =
      test_configuration("[[port]]\nname = \"x\"\ndevice = \"packet_socket,iface=nowhere\"\n");
  const Result<std::unique_ptr<Ports>> ports = Ports::open(configuration, 1, *pool_);
  ASSERT_FALSE(ports.ok());
  EXPECT_THAT(ports.error().where, testing::HasSubstr("nowhere"));
}

}  // namespace
}  // namespace ssn::dataplane
