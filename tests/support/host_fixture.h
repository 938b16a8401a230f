// SPDX-License-Identifier: BSD-3-Clause
// The host that tests/vectors/host_vectors.py speaks to, and its cases.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ssn/dataplane/host_input.h"
#include "ssn/dataplane/host_output.h"
#include "test_random.h"

namespace ssn::test {

inline constexpr std::uint64_t second = 1'000'000'000;

/// Aborts when the text is no address: a mistake in a test.
dataplane::IpAddress address(const std::string& text);
dataplane::IpPrefix prefix(const std::string& text);
dataplane::EthernetAddress mac(const std::string& text);

/// Port 1: 10.0.1.1/24, fd00:1::1/64, MTU 1500, gateways .254 and ::fe. Port 2: VLAN 42, 10.0.2.1/24,
/// fd00:2::1/64, MTU 9000. Links 0 and 1 lead to 10.0.1.2 and fd00:1::2 through port 1, 2 and 3 to
/// 192.0.2.9 and 2001:db8::9 through its gateways, 4 and 5 to 10.0.2.2 and fd00:2::2 through port 2.
dataplane::HostSpec host_spec();

struct TestHost {
  explicit TestHost(const dataplane::HostSpec& spec = host_spec());
  /// Makes a frame of the bytes and takes it all the way. `room` bytes may be written; at least the frame's.
  dataplane::Step input(std::uint16_t port, Bytes& bytes, std::uint64_t now, std::size_t room = 0);

  std::unique_ptr<dataplane::Host> host;
  dataplane::HostWorker worker;
};

/// The same as host_input(), stage by stage as the pipeline's nodes do it. Aborts where a stage gives a
/// reason that is not in its list.
dataplane::Step staged_input(dataplane::HostWorker& worker, dataplane::Frame frame, std::uint64_t now);

struct HostCase {
  std::string name;
  std::uint16_t port = 0;
  Bytes frame;
  dataplane::Next next = dataplane::Next::drop;
  std::string reason;
  unsigned listener = 0;
  Bytes data;             ///< what is delivered or sent
  std::string neighbour;  ///< "ADDRESS MAC STATE" afterwards, MAC "-" where there is none
  std::string link;       ///< "too_big MTU", "unreachable", "fragments": what is reported of link 0 or 1
};

/// All of host.txt; aborts when it cannot be read.
const std::vector<HostCase>& host_cases();

}  // namespace ssn::test
