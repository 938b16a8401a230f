// SPDX-License-Identifier: BSD-3-Clause
// An authentic peer that says whatever the input says, at any time: the sender keeps its accounts, gives
// every cell back exactly once, and tells nothing of packets that were never sent. The receiver's
// acknowledgements are always ones that can be read, and claim nothing that did not arrive.
#include <array>
#include <memory>
#include <set>
#include <vector>

#include "fuzz_input.h"
#include "ssn/protocol/transport_receiver.h"
#include "ssn/protocol/transport_sender.h"

namespace {

using namespace ssn::protocol;
using ssn::test::FuzzInput;
using ssn::test::require;

constexpr std::uint32_t cell_bytes = 128;
constexpr std::size_t most_steps = 400;

class World {
 public:
  explicit World(FuzzInput& input)
      : input_(input), sender_(std::make_unique<TransportSender>(options(), now_)), receiver_(receiving()) {}

  void step() {
    switch (input_.below(10)) {
      case 0:
      case 1:
        return send();
      case 2:
      case 3:
        return lie();
      case 4:
        return send_again();
      case 5:
        return arrive();
      case 6:
        now_ += std::uint64_t{input_.number(2)} * 1000;
        return sender_->due(now_);
      case 7:
        return acknowledge();
      case 8:
        return other();
      default:
        return take();
    }
  }

  void finish() {
    sender_->end();
    std::vector<LostPacket> held = held_;
    for (const LostPacket& each : held) each.cell->seal_result = SealResult::ended;
    sender_->sent_again(held, now_);
    for (unsigned i = 0; i < 2000 && sender_->outstanding() != 0; ++i) take();
    require(sender_->outstanding() == 0 && out_.empty(), "a packet never came back");
    require(sender_->next_due() == UINT64_MAX, "an ended sender waits");
  }
  bool audit() const { return sender_->audit(); }

 private:
  static SenderOptions options() {
    SenderOptions out;
    out.packets = 64;
    out.computational = true;
    out.peer_pad_ring_bytes = 1 << 16;
    return out;
  }
  static ReceiverOptions receiving() {
    ReceiverOptions out;
    out.computational = true;
    out.received_ranges = 8;
    out.stored_ranges = 8;
    return out;
  }

  void number(Cell& cell) {
    cell.header.number = (cell.computational ? next_cipher_ : next_pads_)++;
    next_pads_ += input_.below(8) == 0 ? input_.below(200) : 0;  // acknowledgements in between
  }

  void send() {
    if (sender_->pings_wanted() != 0) {
      Cell ping;
      ping.header.type = PacketType::ping;
      ping.computational = input_.flag();
      number(ping);
      (void)sender_->make_ping(d_next_);
      return sender_->ping_sent(ping, now_);
    }
    const bool computational = input_.flag();
    if (sender_->allowance(cell_bytes, 1, !computational, now_).packets == 0) return;
    cells_.push_back(std::make_unique<Cell>());
    Cell& cell = *cells_.back();
    cell.header.type = input_.below(4) == 0 ? PacketType::read : PacketType::cell;
    cell.length = cell_bytes;
    cell.computational = computational;
    cell.seal_result = computational ? SealResult::computational : SealResult::sealed;
    if (cell.header.type == PacketType::cell && !computational) {
      cell.range_length = cell_bytes;
      cell.header.d_offset = d_next_;
      d_next_ += cell_bytes;
    }
    number(cell);
    const std::uint64_t deadline = input_.flag() ? now_ + std::uint64_t{input_.number(2)} * 1000 : UINT64_MAX;
    out_.insert(&cell);
    handles_.push_back(sender_->sent_one({&cell, cells_.size(), deadline, 1, input_.flag()}, now_));
  }

  void lie() {
    Acknowledgement a;
    a.kind = input_.flag() ? Acknowledgement::Kind::received : Acknowledgement::Kind::stored;
    a.flags = input_.flag() ? flag_computational : 0;
    a.largest = input_.number(2);
    a.credit = input_.byte();
    a.delay_us = static_cast<std::uint32_t>(input_.number(2));
    for (std::size_t i = 0; i < 4; ++i) a.bitmap[i * 8] = input_.byte();
    a.below = input_.number(2);
    std::uint64_t last = a.below;
    a.range_count = static_cast<std::uint16_t>(input_.below(4));
    for (std::size_t i = 0; i < a.range_count; ++i) {
      a.ranges[i].begin = last + 1 + input_.byte();
      last = a.ranges[i].end = a.ranges[i].begin + 1 + input_.number(2);
    }
    PacketHeader header;
    header.number = input_.byte();
    require(sender_->acknowledged(a, header, now_), "an acknowledgement was passed over");
  }

  void send_again() {
    if (held_.empty()) {
      held_.resize(1 + input_.below(8));
      held_.resize(sender_->take_lost(held_, now_));
      return;
    }
    for (const LostPacket& each : held_) {
      each.cell->seal_result = input_.below(4) == 0       ? SealResult::waiting
                               : each.cell->computational ? SealResult::computational
                                                          : SealResult::sealed;
      if (each.cell->seal_result != SealResult::waiting) number(*each.cell);
    }
    sender_->sent_again(held_, now_);
    held_.clear();
  }

  void other() {
    PadGone gone;
    gone.d_offset = std::uint64_t{input_.number(1)} * 64;
    gone.length = cell_bytes;
    switch (input_.below(3)) {
      case 0:
        return sender_->gone(gone);
      case 1:
        return sender_->heard(now_);
      default:
        if (!handles_.empty())
          sender_->abandon(handles_[input_.below(static_cast<unsigned>(handles_.size()))]);
    }
  }

  void came_back(Cell* cell) {
    if (cell != nullptr) require(out_.erase(cell) == 1, "a cell came back twice");
  }

  void take() {
    std::array<ReceivedPacket, 4> received;
    std::array<ExpiredPacket, 4> expired;
    std::array<std::uint64_t, 4> stored;
    for (std::size_t i = 0, n = sender_->take_received(received); i < n; ++i) {
      require(received[i].cell != nullptr, "what was received has no cell");
      came_back(received[i].cell);
      require(received_.insert(received[i].token).second, "received twice");
    }
    for (std::size_t i = 0, n = sender_->take_stored(stored); i < n; ++i) {
      require(received_.count(stored[i]) == 1, "stored before it was received");
      require(stored_.insert(stored[i]).second, "stored twice");
    }
    for (std::size_t i = 0, n = sender_->take_expired(expired); i < n; ++i) {
      came_back(expired[i].cell);
      require(stored_.count(expired[i].token) == 0, "expired after it was stored");
    }
  }

  void arrive() {
    static constexpr OpenResult results[] = {OpenResult::opened,   OpenResult::repeated, OpenResult::kept,
                                             OpenResult::pad_gone, OpenResult::dropped,  OpenResult::message};
    Cell cell;
    cell.open_result = results[input_.below(6)];
    cell.header.flags = input_.flag() ? flag_computational : 0;
    cell.header.number = input_.number(2);
    cell.header.d_offset = std::uint64_t{input_.byte()} * 64;
    cell.range_length = cell_bytes;
    cell.header.type = cell.open_result == OpenResult::message ? PacketType::ping
                       : cell.open_result == OpenResult::kept  ? PacketType::keep_order
                                                               : PacketType::cell;
    Cell* const cells[] = {&cell};
    receiver_.arrived(cells, now_);
    if (cell.open_result == OpenResult::message) {
      receiver_.ping({std::uint64_t{input_.byte()} * 64, input_.byte()});
    } else if (input_.flag()) {
      (void)receiver_.stored(cell.header, cell.range_length, now_);
    }
  }

  void acknowledge() {
    receiver_.set_credit(input_.byte(), now_);
    std::array<Acknowledgement, TransportReceiver::most_acknowledgements> made;
    const std::size_t count = receiver_.acknowledge(made, now_);
    for (std::size_t i = 0; i < count; ++i) {
      std::array<std::uint8_t, max_acknowledgement_bytes> bytes;
      Acknowledgement read;
      const std::size_t length = write_acknowledgement(made[i], bytes.data());
      require(read_acknowledgement({bytes.data(), length}, read) && read == made[i],
              "an acknowledgement cannot be read");
    }
  }

  FuzzInput& input_;
  std::uint64_t now_ = 1'000'000'000;
  std::unique_ptr<TransportSender> sender_;
  TransportReceiver receiver_;
  std::vector<std::unique_ptr<Cell>> cells_;
  std::set<Cell*> out_;
  std::vector<PacketHandle> handles_;
  std::vector<LostPacket> held_;
  std::set<std::uint64_t> received_, stored_;
  std::uint64_t next_pads_ = 0, next_cipher_ = 0, d_next_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  World world(input);
  for (std::size_t steps = 0; !input.empty() && steps < most_steps; ++steps) {
    world.step();
    require(world.audit(), "the sender's lists and records differ");
  }
  world.finish();
  return 0;
}
