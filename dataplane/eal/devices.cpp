// SPDX-License-Identifier: BSD-3-Clause
#include "devices.h"

#include <fmt/core.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace ssn::dataplane {
namespace {

// The path on which the device would listen; empty where it does not.
std::string listening_path(const DeviceArguments& device) {
  std::string_view path;
  if (device.driver == "net_vhost" && device.value("client") != "1") {
    path = device.value("iface");
  } else if (device.driver == "net_virtio_user" && device.value("server") == "1") {
    path = device.value("path");
  } else if (device.driver == "net_memif" && device.value("role") == "server" &&
             device.value("socket-abstract") == "no") {
    path = device.value("socket");
  }
  return std::string(path);
}

bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return false;
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {  // vhost's and memif's
    const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool refused = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
                         (errno == ECONNREFUSED || errno == EPROTOTYPE);
    ::close(fd);
    if (!refused) {
      return true;
    }
  }
  return false;
}

}  // namespace

Outcome remove_stale_socket(const PortConfiguration& port, const DeviceArguments& device) {
  const std::string path = listening_path(device);
  struct stat status{};
  if (path.empty() || ::lstat(path.c_str(), &status) != 0) {
    return done;
  }
  const std::string what = fmt::format("cannot open port {}", port.name);
  if (!S_ISSOCK(status.st_mode)) {
    return Error{Exit::refused, what, path + " exists and is no socket", port.where, "give another path"};
  }
  if (somebody_listens(path)) {
    return Error{Exit::refused, what, "another process listens on " + path, port.where,
                 "end that process, or give another path"};
  }
  return ::unlink(path.c_str()) == 0 ? Outcome(done) : Outcome(system_error(errno, what, path));
}

namespace {

// A request about an interface, over any socket.
bool interface_request(unsigned long what, const std::string& interface, ifreq& request) {
  if (interface.size() >= sizeof request.ifr_name) {
    errno = ENODEV;
    return false;
  }
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool good = fd >= 0 && ::ioctl(fd, what, &request) == 0;
  const int error = errno;
  if (fd >= 0) {
    ::close(fd);
  }
  errno = error;
  return good;
}

}  // namespace

Outcome set_interface_mtu(const PortConfiguration& port, const std::string& interface) {
  ifreq request{};
  if (interface_request(SIOCGIFMTU, interface, request) && request.ifr_mtu == static_cast<int>(port.mtu)) {
    return done;
  }
  request = {};
  request.ifr_mtu = static_cast<int>(port.mtu);
  if (!interface_request(SIOCSIFMTU, interface, request)) {
    return system_error(errno, fmt::format("cannot set the MTU of port {}", port.name),
                        fmt::format("{}: interface {}, MTU {}", port.where, interface, port.mtu));
  }
  return done;
}

bool interface_address(const std::string& interface, MacAddress& address) {
  ifreq request{};
  if (!interface_request(SIOCGIFHWADDR, interface, request)) {
    return false;
  }
  std::memcpy(address.data(), request.ifr_hwaddr.sa_data, address.size());
  return true;
}

bool interface_is_running(const std::string& interface) {
  ifreq request{};
  return interface_request(SIOCGIFFLAGS, interface, request) &&
         (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

PacketSockets packet_sockets() {
  PacketSockets sockets;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    sockaddr_ll address{};
    socklen_t length = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0 && length >= 8 &&
        address.sll_family == AF_PACKET) {
      sockets.push_back({fd, address.sll_ifindex});
    }
  }
  std::sort(sockets.begin(), sockets.end(),
            [](const PacketSocket& a, const PacketSocket& b) { return a.fd < b.fd; });
  return sockets;
}

std::vector<int> new_packet_sockets(const PacketSockets& before, const std::string& interface) {
  const int index = static_cast<int>(::if_nametoindex(interface.c_str()));
  std::vector<int> fds;
  for (const PacketSocket& socket : packet_sockets()) {
    const bool old = std::any_of(before.begin(), before.end(),
                                 [&](const PacketSocket& other) { return other.fd == socket.fd; });
    if (!old && index != 0 && socket.interface == index) {
      fds.push_back(socket.fd);
    }
  }
  return fds;
}

}  // namespace ssn::dataplane
