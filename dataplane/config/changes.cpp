// SPDX-License-Identifier: BSD-3-Clause
// What differs between two configurations, as lines for people.
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "ssn/dataplane/configuration.h"

namespace ssn::dataplane {
namespace {

// By name, a text of everything that may differ; where a thing stands in its file does not matter.
using Described = std::map<std::string, std::string>;

std::string describe(const PortConfiguration& port) {
  std::string text;
  for (const IpPrefix& address : port.addresses) {
    text += format(address) + " ";
  }
  for (const IpAddress& gateway : port.gateways) {
    text += "via " + format(gateway) + " ";
  }
  return text;
}

std::string describe(const PeerConfiguration& peer) {
  std::string text = peer.agent;
  for (const LinkConfiguration& link : peer.links) {
    text += fmt::format(" {} {} {} {}", link.port, format(link.local), format(link.remote), link.udp_port);
  }
  return text;
}

std::string describe(const StreamConfiguration& stream) {
  std::string text = fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {}", stream.port, stream.peer,
                                 name(stream.scheme), stream.k, stream.n, stream.data_blocks, stream.cell,
                                 name(stream.random), stream.latency.count(), stream.reorder.count(),
                                 name(stream.shortage), static_cast<int>(stream.others), stream.pass_to);
  for (const std::size_t link : stream.links) {
    text += fmt::format(" {}", link);
  }
  for (const std::uint16_t ethertype : stream.ethertypes) {
    text += fmt::format(" {:04x}", ethertype);
  }
  return text;
}

Described describe(const Configuration& configuration) {
  Described all;
  for (const PortConfiguration& port : configuration.ports) {
    all["addresses of port " + port.name] = describe(port);
  }
  for (const BridgeConfiguration& bridge : configuration.bridges) {
    all[fmt::format("bridge {} - {}", std::min(bridge.ports[0], bridge.ports[1]),
                    std::max(bridge.ports[0], bridge.ports[1]))] = "";
  }
  for (const PeerConfiguration& peer : configuration.peers) {
    all["peer " + peer.name] = describe(peer);
  }
  for (const StreamConfiguration& stream : configuration.streams) {
    all[fmt::format("stream {}", stream.id)] = describe(stream);
  }
  all["deadline of offload"] = std::to_string(configuration.offload.deadline.count());
  return all;
}

}  // namespace

std::vector<std::string> Configuration::changes(const Configuration& next) const {
  const Described before = describe(*this);
  const Described after = describe(next);
  std::vector<std::string> lines;
  for (const auto& [what, text] : before) {
    const auto found = after.find(what);
    if (found == after.end()) {
      lines.push_back("remove " + what);
    } else if (found->second != text) {
      lines.push_back("change " + what);
    }
  }
  for (const auto& [what, text] : after) {
    if (before.find(what) == before.end()) {
      lines.push_back("add " + what);
    }
  }
  return lines;
}

}  // namespace ssn::dataplane
