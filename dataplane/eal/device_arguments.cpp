// SPDX-License-Identifier: BSD-3-Clause
// From "net_af_packet0,iface=va" to what DPDK is given.
#include <fmt/core.h>

#include <algorithm>

#include "ssn/dataplane/eal.h"

namespace ssn::dataplane {
namespace {

// The kernel puts this much in front of a frame in a packet socket's ring, at most.
constexpr std::uint32_t ring_header = 128;
constexpr std::uint32_t ethernet_header = 14;
constexpr std::uint32_t vlan_tag = 4;

std::string driver_of(std::string_view name) {
  const std::size_t end = name.find_last_not_of("0123456789");
  return std::string(name.substr(0, end == std::string_view::npos ? 0 : end + 1));
}

// Frames of a ring lie in blocks of whole pages: two in each, so that 2 KiB is a good unit.
std::uint32_t ring_frame(std::uint32_t mtu) {
  constexpr std::uint32_t unit = 2048;
  return (mtu + ethernet_header + vlan_tag + ring_header + unit - 1) / unit * unit;
}

void add(DeviceArguments& device, std::string_view key, const std::string& value) {
  if (device.value(key).empty()) {
    device.arguments += fmt::format("{}{}={}", device.arguments.empty() ? "" : ",", key, value);
  }
}

}  // namespace

std::string_view DeviceArguments::value(std::string_view key) const noexcept {
  for (std::string_view rest = arguments; !rest.empty();) {
    const std::size_t comma = rest.find(',');
    const std::string_view argument = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    if (argument.size() > key.size() && argument.substr(0, key.size()) == key &&
        argument[key.size()] == '=') {
      return argument.substr(key.size() + 1);
    }
  }
  return {};
}

DeviceArguments device_arguments(const PortConfiguration& port) {
  DeviceArguments device;
  const std::size_t comma = port.device.find(',');
  device.name = port.device.substr(0, comma);
  device.arguments = comma == std::string::npos ? "" : port.device.substr(comma + 1);
  if (port.is_pci()) {
    std::transform(device.name.begin(), device.name.end(), device.name.begin(),
                   [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (device.name.size() == 7) {
      device.name = "0000:" + device.name;
    }
    return device;
  }
  device.driver = driver_of(device.name);
  const std::string queues = std::to_string(port.queues);
  if (device.driver == "net_af_packet") {
    add(device, "qdisc_bypass", "1");
    add(device, "framesz", std::to_string(ring_frame(port.mtu)));
    add(device, "blocksz", std::to_string(2 * ring_frame(port.mtu)));
    if (port.queues > 1) {
      add(device, "qpairs", queues);
    }
  } else if ((device.driver == "net_vhost" || device.driver == "net_virtio_user") && port.queues > 1) {
    add(device, "queues", queues);
  }
  return device;
}

std::uint32_t frame_room(const PortConfiguration& port) {
  const std::uint32_t frame = port.mtu + ethernet_header + vlan_tag;
  // This driver wants room for a whole frame of its ring, whatever the MTU is.
  return device_arguments(port).driver == "net_af_packet" ? std::max(frame, ring_frame(port.mtu)) : frame;
}

}  // namespace ssn::dataplane
