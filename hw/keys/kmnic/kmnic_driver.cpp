// SPDX-License-Identifier: BSD-3-Clause
// The key driver "kmnic": the control path of docs/kmnic.md, and the interface of include/ssn/key_device.h.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bus.h"
#include "driver_support.h"
#include "layout.h"
#include "stream.h"

namespace ssn::kmnic {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::uint32_t block_bytes_most = 1U << 24;
constexpr std::uint32_t block_bytes_default = 32U << 10;
constexpr std::uint32_t entries_most = 1U << 16;
constexpr std::uint32_t streams_most = 1024;
constexpr std::uint64_t ring_bytes_most = std::uint64_t{1} << 40;

extern const ssn_key_driver kmnic_driver;

// What a device says of itself, checked.
struct Abilities {
  std::uint32_t capabilities = 0;
  std::uint32_t streams_max = 0;
  std::uint64_t streams_offset = 0;
  std::uint32_t stream_stride = 0;
  std::uint32_t block_bytes_max = 0;
  std::uint32_t entries_max = 0;
  std::uint64_t ring_bytes_min = 0;
  std::uint64_t ring_bytes_max = 0;
  int numa_node = -1;
  std::string identity;
};

struct Device {
  std::string local_name;
  std::string socket;
  std::string bar;
  std::uint64_t timeout_ms = 2000;
  std::uint32_t block_bytes = block_bytes_default;
  Timing timing;

  std::shared_ptr<Bus> bus;
  Abilities abilities;
  std::vector<bool> used;    // streams of `bus`
  std::uint32_t ticket = 0;  // of the last command
};

Device* from(ssn_key_device* device) noexcept { return reinterpret_cast<Device*>(device); }
Stream* from(ssn_key_stream* head) noexcept { return reinterpret_cast<Stream*>(head); }
const Stream* from(const ssn_key_stream* head) noexcept { return reinterpret_cast<const Stream*>(head); }

// Looks until `condition` holds or the time is over.
template <typename Condition>
bool wait_for(std::uint64_t timeout_ms, Condition condition) {
  const Clock::time_point end = Clock::now() + milliseconds(timeout_ms);
  while (!condition()) {
    if (Clock::now() >= end) {
      return condition();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

Error unusable(const Bus& bus, std::string why) {
  return {Exit::failed, "cannot use the key device", std::move(why), bus.where(),
          "check that this is a key-manager NIC that follows docs/kmnic.md"};
}

// The name as printable ASCII, whatever the device says.
std::string read_identity(const Registers& registers) {
  std::uint8_t bytes[function::identity_bytes] = {};
  registers.read_bytes(function::identity, bytes, sizeof bytes);
  std::string text;
  for (const std::uint8_t byte : bytes) {
    if (byte == 0) {
      break;
    }
    text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '?';
  }
  return text.substr(0, function::identity_bytes - 1);
}

Result<Abilities> read_abilities(const Bus& bus) {
  const Registers& registers = bus.registers();
  if (registers.read32(function::magic) != magic) {
    return unusable(bus, "the magic number is wrong");
  }
  const std::uint32_t speaks = registers.read32(function::version);
  if (speaks >> 16 != version_major) {
    return unusable(bus,
                    fmt::format("it speaks version {}.{} of the register interface, and this driver {}.x",
                                speaks >> 16, speaks & 0xffff, version_major));
  }
  Abilities result;
  result.capabilities = registers.read32(function::capabilities);
  result.streams_max = registers.read32(function::streams_max);
  result.streams_offset = registers.read64(function::streams_offset);
  result.stream_stride = registers.read32(function::stream_stride);
  result.block_bytes_max = registers.read32(function::block_bytes_max);
  result.entries_max = registers.read32(function::entries_max);
  result.ring_bytes_min = registers.read64(function::ring_bytes_min);
  result.ring_bytes_max = registers.read64(function::ring_bytes_max);
  result.numa_node = std::clamp(static_cast<int>(registers.read32(function::numa_node)), -1, 63);
  result.identity = read_identity(registers);
  const auto power_between = [](std::uint64_t value, std::uint64_t least, std::uint64_t most) {
    return std::has_single_bit(value) && value >= least && value <= most;
  };
  const std::uint64_t all = registers.bytes();
  const bool fits = result.streams_max >= 1 && result.streams_max <= streams_most &&
                    result.streams_offset >= function::bytes && result.streams_offset % 4096 == 0 &&
                    result.streams_offset < all && result.stream_stride >= stream::bytes &&
                    result.stream_stride % 4096 == 0 &&
                    (all - result.streams_offset) / result.stream_stride >= result.streams_max;
  const bool sane = power_between(result.block_bytes_max, block_bytes_least, block_bytes_most) &&
                    power_between(result.entries_max, entries_least, entries_most) &&
                    power_between(result.ring_bytes_min, 4096, ring_bytes_most) &&
                    power_between(result.ring_bytes_max, result.ring_bytes_min, ring_bytes_most);
  if (!fits || !sane) {
    return unusable(bus, "its registers describe a device that cannot be");
  }
  return result;
}

// Makes the device forget what it was told before. GENERATION tells that it has: READY may still be from
// before.
bool reset(const Device& device, Bus& bus) {
  const Registers& registers = bus.registers();
  const std::uint32_t before = registers.read32(function::generation);
  registers.write32(function::reset, reset_request);
  bus.kick();
  return wait_for(device.timeout_ms, [&] {
    return registers.read32(function::generation) != before &&
           (registers.read32(function::status) & (status_ready | status_resetting | status_fault)) ==
               status_ready;
  });
}

Error reset_failed(const Bus& bus) {
  const Registers& registers = bus.registers();
  return {Exit::temporary, "cannot use the key device",
          fmt::format("a reset did not make it ready (status register {:#x}, fault code {:#x})",
                      registers.read32(function::status), registers.read32(function::fault_code)),
          bus.where(), "restart the key manager, or replace the device"};
}

// Connects, or connects again to a device that had left.
Outcome connect(Device& device) {
  Result<std::shared_ptr<Bus>> bus =
      device.bar.empty() ? connect_socket_bus(device.socket, device.timeout_ms) : open_pci_bus(device.bar);
  if (!bus.ok()) {
    return bus.error();
  }
  const Registers& registers = bus.value()->registers();
  const bool ready = wait_for(device.timeout_ms, [&] {
    const std::uint32_t status = registers.read32(function::status);
    return status != all_ones && (status & (status_ready | status_resetting)) == status_ready;
  });
  if (!ready) {
    return Error{Exit::temporary, "cannot use the key device",
                 fmt::format("it is not ready (status register {:#x}, fault code {:#x})",
                             registers.read32(function::status), registers.read32(function::fault_code)),
                 bus.value()->where(), "wait, or restart the key manager"};
  }
  Result<Abilities> abilities = read_abilities(*bus.value());
  if (!abilities.ok()) {
    return abilities.error();
  }
  if (bus.value()->may_remember() && !reset(device, *bus.value())) {
    return reset_failed(*bus.value());
  }
  if (Outcome admitted = bus.value()->admit(); !admitted.ok()) {
    return admitted;
  }
  registers.write32(function::host_version, version);
  device.bus = std::move(bus.value());
  device.abilities = std::move(abilities.value());
  device.used.assign(device.abilities.streams_max, false);
  return done;
}

Result<std::unique_ptr<Device>> make_device(const ssn_key_device_config& config) {
  const Result<hw::DriverSettings> read = hw::DriverSettings::read(
      config, {"socket", "bar", "stall_ms", "give_up_ms", "timeout_ms", "block_bytes"});
  if (!read.ok()) {
    return read.error();
  }
  const hw::DriverSettings& settings = read.value();
  auto device = std::make_unique<Device>();
  device->local_name = config.local_name;
  device->bar = settings.find("bar").value_or("");
  if (device->bar.empty()) {
    Result<std::string> socket = settings.require("socket", "/run/ssn-kme/kmnic.sock");
    if (!socket.ok()) {
      return socket.error();
    }
    device->socket = std::move(socket.value());
  } else if (settings.find("socket")) {
    return Error{Exit::usage, "cannot open the key device", "both a socket and a BAR are given",
                 "settings socket and bar", "give socket for the device model, bar for a PCI function"};
  }
  std::uint64_t block = 0;
  const auto number = [&](const char* name, std::uint64_t& value, std::uint64_t least,
                          std::uint64_t most) -> Outcome {
    Result<std::uint64_t> given = settings.number(name, value, least, most);
    if (!given.ok()) {
      return given.error();
    }
    value = given.value();
    return done;
  };
  block = device->block_bytes;
  for (const Outcome& outcome : {number("stall_ms", device->timing.stall_ms, 20, 3'600'000),
                                 number("give_up_ms", device->timing.give_up_ms, 40, 86'400'000),
                                 number("timeout_ms", device->timeout_ms, 10, 60'000),
                                 number("block_bytes", block, block_bytes_least, block_bytes_most)}) {
    if (!outcome.ok()) {
      return outcome.error();
    }
  }
  device->block_bytes = static_cast<std::uint32_t>(std::bit_floor(block));
  if (device->timing.give_up_ms < device->timing.stall_ms) {
    return Error{Exit::usage, "cannot open the key device", "give_up_ms is less than stall_ms",
                 "setting give_up_ms", "give at least stall_ms"};
  }
  if (const Outcome connected = connect(*device); !connected.ok()) {
    return connected.error();
  }
  return device;
}

// ---- Streams
// ------------------------------------------------------------------------------------------------

// Writes a command and waits for its answer; -1 when none came.
int command(Device& device, Bus& bus, const Registers& registers, Command what) {
  const std::uint32_t ticket = ++device.ticket;
  registers.write64(stream::command, static_cast<std::uint64_t>(ticket) << 32 | what);
  bus.kick();
  std::uint64_t answer = 0;
  const bool answered = wait_for(device.timeout_ms, [&] {
    answer = registers.read64(stream::answer);
    return answer >> 32 == ticket || bus.gone();
  });
  return answered && answer >> 32 == ticket ? static_cast<int>(answer & 0xffff) : -1;
}

Error answer_error(int answer, const std::string& peer, const Bus& bus) {
  struct Meaning {
    int answer;
    Exit code;
    const char* why;
    const char* fix;
  };
  static constexpr Meaning meanings[] = {
      {answer_no_link, Exit::not_found, "the key manager has no link to it", "check the peer's SAE ID"},
      {answer_refused, Exit::refused, "the key manager refuses it: the KSID was used before, or is not ours",
       "use a fresh KSID, and the SAE ID that the key manager knows this node by"},
      {answer_exhausted, Exit::temporary, "the device has no room for one more", "close other streams"},
      {answer_bad_request, Exit::failed, "the device calls the request wrong", "update driver and device"},
      {answer_bad_address, Exit::failed, "the device cannot reach the memory of the ring",
       "check the IOMMU, or the limits of the key manager"},
      {answer_unsupported, Exit::usage, "the device does not support it", "use a device that does"},
      {answer_generation, Exit::temporary, "the device was reset meanwhile", "try again"},
      {answer_no_manager, Exit::temporary, "the device has lost its key manager", "try again later"},
      {-1, Exit::temporary, "the device does not answer", "check the device; restart the key manager"},
  };
  const std::string what =
      peer.empty() ? "cannot open a random stream" : "cannot open a key stream with " + peer;
  for (const Meaning& meaning : meanings) {
    if (meaning.answer == answer) {
      return {meaning.code, what, meaning.why, bus.where(), meaning.fix};
    }
  }
  return {Exit::failed, what, fmt::format("the device gives the unknown answer {}", answer), bus.where(),
          "update the driver"};
}

// Takes both memories back from the device, by force where it does not give them.
void unmap(Stream& stream, bool done_with) noexcept {
  const bool ring = stream.bus->unmap(stream.ring_memory, done_with);
  const bool control = stream.bus->unmap(stream.control_memory, done_with);
  if (!ring || !control) {
    stream.bus->cut_off();
  }
}

Outcome map_memory(Device& device, Stream& stream, const ssn_key_stream_request& request) {
  const std::size_t ring_pages = request.memory.bytes / request.memory.page_bytes;
  Result<ControlMemory> control =
      ControlMemory::make(stream.expected.entries, ring_pages, device.abilities.numa_node);
  if (!control.ok()) {
    return control.error();
  }
  stream.control = std::move(control.value());
  Result<BusMemory> ring = device.bus->map(request.memory);
  if (!ring.ok()) {
    return ring.error();
  }
  stream.ring_memory = std::move(ring.value());
  Result<BusMemory> self = device.bus->map(stream.control.describe());
  if (!self.ok()) {
    unmap(stream, true);  // it was never told of it
    return self.error();
  }
  stream.control_memory = std::move(self.value());
  stream.control.write_lists(stream.ring_memory, stream.control_memory);
  return done;
}

void write_parameters(const Device& device, Stream& stream, const ssn_key_stream_request& request) {
  const Registers& registers = stream.registers;
  registers.write_bytes(stream::ksid, request.ksid, sizeof request.ksid);
  registers.write32(stream::role, request.role);
  registers.write32(stream::block_bytes, stream.expected.block_bytes);
  registers.write64(stream::ring_bytes, request.memory.bytes);
  registers.write64(stream::ring_page_bytes, stream.ring_memory.page_bytes);
  registers.write64(stream::ring_pages, stream.control.ring_list(stream.control_memory));
  registers.write32(stream::entries, stream.expected.entries);
  registers.write32(stream::generation, stream.expected.generation);
  registers.write64(stream::descriptor_pages, stream.control.descriptor_list(stream.control_memory));
  registers.write64(stream::status_address, stream.control.status_address(stream.control_memory));
  registers.write64(stream::rate, request.bytes_per_second);
  const auto write_name = [&](std::size_t length_at, std::size_t at, std::string_view name) {
    registers.write32(length_at, static_cast<std::uint32_t>(name.size()));
    registers.write_bytes(at, reinterpret_cast<const std::uint8_t*>(name.data()), name.size());
  };
  write_name(stream::local_length, stream::local_name, device.local_name);
  write_name(stream::peer_length, stream::peer_name, request.peer != nullptr ? request.peer : "");
  registers.write64(stream::key_credit, 0);
  registers.write64(stream::descriptor_credit, 0);
  registers.write64(stream::redeliver, 0);
  registers.write32(stream::ping, 0);
}

void prepare(Device& device, Stream& stream, const ssn_key_stream_request& request) {
  const Abilities& abilities = device.abilities;
  const auto ring = request.memory.bytes;
  Expected& expected = stream.expected;
  expected.ring_bytes = ring;
  expected.block_bytes = static_cast<std::uint32_t>(
      std::min({std::uint64_t{device.block_bytes}, std::uint64_t{abilities.block_bytes_max},
                std::max<std::uint64_t>(ring / 4, block_bytes_least)}));
  const std::uint64_t wanted = std::bit_ceil(std::max<std::uint64_t>(4 * ring / expected.block_bytes, 64));
  expected.entries = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, abilities.entries_max));
  expected.generation = device.bus->registers().read32(function::generation);
  if (request.role != SSN_KEY_RANDOM) {
    std::copy_n(request.ksid, expected.ksid.size(), expected.ksid.begin());
  }
  stream.head.driver = &kmnic_driver;
  stream.head.ring = static_cast<std::uint8_t*>(request.memory.base);
  stream.head.ring_bytes = ring;
  stream.head.role = request.role;
  stream.credit_batch = std::min<std::uint64_t>(expected.block_bytes, std::max<std::uint64_t>(ring / 16, 64));
  stream.counted.level = UINT64_MAX;
  stream.timing = device.timing;
  stream.function = device.bus->registers();
  stream.bus = device.bus;
}

Error usage(const char* why, const char* fix) {
  return {Exit::usage, "cannot open a key stream", why, "", fix};
}

Outcome check_request(const Device& device, const ssn_key_stream_request& request) {
  const ssn_memory& memory = request.memory;
  if (memory.base == nullptr || memory.page_bytes == 0 || memory.bytes % memory.page_bytes != 0 ||
      !std::has_single_bit(memory.bytes) || memory.bytes < device.abilities.ring_bytes_min ||
      memory.bytes > device.abilities.ring_bytes_max) {
    return usage("the ring is not of a size that the device takes",
                 "choose a power of two within its limits");
  }
  const bool random = request.role == SSN_KEY_RANDOM;
  if (random && (device.abilities.capabilities & capability_random) == 0) {
    return usage("the device delivers no random bytes", "choose another source of random blocks");
  }
  if (!random &&
      (request.peer == nullptr || *request.peer == '\0' || std::strlen(request.peer) > SSN_PEER_NAME_MAX)) {
    return usage("the peer's SAE ID has not 1 to 255 characters", "give such a name");
  }
  return done;
}

// Connects again to a device that had left, and resets one that has failed: its streams have ended anyway.
Outcome revive(Device& device) {
  const Registers& registers = device.bus->registers();
  const std::uint32_t status = registers.read32(function::status);
  if (device.bus->gone() || status == all_ones) {
    device.bus->cut_off();
    return connect(device);
  }
  if ((status & status_fault) == 0) {
    return done;
  }
  return reset(device, *device.bus) ? Outcome(done) : reset_failed(*device.bus);
}

Result<std::unique_ptr<Stream>> open_stream(Device& device, const ssn_key_stream_request& request) {
  if (Outcome revived = revive(device); !revived.ok()) {
    return revived.error();
  }
  if (Outcome checked = check_request(device, request); !checked.ok()) {
    return checked.error();
  }
  const auto free = std::find(device.used.begin(), device.used.end(), false);
  if (free == device.used.end()) {
    return answer_error(answer_exhausted, request.peer != nullptr ? request.peer : "", *device.bus);
  }
  auto stream = std::make_unique<Stream>();
  stream->device = reinterpret_cast<ssn_key_device*>(&device);
  stream->index = static_cast<std::uint32_t>(free - device.used.begin());
  prepare(device, *stream, request);
  stream->registers = device.bus->registers().window(
      device.abilities.streams_offset + std::size_t{stream->index} * device.abilities.stream_stride,
      stream::bytes);
  if (Outcome mapped = map_memory(device, *stream, request); !mapped.ok()) {
    return mapped.error();
  }
  stream->slots = stream->control.descriptors();
  stream->status = stream->control.status();
  write_parameters(device, *stream, request);
  *free = true;
  const int answer = command(device, *device.bus, stream->registers, command_open);
  if (answer != answer_ok) {
    // Where it did not answer it may open the stream later: then its page stays taken.
    *free = answer < 0 && command(device, *device.bus, stream->registers, command_close) != answer_ok;
    unmap(*stream, !*free);
    return answer_error(answer, request.peer != nullptr ? request.peer : "", *device.bus);
  }
  return stream;
}

void close_stream(Stream& stream) noexcept {
  Device& device = *from(stream.device);
  const int answer = stream.bus->gone() ? -1 : command(device, *stream.bus, stream.registers, command_close);
  // A device that does not answer loses its access all the same.
  unmap(stream, answer == answer_ok);
  if (stream.bus == device.bus) {
    device.used[stream.index] = answer != answer_ok;
  }
}

// ---- The interface
// ------------------------------------------------------------------------------------------

ssn_status kmnic_open(const ssn_key_device_config* config, ssn_key_device** device, ssn_error* error) {
  if (config->abi != SSN_KEY_DEVICE_ABI) {
    return hw::report({Exit::usage, "cannot open the key device",
                       "the caller speaks another version of include/ssn/key_device.h", "",
                       "use a driver of the same release"},
                      error);
  }
  return hw::guarded(error, [&]() -> ssn_status {
    Result<std::unique_ptr<Device>> made = make_device(*config);
    if (!made.ok()) {
      return hw::report(made.error(), error);
    }
    *device = reinterpret_cast<ssn_key_device*>(made.value().release());
    return SSN_OK;
  });
}

void kmnic_close(ssn_key_device* device) { delete from(device); }

void kmnic_describe(ssn_key_device* handle, ssn_key_device_info* info) {
  const Abilities& abilities = from(handle)->abilities;
  *info = {};
  info->protection = (abilities.capabilities & capability_emulator) != 0
                         ? SSN_PROTECTION_EMULATED
                         : SSN_PROTECTION_INFORMATION_THEORETIC;
  info->numa_node = abilities.numa_node;
  info->streams_max = abilities.streams_max;
  info->delivers_random = (abilities.capabilities & capability_random) != 0;
  info->ring_bytes_min = abilities.ring_bytes_min;
  info->ring_bytes_max = abilities.ring_bytes_max;
  std::memcpy(info->identity, abilities.identity.data(), abilities.identity.size());
}

ssn_status kmnic_stream_open(ssn_key_device* device, const ssn_key_stream_request* request,
                             ssn_key_stream** out, ssn_error* error) {
  return hw::guarded(error, [&]() -> ssn_status {
    Result<std::unique_ptr<Stream>> opened = open_stream(*from(device), *request);
    if (!opened.ok()) {
      return hw::report(opened.error(), error);
    }
    *out = &opened.value().release()->head;
    return SSN_OK;
  });
}

void kmnic_stream_close(ssn_key_stream* head) {
  const std::unique_ptr<Stream> stream(from(head));
  close_stream(*stream);
}

ssn_status kmnic_poll(ssn_key_stream* head) { return poll(*from(head)); }
void kmnic_release(ssn_key_stream* head, std::uint64_t offset) { release(*from(head), offset); }
void kmnic_read_statistics(const ssn_key_stream* head, ssn_key_stream_statistics* statistics) {
  read_statistics(*from(head), *statistics);
}

const ssn_key_driver kmnic_driver = {
    .abi = SSN_KEY_DEVICE_ABI,
    .name = "kmnic",
    .description = "key-manager NIC after docs/kmnic.md, or its device model in ssn-kme",
    .open = kmnic_open,
    .close = kmnic_close,
    .describe = kmnic_describe,
    .stream_open = kmnic_stream_open,
    .stream_close = kmnic_stream_close,
    .peer_message = nullptr,
    .poll = kmnic_poll,
    .release = kmnic_release,
    .read_statistics = kmnic_read_statistics,
};

}  // namespace
}  // namespace ssn::kmnic

SSN_EXPORT_KEY_DRIVER(ssn::kmnic::kmnic_driver)
