// SPDX-License-Identifier: BSD-3-Clause
// Frames of any bytes through the whole input path of the IP host. Nothing outside the frame is read, what is
// dropped has a reason, what is delivered lies in the frame, what is answered is a sound frame from us,
// hardly longer than the question, and no neighbour is learnt that the configuration does not have.
#include <array>
#include <cstring>
#include <memory>

#include "fuzz_input.h"
#include "host_fixture.h"
#include "ssn/dataplane/checksum.h"
#include "ssn/dataplane/link_input.h"

namespace {

using namespace ssn::dataplane;
using ssn::test::Bytes;
using ssn::test::FuzzInput;
using ssn::test::require;
using ssn::test::TestHost;

/// A fuzzer does not find checksums: puts right ones where IPv4 and ICMP have theirs, if they are there.
void mend(Bytes& frame, std::size_t l3) {
  if (frame.size() < l3 + 20) return;
  std::uint8_t* const ip = frame.data() + l3;
  const std::size_t rest = frame.size() - l3;
  auto put = [](std::uint8_t* field, std::uint64_t sum) {
    const std::uint16_t value = checksum_finish(sum);
    std::memcpy(field, &value, 2);
  };
  const std::size_t header = (ip[0] & 15U) * 4U;
  const std::size_t total = static_cast<std::size_t>(ip[2] << 8 | ip[3]);
  if (ip[0] >> 4 == 4 && header >= 20 && header <= rest) {
    ip[10] = ip[11] = 0;
    put(ip + 10, checksum_add(0, ip, header));
    if (ip[9] != 1 || total < header + 4 || total > rest) return;
    ip[header + 2] = ip[header + 3] = 0;
    put(ip + header + 2, checksum_add(0, ip + header, total - header));
  }
  const std::size_t payload = static_cast<std::size_t>(ip[4] << 8 | ip[5]);
  if (ip[0] >> 4 != 6 || rest < 40 + payload) return;
  // Behind extension headers that look like such.
  std::size_t at = 40;
  std::uint8_t protocol = ip[6];
  while ((protocol == 0 || protocol == 60 || protocol == 43) && at + 8 <= 40 + payload) {
    protocol = ip[at];
    at += (ip[at + 1] + 1U) * 8U;
  }
  if (protocol != 58 || at + 4 > 40 + payload) return;
  ip[at + 2] = ip[at + 3] = 0;
  const std::size_t bytes = 40 + payload - at;
  put(ip + at + 2, checksum_add(pseudo_header_sum(ip6_address(ip + 8), ip6_address(ip + 24), 58,
                                                  static_cast<std::uint32_t>(bytes)),
                                ip + at, bytes));
}

/// What we answer must be sound: whoever gets it checks it as we do.
void check_answer(const HostPort& port, const std::uint8_t* frame, std::size_t bytes) {
  require(bytes >= port.l2_bytes() + 28U, "an answer is shorter than any");
  require(EthernetAddress::from(frame + 6) == port.mac, "an answer is not from us");
  const std::uint8_t* const l3 = frame + port.l2_bytes();
  const std::uint16_t type = static_cast<std::uint16_t>(l3[-2] << 8 | l3[-1]);
  const bool to_group = (frame[0] & 1U) != 0;
  if (type == 0x0806) {
    require(!to_group && l3[7] == 2 && port.owns(ip4_address(l3 + 14)), "an ARP reply is wrong");
  } else if (type == 0x0800) {
    require(!to_group && port.owns(ip4_address(l3 + 12)), "an IPv4 answer is not from us, or to many");
    require(checksum_right(checksum_add(0, l3, 20)), "an IPv4 header has a wrong checksum");
    require(l3[20] == 0 && checksum_right(checksum_add(0, l3 + 20, bytes - port.l2_bytes() - 20)),
            "an echo reply is wrong");
  } else {
    require(type == 0x86DD && bytes >= port.l2_bytes() + 48U, "an answer is of no known kind");
    const IpAddress from = ip6_address(l3 + 8);
    require(port.owns(from), "an IPv6 answer is not from us");
    const std::size_t message = bytes - port.l2_bytes() - 40;
    require(checksum_right(checksum_add(
                pseudo_header_sum(from, ip6_address(l3 + 24), 58, static_cast<std::uint32_t>(message)),
                l3 + 40, message)),
            "an ICMPv6 answer has a wrong checksum");
    require(l3[40] == 129 || l3[40] == 136, "an ICMPv6 answer answers nothing");
    require(!to_group || (l3[40] == 136 && (l3[44] & 0x40) == 0), "an answer goes to many");
  }
}

struct State {
  TestHost host;
  std::uint64_t now = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static State state;
  FuzzInput input(data, size);
  const std::uint8_t choices = input.byte();
  const auto port = static_cast<std::uint16_t>(1 + (choices & 1U));
  Bytes bytes = input.bytes(std::min<std::size_t>(input.left(), 9100));
  const HostPort& at = *state.host.host->port(port);
  if ((choices & 2U) != 0) mend(bytes, at.l2_bytes());
  // Memory of exactly this size, so that the sanitizer sees a byte too far.
  const std::size_t room = bytes.size() + ((choices & 4U) != 0 ? 8 : 0);
  const auto memory = std::make_unique<std::uint8_t[]>(std::max<std::size_t>(room, 1));
  std::copy(bytes.begin(), bytes.end(), memory.get());
  Frame frame;
  frame.data = memory.get();
  frame.length = static_cast<std::uint32_t>(bytes.size());
  frame.room = static_cast<std::uint32_t>(room);
  frame.port = port;
  frame.ip_checksum = static_cast<RxChecksum>((choices >> 3) % 3);
  frame.l4_checksum = static_cast<RxChecksum>((choices >> 5) % 3);
  state.now += ssn::test::second / 10;
  Step at_once;
  const bool taken = link_input(*state.host.host, at, frame, at_once);
  const Step step = ssn::test::staged_input(state.host.worker, frame, state.now);
  require(!taken || (step.next == Next::deliver && step.listener == at_once.listener &&
                     step.offset == at_once.offset && step.length == at_once.length),
          "a link's datagram is none to the layers");
  switch (step.next) {
    case Next::drop:
      require(step.reason != HostDrop::none, "a drop has no reason");
      break;
    case Next::deliver:
      require(step.listener < 2, "no such listener");
      require(step.offset <= bytes.size() && step.length <= bytes.size() - step.offset,
              "what is delivered lies outside the frame");
      require(std::memcmp(memory.get(), bytes.data(), bytes.size()) == 0, "a delivered frame was changed");
      break;
    case Next::send:
      require(step.offset <= room && step.length <= room - step.offset, "an answer lies outside its memory");
      require(step.length <= bytes.size() + 8, "an answer is much longer than the question");
      check_answer(at, memory.get() + step.offset, step.length);
      break;
    default:
      require(false, "the path ends halfway");
  }
  const NeighbourTable& neighbours = state.host.host->neighbours();
  for (std::uint32_t i = 0; i < neighbours.size(); ++i) {
    const NeighbourTable::Answer known = neighbours.look(i);
    require(!known.usable || !(known.mac.is_multicast() || known.mac.is_zero()),
            "a neighbour has no address");
  }
  return 0;
}
