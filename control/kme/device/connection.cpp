// SPDX-License-Identifier: BSD-3-Clause
#include "connection.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "message_socket.h"

namespace ssn::kme {
namespace {

namespace function = kmnic::function;
namespace stream = kmnic::stream;

constexpr std::uint32_t block_bytes_max = 256U << 10;
constexpr std::uint32_t entries_max = 16384;
constexpr std::uint64_t ring_bytes_min = 4096;
constexpr std::uint32_t fault_code_injected = 1;
// Messages of one driver in one round: the others get their turn.
constexpr int messages_per_round = 16;

kmnic::Answer answer_for(Exit code) noexcept {
  switch (code) {
    case Exit::not_found:
      return kmnic::answer_no_link;
    case Exit::refused:
      return kmnic::answer_refused;
    case Exit::temporary:
      return kmnic::answer_no_manager;
    case Exit::usage:
      return kmnic::answer_bad_request;
    default:
      return kmnic::answer_exhausted;
  }
}

}  // namespace

// ---- Registers
// ----------------------------------------------------------------------------------------------

Outcome RegisterFile::make(std::size_t bytes) {
  fd_ = ::memfd_create("ssn-kmnic-registers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0 || ::ftruncate(fd_, static_cast<off_t>(bytes)) != 0 ||
      ::fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return system_error(errno, "cannot make the registers of a device function", "memfd");
  }
  void* const base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (base == MAP_FAILED) {
    return system_error(errno, "cannot map the registers of a device function", "memfd");
  }
  base_ = base;
  registers_ = kmnic::Registers(base, bytes);
  return done;
}

RegisterFile::~RegisterFile() {
  if (base_ != nullptr) {
    ::munmap(base_, registers_.bytes());
  }
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

Outcome Connection::make_registers() {
  const std::uint32_t streams = options_.streams_max;
  const std::size_t bytes = function::bytes + std::size_t{streams} * stream::bytes;
  if (Outcome made = registers_.make(bytes); !made.ok()) {
    return made;
  }
  const kmnic::Registers& registers = registers_.registers();
  registers.write32(function::magic, kmnic::magic);
  registers.write32(function::version, kmnic::version);
  registers.write32(function::capabilities, kmnic::capability_emulator | kmnic::capability_random);
  registers.write32(function::generation, generation_);
  registers.write32(function::numa_node, static_cast<std::uint32_t>(options_.numa_node));
  registers.write32(function::streams_max, streams);
  registers.write64(function::streams_offset, function::bytes);
  registers.write32(function::stream_stride, stream::bytes);
  registers.write32(function::block_bytes_max, block_bytes_max);
  registers.write64(function::ring_bytes_min, ring_bytes_min);
  registers.write64(function::ring_bytes_max, options_.ring_bytes_max);
  registers.write64(function::bar_bytes, bytes);
  registers.write32(function::entries_max, entries_max);
  registers.write32(function::retain_bytes, static_cast<std::uint32_t>(retain_bytes));
  std::uint8_t identity[function::identity_bytes] = {};
  std::memcpy(identity, options_.identity.data(), std::min(options_.identity.size(), sizeof identity - 1));
  registers.write_bytes(function::identity, identity, sizeof identity);
  pages_.resize(streams);
  for (std::uint32_t i = 0; i < streams; ++i) {
    pages_[i].registers = registers.window(function::bytes + std::size_t{i} * stream::bytes, stream::bytes);
  }
  registers.write32(function::status, kmnic::status_ready);
  return done;
}

Connection::Connection(int socket, const DeviceModel::Options& options, std::uint32_t generation)
    : socket_(socket),
      options_(options),
      generation_(generation),
      memory_(2 * std::size_t{options.streams_max} + 2, options.memory_bytes_max) {}

Connection::~Connection() {
  end_streams(kmnic::end_fault);
  ::close(socket_);
}

// ---- Messages
// -----------------------------------------------------------------------------------------------

bool Connection::serve_messages(ModelStream::Counters& counters) {
  for (int i = 0; i < messages_per_round; ++i) {
    kmnic::Message message{};
    const kmnic::Received received = kmnic::receive_message(socket_, message, MSG_DONTWAIT);
    if (received.reason == EAGAIN || received.reason == EINTR) {
      return true;
    }
    if (received.hung_up || (received.reason != 0 && received.reason != EPROTO)) {
      return false;
    }
    const bool known = received.reason == 0;
    const bool goes_on = known && handle(message, received.fd.get(), counters);
    if (!goes_on) {
      counters.rejected += known ? 0 : 1;
      return false;
    }
  }
  return true;
}

bool Connection::answer(kmnic::Message& message, int fd_to_send) {
  // A driver that does not read its answers is gone.
  return kmnic::send_message(socket_, message, fd_to_send, MSG_DONTWAIT) == 0;
}

bool Connection::handle(kmnic::Message& message, int fd, ModelStream::Counters& counters) {
  if (message.kind == kmnic::message_kick && greeted_) {
    kicked_ = true;
    return true;
  }
  if (message.kind == kmnic::message_hello && !greeted_) {
    if (message.version >> 16 != kmnic::version_major) {
      message.result = EPROTONOSUPPORT;
      return answer(message, -1) && false;
    }
    if (!make_registers().ok()) {
      message.result = ENOMEM;
      return answer(message, -1) && false;
    }
    greeted_ = true;
    message.result = 0;
    message.version = kmnic::version;
    message.bytes = registers_.registers().bytes();
    return answer(message, registers_.fd());
  }
  if (message.kind == kmnic::message_map && greeted_) {
    message.result = static_cast<std::uint32_t>(
        memory_.add(fd, message.fd_offset, message.bytes, message.page_bytes, message.address));
    counters.rejected += message.result == 0 ? 0 : 1;
    return answer(message, -1);
  }
  if (message.kind == kmnic::message_unmap && greeted_) {
    message.result = unmap(message.address);
    return answer(message, -1);
  }
  ++counters.rejected;
  return false;
}

std::uint32_t Connection::unmap(std::uint64_t address) {
  const HostMapping* const mapping = memory_.find(address);
  if (mapping == nullptr) {
    return ENOENT;
  }
  for (Page& page : pages_) {
    if (page.stream != nullptr && page.stream->uses(*mapping)) {
      page.stream.reset();
    }
  }
  forget_closed();
  memory_.remove(address);
  return 0;
}

// ---- Commands
// -----------------------------------------------------------------------------------------------

bool Connection::pump(bool look, Clock::time_point now, FaultPlan& faults, ModelStream::Counters& counters) {
  if (!greeted_) {
    return false;
  }
  bool worked = false;
  if (look || kicked_) {
    kicked_ = false;
    worked = look_for_commands(faults, counters);
  }
  for (const std::uint32_t index : open_) {
    worked |= pages_[index].stream->pump(now, faults, counters);
  }
  return worked;
}

std::chrono::microseconds Connection::patience(std::chrono::microseconds longest) const noexcept {
  for (const std::uint32_t index : open_) {
    if (pages_[index].stream->open()) longest = std::min(longest, pages_[index].stream->patience());
  }
  return longest;
}

bool Connection::look_for_commands(FaultPlan& faults, ModelStream::Counters& counters) {
  if (registers_.registers().read32(function::reset) == kmnic::reset_request) {
    registers_.registers().write32(function::reset, 0);
    reset();
    return true;
  }
  if (failed_) {
    return false;
  }
  bool worked = false;
  for (Page& page : pages_) {
    const std::uint64_t command = page.registers.read64(stream::command);
    if (command == page.command) {
      continue;
    }
    page.command = command;
    worked = true;
    kmnic::Answer result = kmnic::answer_bad_request;
    if ((command & 0xffffffff) == kmnic::command_open) {
      const bool refused = faults.waiting() && faults.hits(FaultKind::refuse_open);
      result = refused ? kmnic::answer_exhausted : open_stream(page, counters);
    } else if ((command & 0xffffffff) == kmnic::command_close) {
      if (faults.waiting() && faults.hits(FaultKind::ignore_close)) {
        continue;
      }
      page.stream.reset();
      result = kmnic::answer_ok;
    }
    forget_closed();
    counters.rejected += result == kmnic::answer_bad_request || result == kmnic::answer_bad_address ? 1 : 0;
    page.registers.write64(stream::answer, (command >> 32) << 32 | result);
  }
  return worked;
}

// Reads each parameter once. The names are text of somebody else: only their length is checked here.
kmnic::Answer Connection::read_setup(const Page& page, ModelStream::Setup& setup,
                                     StreamProvider::Request& request) {
  const kmnic::Registers& registers = page.registers;
  const std::uint32_t role = registers.read32(stream::role);
  const std::uint64_t page_bytes = registers.read64(stream::ring_page_bytes);
  const std::uint32_t local_length = registers.read32(stream::local_length);
  const std::uint32_t peer_length = registers.read32(stream::peer_length);
  const std::uint64_t status = registers.read64(stream::status_address);
  setup.block_bytes = registers.read32(stream::block_bytes);
  setup.entries = registers.read32(stream::entries);
  setup.ring_bytes = registers.read64(stream::ring_bytes);
  setup.generation = registers.read32(stream::generation);
  if (role > SSN_KEY_RANDOM) {
    return kmnic::answer_unsupported;
  }
  if (setup.generation != generation_) {
    return kmnic::answer_generation;
  }
  const auto power_between = [](std::uint64_t value, std::uint64_t least, std::uint64_t most) {
    return std::has_single_bit(value) && value >= least && value <= most;
  };
  const bool sane = power_between(setup.block_bytes, kmnic::block_bytes_least, block_bytes_max) &&
                    power_between(setup.entries, kmnic::entries_least, entries_max) &&
                    power_between(setup.ring_bytes, ring_bytes_min, options_.ring_bytes_max) &&
                    power_between(page_bytes, 4096, std::uint64_t{1} << 30) &&
                    page_bytes <= setup.ring_bytes && setup.block_bytes <= setup.ring_bytes &&
                    local_length >= 1 && local_length <= SSN_PEER_NAME_MAX &&
                    peer_length <= SSN_PEER_NAME_MAX && (peer_length == 0) == (role == SSN_KEY_RANDOM) &&
                    status % sizeof(kmnic::StatusBlock) == 0;
  if (!sane) {
    return kmnic::answer_bad_request;
  }
  std::uint8_t name[stream::name_bytes] = {};
  registers.read_bytes(stream::local_name, name, local_length);
  request.local.assign(reinterpret_cast<const char*>(name), local_length);
  registers.read_bytes(stream::peer_name, name, peer_length);
  request.peer.assign(reinterpret_cast<const char*>(name), peer_length);
  registers.read_bytes(stream::ksid, setup.ksid.data(), setup.ksid.size());
  request.ksid = setup.ksid;
  request.role = static_cast<ssn_key_role>(role);
  std::uint8_t* const block = memory_.at(status, sizeof(kmnic::StatusBlock));
  const bool reachable =
      block != nullptr &&
      setup.ring.resolve(memory_, registers.read64(stream::ring_pages), setup.ring_bytes, page_bytes) &&
      setup.descriptors.resolve(memory_, registers.read64(stream::descriptor_pages),
                                setup.entries * sizeof(kmnic::Descriptor), kmnic::list_page_bytes);
  setup.status = reinterpret_cast<kmnic::StatusBlock*>(block);
  setup.registers = registers;
  return reachable ? kmnic::answer_ok : kmnic::answer_bad_address;
}

kmnic::Answer Connection::open_stream(Page& page, ModelStream::Counters&) {
  if (page.stream != nullptr) {
    return kmnic::answer_bad_request;
  }
  ModelStream::Setup setup;
  StreamProvider::Request request;
  if (const kmnic::Answer read = read_setup(page, setup, request); read != kmnic::answer_ok) {
    return read;
  }
  if (!options_.only_local_name.empty() && request.local != options_.only_local_name) {
    return kmnic::answer_refused;
  }
  Result<std::unique_ptr<StreamSource>> source = options_.provider->open(request);
  if (!source.ok()) {
    return answer_for(source.error().code);
  }
  Result<std::unique_ptr<ModelStream>> made = ModelStream::make(std::move(setup), std::move(source.value()));
  if (!made.ok()) {
    return kmnic::answer_exhausted;
  }
  page.stream = std::move(made.value());
  open_.push_back(static_cast<std::uint32_t>(&page - pages_.data()));
  return kmnic::answer_ok;
}

void Connection::forget_closed() {
  std::erase_if(open_, [&](std::uint32_t index) { return pages_[index].stream == nullptr; });
}

// ---- Ends
// ---------------------------------------------------------------------------------------------------

void Connection::end_streams(kmnic::EndReason reason) noexcept {
  for (const std::uint32_t index : open_) {
    pages_[index].stream->end(reason);
  }
}

void Connection::reset() noexcept {
  if (!greeted_) {
    return;
  }
  const kmnic::Registers& registers = registers_.registers();
  registers.write32(function::status, kmnic::status_resetting);
  end_streams(kmnic::end_reset);
  for (Page& page : pages_) {
    page.stream.reset();
  }
  open_.clear();
  generation_ = generation_ % 0xfffffffe + 1;  // neither 0 nor all ones
  failed_ = false;
  registers.write32(function::generation, generation_);
  registers.write32(function::fault_code, 0);
  registers.write32(function::status, kmnic::status_ready);
}

void Connection::fail() noexcept {
  if (!greeted_) {
    return;
  }
  failed_ = true;
  registers_.registers().write32(function::fault_code, fault_code_injected);
  registers_.registers().write32(function::status, kmnic::status_fault);
  end_streams(kmnic::end_fault);
}

}  // namespace ssn::kme
