// SPDX-License-Identifier: BSD-3-Clause
// Wire mode against a network that does whatever the input says, and forgers who know everything but keys:
// frames come out whole, in order and at most once, memory is bounded, accounts balance, no epoch ends, and
// afterwards honest traffic gets through. Also blocks of any contents from an authentic sender.
#include <algorithm>
#include <memory>

#include "fuzz_input.h"
#include "wire_ends.h"

namespace {

namespace protocol = ssn::protocol;
using ssn::test::Bytes;
using ssn::test::FuzzInput;
using ssn::test::require;
using ssn::test::WireEnds;

constexpr std::size_t most_packets = 256;

ssn::test::WireOptions small_options(FuzzInput& input) {
  ssn::test::WireOptions options;
  options.stream.id = 3;
  if (input.flag()) {
    options.stream.scheme = ssn::kernels::Scheme::ramp;
    options.stream.k = 3;
    options.stream.n = 4;
    options.stream.data_blocks = 2;
  } else {
    options.stream.k = 2;
    options.stream.n = 3;
  }
  options.stream.cell_bytes = 128;
  options.stream.frame_max = 600;
  options.stream.window = 64;
  options.stream.reorder_ns = 1000;
  options.ends.d_ring = 1 << 17;
  options.ends.a_ring = 1 << 14;
  options.ends.window = 256;
  options.jobs = 4;
  options.send_blocks = 32;
  options.receive_blocks = 8;
  return options;
}

class World {
 public:
  explicit World(FuzzInput& input) : input_(input), ends_(small_options(input)) { ends_.deliver(400); }

  void step() {
    switch (input_.below(8)) {
      case 0:
      case 1:
        return send(1 + input_.below(600));
      case 2:
        return deliver(pick(), false);
      case 3:
        return deliver(pick(), true);
      case 4:
        return forge();
      case 5:
        ends_.advance(input_.number(1) * 16);
        return;
      case 6:
        return damage();
      default:
        return rubbish();
    }
  }

  void check() {
    require(ends_.received.held <= std::uint64_t{64} * ends_.options.stream.n, "too much is held");
    require(ends_.ends.balanced(), "an account does not balance");
    require(!ends_.ends.receive.ended, "an epoch was ended by what is not authentic");
    for (const Bytes& frame : ends_.frames()) {
      if (rubbish_) continue;
      const auto found = std::find(sent_.begin() + static_cast<std::ptrdiff_t>(next_), sent_.end(), frame);
      require(found != sent_.end(), "a frame came out that was not sent, or twice, or out of order");
      next_ = static_cast<std::size_t>(found - sent_.begin()) + 1;
    }
  }

  void heal() {
    packets_.clear();
    check();
    rubbish_ = true;  // compared here
    for (int round = 0; round < 4; ++round) {
      ends_.deliver(100);
      ends_.receive(ends_.send({Bytes(40, static_cast<std::uint8_t>(round))}));
      ends_.advance(5000);
      const auto out = ends_.frames();
      if (round == 3) {
        require(std::find(out.begin(), out.end(), Bytes(40, 3)) != out.end(),
                "honest traffic does not get through");
      }
    }
    require(ends_.received.held == 0, "something is held for ever");
  }

 private:
  std::size_t pick() { return packets_.empty() ? 0 : input_.below(static_cast<unsigned>(packets_.size())); }

  void send(std::size_t bytes) {
    Bytes frame(bytes);
    for (std::size_t i = 0; i < bytes; ++i) frame[i] = static_cast<std::uint8_t>(count_ + i);
    ++count_;
    if (packets_.size() > most_packets) packets_.erase(packets_.begin(), packets_.begin() + most_packets / 2);
    for (Bytes& packet : ends_.send({frame})) packets_.push_back(std::move(packet));
    sent_.push_back(std::move(frame));
    if (input_.flag()) ends_.deliver(input_.number(1));
  }

  void deliver(std::size_t at, bool keep) {
    if (packets_.empty()) return;
    ends_.receive({packets_[at]});
    if (!keep) packets_.erase(packets_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void damage() {
    if (packets_.empty()) return;
    Bytes packet = packets_[pick()];
    const auto change = static_cast<std::uint8_t>(1 + input_.below(255));
    packet[input_.below(static_cast<unsigned>(packet.size()))] ^= change;
    if (input_.below(8) == 0) packet.resize(input_.below(static_cast<unsigned>(packet.size())) + 1);
    ends_.receive({packet});
  }

  void forge() {
    protocol::PacketHeader header;
    header.connection_id = ends_.options.ends.connection_id;
    header.key_index = ends_.options.ends.key_index;
    header.number = input_.number(input_.flag() ? 1 : 3);
    header.d_offset = input_.number(input_.flag() ? 1 : 3) * 64;
    header.placement = protocol::block_placement(ends_.options.stream.id,
                                                 input_.number(input_.flag() ? 1 : 5), input_.byte());
    Bytes packet(protocol::overhead_bytes + 64 * (1 + input_.below(3)), 0xaa);
    protocol::write_header(header, packet.data());
    ends_.receive({packet});
  }

  // The sender is authentic, and not ours.
  void rubbish() {
    ends_.pack({Bytes(100, 1)});
    if (ends_.packer->closed() == 0) return;
    protocol::Block& block = *ends_.packer->closed_at(ends_.packer->closed() - 1);
    const Bytes contents = input_.bytes(1 + input_.below(32));
    std::copy(contents.begin(), contents.end(), block.data);
    rubbish_ = true;
    for (Bytes& packet : ends_.split()) packets_.push_back(std::move(packet));
  }

  FuzzInput& input_;
  WireEnds ends_;
  std::vector<Bytes> packets_;
  std::vector<Bytes> sent_;
  std::size_t next_ = 0;
  std::uint64_t count_ = 0;
  bool rubbish_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  World world(input);
  for (int steps = 0; steps < 400 && !input.empty(); ++steps) {
    world.step();
    world.check();
  }
  world.heal();
  return 0;
}
