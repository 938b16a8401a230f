// SPDX-License-Identifier: BSD-3-Clause
// What the device model does with a driver that breaks rules.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "layout.h"
#include "message_socket.h"
#include "registers.h"
#include "setup.h"

namespace ssn::kmnic_test {
namespace {

namespace layout = ssn::kmnic;

constexpr std::uint64_t memory_bytes = 1 << 20;
constexpr std::uint64_t address = std::uint64_t{5} << 30;
// Where a well-behaved driver puts things in its memory.
constexpr std::uint64_t status_at = 0;
constexpr std::uint64_t descriptors_at = 4096;
constexpr std::uint64_t descriptor_list_at = 8192;
constexpr std::uint64_t ring_list_at = 12288;
constexpr std::uint64_t ring_at = 512 << 10;
constexpr std::uint64_t ring_bytes = 64 << 10;

int make_memory(bool sealed) {
  const int fd = ::memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  EXPECT_EQ(::ftruncate(fd, memory_bytes), 0);
  if (sealed) {
    EXPECT_EQ(::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
  }
  return fd;
}

// The host's side of the protocol by hand, so that each rule can be broken alone.
class RawHost {
 public:
  explicit RawHost(const std::string& path) : memory_fd_(make_memory(true)) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path.c_str(), path.size() + 1);
    socket_ = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    const timeval limit{20, 0};
    EXPECT_EQ(::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    memory_ = static_cast<std::uint8_t*>(
        ::mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd_, 0));
  }
  ~RawHost() {
    ::munmap(memory_, memory_bytes);
    ::close(memory_fd_);
    ::close(socket_);
    if (bar_ != MAP_FAILED) {
      ::munmap(bar_, registers_.bytes());
    }
  }

  /// The result, or -1 when the device hung up.
  int ask(layout::Message message, int fd = -1) {
    if (message.magic == 0) {
      message.magic = layout::magic;
    }
    (void)layout::send_message(socket_, message, fd, 0);
    const layout::Received answer = layout::receive_message(socket_, message, 0);
    if (answer.reason != 0) {
      return -1;
    }
    if (answer.fd.is_open()) {
      bar_ = ::mmap(nullptr, message.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fd.get(), 0);
      registers_ = layout::Registers(bar_, message.bytes);
    }
    return static_cast<int>(message.result);
  }
  int hello(std::uint32_t version = layout::version) {
    layout::Message message{};
    message.kind = layout::message_hello;
    message.version = version;
    return ask(message);
  }
  int map() { return map(memory_fd_, address, memory_bytes, 4096); }
  int map(int fd, std::uint64_t at, std::uint64_t bytes, std::uint64_t page_bytes) {
    layout::Message message{};
    message.kind = layout::message_map;
    message.address = at;
    message.bytes = bytes;
    message.page_bytes = page_bytes;
    return ask(message, fd);
  }
  void send_rubbish(std::size_t length) {
    const std::vector<char> rubbish(length, 'x');
    (void)!::send(socket_, rubbish.data(), rubbish.size(), MSG_NOSIGNAL);
  }
  bool hung_up() {
    char byte = 0;
    return ::recv(socket_, &byte, 1, 0) == 0 || errno == ECONNRESET;
  }

  layout::Registers page(std::uint32_t index = 0) const {
    return registers_.window(layout::function::bytes + index * layout::stream::bytes, layout::stream::bytes);
  }
  const layout::Registers& function() const { return registers_; }
  template <typename Word>
  Word& memory(std::uint64_t at) {
    return *reinterpret_cast<Word*>(memory_ + at);
  }
  layout::StatusBlock& status() { return memory<layout::StatusBlock>(status_at); }

  /// Parameters as they should be, for a stream with the given KSID.
  void prepare(std::uint8_t ksid) {
    const layout::Registers to = page();
    const std::uint8_t bytes[SSN_KSID_BYTES] = {ksid};
    memory<std::uint64_t>(descriptor_list_at) = address + descriptors_at;
    for (std::uint64_t i = 0; i < ring_bytes / 4096; ++i) {
      memory<std::uint64_t>(ring_list_at + 8 * i) = address + ring_at + 4096 * i;
    }
    to.write_bytes(layout::stream::ksid, bytes, sizeof bytes);
    to.write32(layout::stream::role, SSN_KEY_SENDER);
    to.write32(layout::stream::block_bytes, 4096);
    to.write64(layout::stream::ring_bytes, ring_bytes);
    to.write64(layout::stream::ring_page_bytes, 4096);
    to.write64(layout::stream::ring_pages, address + ring_list_at);
    to.write32(layout::stream::entries, 64);
    to.write32(layout::stream::generation, function().read32(layout::function::generation));
    to.write64(layout::stream::descriptor_pages, address + descriptor_list_at);
    to.write64(layout::stream::status_address, address + status_at);
    to.write32(layout::stream::local_length, 5);
    to.write_bytes(layout::stream::local_name, reinterpret_cast<const std::uint8_t*>("alice"), 5);
    to.write32(layout::stream::peer_length, 3);
    to.write_bytes(layout::stream::peer_name, reinterpret_cast<const std::uint8_t*>("bob"), 3);
    for (const std::size_t doorbell :
         {layout::stream::key_credit, layout::stream::descriptor_credit, layout::stream::redeliver}) {
      to.write64(doorbell, 0);
    }
  }
  int command(layout::Command what) {
    ++ticket_;
    page().write64(layout::stream::command, std::uint64_t{ticket_} << 32 | what);
    layout::Message kick{};
    kick.magic = layout::magic;
    kick.kind = layout::message_kick;
    (void)!::send(socket_, &kick, sizeof kick, MSG_NOSIGNAL);
    std::uint64_t answer = 0;
    EXPECT_TRUE(eventually([&] {
      answer = page().read64(layout::stream::answer);
      return answer >> 32 == ticket_;
    }));
    return static_cast<int>(answer & 0xffffffff);
  }

 private:
  int socket_ = -1;
  int memory_fd_;
  std::uint8_t* memory_ = nullptr;
  void* bar_ = MAP_FAILED;
  layout::Registers registers_;
  std::uint32_t ticket_ = 0;
};

TEST_F(KmnicTest, HangsUpOnRubbish) {
  start_model();
  {
    RawHost host(socket());
    host.send_rubbish(64);
    EXPECT_TRUE(host.hung_up());
  }
  {
    RawHost host(socket());
    host.send_rubbish(1);
    EXPECT_TRUE(host.hung_up());
  }
  {
    RawHost host(socket());
    EXPECT_EQ(host.map(), -1) << "mapped before hello";
  }
  {
    RawHost host(socket());
    EXPECT_EQ(host.hello(2U << 16), EPROTONOSUPPORT);
    EXPECT_TRUE(host.hung_up());
  }
  {
    RawHost host(socket());
    EXPECT_EQ(host.hello(), 0);
    EXPECT_EQ(host.hello(), -1) << "a second hello";
  }
  EXPECT_TRUE(eventually([&] { return model_.statistics().connections == 0; }));
}

TEST_F(KmnicTest, MapsOnlyMemoryThatCannotShrink) {
  start_model();
  RawHost host(socket());
  ASSERT_EQ(host.hello(), 0);
  const int unsealed = make_memory(false);
  const int sealed = make_memory(true);
  EXPECT_EQ(host.map(unsealed, address, memory_bytes, 4096), EPERM);
  EXPECT_EQ(host.map(-1, address, memory_bytes, 4096), EPERM);
  EXPECT_EQ(host.map(sealed, address, 2 * memory_bytes, 4096), EPERM) << "more than the file has";
  EXPECT_EQ(host.map(sealed, address + 1, memory_bytes, 4096), EINVAL);
  EXPECT_EQ(host.map(sealed, address, memory_bytes, 3000), EINVAL);
  EXPECT_EQ(host.map(sealed, address, 0, 4096), EINVAL);
  EXPECT_EQ(host.map(sealed, UINT64_MAX - 4095, memory_bytes, 4096), EINVAL);
  EXPECT_EQ(host.map(sealed, address, memory_bytes, 4096), 0);
  EXPECT_EQ(host.map(sealed, address + memory_bytes - 4096, memory_bytes, 4096), EEXIST);
  EXPECT_EQ(host.map(sealed, address - memory_bytes + 4096, memory_bytes, 4096), EEXIST);
  layout::Message unmap{};
  unmap.kind = layout::message_unmap;
  unmap.address = address;
  EXPECT_EQ(host.ask(unmap), 0);
  EXPECT_EQ(host.ask(unmap), ENOENT);
  ::close(unsealed);
  ::close(sealed);
}

TEST_F(KmnicTest, AnswersEachWrongParameter) {
  start_model();
  RawHost host(socket());
  ASSERT_EQ(host.hello(), 0);
  ASSERT_EQ(host.map(), 0);
  const layout::Registers page = host.page();
  const auto with = [&](auto change) {
    host.prepare(7);
    change();
    return host.command(layout::command_open);
  };
  const auto set32 = [&](std::size_t at, std::uint32_t value) {
    return with([&] { page.write32(at, value); });
  };
  const auto set64 = [&](std::size_t at, std::uint64_t value) {
    return with([&] { page.write64(at, value); });
  };
  EXPECT_EQ(set32(layout::stream::role, 3), layout::answer_unsupported);
  EXPECT_EQ(set32(layout::stream::generation, 12345), layout::answer_generation);
  EXPECT_EQ(set32(layout::stream::block_bytes, 4095), layout::answer_bad_request);
  EXPECT_EQ(set32(layout::stream::block_bytes, 1U << 31), layout::answer_bad_request);
  EXPECT_EQ(set32(layout::stream::entries, 0), layout::answer_bad_request);
  EXPECT_EQ(set32(layout::stream::entries, 1U << 31), layout::answer_bad_request);
  EXPECT_EQ(set64(layout::stream::ring_bytes, ring_bytes + 64), layout::answer_bad_request);
  EXPECT_EQ(set64(layout::stream::ring_bytes, std::uint64_t{1} << 63), layout::answer_bad_request);
  EXPECT_EQ(set64(layout::stream::ring_page_bytes, 0), layout::answer_bad_request);
  EXPECT_EQ(set64(layout::stream::ring_page_bytes, 1 << 20), layout::answer_bad_request);
  EXPECT_EQ(set32(layout::stream::local_length, 256), layout::answer_bad_request);
  EXPECT_EQ(set32(layout::stream::peer_length, 0), layout::answer_bad_request);
  EXPECT_EQ(set64(layout::stream::status_address, address + 8), layout::answer_bad_request);
  EXPECT_EQ(set64(layout::stream::status_address, address + memory_bytes), layout::answer_bad_address);
  EXPECT_EQ(set64(layout::stream::ring_pages, 0), layout::answer_bad_address);
  EXPECT_EQ(set64(layout::stream::ring_pages, UINT64_MAX - 8), layout::answer_bad_address);
  EXPECT_EQ(set64(layout::stream::descriptor_pages, address + memory_bytes - 8), layout::answer_bad_address);
  EXPECT_EQ(set64(layout::stream::ring_bytes, 4 << 20), layout::answer_bad_address)
      << "a list without an end";
  EXPECT_EQ(with([&] { host.memory<std::uint64_t>(ring_list_at + 8) = address + memory_bytes - 64; }),
            layout::answer_bad_address);
  EXPECT_EQ(host.command(static_cast<layout::Command>(9)), layout::answer_bad_request);
  EXPECT_EQ(with([] {}), layout::answer_ok);
  EXPECT_EQ(host.command(layout::command_open), layout::answer_bad_request) << "is open already";
  EXPECT_EQ(host.command(layout::command_close), layout::answer_ok);
  EXPECT_EQ(valve_->open, 0);
}

TEST_F(KmnicTest, EndsTheStreamOfAHostThatCountsWrong) {
  start_model();
  RawHost host(socket());
  ASSERT_EQ(host.hello(), 0);
  ASSERT_EQ(host.map(), 0);
  std::uint8_t ksid = 0;
  const auto reason_after = [&](std::size_t doorbell, std::uint64_t value) {
    host.prepare(++ksid);
    EXPECT_EQ(host.command(layout::command_open), layout::answer_ok);
    host.page().write64(doorbell, value);
    EXPECT_TRUE(eventually(
        [&] { return __atomic_load_n(&host.status().state, __ATOMIC_ACQUIRE) == layout::state_ended; }));
    const std::uint32_t reason = __atomic_load_n(&host.status().end_reason, __ATOMIC_ACQUIRE);
    EXPECT_EQ(host.command(layout::command_close), layout::answer_ok);
    return reason;
  };
  EXPECT_EQ(reason_after(layout::stream::key_credit, ring_bytes + 64), layout::end_host_broke);
  EXPECT_EQ(reason_after(layout::stream::key_credit, UINT64_MAX), layout::end_host_broke);
  EXPECT_EQ(reason_after(layout::stream::descriptor_credit, 1'000'000), layout::end_host_broke);
  EXPECT_EQ(reason_after(layout::stream::redeliver, std::uint64_t{1} << 48 | 500), layout::end_not_held);
  EXPECT_TRUE(eventually([&] { return model_.statistics().rejected == 4; })) << model_.statistics().rejected;
  // Nobody else is hurt.
  hw::KeyDevice alice = device();
  hw::KeyStream sender = stream(alice);
  EXPECT_TRUE(consume_until(sender, 1 << 20));
}

TEST_F(KmnicTest, LosesTheStreamWithItsMemory) {
  start_model();
  RawHost host(socket());
  ASSERT_EQ(host.hello(), 0);
  ASSERT_EQ(host.map(), 0);
  host.prepare(1);
  ASSERT_EQ(host.command(layout::command_open), layout::answer_ok);
  layout::Message unmap{};
  unmap.kind = layout::message_unmap;
  unmap.address = address;
  EXPECT_EQ(host.ask(unmap), 0);
  EXPECT_EQ(valve_->open, 0);
}

}  // namespace
}  // namespace ssn::kmnic_test
