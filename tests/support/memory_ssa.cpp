// SPDX-License-Identifier: BSD-3-Clause
#include "memory_ssa.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>

namespace ssn::test {

using agent::Session;
using agent::SessionRequest;
using client::SessionLink;
using protocol::Cell;
using protocol::PacketType;

namespace {

Error failed(Exit code, const char* why) { return {code, "cannot serve the owner", why, "", "see the test"}; }

hw::SecretBuffer copy_of(const hw::SecretBuffer& key) {
  Result<hw::SecretBuffer> made = hw::SecretBuffer::make(key.size());
  std::copy_n(key.data(), key.size(), made.value().data());
  return std::move(made.value());
}

}  // namespace

struct MemorySsa::Running {
  SsaFaults& faults;
  controller::Object object;
  bool writes = false;
  std::shared_ptr<Blocks> blocks;
  std::unique_ptr<UdpRelay> relay;
  std::unique_ptr<SessionLink> link;
  std::deque<std::uint64_t> to_send;  // blocks that were asked for
  struct Late {
    protocol::Placement placement;
    protocol::AnswerCode code;
    std::uint64_t request;
    std::uint64_t due_ns;
  };
  std::deque<Late> late;  // answers
  std::atomic<bool> end{false};
  std::thread thread;

  explicit Running(SsaFaults& wanted) : faults(wanted) {}
  ~Running() { stop(); }
  void stop() {
    end = true;
    if (thread.joinable()) thread.join();
  }

  void run() {
    std::array<Cell*, SessionLink::max_burst> delivered;
    while (!end) {
      const std::uint64_t now = client::clock_ns();
      if (faults.deaf) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        continue;
      }
      const Result<std::size_t> came = link->turn(now, delivered);
      if (!came.ok()) return;
      for (std::size_t i = 0; i < came.value(); ++i) take(*delivered[i], now);
      std::array<protocol::Settled, 64> settled;
      while (link->channel().take_settled(settled) != 0) {
      }
      for (; !late.empty() && late.front().due_ns <= now; late.pop_front()) {
        answer(late.front().placement, PacketType::read, late.front().code, late.front().request, now);
      }
      serve(now);
      if (!link->flush().ok() || !link->wait({}, now, now + 5'000'000).ok()) return;
    }
  }

  void answer(const protocol::Placement& about, PacketType type, protocol::AnswerCode code,
              std::uint64_t request, std::uint64_t now) {
    std::array<std::uint8_t, protocol::answer_bytes> payload;
    protocol::write_answer({.type = type,
                            .code = code,
                            .retry_us = code == protocol::AnswerCode::busy ? 2000U : 0,
                            .request = request},
                           payload.data());
    (void)link->channel().post(PacketType::answer, about, payload, protocol::no_token, now + 1'000'000'000,
                               now);
  }

  void take(Cell& cell, std::uint64_t now) {
    const std::uint64_t block = cell.header.placement.cell;
    if (writes && cell.open_result == protocol::OpenResult::opened) {
      if (const int code = faults.block_answer; code != 0) {
        answer(cell.header.placement, PacketType::cell, static_cast<protocol::AnswerCode>(code), 0, now);
      }
      const std::lock_guard lock(blocks->mutex);
      blocks->at[block] = Bytes(cell.data, cell.data + cell.length);
    } else if (!writes && cell.header.type == PacketType::read) {
      auto request = protocol::read_read_request({cell.data, cell.length});
      if (faults.reads_ignored != 0) {
        --faults.reads_ignored;
        request.reset();
      }
      for (std::uint32_t i = 0; request && i < request->count; ++i) {
        if (!protocol::names_cell(request->bitmap, i)) continue;
        if (faults.busy_answers != 0) {
          --faults.busy_answers;
          answer(cell.header.placement, PacketType::read, protocol::AnswerCode::busy, request->request, now);
          break;
        }
        const bool incomplete = block + i == 7 && faults.incomplete_answers != 0;
        if (incomplete) --faults.incomplete_answers;
        const int code =
            incomplete ? static_cast<int>(protocol::AnswerCode::incomplete) : faults.read_answer.load();
        if (block + i == 7 && code != 0) {
          late.push_back({cell.header.placement, static_cast<protocol::AnswerCode>(code), request->request,
                          now + faults.answers_late_ms * std::uint64_t{1'000'000}});
        } else {
          to_send.push_back(block + i);
        }
      }
    }
    Cell* const one = &cell;
    link->arena().give_back({&one, 1});
  }

  bool send(const protocol::Placement& placement, const Bytes& bytes, std::uint64_t now) {
    Cell* cell = nullptr;
    if (link->arena().take({&cell, 1}) == 0) return false;
    std::copy(bytes.begin(), bytes.end(), cell->data);
    cell->length = static_cast<std::uint32_t>(bytes.size());
    cell->header.placement = placement;
    protocol::Parcel parcel{.cell = cell};
    if (link->channel().send({&parcel, 1}, now) == 1) return true;
    link->arena().give_back({&cell, 1});
    return false;
  }

  // Before the right one: of another generation, object or share, of a block that nobody asked for, and of a
  // wrong length.
  void send_strays(const protocol::Placement& right, std::uint64_t now) {
    std::vector<protocol::Placement> wrong(4, right);
    ++wrong[0].generation;
    ++wrong[1].object;
    wrong[2].share = 1;
    wrong[3].cell += 100'000;
    const Bytes garbage(object.cell_bytes, 0xEE);
    for (const protocol::Placement& each : wrong) (void)send(each, garbage, now);
    (void)send(right, Bytes(64, 0xEE), now);
  }

  void serve(std::uint64_t now) {
    while (!to_send.empty() && link->channel().allowance(object.cell_bytes, 1, now).packets != 0) {
      const std::lock_guard lock(blocks->mutex);
      const protocol::Placement placement{.object = object.id,
                                          .cell = static_cast<std::uint32_t>(to_send.front()),
                                          .generation = static_cast<std::uint32_t>(object.generation)};
      if (faults.strays) send_strays(placement, now);
      if (!send(placement, blocks->at[to_send.front()], now)) return;
      // Once more, with other bytes.
      if (faults.strays) (void)send(placement, Bytes(object.cell_bytes, 0xEE), now);
      to_send.pop_front();
    }
  }
};

MemorySsa::MemorySsa(client::ControllerClient& controller, const SsaOptions& chosen)
    : options(chosen), controller_(controller), random_(chosen.seed) {}

MemorySsa::~MemorySsa() {
  for (auto& [id, session] : sessions_) session->stop();
}

Result<std::string> MemorySsa::object_owner(const agent::SessionObject& key) {
  const Result<controller::Object> object = controller_.object({key.object, key.generation});
  return object.ok() ? Result<std::string>(object.value().owner) : object.error();
}

std::optional<std::string> MemorySsa::session_owner(std::uint64_t session) {
  const std::lock_guard lock(mutex_);
  const auto found = owners_.find(session);
  return found != owners_.end() ? std::optional(found->second) : std::nullopt;
}

Result<Session> MemorySsa::open_write(const SessionRequest& request) { return open(request, true); }
Result<Session> MemorySsa::open_read(const SessionRequest& request) { return open(request, false); }

Result<Session> MemorySsa::open(const SessionRequest& request, bool writes) {
  const Result<controller::Object> object = controller_.object({request.key.object, request.key.generation});
  if (!object.ok()) return object.error();
  const std::lock_guard lock(mutex_);
  if (faults.opens_fail != 0) {
    --faults.opens_fail;
    return failed(Exit::temporary, "the test wants it so");
  }
  auto running = std::make_shared<Running>(faults);
  running->object = object.value();
  running->writes = writes;
  std::shared_ptr<Blocks>& blocks = objects_[request.key.object];
  if (blocks == nullptr) blocks = std::make_shared<Blocks>();
  running->blocks = blocks;
  if (writes) last_ = blocks;

  Session session;
  session.session = next_session_++;
  session.connection_id = static_cast<std::uint32_t>(random_.next() | 1U);
  session.key_index = 1;
  for (hw::SecretBuffer* const key : {&session.key_to_ssa, &session.key_to_owner}) {
    *key = std::move(hw::SecretBuffer::make(64).value());
    random_.fill(key->data(), key->size());
  }
  session.block_bytes = object.value().cell_bytes;
  session.secret_blocks = object.value().layout.secret_blocks;
  session.window_blocks = options.window_blocks;
  session.idle_ms = 10'000;
  session.size = blocks->size + faults.lies_about_size;
  session.blocks = (blocks->size + session.block_bytes - 1) / session.block_bytes;

  const dataplane::IpEndpoint owner = *dataplane::parse_ip_endpoint(request.data_address);
  Result<client::UdpSocket> socket = client::UdpSocket::make(owner);
  if (!socket.ok()) return socket.error();
  session.data_address = format(socket.value().local());
  if (options.relay) {
    running->relay =
        std::make_unique<UdpRelay>(owner, socket.value().local(), *options.relay, random_.next());
    session.data_address = format(running->relay->front());
    if (const Outcome moved = socket.value().connect(running->relay->back()); !moved.ok()) {
      return moved.error();
    }
  }
  // The other end: everything the other way round.
  Session ours;
  ours.session = session.session;
  ours.connection_id = request.connection_id;
  ours.key_index = session.key_index;
  ours.key_to_ssa = copy_of(session.key_to_owner);
  ours.key_to_owner = copy_of(session.key_to_ssa);
  ours.block_bytes = session.block_bytes;
  Result<std::unique_ptr<SessionLink>> link = SessionLink::make(
      ours, std::move(socket.value()), {session.connection_id, options.window_blocks}, client::clock_ns());
  if (!link.ok()) return link.error();
  running->link = std::move(link.value());
  running->thread = std::thread([session_at = running.get()] { session_at->run(); });
  sessions_[session.session] = running;
  owners_[session.session] = request.owner;
  return session;
}

Result<agent::WriteStatus> MemorySsa::finish_write(std::uint64_t session, std::uint64_t size,
                                                   std::uint64_t blocks, std::chrono::milliseconds) {
  std::shared_ptr<Running> running;
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return failed(Exit::not_found, "the session is over");
    running = found->second;
  }
  if (faults.sealing_answers != 0) {
    --faults.sealing_answers;
    return agent::WriteStatus{};
  }
  const controller::Object& object = running->object;
  {
    const std::lock_guard lock(running->blocks->mutex);
    // What was acknowledged may still be on its way from the socket into the map.
    if (running->blocks->at.size() < blocks) return agent::WriteStatus{};
    if (running->blocks->at.size() != blocks ||
        (size + object.cell_bytes - 1) / object.cell_bytes != blocks) {
      return failed(Exit::integrity, "blocks are missing");
    }
    running->blocks->size = size;
  }
  const controller::Layout& layout = object.layout;
  const unsigned sealed = layout.n - std::min<unsigned>(layout.n, faults.holders_fail);
  agent::WriteStatus status;
  status.sealed = sealed;
  status.quorum = layout.quorum;
  status.minimum = layout.minimum;
  controller::SealedReport report;
  report.key = object.key();
  report.size = size;
  report.cells = (blocks + layout.secret_blocks - 1) / layout.secret_blocks;
  if (report.cells != 0) report.attempts = {{0, report.cells, 0}};
  report.protection = controller::Protection::computational;
  for (std::uint32_t share = 1; share <= layout.n; ++share) {
    const std::string& node = layout.holders[share - 1].node;
    const bool good = share <= sealed;
    using State = agent::HolderStatus::State;
    report.shares.push_back({share, node, good, good ? "" : "its disk is full"});
    status.holders.push_back(
        {share, node, good ? State::sealed : State::failed, good ? "" : "its disk is full"});
  }
  status.state = sealed >= layout.quorum    ? agent::WriteState::sealed
                 : sealed >= layout.minimum ? agent::WriteState::degraded
                                            : agent::WriteState::failed;
  const Result<controller::SealedAnswer> told = controller_.sealed(report);
  if (faults.after_sealed) faults.after_sealed();
  return told.ok() ? Result<agent::WriteStatus>(status) : told.error();
}

void MemorySsa::close_session(std::uint64_t session) {
  std::shared_ptr<Running> running;
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    running = found->second;
    sessions_.erase(found);
  }
  running->stop();
  lost_ += running->relay != nullptr ? running->relay->lost() : 0;
}

std::size_t MemorySsa::open_sessions() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

Bytes MemorySsa::last_written() const {
  const std::lock_guard lock(mutex_);
  Bytes all;
  if (last_ == nullptr) return all;
  const std::lock_guard inside(last_->mutex);
  std::uint64_t next = 0;
  for (const auto& [block, bytes] : last_->at) {
    if (block != next++) return {};
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

}  // namespace ssn::test
