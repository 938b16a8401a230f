// SPDX-License-Identifier: BSD-3-Clause
// [[port]] and [[bridge]].
#include <fmt/core.h>

#include <algorithm>

#include "read.h"
#include "ssn/hw/nearest.h"

namespace ssn::dataplane {
namespace {

using hw::ConfigTable;

bool good_port_name(std::string_view text) {
  return !text.empty() && text.size() <= Configuration::name_max &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
         });
}

bool good_vdev(std::string_view text) {
  const std::string_view driver = text.substr(0, text.find(','));
  return ((driver.size() > 4 && driver.substr(0, 4) == "net_") || driver == "packet_socket") &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

bool is_hexadecimal(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

void read_addresses(const ConfigTable& table, PortConfiguration& port) {
  for (const std::string& text : table.texts("addresses", Configuration::addresses_max)) {
    const std::optional<IpPrefix> prefix = parse_ip_prefix(text);
    if (!prefix) {
      table.fail("addresses", fmt::format("\"{}\" is no address with a prefix length", text),
                 "write \"10.1.0.1/24\" or \"fd00::1/64\"");
      continue;
    }
    const IpAddress& address = prefix->address;
    if (address.is_multicast() || address.is_unspecified() || address.is_loopback() ||
        address.is_broadcast()) {
      table.fail("addresses", fmt::format("no host can have the address {}", text), "give a unicast address");
    }
    port.addresses.push_back(*prefix);
  }
  for (const std::string& text : table.texts("gateways", 2)) {
    const std::optional<IpAddress> gateway = parse_ip_address(text);
    const auto on_link = [&](const IpPrefix& prefix) { return prefix.contains(*gateway); };
    if (!gateway) {
      table.fail("gateways", fmt::format("\"{}\" is no IP address", text), "write \"10.1.0.254\"");
    } else if (std::none_of(port.addresses.begin(), port.addresses.end(), on_link)) {
      table.fail("gateways", fmt::format("{} is in no network of this port's addresses", text),
                 "give a gateway that the port can reach, or the port an address of its network");
    } else if (std::any_of(port.gateways.begin(), port.gateways.end(),
                           [&](const IpAddress& other) { return other.family == gateway->family; })) {
      table.fail("gateways", "two gateways of one family", "leave one of them out");
    } else {
      port.gateways.push_back(*gateway);
    }
  }
}

PortConfiguration read_port(const ConfigTable& table) {
  PortConfiguration port;
  port.where = table.where("name");
  port.name = table.text("name", {.longest = Configuration::name_max});
  if (!port.name.empty() && !good_port_name(port.name)) {
    table.fail("name", "ports have names of a-z, 0-9, '-', '_' and '.'", "write it so");
  }
  port.device = table.text("device", {.longest = 512});
  if (!port.device.empty() && !port.is_pci() && !good_vdev(port.device)) {
    table.fail("device", fmt::format("\"{}\" is neither a PCI address nor a device of DPDK", port.device),
               "write \"0000:3b:00.0\", or \"packet_socket,iface=NAME\" for an interface of the kernel");
  }
  port.mtu = static_cast<std::uint32_t>(
      table.integer("mtu", {Configuration::mtu_min, Configuration::mtu_max}, port.mtu));
  port.queues = static_cast<unsigned>(table.integer("queues", {1, Configuration::workers_max}, 1));
  read_addresses(table, port);
  const auto is_v6 = [](const IpPrefix& prefix) { return prefix.address.family == IpFamily::v6; };
  if (port.mtu < 1280 && std::any_of(port.addresses.begin(), port.addresses.end(), is_v6)) {
    table.fail("mtu", "IPv6 needs an MTU of at least 1280", "raise it, or give no IPv6 addresses");
  }
  return port;
}

// The part that names the device, before the first comma: DPDK knows it by that. Packet sockets have no name
// but their interface's.
std::string_view device_name(const PortConfiguration& port) {
  const std::string_view text = port.device;
  const std::string_view name = text.substr(0, text.find(','));
  const std::size_t interface = text.find(",iface=");
  if (name != "packet_socket" || interface == std::string_view::npos) return name;
  return text.substr(interface + 1, text.find(',', interface + 1) - interface - 1);
}

void check_port(const ConfigTable& table, const PortConfiguration& port, const Configuration& configuration) {
  for (const PortConfiguration& other : configuration.ports) {
    if (!port.name.empty() && other.name == port.name) {
      table.fail("name", fmt::format("two ports are called {}", port.name), "give each a name of its own");
    }
    if (!port.device.empty() && device_name(other) == device_name(port)) {
      table.fail("device", fmt::format("{} is the port {} already", device_name(port), other.name),
                 "number the devices of one driver: net_af_packet0, net_af_packet1");
    }
    for (const IpPrefix& address : port.addresses) {
      for (const IpPrefix& taken : other.addresses) {
        if (taken.address == address.address) {
          table.fail("addresses", fmt::format("{} belongs to {} already", format(address), other.name),
                     "give each port addresses of its own");
        }
      }
    }
  }
}

}  // namespace

// DOMAIN:BUS:DEVICE.FUNCTION; the domain may be left out.
bool PortConfiguration::is_pci() const noexcept {
  std::string_view text = device;
  text = text.substr(0, text.find(','));
  if (text.size() == 12 && text[4] == ':') {
    if (!std::all_of(text.begin(), text.begin() + 4, is_hexadecimal)) {
      return false;
    }
    text.remove_prefix(5);
  }
  return text.size() == 7 && is_hexadecimal(text[0]) && is_hexadecimal(text[1]) && text[2] == ':' &&
         is_hexadecimal(text[3]) && is_hexadecimal(text[4]) && text[5] == '.' && text[6] >= '0' &&
         text[6] <= '7';
}

std::string port_names(const Configuration& configuration) {
  std::string names;
  for (const PortConfiguration& port : configuration.ports) {
    names += (names.empty() ? "" : ", ") + port.name;
  }
  return names.empty() ? "there is no [[port]]" : "there are: " + names;
}

void read_ports(const ConfigTable& root, Configuration& configuration) {
  for (const ConfigTable& table : root.tables("port", Configuration::ports_max)) {
    PortConfiguration port = read_port(table);
    check_port(table, port, configuration);
    configuration.ports.push_back(std::move(port));
  }
  if (configuration.ports.empty()) {
    root.fail("port", "there is no [[port]]", "add the ports that packets come from and go to");
  }
}

void read_bridges(const ConfigTable& root, Configuration& configuration) {
  for (const ConfigTable& table : root.tables("bridge", Configuration::bridges_max)) {
    BridgeConfiguration bridge;
    bridge.where = table.where("ports");
    const std::vector<std::string> ports = table.texts("ports", 2);
    if (ports.size() != 2 || ports[0] == ports[1]) {
      table.fail("ports", "a bridge joins two ports", "write ports = [\"a\", \"b\"]");
      continue;
    }
    for (std::size_t i = 0; i < 2; ++i) {
      bridge.ports[i] = ports[i];
      if (configuration.port(ports[i]) == nullptr) {
        table.fail("ports", fmt::format("no port is called {}; {}", ports[i], port_names(configuration)),
                   "name two of the ports");
      }
      for (const BridgeConfiguration& other : configuration.bridges) {
        if (other.ports[0] == ports[i] || other.ports[1] == ports[i]) {
          table.fail("ports", fmt::format("{} is in a bridge already", ports[i]),
                     "a port has one use: leave one bridge out");
        }
      }
    }
    configuration.bridges.push_back(std::move(bridge));
  }
}

}  // namespace ssn::dataplane
