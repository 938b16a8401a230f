// SPDX-License-Identifier: BSD-3-Clause
// Prints what the host sends, a frame a line in hexadecimal behind its name, for scapy_test.py to read.
#include <array>
#include <cstdio>
#include <span>
#include <string>

#include "host_fixture.h"

namespace {

using namespace ssn::dataplane;
namespace test = ssn::test;

void print(const std::string& name, std::span<const std::uint8_t> frame) {
  std::printf("%s ", name.c_str());
  for (const std::uint8_t byte : frame) std::printf("%02x", byte);
  std::printf("\n");
}

void datagrams(test::TestHost& sender, const std::string& kind) {
  const EthernetAddress hop = test::mac("02:00:00:00:02:01");
  for (std::uint32_t link = 0; link < sender.host->link_count(); ++link) {
    const HostLink& at = sender.host->link(link);
    sender.host->neighbours().learn(at.neighbour, hop, true, true, 1);
    for (const std::uint32_t length : {0U, 1U, 1000U, at.max_payload}) {
      test::Bytes memory(max_link_header + length);
      for (std::uint32_t i = 0; i < length; ++i)
        memory[max_link_header + i] = static_cast<std::uint8_t>(7 * i + 1);
      const Encapsulated out =
          encapsulate(sender.worker, link, memory.data() + max_link_header, length, test::second);
      print("datagram:" + kind + ":" + std::to_string(link) + ":" + std::to_string(length),
            std::span(memory).subspan(max_link_header - out.header_bytes));
    }
  }
}

}  // namespace

int main() {
  test::TestHost plain;
  std::array<std::uint8_t, max_host_frame> out{};
  NeighbourTable& neighbours = plain.host->neighbours();
  for (std::uint32_t i = 0; i < neighbours.size(); ++i) {
    const std::string name = format(neighbours.key(i).address);
    const std::uint32_t bytes = write_solicitation(plain.worker, i, NeighbourTable::Ask::everybody, out);
    print("solicitation=" + name, std::span(out).first(bytes));
    neighbours.learn(i, test::mac("02:00:00:00:02:01"), false, true, 1);
    const std::uint32_t probe = write_solicitation(plain.worker, i, NeighbourTable::Ask::itself, out);
    print("probe=" + name, std::span(out).first(probe));
  }
  for (const HostPort& port : plain.host->ports()) {
    for (const IpPrefix& own : port.addresses) {
      const std::uint32_t bytes = write_announcement(plain.worker, port, own.address, out);
      print("announcement=" + format(own.address), std::span(out).first(bytes));
    }
  }
  datagrams(plain, "automatic");
  HostSpec spec = test::host_spec();
  for (LinkSpec& link : spec.links) link.checksum = UdpChecksum::always;
  test::TestHost summing(spec);
  datagrams(summing, "always");
  return 0;
}
