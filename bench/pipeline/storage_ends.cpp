// SPDX-License-Identifier: BSD-3-Clause
#include "storage_ends.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ssn/dataplane/packet.h"
#include "ssn/protocol/requests.h"

namespace ssn::bench {

using protocol::Cell;
using protocol::PacketType;

namespace {

constexpr std::size_t type_at = 12, ip_at = 14, udp_at = 34;
constexpr std::array<std::uint8_t, 6> our_mac{2, 0x53, 0x53, 0, 0, 1};
constexpr std::uint64_t patience_ns = 5'000'000'000;
constexpr std::uint32_t holder_credit = 4096;
constexpr std::uint64_t object = 1;
constexpr std::uint32_t generation = 1;

}  // namespace

struct EndCallbacks {
  static std::uint16_t in(std::uint16_t, std::uint16_t, rte_mbuf* packets[], std::uint16_t count,
                          std::uint16_t room, void* end) {
    return static_cast<std::uint16_t>(
        count + static_cast<PortEnd*>(end)->give(packets + count, static_cast<std::uint16_t>(room - count)));
  }
  static std::uint16_t out(std::uint16_t, std::uint16_t, rte_mbuf* packets[], std::uint16_t count,
                           void* end) {
    static_cast<PortEnd*>(end)->take(packets, count);
    return count;
  }
};

void EndPool::give_back(std::span<Cell* const> cells) noexcept {
  for (Cell* const cell : cells) {
    if (cell < own_.data() || cell >= own_.data() + own_.size()) source_.give_back({&cell, 1});
  }
}

Outcome PortEnd::attach() {
  for (hw::SecretBuffer* const memory : {&seal_memory_, &open_memory_}) {
    Result<hw::SecretBuffer> made = hw::SecretBuffer::make(protocol::OneTimeCheck::memory_bytes);
    if (!made.ok()) return made.error();
    *memory = std::move(made.value());
  }
  sealer_.emplace(*setup_.implementation, packets_, seal_memory_);
  opener_.emplace(*setup_.implementation, packets_, table_, open_memory_);
  opened_room_ = std::max<std::size_t>(setup_.cell_bytes, protocol::max_seal_order_bytes + 512);
  opened_.resize(burst * opened_room_);
  pool_.open(*setup_.port->pool, cells_);
  std::copy(setup_.port->mac.begin(), setup_.port->mac.end(), header_.begin());
  std::copy(our_mac.begin(), our_mac.end(), header_.begin() + 6);
  header_[type_at] = 8;
  header_[ip_at] = 0x45;
  header_[ip_at + 6] = 0x40;  // never in fragments
  header_[ip_at + 8] = 64;
  header_[ip_at + 9] = 17;
  std::copy(setup_.address.begin(), setup_.address.end(), header_.begin() + ip_at + 12);
  std::copy(setup_.ssa_address.begin(), setup_.ssa_address.end(), header_.begin() + ip_at + 16);
  protocol::store_big(header_.data() + udp_at, setup_.udp_port);
  protocol::store_big(header_.data() + udp_at + 2, setup_.ssa_udp_port);
  const std::uint16_t id = setup_.port->id;
  if (rte_eth_add_rx_callback(id, 0, EndCallbacks::in, this) == nullptr ||
      rte_eth_add_tx_callback(id, 0, EndCallbacks::out, this) == nullptr) {
    return Error{Exit::failed, "cannot put anything into a port", "DPDK takes no callbacks",
                 setup_.port->name, "see docs/dataplane.md"};
  }
  return done;
}

void PortEnd::make_channel(protocol::ChannelOptions options, protocol::SendKeys& send,
                           protocol::ReceiveConnection& receive, std::uint64_t now_ns) {
  options.sender.packet_bytes = setup_.cell_bytes + static_cast<std::uint32_t>(protocol::overhead_bytes);
  connection_id_ = receive.id;
  static_cast<void>(table_.add(receive));
  channel_ = std::make_unique<protocol::Channel>(options, send, *receive.keys[0], *sealer_, pool_, now_ns);
}

void PortEnd::drop_channel() noexcept {
  if (channel_ == nullptr) return;
  table_.remove(connection_id_);
  protocol::Departure departures[burst];
  while (const std::size_t count = channel_->take_departures(departures)) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!departures[i].held) pool_.give_back({&departures[i].cell, 1});
    }
  }
  channel_.reset();
}

// Whoever asks gets our address; announcements are nobody's.
bool PortEnd::is_arp(const std::uint8_t* frame) noexcept {
  if (frame[type_at] != 8 || frame[type_at + 1] != 6) return false;
  if (frame[21] != 1 || std::memcmp(frame + 38, setup_.address.data(), 4) != 0) return true;
  std::memcpy(arp_.data(), frame, arp_.size());
  std::memcpy(arp_.data(), frame + 6, 6);
  std::memcpy(arp_.data() + 6, our_mac.data(), 6);
  arp_[21] = 2;
  std::memcpy(arp_.data() + 32, frame + 22, 10);
  std::memcpy(arp_.data() + 22, our_mac.data(), 6);
  std::memcpy(arp_.data() + 28, setup_.address.data(), 4);
  answers_arp_ = true;
  return true;
}

// The SSA keeps what it sent until that is acknowledged: it is opened into memory of ours.
void PortEnd::take(rte_mbuf* const* packets, std::uint16_t count) noexcept {
  const std::uint64_t now = setup_.worker->now_ns();
  std::array<Cell*, burst> taken;
  std::size_t cells = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    auto* const frame = rte_pktmbuf_mtod(packets[i], std::uint8_t*);
    if (is_arp(frame) || channel_ == nullptr || packets[i]->pkt_len <= frame_header) continue;
    Cell& cell = cells_[cells];
    cell = Cell{};
    cell.data = frame + frame_header;
    cell.length = protocol::load_big<std::uint16_t>(frame + udp_at + 4) - 8U;
    cell.headroom = frame_header;
    cell.target = opened_.data() + cells * opened_room_;
    cell.target_room = static_cast<std::uint32_t>(opened_room_);
    taken[cells++] = &cell;
    if (cells == burst) open({taken.data(), std::exchange(cells, 0)}, now);
  }
  if (cells != 0) open({taken.data(), cells}, now);
  if (channel_ != nullptr) serve(now);
}

void PortEnd::open(std::span<Cell* const> cells, std::uint64_t now_ns) noexcept {
  opener_->open(cells);
  std::array<Cell*, burst> ours, ready;
  std::size_t count = 0;
  for (Cell* const cell : cells) {
    const bool good =
        cell->open_result != protocol::OpenResult::dropped && cell->open_result != protocol::OpenResult::none;
    if (good) ours[count++] = cell;
  }
  dropped_.fetch_add(cells.size() - count, std::memory_order_relaxed);
  const std::size_t deliveries = channel_->arrived({ours.data(), count}, now_ns, ready);
  if (deliveries != 0) delivered({ready.data(), deliveries}, now_ns);
}

void PortEnd::write_frame_header(std::uint8_t* to, std::size_t payload) const noexcept {
  std::memcpy(to, header_.data(), frame_header);
  protocol::store_big(to + ip_at + 2, static_cast<std::uint16_t>(payload + 28));
  protocol::store_big(to + udp_at + 4, static_cast<std::uint16_t>(payload + 8));
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < 20; i += 2) sum += protocol::load_big<std::uint16_t>(to + ip_at + i);
  sum = (sum & 0xffff) + (sum >> 16);
  protocol::store_big(to + ip_at + 10, static_cast<std::uint16_t>(~(sum + (sum >> 16))));
}

rte_mbuf* PortEnd::fresh(std::size_t bytes) noexcept {
  rte_mbuf* const packet = rte_pktmbuf_alloc(setup_.port->pool);
  if (packet != nullptr) {
    packet->port = setup_.port->id;
    packet->data_len = static_cast<std::uint16_t>(bytes);
    packet->pkt_len = static_cast<std::uint32_t>(bytes);
  }
  return packet;
}

std::uint16_t PortEnd::give(rte_mbuf** packets, std::uint16_t room) noexcept {
  const std::uint64_t now = setup_.worker->now_ns();
  std::uint16_t given = 0;
  rte_mbuf* const answer = answers_arp_ && room != 0 ? fresh(frame_header) : nullptr;
  if (answer != nullptr) {
    std::memcpy(rte_pktmbuf_mtod(answer, void*), arp_.data(), arp_.size());
    packets[given++] = answer;
    answers_arp_ = false;
  }
  if (channel_ == nullptr) return given;
  serve(now);
  channel_->step(now);
  work(now);
  std::array<protocol::Departure, burst> departures;
  const std::size_t most = std::min<std::size_t>(burst, static_cast<std::size_t>(room - given));
  const std::size_t count = channel_->take_departures({departures.data(), most});
  for (std::size_t i = 0; i < count; ++i) {
    Cell* const cell = departures[i].cell;
    rte_mbuf* const packet = fresh(frame_header + cell->packet_bytes());
    if (packet != nullptr) {
      auto* const frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
      write_frame_header(frame, cell->packet_bytes());
      std::memcpy(frame + frame_header, cell->packet(), cell->packet_bytes());
      packets[given++] = packet;
    }
    if (!departures[i].held) pool_.give_back({&cell, 1});
  }
  return given;
}

// ---- A shareholder.
void HolderEnd::connect(std::unique_ptr<dataplane::Connection> ours, dataplane::Connection& ssas) {
  connection_ = std::move(ours);
  ssas_ = &ssas;
  protocol::ChannelOptions options;
  options.sender.peer_pad_ring_bytes = connection_->memory(dataplane::pads_out).bytes;
  const std::uint64_t now = dataplane::monotonic_ns();
  make_channel(options, connection_->send_keys(), connection_->receiving(), now);
  channel_->set_credit(holder_credit, now);
}

// Until all rings are full: the worker that is measured shall find nothing to fetch.
void HolderEnd::serve(std::uint64_t now_ns) noexcept {
  constexpr std::size_t of_a_poll = 64 << 10;  // bytes that the driver gives
  const std::size_t polls = 2 + 2 * burst * setup_.cell_bytes / of_a_poll;
  for (std::size_t i = 0; ssas_ != nullptr && i < polls; ++i) {
    ssas_->service(now_ns);
    connection_->service(now_ns);
  }
}

void HolderEnd::keep(const Cell& cell) noexcept {
  const std::uint32_t number = cell.header.placement.cell;
  if (number >= has_.size() || has_[number] || cell.length != setup_.cell_bytes) return;
  if (cell.header.placement.attempt != 0) return count_wrong();
  std::memcpy(kept_.data() + std::size_t{number} * setup_.cell_bytes, cell.target, cell.length);
  has_[number] = true;
  kept_cells_.store(kept_cells() + 1, std::memory_order_release);
}

void HolderEnd::note_request(const Cell& cell) noexcept {
  const auto request = protocol::read_read_request({cell.data, cell.length});
  if (!request) return count_wrong();
  for (std::uint16_t i = 0; i < request->count; ++i) {
    protocol::Placement placement = cell.header.placement;
    placement.cell += i;
    if (protocol::names_cell(request->bitmap, i) && !asked_.push(placement)) count_wrong();
  }
}

void HolderEnd::delivered(std::span<Cell* const> cells, std::uint64_t now_ns) noexcept {
  for (const Cell* const cell : cells) {
    if (cell->header.type == PacketType::read) note_request(*cell);
    if (cell->header.type != PacketType::cell) continue;
    keep(*cell);
    if (!untold_.push({cell->header, cell->range_length})) count_wrong();
  }
  channel_->set_credit(holder_credit, now_ns);
}

void HolderEnd::work(std::uint64_t now_ns) noexcept {
  while (untold_.size() != 0 && channel_->stored(untold_[0].header, untold_[0].range_length, now_ns)) {
    untold_.pop(1);
  }
  while (asked_.size() != 0) {
    const std::size_t most = std::min<std::size_t>(
        {asked_.size(), burst, channel_->allowance(setup_.cell_bytes, 1, now_ns).packets});
    std::array<Cell*, burst> cells;
    std::array<protocol::Parcel, burst> parcels;
    const std::size_t count = most != 0 ? pool_.take({cells.data(), most}) : 0;
    for (std::size_t i = 0; i < count; ++i) {
      parcels[i] = protocol::Parcel{};
      parcels[i].cell = cells[i];
      parcels[i].deadline_ns = now_ns + patience_ns;
      cells[i]->length = setup_.cell_bytes;
      cells[i]->source = cell(asked_[i].cell % static_cast<std::uint32_t>(has_.size()));
      cells[i]->header.placement = asked_[i];
    }
    const std::size_t sent = count != 0 ? channel_->send({parcels.data(), count}, now_ns) : 0;
    pool_.give_back({cells.data() + sent, count - sent});
    asked_.pop(sent);
    if (sent < burst) break;
  }
  std::array<protocol::Settled, burst> settled;
  while (channel_->take_settled(settled) != 0) {
  }
}

// ---- A data owner.
void OwnerEnd::fill(std::uint8_t* to, std::size_t bytes, std::uint64_t number) noexcept {
  std::uint64_t state = number * 0x9E3779B97F4A7C15U + 1;
  for (std::size_t i = 0; i < bytes; i += 8) {
    std::memcpy(to + i, i == 0 ? &number : &state, 8);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
  }
}

void OwnerEnd::connect(std::unique_ptr<protocol::SessionKeys> keys, std::uint64_t now_ns) {
  disconnect();
  keys_ = std::move(keys);
  expected_.resize(setup_.cell_bytes);
  protocol::ChannelOptions options;
  options.sender.packets = 4096;
  options.sender.initial_credit = window_;
  make_channel(options, keys_->send(), keys_->connection(), now_ns);
  channel_->set_credit(window_, now_ns);
  next_ = under_way_ = 0;
  finished_.store(0);
  std::fill(asked_.begin(), asked_.end(), false);
}

void OwnerEnd::disconnect() noexcept {
  drop_channel();
  keys_.reset();
}

void OwnerEnd::work(std::uint64_t now_ns) noexcept {
  const Mode mode = mode_.load(std::memory_order_acquire);
  if (mode == Mode::writes) write_blocks(now_ns);
  if (mode == Mode::reads) ask(now_ns);
  std::array<protocol::Settled, burst> settled;
  while (const std::size_t count = channel_->take_settled(settled)) {
    for (std::size_t i = 0; i < count; ++i) {
      if (settled[i].how == protocol::Settled::How::expired) count_wrong();
      if (mode != Mode::writes || settled[i].how != protocol::Settled::How::received) continue;
      --under_way_;
      finished_.store(finished() + 1, std::memory_order_relaxed);
    }
  }
}

void OwnerEnd::write_blocks(std::uint64_t now_ns) noexcept {
  const std::uint64_t free = window_ > under_way_ ? window_ - under_way_ : 0;
  const std::size_t most =
      std::min<std::size_t>({free, burst, channel_->allowance(setup_.cell_bytes, 1, now_ns).packets});
  std::array<Cell*, burst> cells;
  std::array<protocol::Parcel, burst> parcels;
  const std::size_t count = most != 0 ? pool_.take({cells.data(), most}) : 0;
  for (std::size_t i = 0; i < count; ++i) {
    const bool whole = checks_.load(std::memory_order_relaxed);
    fill(cells[i]->data, whole ? setup_.cell_bytes : 8, next_ + i);
    parcels[i] = protocol::Parcel{};
    parcels[i].cell = cells[i];
    parcels[i].token = next_ + i;
    cells[i]->length = setup_.cell_bytes;
    cells[i]->header.placement = {
        .object = object, .cell = static_cast<std::uint32_t>(next_ + i), .generation = generation};
  }
  const std::size_t sent = count != 0 ? channel_->send({parcels.data(), count}, now_ns) : 0;
  pool_.give_back({cells.data() + sent, count - sent});
  next_ += sent;
  under_way_ += sent;
}

// Runs of 64 blocks, from the first to the last and again.
void OwnerEnd::ask(std::uint64_t now_ns) noexcept {
  constexpr std::uint16_t run = 64;
  while (under_way_ + run <= window_) {
    const auto first = static_cast<std::uint32_t>(next_ % blocks_);
    if (asked_[first]) return;  // the whole window is longer than the object
    protocol::ReadRequest request;
    request.request = ++request_;
    request.count = run;
    for (std::size_t i = 0; i < run; ++i) protocol::name_cell(request.bitmap, i);
    std::uint8_t payload[protocol::read_request_bytes];
    protocol::write_read_request(request, payload);
    if (!channel_->post(PacketType::read, {.object = object, .cell = first, .generation = generation},
                        payload, request_, now_ns + patience_ns, now_ns)) {
      return;
    }
    std::fill_n(asked_.begin() + first, run, true);
    next_ += run;
    under_way_ += run;
  }
}

void OwnerEnd::take_block(const Cell& cell) noexcept {
  const std::uint32_t number = cell.header.placement.cell;
  if (number >= blocks_ || !asked_[number] || cell.length != setup_.cell_bytes) return count_wrong();
  asked_[number] = false;
  --under_way_;
  const std::size_t bytes = checks_.load(std::memory_order_relaxed) ? setup_.cell_bytes : 8;
  fill(expected_.data(), bytes, number);
  if (std::memcmp(cell.target, expected_.data(), bytes) != 0) count_wrong();
  finished_.store(finished() + 1, std::memory_order_relaxed);
}

void OwnerEnd::delivered(std::span<Cell* const> cells, std::uint64_t now_ns) noexcept {
  for (const Cell* const cell : cells) {
    if (cell->header.type == PacketType::cell) {
      take_block(*cell);
    } else if (cell->header.type == PacketType::answer) {
      count_wrong();  // something cannot be had
    }
  }
  channel_->set_credit(window_, now_ns);
}

}  // namespace ssn::bench
