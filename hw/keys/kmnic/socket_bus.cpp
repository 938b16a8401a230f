// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "bus.h"
#include "layout.h"
#include "message_socket.h"

namespace ssn::kmnic {
namespace {

using hw::FileDescriptor;

// Bus addresses are the driver's choice: memory gets the next multiple of 1 GiB, the largest page there is.
constexpr std::uint64_t address_step = std::uint64_t{1} << 30;

class SocketBus final : public Bus {
 public:
  explicit SocketBus(std::uint64_t timeout_ms) : timeout_ms_(static_cast<int>(timeout_ms)) {}
  ~SocketBus() override {
    if (monitor_.joinable()) {
      const std::uint64_t one = 1;
      (void)!::write(stop_.get(), &one, sizeof one);
      monitor_.join();
    }
  }

  Outcome connect(const std::string& path);
  Result<BusMemory> map(const ssn_memory& memory) override;
  bool unmap(const BusMemory& memory, bool done_with) noexcept override;
  void kick() noexcept override {
    Message message{};
    message.kind = message_kick;
    (void)send(message, -1);
  }
  void cut_off() noexcept override {
    ::shutdown(socket_.get(), SHUT_RDWR);
    set_gone();
  }

 private:
  // Returns 0, or an errno value.
  int send(Message& message, int fd) noexcept {
    message.magic = magic;
    message.version = version;
    return send_message(socket_.get(), message, fd, 0);
  }
  // The answer to `message`, which replaces it. Returns 0, or an errno value.
  int exchange(Message& message, int fd, FileDescriptor* received) noexcept;
  Error failed(int reason, std::string what) const;

  int timeout_ms_;
  FileDescriptor socket_;
  FileDescriptor stop_;
  std::thread monitor_;  // sleeps until the device hangs up
  std::uint64_t next_address_ = address_step;
};

Error SocketBus::failed(int reason, std::string what) const {
  Error error = system_error(reason, std::move(what), where());
  error.code = reason == ENOENT || reason == ENOTDIR ? Exit::not_found : Exit::temporary;
  if (reason == EACCES || reason == EPERM) {
    error.code = Exit::refused;
  } else {
    error.fix = "start the key manager (ssn-kme), or give the socket that it serves";
  }
  return error;
}

int SocketBus::exchange(Message& message, int fd, FileDescriptor* received) noexcept {
  const std::uint32_t kind = message.kind;
  if (gone()) {
    return EPIPE;
  }
  if (const int reason = send(message, fd); reason != 0) {
    return reason;
  }
  pollfd wait{socket_.get(), POLLIN, 0};
  int ready = -1;
  do {
    ready = ::poll(&wait, 1, timeout_ms_);
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) {
    // An answer that comes later would be taken for that to the next question.
    cut_off();
    return ready == 0 ? ETIMEDOUT : errno;
  }
  Received answer = receive_message(socket_.get(), message, 0);
  if (answer.reason != 0 || message.kind != kind) {
    cut_off();
    return answer.reason != 0 ? answer.reason : EPROTO;
  }
  if (received != nullptr) {
    *received = std::move(answer.fd);
  }
  return message.result <= 4095 ? static_cast<int>(message.result) : EPROTO;
}

Outcome SocketBus::connect(const std::string& path) {
  set_where(path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{Exit::usage, "cannot reach the key device", "the path of its socket is empty or too long",
                 path, "choose a path of at most 107 characters"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  socket_ = FileDescriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  stop_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
  if (socket_.get() < 0 || stop_.get() < 0) {
    return failed(errno, "cannot reach the key device");
  }
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failed(errno, "cannot reach the key device");
  }
  Message hello{};
  hello.kind = message_hello;
  FileDescriptor bar;
  if (const int reason = exchange(hello, -1, &bar); reason != 0) {
    return failed(reason, "cannot reach the key device");
  }
  struct stat status{};
  // Memory that can shrink would end this process as soon as it does.
  const int seals = ::fcntl(bar.get(), F_GET_SEALS);
  if (bar.get() < 0 || seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(bar.get(), &status) != 0 ||
      static_cast<std::uint64_t>(status.st_size) < hello.bytes) {
    return Error{Exit::failed, "cannot use the key device",
                 "it handed over registers that are not memory sealed against shrinking", path,
                 "check that a key manager of this release serves this socket"};
  }
  if (Outcome mapped = map_registers(bar.get(), hello.bytes); !mapped.ok()) {
    return mapped;
  }
  monitor_ = std::thread([this] {
    pollfd events[2] = {{socket_.get(), POLLRDHUP, 0}, {stop_.get(), POLLIN, 0}};
    while (::poll(events, 2, -1) < 0 && errno == EINTR) {
    }
    if (events[0].revents != 0) {
      set_gone();
    }
  });
  return done;
}

Result<BusMemory> SocketBus::map(const ssn_memory& memory) {
  Message message{};
  message.kind = message_map;
  message.address = next_address_;
  message.bytes = memory.bytes;
  message.fd_offset = memory.fd_offset;
  message.page_bytes = memory.page_bytes;
  if (memory.fd < 0 || memory.page_bytes == 0 || memory.bytes > (std::uint64_t{1} << 40)) {
    return Error{Exit::usage, "cannot show memory to the key device",
                 "it has no file that can be handed over", where(),
                 "use ring memory that is made from a memfd"};
  }
  if (const int reason = exchange(message, memory.fd, nullptr); reason != 0) {
    return failed(reason, "cannot show memory to the key device");
  }
  BusMemory result;
  result.page_bytes = memory.page_bytes;
  for (std::uint64_t at = 0; at < memory.bytes; at += memory.page_bytes) {
    result.pages.push_back(next_address_ + at);
  }
  next_address_ += (memory.bytes + address_step - 1) / address_step * address_step;
  return result;
}

bool SocketBus::unmap(const BusMemory& memory, bool) noexcept {
  if (memory.pages.empty()) {
    return true;
  }
  Message message{};
  message.kind = message_unmap;
  message.address = memory.pages.front();
  return exchange(message, -1, nullptr) == 0;
}

}  // namespace

Result<std::shared_ptr<Bus>> connect_socket_bus(const std::string& path, std::uint64_t timeout_ms) {
  auto bus = std::make_shared<SocketBus>(timeout_ms);
  if (Outcome connected = bus->connect(path); !connected.ok()) {
    return connected.error();
  }
  return std::shared_ptr<Bus>(std::move(bus));
}

}  // namespace ssn::kmnic
