// SPDX-License-Identifier: BSD-3-Clause
// Sealing and opening cells in bursts, beside the bare kernels over the same buffers: pad and tag, tag check
// and pad, each a pass of its own that erases nothing; and beside the fused kernels that sealing and opening
// use, which erase the pad in the same pass. The key streams are full: what a device costs is measured
// elsewhere. The same packets and payloads are used again and again, as by a worker that takes its buffers
// from a mempool's cache. What is timed makes no Cell and copies no packet.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "device.h"
#include "groups.h"
#include "ssn/hw/ring_memory.h"
#include "ssn/protocol/opener.h"
#include "ssn/protocol/sealer.h"

namespace ssn::bench {
namespace {

using namespace protocol;

constexpr std::size_t cell_bytes = 1344;
constexpr std::size_t burst = 32;
constexpr std::size_t bursts = 2;  // between two looks at the clock
constexpr std::size_t packets = burst * bursts;
constexpr std::size_t stride = 2048;
constexpr std::size_t d_ring = std::size_t{1} << 18;
constexpr std::size_t a_ring = std::size_t{1} << 18;
constexpr std::uint32_t window = 8192;

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "keys_bench: %s: %s\n", result.error().what.c_str(), result.error().why.c_str());
    std::exit(1);
  }
  return std::move(result.value());
}

/// A stream that always has as much as its ring holds. Its bytes are those of the ring: whatever was erased
/// comes again as zeros, at both ends, which costs the same.
class FullStream {
 public:
  FullStream(ssn_key_role role, std::size_t bytes) : ring_(must(hw::RingMemory::make(bytes))) {
    static const ssn_key_driver driver = {SSN_KEY_DEVICE_ABI,
                                          "full",
                                          "",
                                          nullptr,
                                          nullptr,
                                          nullptr,
                                          nullptr,
                                          nullptr,
                                          nullptr,
                                          poll,
                                          release,
                                          nullptr};
    for (std::size_t i = 0; i < bytes; ++i) ring_.data()[i] = static_cast<std::uint8_t>(i * 31 + (i >> 8));
    stream_.driver = &driver;
    stream_.ring = ring_.data();
    stream_.ring_bytes = bytes;
    stream_.role = role;
  }
  ssn_key_stream& stream() { return stream_; }

 private:
  static ssn_status poll(ssn_key_stream* stream) {
    stream->end = stream->released + stream->ring_bytes;
    return SSN_OK;
  }
  static void release(ssn_key_stream* stream, std::uint64_t offset) { stream->released = offset; }

  hw::RingMemory ring_;
  ssn_key_stream stream_{};
};

hw::SecretBuffer locked(std::size_t bytes) {
  return must(hw::SecretBuffer::make(bytes, hw::SecretBuffer::Locking::required));
}

struct Ends {
  Ends() {
    for (StreamMarks& each : marks) each.grant(UINT64_MAX / 2);
    receive.pads = &pads_in;
    receive.tags = &tags_in;
    receive.history = &history;
    connection.id = 1;
    connection.keys[0] = &receive;
    (void)table.add(connection);
    for (std::size_t i = 0; i < packets; ++i) {
      to_seal.push_back(&cells[i]);
      to_open.push_back(&cells[packets + i]);
    }
  }

  void poll() {
    for (StreamEnd* const end : {static_cast<StreamEnd*>(&pads_out), static_cast<StreamEnd*>(&pads_in)}) {
      end->give_back(true);
      (void)end->poll();
    }
    tags_out.give_back(true);
    (void)tags_out.poll();
    tags_in.give_back(true);
    (void)tags_in.poll();
  }
  std::uint8_t* packet(std::size_t at) { return wire.data() + at * stride; }

  void prepare_to_seal() {
    for (std::size_t i = 0; i < packets; ++i) {
      Cell& cell = cells[i];
      cell = Cell{};
      cell.data = packet(i) + overhead_bytes;
      cell.headroom = overhead_bytes;
      cell.source = plain.data() + i * stride;
      cell.length = cell_bytes;
    }
  }
  void prepare_to_open() {
    for (std::size_t i = 0; i < packets; ++i) {
      Cell& cell = cells[packets + i];
      cell = Cell{};
      cell.data = packet(i);
      cell.length = cell_bytes + overhead_bytes;
      cell.target = plain.data() + i * stride;
      cell.target_room = stride;
    }
  }
  bool seal() {
    std::size_t sealed = 0;
    for (std::size_t i = 0; i < packets; i += burst) {
      sealed += sealer.seal(send, std::span(to_seal).subspan(i, burst));
    }
    return sealed == packets;
  }
  void open() {
    for (std::size_t i = 0; i < packets; i += burst) opener.open(std::span(to_open).subspan(i, burst));
  }
  /// As if the network had delivered each burst in random order.
  void shuffle() {
    for (auto first = to_open.begin(); first != to_open.end(); first += burst) {
      std::shuffle(first, first + burst, random);
    }
  }
  bool all_opened() const {
    return std::all_of(to_open.begin(), to_open.end(),
                       [](const Cell* cell) { return cell->open_result == OpenResult::opened; });
  }

  static const kernels::Implementation& chosen() {
    const kernels::Implementation* found = nullptr;
    if (kernels::select(found) != kernels::Status::ok) std::exit(1);
    return *found;
  }

  const kernels::Implementation& implementation = chosen();
  FullStream d_out{SSN_KEY_SENDER, d_ring}, a_out{SSN_KEY_SENDER, a_ring};
  FullStream d_in{SSN_KEY_RECEIVER, d_ring}, a_in{SSN_KEY_RECEIVER, a_ring};
  StreamMarks marks[4];
  hw::SecretBuffer keys_out = locked(TagKeys::memory_bytes), keys_in = locked(TagKeys::memory_bytes);
  hw::SecretBuffer check_out = locked(OneTimeCheck::memory_bytes),
                   check_in = locked(OneTimeCheck::memory_bytes);
  hw::SecretBuffer records = locked(PacketHistory::memory_bytes(window));
  PadSender pads_out{d_out.stream(), marks[0]};
  TagSender tags_out{a_out.stream(), marks[1], implementation, keys_out};
  PadReceiver pads_in{d_in.stream(), marks[2]};
  TagReceiver tags_in{a_in.stream(), marks[3], implementation, keys_in, window};
  PacketHistory history{window, d_ring, records};
  PacketCounters sent, opened;
  Sealer sealer{implementation, sent, check_out};
  ConnectionTable table{16};
  Opener opener{implementation, opened, table, check_in};
  SendKeys send{1, 0, ShortagePolicy::refuse, &pads_out, &tags_out, nullptr};
  ReceiveKeys receive;
  ReceiveConnection connection;
  std::vector<std::uint8_t> wire = std::vector<std::uint8_t>(packets * stride, 1);
  std::vector<std::uint8_t> plain = std::vector<std::uint8_t>(packets * stride, 2);
  std::vector<Cell> cells = std::vector<Cell>(2 * packets);
  std::vector<Cell*> to_seal, to_open;
  std::minstd_rand random{1};
};

enum class What { bare_seal, fused_seal, seal, bare_open, fused_open, open, open_shuffled };

// The kernels alone, over the bytes that the next bursts of Ends would use. Masks as in the A stream.
void bare(Ends& ends, const kernels::TagKey& key, bool seals) {
  const std::uint64_t pad = seals ? ends.pads_out.next() : ends.pads_in.seen();
  const std::uint8_t* const pads = ends.d_out.stream().ring;
  const std::uint8_t* const masks = ends.a_out.stream().ring;
  for (std::size_t i = 0; i < packets; ++i) {
    std::uint8_t* const packet = ends.packet(i);
    std::uint8_t* const data = packet + overhead_bytes;
    std::uint8_t* const plain = ends.plain.data() + i * stride;
    const std::uint8_t* const from =
        (seals ? pads : ends.d_in.stream().ring) + ((pad + i * cell_bytes) % d_ring);
    const kernels::Tagging tagging{&key, packet, header_bytes, masks + i * 16};
    if (seals) {
      (void)kernels::pad(ends.implementation, plain, from, data, cell_bytes);
      (void)kernels::tag(ends.implementation, tagging, data, cell_bytes, packet + header_bytes);
    } else {
      const kernels::Status status =
          kernels::verify(ends.implementation, tagging, data, cell_bytes, packet + header_bytes);
      benchmark::DoNotOptimize(status);
      (void)kernels::pad(ends.implementation, data, from, plain, cell_bytes);
    }
  }
}

// What the fused kernels need for the next packet: looked for before the clock starts.
struct Keys {
  const kernels::TagKey* key = nullptr;
  const std::uint8_t* mask = nullptr;
  std::uint8_t* pad = nullptr;
};

std::vector<Keys> find_keys(Ends& ends, const kernels::TagKey& key, bool seals) {
  std::vector<Keys> out(packets);
  for (std::size_t i = 0; i < packets; ++i) {
    if (seals) {
      out[i] = {&key, ends.a_out.stream().ring + i * 16,
                ends.d_out.stream().ring + ((ends.pads_out.next() + i * cell_bytes) % d_ring)};
      continue;
    }
    PacketHeader header;
    if (parse_header(ends.packet(i), cell_bytes + overhead_bytes, header) != DropReason::none ||
        ends.tags_in.find(header.number, out[i].mask, out[i].key) != Found::ready ||
        ends.pads_in.find(header.d_offset, cell_bytes, out[i].pad) != Found::ready) {
      return {};
    }
  }
  return out;
}

// The pads are erased here, so that the packets that follow are padded with zeros at one end: which costs the
// same.
bool fused(Ends& ends, const std::vector<Keys>& keys, bool seals) {
  bool right = keys.size() == packets;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::uint8_t* const packet = ends.packet(i);
    std::uint8_t* const data = packet + overhead_bytes;
    std::uint8_t* const plain = ends.plain.data() + i * stride;
    const kernels::Tagging tagging{keys[i].key, packet, header_bytes, keys[i].mask};
    const kernels::Status status = seals ? kernels::seal(ends.implementation, tagging, plain, keys[i].pad,
                                                         data, cell_bytes, packet + header_bytes)
                                         : kernels::open(ends.implementation, tagging, data, keys[i].pad,
                                                         plain, cell_bytes, packet + header_bytes);
    right = right && status == kernels::Status::ok;
  }
  return right;
}

// Every row does all of it and times one part, so that all find the caches in the same state.
void run(benchmark::State& state, What what) {
  run_on(cores.consumer);
  const auto ends = std::make_unique<Ends>();
  kernels::TagKey key;
  const std::uint8_t r[16] = {1, 2, 3};
  key.expand(ends->implementation, std::span<const std::uint8_t, 16>(r));
  std::vector<double> speeds;  // of slices too short to be disturbed often: the median tells
  const auto timed = [&](What part, auto work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (part == what) speeds.push_back(static_cast<double>(packets * cell_bytes) / took.count());
  };
  for (auto _ : state) {
    ends->poll();
    ends->prepare_to_seal();
    bool sealed = false;
    bool right = true;
    if (what == What::bare_seal) timed(What::bare_seal, [&] { bare(*ends, key, true); });
    if (what == What::fused_seal) {
      const std::vector<Keys> keys = find_keys(*ends, key, true);
      timed(What::fused_seal, [&] { right = fused(*ends, keys, true); });
    }
    timed(What::seal, [&] { sealed = ends->seal(); });
    ends->prepare_to_open();
    if (what == What::bare_open) timed(What::bare_open, [&] { bare(*ends, key, false); });
    if (what == What::fused_open) {
      const std::vector<Keys> keys = find_keys(*ends, key, false);
      timed(What::fused_open, [&] { right = fused(*ends, keys, false); });
    }
    if (what == What::open_shuffled) ends->shuffle();
    timed(what == What::open_shuffled ? what : What::open, [&] { ends->open(); });
    if (!sealed || !right || !ends->all_opened()) return state.SkipWithError("a cell was lost");
  }
  const auto middle = speeds.begin() + static_cast<std::ptrdiff_t>(speeds.size() / 2);
  std::nth_element(speeds.begin(), middle, speeds.end());
  state.counters["bytes_per_second"] = *middle;
}

void add(const char* name, What what) {
  benchmark::RegisterBenchmark(name, [what](benchmark::State& state) { run(state, what); })->UseRealTime();
}

}  // namespace

void register_packets() {
  add("bare_pad_tag/bytes/1344", What::bare_seal);
  add("fused_seal/bytes/1344", What::fused_seal);
  add("seal/bytes/1344", What::seal);
  add("bare_verify_pad/bytes/1344", What::bare_open);
  add("fused_open/bytes/1344", What::fused_open);
  add("open/bytes/1344", What::open);
  add("open_shuffled/bytes/1344", What::open_shuffled);
}

}  // namespace ssn::bench
