// SPDX-License-Identifier: BSD-3-Clause
// A hostile key-manager NIC: it writes what it likes into descriptors, status block and registers, with right
// checksums if it likes. The driver must not read or write outside of its memory, must deliver in order,
// without gaps and within its ring, and only bytes that a right descriptor vouches for.
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "fuzz_input.h"
#include "stream.h"

namespace kmnic = ssn::kmnic;
using ssn::test::FuzzInput;
using ssn::test::require;

namespace {

constexpr std::uint32_t entries = 16;
constexpr std::uint64_t ring_bytes = 16384;
constexpr std::uint32_t block_bytes = 4096;

class FakeBus final : public kmnic::Bus {
 public:
  ssn::Result<kmnic::BusMemory> map(const ssn_memory&) override { return kmnic::BusMemory{}; }
  bool unmap(const kmnic::BusMemory&, bool) noexcept override { return true; }
  void cut_off() noexcept override {}
  void leave() noexcept { set_gone(); }
};

// Exactly as large as what a device may reach, so that a sanitizer sees every byte beyond. The ring is mapped
// twice in reality; the second half here is a copy that only the driver's reads at the end would touch.
class Harness {
 public:
  Harness() {
    stream.slots = descriptors.data();
    stream.status = &status;
    stream.function = kmnic::Registers(function_page.data(), kmnic::function::bytes);
    stream.registers = kmnic::Registers(stream_page.data(), kmnic::stream::bytes);
    stream.bus = bus;
    stream.head.ring = ring.data();
    stream.head.ring_bytes = ring_bytes;
    stream.credit_batch = 1024;
    stream.expected.ksid = {1, 2, 3};
    stream.expected.ring_bytes = ring_bytes;
    stream.expected.entries = entries;
    stream.expected.block_bytes = block_bytes;
    stream.expected.generation = 7;
    stream.timing = {20, 40};
    function().write32(kmnic::function::status, kmnic::status_ready);
    function().write32(kmnic::function::generation, 7);
    status.state = kmnic::state_open;
  }

  const kmnic::Registers& function() const { return stream.function; }

  // The next descriptor as it should be.
  kmnic::Descriptor right_descriptor(std::uint32_t length) const {
    kmnic::Descriptor descriptor{};
    descriptor.sequence = stream.expected.sequence;
    descriptor.offset = stream.expected.offset;
    descriptor.ksid = stream.expected.ksid;
    descriptor.length = length;
    descriptor.generation = 7;
    descriptor.attempt = stream.expected.attempt;
    descriptor.turn = kmnic::turn_of(stream.expected.sequence, entries);
    return descriptor;
  }
  // Checksums over whatever it says, as far as it names memory.
  void seal(kmnic::Descriptor& descriptor) const {
    const std::uint64_t place = stream.expected.offset & (ring_bytes - 1);
    if (descriptor.length <= ring_bytes - place) {
      descriptor.key_check = kmnic::key_check(descriptor, ring.data() + place);
    }
    descriptor.check = kmnic::descriptor_check(descriptor);
  }
  void write(const kmnic::Descriptor& descriptor, std::uint64_t slot) {
    descriptors[slot % entries] = descriptor;
  }

  std::vector<std::uint8_t> ring = std::vector<std::uint8_t>(ring_bytes);
  std::vector<kmnic::Descriptor> descriptors = std::vector<kmnic::Descriptor>(entries);
  kmnic::StatusBlock status{};
  std::shared_ptr<FakeBus> bus = std::make_shared<FakeBus>();
  kmnic::Stream stream;

 private:
  alignas(64) std::array<std::uint8_t, kmnic::function::bytes> function_page{};
  alignas(64) std::array<std::uint8_t, kmnic::stream::bytes> stream_page{};
};

// Changes one field, or overwrites the descriptor.
void spoil(kmnic::Descriptor& descriptor, FuzzInput& input) {
  const std::size_t at = input.below(sizeof descriptor);
  const std::vector<std::uint8_t> bytes = input.bytes(1 + input.below(8));
  std::memcpy(reinterpret_cast<std::uint8_t*>(&descriptor) + at, bytes.data(),
              std::min(bytes.size(), sizeof descriptor - at));
}

void act_as_device(Harness& harness, FuzzInput& input) {
  kmnic::Descriptor descriptor = harness.right_descriptor(64 * (1 + input.below(block_bytes / 64)));
  switch (input.below(8)) {
    case 0:
    case 1:  // a right block, if there is room for it
      harness.seal(descriptor);
      break;
    case 2:  // a wrong one with right checksums
      spoil(descriptor, input);
      harness.seal(descriptor);
      break;
    case 3:  // a right one that was damaged
      harness.seal(descriptor);
      spoil(descriptor, input);
      break;
    case 4: {  // rubbish anywhere
      const std::vector<std::uint8_t> bytes = input.bytes(sizeof descriptor);
      std::memcpy(&descriptor, bytes.data(), sizeof descriptor);
      harness.write(descriptor, input.byte());
      return;
    }
    case 5:
      harness.ring[input.below(ring_bytes)] ^= input.byte();
      return;
    case 6: {
      const std::vector<std::uint8_t> bytes = input.bytes(sizeof harness.status);
      std::memcpy(&harness.status, bytes.data(), sizeof harness.status);
      return;
    }
    default:
      if (input.byte() == 0) {
        harness.bus->leave();
      } else if (input.byte() < 8) {
        harness.function().write32(kmnic::function::status, static_cast<std::uint32_t>(input.number(4)));
      }
      return;
  }
  harness.write(descriptor, harness.stream.expected.sequence + (input.byte() > 200 ? 1 : 0));
}

// What must hold whatever the device does.
void poll_and_check(Harness& harness) {
  ssn_key_stream& head = harness.stream.head;
  const std::uint64_t before = head.end;
  const std::uint64_t sequence = harness.stream.expected.sequence;
  const std::vector<kmnic::Descriptor> seen = harness.descriptors;
  const bool failed = head.health == SSN_KEY_HEALTH_FAILED;
  const ssn_status status = kmnic::poll(harness.stream);
  require(!failed || status == SSN_FAILED, "a stream that had failed goes on");
  require(head.end >= before && head.end - head.released <= ring_bytes, "end is out of the ring");
  require((status == SSN_OK) == (head.end > before), "poll's answer and end disagree");
  require(harness.stream.expected.attempt <= 8, "one block was asked for too often");
  std::uint64_t offset = before;
  for (std::uint64_t s = sequence; s < harness.stream.expected.sequence; ++s) {
    const kmnic::Descriptor& block = seen[s % entries];
    require(
        block.offset == offset && block.sequence == s && block.length >= 64 && block.length <= block_bytes,
        "a block was taken that is not the next one");
    const std::uint64_t place = offset & (ring_bytes - 1);
    require(place + block.length <= ring_bytes, "a block crosses the end of the ring");
    require(block.key_check == kmnic::key_check(block, harness.ring.data() + place), "wrong keys were taken");
    offset += block.length;
  }
  require(offset == head.end, "the blocks taken do not add up");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const auto harness = std::make_unique<Harness>();
  for (int step = 0; step < 300 && !input.empty(); ++step) {
    act_as_device(*harness, input);
    if (input.byte() > 60) {
      poll_and_check(*harness);
    }
    ssn_key_stream& head = harness->stream.head;
    if (input.byte() > 160 && head.end != head.released) {
      kmnic::release(harness->stream, head.released + 1 + input.number(8) % (head.end - head.released));
    }
    ssn_key_stream_statistics statistics{};
    kmnic::read_statistics(harness->stream, statistics);
    require(statistics.delivered == head.end, "statistics are wrong");
  }
  return 0;
}
