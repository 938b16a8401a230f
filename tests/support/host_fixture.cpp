// SPDX-License-Identifier: BSD-3-Clause
#include "host_fixture.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <sstream>

namespace ssn::test {

using namespace dataplane;

namespace {

[[noreturn]] void broken(const std::string& what) {
  std::fprintf(stderr, "the test is wrong: %s\n", what.c_str());
  std::abort();
}

std::unique_ptr<Host> make(const HostSpec& spec) {
  auto host = Host::make(spec);
  if (!host.ok()) broken(host.error().what + ": " + host.error().why);
  return std::move(host.value());
}

Bytes from_hex(const std::string& text) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return out;
}

void read_expectation(const std::string& value, HostCase& out) {
  std::istringstream words(value);
  std::string kind;
  std::string data;
  words >> kind;
  if (kind == "drop") {
    words >> out.reason;
  } else if (kind == "deliver") {
    out.next = Next::deliver;
    words >> out.listener >> data;
  } else if (kind == "send") {
    out.next = Next::send;
    words >> data;
  } else {
    broken("host.txt expects '" + value + "'");
  }
  out.data = data == "-" ? Bytes() : from_hex(data);
}

std::vector<HostCase> read_cases() {
  std::ifstream file(SSN_TEST_VECTORS "/host.txt");
  std::vector<HostCase> out;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line == "case") {
      out.emplace_back();
      continue;
    }
    const std::size_t equals = line.find(" =");
    if (out.empty() || equals == std::string::npos) broken("host.txt has the line " + line);
    const std::string key = line.substr(0, equals);
    const std::string value = line.size() > equals + 3 ? line.substr(equals + 3) : std::string();
    HostCase& last = out.back();
    if (key == "name") last.name = value;
    if (key == "port") last.port = static_cast<std::uint16_t>(std::stoul(value));
    if (key == "frame") last.frame = from_hex(value);
    if (key == "expect") read_expectation(value, last);
    if (key == "neighbour") last.neighbour = value;
    if (key == "link") last.link = value;
  }
  if (out.size() < 100) broken("host.txt cannot be read");
  return out;
}

}  // namespace

IpAddress address(const std::string& text) {
  const auto parsed = parse_ip_address(text);
  if (!parsed) broken(text);
  return *parsed;
}

IpPrefix prefix(const std::string& text) {
  const auto parsed = parse_ip_prefix(text);
  if (!parsed) broken(text);
  return *parsed;
}

EthernetAddress mac(const std::string& text) {
  const auto parsed = parse_mac(text);
  if (!parsed) broken(text);
  return *parsed;
}

HostSpec host_spec() {
  HostSpec spec;
  spec.ports.resize(2);
  PortSpec& one = spec.ports[0];
  one.name = "one";
  one.id = 1;
  one.mac = mac("02:00:00:00:01:01");
  one.addresses = {prefix("10.0.1.1/24"), prefix("fd00:1::1/64")};
  one.gateways = {address("10.0.1.254"), address("fd00:1::fe")};
  PortSpec& two = spec.ports[1];
  two.name = "two";
  two.id = 2;
  two.mac = mac("02:00:00:00:01:02");
  two.mtu = 9000;
  two.vlan = 42;
  two.addresses = {prefix("10.0.2.1/24"), prefix("fd00:2::1/64")};
  const char* const ends[][3] = {{"1", "10.0.1.1", "10.0.1.2"},  {"1", "fd00:1::1", "fd00:1::2"},
                                 {"1", "10.0.1.1", "192.0.2.9"}, {"1", "fd00:1::1", "2001:db8::9"},
                                 {"2", "10.0.2.1", "10.0.2.2"},  {"2", "fd00:2::1", "fd00:2::2"}};
  for (const auto& end : ends) {
    LinkSpec link;
    link.name = std::string("to ").append(end[2]);
    link.port = end[0][0] == '1' ? 1 : 2;
    link.local = address(end[1]);
    link.remote = address(end[2]);
    link.udp_port = 4404;
    link.payload_bytes = link.port == 1 ? 1408 : 8960 - 48;
    spec.links.push_back(link);
  }
  spec.listeners = {4404, 4405};
  return spec;
}

TestHost::TestHost(const HostSpec& spec) : host(make(spec)), worker(*host, 0) {}

Step TestHost::input(std::uint16_t port, Bytes& bytes, std::uint64_t now, std::size_t room) {
  Frame frame;
  frame.length = static_cast<std::uint32_t>(bytes.size());
  if (room > bytes.size()) bytes.resize(room);
  frame.data = bytes.data();
  frame.room = static_cast<std::uint32_t>(bytes.size());
  frame.port = port;
  return host_input(worker, frame, now);
}

Step staged_input(HostWorker& worker, Frame frame, std::uint64_t now) {
  Step step;
  step.next = Next::drop;
  auto stage = [&](Step taken, std::span<const HostDrop> reasons) {
    step = taken;
    const bool listed = std::find(reasons.begin(), reasons.end(), step.reason) != reasons.end();
    if (step.next == Next::drop && !listed)
      broken(std::string("a stage drops for ").append(name(step.reason)));
    // All that the next node gets to know.
    if (frame.end != 0) frame.length = frame.end;
  };
  stage(ether_input(*worker.host, frame), ether_drops);
  if (step.next == Next::arp) stage(arp_input(worker, frame, now), arp_drops);
  if (step.next == Next::ip4) stage(ip4_input(*worker.host, frame), ip4_drops);
  if (step.next == Next::ip6) stage(ip6_input(*worker.host, frame), ip6_drops);
  if (step.next == Next::icmp4) stage(icmp4_input(worker, frame, now), icmp4_drops);
  if (step.next == Next::icmp6) stage(icmp6_input(worker, frame, now), icmp6_drops);
  if (step.next == Next::nd) stage(nd_input(worker, frame, now), nd_drops);
  if (step.next == Next::udp) stage(udp_input(*worker.host, frame), udp_drops);
  return step;
}

const std::vector<HostCase>& host_cases() {
  static const std::vector<HostCase> cases = read_cases();
  return cases;
}

}  // namespace ssn::test
