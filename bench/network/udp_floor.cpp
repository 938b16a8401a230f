// SPDX-License-Identifier: BSD-3-Clause
// What a network of veth links and a bridge carries for a competent program that does nothing else: one
// sender, plain UDP datagrams with sendmmsg and recvmmsg, and every sink gets every byte. Nothing is
// encrypted, stored or split, no segmentation offload. And the same for people over TCP, from standard input.
//
//   udp_floor sink PORT BYTES                      receives that much, counts it, tells what it got
//   udp_floor send BYTES DATAGRAM WINDOW PORT ADDRESS...
//   udp_floor tcp-sink PORT
//   udp_floor tcp-send PORT ADDRESS...             standard input to all of them
//
// A sink tells its sender how many datagrams it has after every 32nd: the sender keeps at most WINDOW on
// their way to each. That is the least by which nothing gets lost; what is lost all the same ends the run
// with exit code 3. Prints one line of JSON: bytes to each sink and seconds.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned burst = 32;
constexpr std::size_t longest = 9216;
constexpr int socket_bytes = 4 << 20;
constexpr int patience_ms = 2000;  // without a datagram: something was lost
constexpr int lost_code = 3;

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "udp_floor: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void check(bool ok, const char* what) {
  if (!ok) die(what);
}

std::uint64_t number(const char* text) {
  char* end = nullptr;
  errno = 0;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0') errno = EINVAL;
  check(errno == 0, text);
  return value;
}

sockaddr_in address_of(const char* text, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  errno = EINVAL;
  check(text == nullptr || inet_pton(AF_INET, text, &out.sin_addr) == 1, "no IPv4 address");
  return out;
}

const sockaddr* plain(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

int bound_socket(int type, std::uint16_t port) {
  const int fd = socket(AF_INET, type, 0);
  check(fd >= 0, "socket");
  const int one = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  // As root past the limit of the system, else as far as that goes.
  for (const int option : {SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_RCVBUF, SO_SNDBUF}) {
    (void)setsockopt(fd, SOL_SOCKET, option, &socket_bytes, sizeof socket_bytes);
  }
  const sockaddr_in any = address_of(nullptr, port);
  check(bind(fd, plain(any), sizeof any) == 0, "bind");
  return fd;
}

/// Datagrams of a burst, all over one buffer each.
struct Batch {
  explicit Batch(std::size_t bytes) {
    for (unsigned i = 0; i < burst; ++i) {
      buffers[i].resize(bytes);
      parts[i] = {buffers[i].data(), bytes};
      messages[i] = {};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::array<std::vector<std::uint8_t>, burst> buffers;
  std::array<iovec, burst> parts{};
  std::array<mmsghdr, burst> messages{};
};

bool readable(int fd, int milliseconds) {
  pollfd waiting{fd, POLLIN, 0};
  const int ready = poll(&waiting, 1, milliseconds);
  check(ready >= 0 || errno == EINTR, "poll");
  return ready > 0;
}

void print(std::uint64_t bytes, Clock::time_point begin) {
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", static_cast<unsigned long long>(bytes), seconds);
}

int sink(std::uint16_t port, std::uint64_t wanted) {
  const int fd = bound_socket(SOCK_DGRAM, port);
  Batch batch(longest);
  std::uint64_t bytes = 0;
  std::uint64_t datagrams = 0;
  std::uint64_t told = 0;
  sockaddr_in from{};
  for (mmsghdr& message : batch.messages) {
    message.msg_hdr.msg_name = &from;
    message.msg_hdr.msg_namelen = sizeof from;
  }
  errno = ETIMEDOUT;
  check(readable(fd, 60'000), "nobody sends");
  const Clock::time_point begin = Clock::now();
  while (bytes < wanted) {
    const int count = recvmmsg(fd, batch.messages.data(), burst, MSG_DONTWAIT, nullptr);
    if (count < 0) {
      check(errno == EAGAIN || errno == EINTR, "recvmmsg");
      if (!readable(fd, patience_ms)) return lost_code;
      continue;
    }
    for (int i = 0; i < count; ++i) bytes += batch.messages[static_cast<unsigned>(i)].msg_len;
    datagrams += static_cast<unsigned>(count);
    if (datagrams - told >= burst || bytes >= wanted) {
      told = datagrams;
      check(sendto(fd, &told, sizeof told, 0, plain(from), sizeof from) == sizeof told, "sendto");
    }
  }
  print(bytes, begin);
  close(fd);
  return 0;
}

/// One sink as its sender sees it.
struct Peer {
  int fd = -1;
  std::uint64_t sent = 0;  // datagrams
  std::uint64_t arrived = 0;
};

// Sends what the window lets, at most a burst. False: nothing could go.
bool send_some(Peer& peer, Batch& batch, std::uint64_t datagrams, std::uint64_t last_bytes,
               std::uint64_t window) {
  std::uint64_t told = 0;
  while (recv(peer.fd, &told, sizeof told, MSG_DONTWAIT) == sizeof told)
    peer.arrived = std::max(peer.arrived, told);
  const std::uint64_t room = window - std::min(window, peer.sent - peer.arrived);
  const auto count = static_cast<unsigned>(std::min<std::uint64_t>({burst, room, datagrams - peer.sent}));
  if (count == 0) return false;
  const std::size_t whole = batch.parts[0].iov_len;
  const bool ends = peer.sent + count == datagrams;
  if (ends) batch.parts[count - 1].iov_len = last_bytes;
  const int sent = sendmmsg(peer.fd, batch.messages.data(), count, 0);
  batch.parts[count - 1].iov_len = whole;
  check(sent >= 0 || errno == EAGAIN || errno == ENOBUFS || errno == EINTR, "sendmmsg");
  peer.sent += static_cast<unsigned>(std::max(sent, 0));
  return sent > 0;
}

int send_all(std::uint64_t bytes, std::size_t datagram, std::uint64_t window, std::uint16_t port,
             const std::vector<const char*>& addresses) {
  std::vector<Peer> peers;
  for (const char* const each : addresses) {
    peers.push_back({bound_socket(SOCK_DGRAM, 0)});
    const sockaddr_in to = address_of(each, port);
    check(connect(peers.back().fd, plain(to), sizeof to) == 0, "connect");
  }
  Batch batch(datagram);
  for (auto& buffer : batch.buffers) std::fill(buffer.begin(), buffer.end(), std::uint8_t{0x5a});
  const std::uint64_t datagrams = (bytes + datagram - 1) / datagram;
  const std::uint64_t last_bytes = bytes - (datagrams - 1) * datagram;
  const Clock::time_point begin = Clock::now();
  std::vector<pollfd> waiting(peers.size());
  while (true) {
    bool moved = false;
    bool done = true;
    for (std::size_t i = 0; i < peers.size(); ++i) {
      moved = send_some(peers[i], batch, datagrams, last_bytes, window) || moved;
      done = done && peers[i].arrived == datagrams;
      waiting[i] = {peers[i].fd, POLLIN, 0};
    }
    if (done) break;
    if (moved) continue;
    const int ready = poll(waiting.data(), waiting.size(), patience_ms);
    check(ready >= 0 || errno == EINTR, "poll");
    if (ready == 0) return lost_code;
  }
  print(bytes, begin);
  return 0;
}

int tcp_sink(std::uint16_t port) {
  const int listening = bound_socket(SOCK_STREAM, port);
  check(listen(listening, 1) == 0, "listen");
  errno = ETIMEDOUT;
  check(readable(listening, 60'000), "nobody connects");
  const int fd = accept(listening, nullptr, nullptr);
  check(fd >= 0, "accept");
  const Clock::time_point begin = Clock::now();
  std::vector<std::uint8_t> buffer(1 << 18);
  std::uint64_t bytes = 0;
  while (true) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    check(got >= 0, "recv");
    if (got == 0) break;
    bytes += static_cast<std::size_t>(got);
  }
  const std::uint8_t all = 1;
  check(send(fd, &all, 1, 0) == 1, "send");
  print(bytes, begin);
  return 0;
}

int tcp_send(std::uint16_t port, const std::vector<const char*>& addresses) {
  std::vector<int> peers;
  for (const char* const each : addresses) {
    peers.push_back(bound_socket(SOCK_STREAM, 0));
    const sockaddr_in to = address_of(each, port);
    check(connect(peers.back(), plain(to), sizeof to) == 0, "connect");
  }
  const Clock::time_point begin = Clock::now();
  std::vector<std::uint8_t> buffer(1 << 18);
  std::uint64_t bytes = 0;
  while (true) {
    const ssize_t got = read(STDIN_FILENO, buffer.data(), buffer.size());
    check(got >= 0, "read");
    if (got == 0) break;
    bytes += static_cast<std::size_t>(got);
    for (const int fd : peers) {
      for (ssize_t at = 0; at < got;) {
        const ssize_t sent = send(fd, buffer.data() + at, static_cast<std::size_t>(got - at), MSG_NOSIGNAL);
        check(sent > 0, "send");
        at += sent;
      }
    }
  }
  for (const int fd : peers) {  // until each of them has it all
    check(shutdown(fd, SHUT_WR) == 0, "shutdown");
    std::uint8_t all = 0;
    check(recv(fd, &all, 1, 0) == 1, "recv");
  }
  print(bytes, begin);
  return 0;
}

int usage() {
  std::fputs(
      "usage: udp_floor sink PORT BYTES | send BYTES DATAGRAM WINDOW PORT ADDRESS... |\n"
      "       tcp-sink PORT | tcp-send PORT ADDRESS...\n",
      stderr);
  return 2;
}

}  // namespace

int main(int count, char** values) {
  const std::vector<const char*> words(values + 1, values + count);
  const std::string_view what = words.empty() ? "" : words[0];
  const auto port = [&](std::size_t at) { return static_cast<std::uint16_t>(number(words[at])); };
  const auto rest = [&](std::size_t at) {
    return std::vector<const char*>(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
  };
  if (what == "sink" && words.size() == 3) return sink(port(1), number(words[2]));
  if (what == "send" && words.size() >= 6) {
    const std::uint64_t bytes = number(words[1]);
    const std::uint64_t datagram = number(words[2]);
    if (bytes == 0 || datagram == 0 || datagram > longest || number(words[3]) < burst) return usage();
    return send_all(bytes, datagram, number(words[3]), port(4), rest(5));
  }
  if (what == "tcp-sink" && words.size() == 2) return tcp_sink(port(1));
  if (what == "tcp-send" && words.size() >= 3) return tcp_send(port(1), rest(2));
  return usage();
}
