// SPDX-License-Identifier: BSD-3-Clause
#include "owner_sessions.h"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "owner_record.h"
#include "ssn/dataplane/ip_address.h"

namespace ssn::dataplane {
namespace {

using agent::SessionObject;
using agent::SessionRequest;
using agent::WriteState;
using controller::ObjectKey;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds worker_patience{5000};
constexpr milliseconds look_again{20};
constexpr std::size_t remembered_max = 1024;  // sessions that are over
constexpr std::size_t written_max = 65536;
constexpr std::size_t session_keys = 4;  // of each direction: 2^26 packets
constexpr std::uint16_t session_key_index = 1;
constexpr const char* cannot_open = "cannot open a session";

Error not_found(const SessionObject& key) {
  return {Exit::not_found, cannot_open, "there is no such object of this owner at this SSA",
          fmt::format("object {:016x}", key.object), "see that BeginWrite or OpenRead named this SSA"};
}

Error temporary(std::string why, std::string fix) {
  return {Exit::temporary, cannot_open, std::move(why), "sessions", std::move(fix)};
}

Outcome draw(std::span<std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "cannot draw a key", "getrandom");
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return done;
}

template <typename Number>
Outcome draw_number(Number& number) {
  number = 0;
  while (number == 0) {
    std::uint8_t bytes[sizeof number];
    if (Outcome drawn = draw(bytes); !drawn.ok()) return drawn;
    number = protocol::load_big<Number>(bytes);
  }
  return done;
}

}  // namespace

OwnerSessions::OwnerSessions(Setup setup) : setup_(std::move(setup)) {
  slots_.assign(setup_.members.size(), std::vector<bool>(setup_.configuration->ssa.owners, false));
}

OwnerSessions::~OwnerSessions() = default;

Result<std::string> OwnerSessions::object_owner(const SessionObject& key) {
  Result<controller::Object> object = setup_.controller->client().object({key.object, key.generation});
  if (!object.ok()) return object.error();
  return object.value().owner;
}

std::shared_ptr<OwnerSessions::Record> OwnerSessions::find(std::uint64_t session) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = open_.find(session); found != open_.end()) return found->second;
  const auto found = over_.find(session);
  return found != over_.end() ? found->second : nullptr;
}

std::optional<std::string> OwnerSessions::session_owner(std::uint64_t session) {
  const std::shared_ptr<Record> record = find(session);
  return record != nullptr ? std::optional(record->owner) : std::nullopt;
}

Result<agent::Session> OwnerSessions::open_write(const SessionRequest& request) {
  return open(request, true);
}
Result<agent::Session> OwnerSessions::open_read(const SessionRequest& request) {
  return open(request, false);
}

Result<controller::Object> OwnerSessions::look_up(const SessionRequest& request, bool writes) {
  Result<controller::Object> object =
      setup_.controller->client().object({request.key.object, request.key.generation});
  if (!object.ok()) return object.error();
  if (object.value().owner != request.owner) return not_found(request.key);
  const controller::ObjectState wanted =
      writes ? controller::ObjectState::writing : controller::ObjectState::committed;
  if (object.value().state != wanted) {
    return Error{Exit::refused, cannot_open,
                 fmt::format("the object is {}, not {}", controller::name(object.value().state),
                             controller::name(wanted)),
                 fmt::format("object {:016x}", request.key.object),
                 writes ? "begin another write" : "commit it first, or look for the object that replaced it"};
  }
  if (object.value().generation == 0 || object.value().generation > UINT32_MAX ||
      object.value().cells > UINT32_MAX || object.value().cell_bytes > setup_.cell_room) {
    return Error{Exit::refused, cannot_open,
                 fmt::format("cells of {} bytes do not fit the links of this SSA, which take {}",
                             object.value().cell_bytes, setup_.cell_room),
                 fmt::format("object {:016x}", request.key.object),
                 "use smaller cells, or raise the MTU of all that lies between the nodes"};
  }
  return object;
}

// Room for one more session, at the worker that has the fewest.
Result<std::shared_ptr<OwnerSessions::Record>> OwnerSessions::reserve(const SessionRequest& request,
                                                                      bool writes) {
  auto record = std::make_shared<Record>();
  if (Outcome drawn = draw_number(record->id); !drawn.ok()) return drawn.error();
  const std::lock_guard lock(mutex_);
  if (stopping_) return temporary("this SSA ends", "try again later");
  if (writes && written_.contains(request.key)) {
    return Error{Exit::refused, cannot_open, "the write has, or had, a session",
                 fmt::format("object {:016x}", request.key.object), "give the write up, and begin another"};
  }
  std::size_t best = slots_.size();
  std::ptrdiff_t most = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const std::ptrdiff_t free = std::count(slots_[i].begin(), slots_[i].end(), false);
    if (free > most) best = i, most = free;
  }
  if (best == slots_.size()) {
    ++numbers_.refused;
    return temporary(fmt::format("{} sessions are open", open_.size()),
                     "try again when others are over, or raise [ssa] owners");
  }
  const auto slot = std::find(slots_[best].begin(), slots_[best].end(), false) - slots_[best].begin();
  slots_[best][static_cast<std::size_t>(slot)] = true;
  record->worker = static_cast<unsigned>(best);
  record->member = setup_.members[best];
  record->slot = static_cast<std::uint16_t>(slot);
  record->owner = request.owner;
  record->key = request.key;
  record->session.writes = writes;
  if (writes) {
    written_.insert(request.key);
    written_order_.push_back(request.key);
    if (written_order_.size() > written_max) {
      written_.erase(written_order_.front());
      written_order_.pop_front();
    }
  }
  return record;
}

// No block of it ever came: another session may try.
void OwnerSessions::give_up(const Record& record) {
  const std::lock_guard lock(mutex_);
  if (record.session.writes) written_.erase(record.key);
}

void OwnerSessions::free_slot(Record& record) {
  const std::lock_guard lock(mutex_);
  slots_[record.worker][record.slot] = false;
}

// Keys, channel and the way back: what both ends have of the session.
Outcome OwnerSessions::equip(Record& record, const SessionRequest& request, agent::Session& answer) {
  const SsaConfiguration& ssa = setup_.configuration->ssa;
  const std::optional<IpEndpoint> remote = parse_ip_endpoint(request.data_address);
  if (!remote) {
    return Error{Exit::usage, cannot_open,
                 fmt::format("\"{}\" is no address with a port", request.data_address), "data_address",
                 "write \"198.51.100.7:40312\""};
  }
  Result<HostGuest> guest =
      setup_.make_guest({setup_.port, ssa.address, ssa.udp_port, remote->address, remote->port});
  if (!guest.ok()) return guest.error();
  record.session.guest = std::move(guest.value());
  for (hw::SecretBuffer* const key : {&answer.key_to_ssa, &answer.key_to_owner}) {
    Result<hw::SecretBuffer> made = hw::SecretBuffer::make(session_keys * protocol::SessionKeys::key_bytes,
                                                           hw::SecretBuffer::Locking::required);
    if (!made.ok()) return made.error();
    *key = std::move(made.value());
    if (Outcome drawn = draw(key->span()); !drawn.ok()) return drawn;
  }
  std::uint32_t drawn_part = 0;
  if (Outcome drawn = draw_number(drawn_part); !drawn.ok()) return drawn;
  StorageChannel& channel = record.session.channel;
  StorageWorker& worker = *record.member->storage;
  channel.worker = &worker;
  channel.number = record.slot;
  channel.owner = &record.session;
  channel.link = worker.host->guest_link(record.slot);
  channel.id = make_connection_id(first_owner_place + record.slot, record.worker, drawn_part);
  Result<std::unique_ptr<protocol::SessionKeys>> keys =
      protocol::SessionKeys::make({.send_connection_id = request.connection_id,
                                   .receive_connection_id = channel.id,
                                   .key_index = session_key_index},
                                  answer.key_to_owner.span(), answer.key_to_ssa.span());
  if (!keys.ok()) return keys.error();
  channel.keys = std::move(keys.value());
  protocol::ChannelOptions options;
  options.sender.packets = 4096;
  options.sender.packet_bytes =
      record.object.cell_bytes + static_cast<std::uint32_t>(protocol::overhead_bytes);
  channel.channel =
      std::make_unique<protocol::Channel>(options, channel.keys->send(), channel.keys->receive(),
                                          *worker.sealer, worker.source, channel_begins_ns());
  answer.session = record.id;
  answer.data_address = format(IpEndpoint{ssa.address, ssa.udp_port});
  answer.connection_id = channel.id;
  answer.key_index = session_key_index;
  answer.block_bytes = record.object.cell_bytes;
  answer.secret_blocks = record.object.layout.secret_blocks;
  answer.window_blocks = setup_.options.window * answer.secret_blocks;
  OwnerRates::Told told = OwnerRates::tell(record.object, record.session.writes);
  answer.bytes_per_second = told.bytes_per_second;
  answer.rate_of = std::move(told.whose);
  answer.idle_ms = static_cast<std::uint32_t>(
      std::chrono::duration_cast<milliseconds>(setup_.configuration->ssa.idle).count());
  return done;
}

Result<agent::Session> OwnerSessions::open(const SessionRequest& request, bool writes) {
  Result<controller::Object> object = look_up(request, writes);
  if (!object.ok()) return object.error();
  Result<std::shared_ptr<Record>> reserved = reserve(request, writes);
  if (!reserved.ok()) return reserved.error();
  const std::shared_ptr<Record> record = reserved.value();
  record->object = std::move(object.value());
  agent::Session answer;
  Outcome outcome = equip(*record, request, answer);
  if (outcome.ok()) outcome = order(*record);
  if (!outcome.ok()) {
    give_up(*record);
    free_slot(*record);
    return outcome.error();
  }
  if (!writes) {
    answer.size = record->object.size;
    answer.blocks = (answer.size + answer.block_bytes - 1) / answer.block_bytes;
  }
  {
    const std::lock_guard lock(mutex_);
    open_[record->id] = record;
  }
  if (Outcome given = give(*record); !given.ok()) return given.error();
  const std::lock_guard lock(mutex_);
  ++numbers_.opened;
  return answer;
}

// Has the worker open it. One that does not answer in time keeps the session, which is closed later.
Outcome OwnerSessions::give(Record& record) {
  const Lock one_call(record.busy);
  const bool ran = command(record, [](void* argument) {
    auto& of = *static_cast<Record*>(argument);
    of.member->ssa->open(of.session, of.member->now_ns());
  });
  if (!ran && record.ticket == 0) {  // it was never asked
    record.session.channel.is_over.store(true, std::memory_order_relaxed);
    record.state = Record::State::closing;
    give_up(record);
    return temporary("its worker is busy", "try again");
  }
  if (!ran) {
    record.state = Record::State::late;
    return temporary("its worker does not answer", "try again; see `ssn dataplane status`");
  }
  if (!record.session.opened) {
    record.state = Record::State::closing;  // the worker let it go again; tend() takes it away
    give_up(record);
    return temporary("its worker has no room for another session", "try again when others are over");
  }
  record.state = Record::State::open;
  return done;
}

bool OwnerSessions::command(Record& record, void (*run)(void* argument)) {
  Ticket ticket = 0;
  Worker& thread = *record.member->thread;
  if (!thread.post({run, &record}, &ticket)) return false;
  record.ticket = ticket;
  return thread.wait(ticket, worker_patience);
}

void OwnerSessions::close(Record& record) {
  if (record.state != Record::State::open) return;
  const bool posted = record.member->thread->post({[](void* argument) {
                                                     auto& of = *static_cast<Record*>(argument);
                                                     of.member->ssa->close(of.session, of.member->now_ns());
                                                   },
                                                   &record});
  if (posted) record.state = Record::State::closing;  // otherwise tend() tries again: it is idle
}

void OwnerSessions::close_session(std::uint64_t session) {
  const std::shared_ptr<Record> record = find(session);
  if (record == nullptr) return;
  const Lock one_call(record->busy);
  record->unwanted = true;
  close(*record);
}

Result<agent::WriteStatus> OwnerSessions::finish_write(std::uint64_t session, std::uint64_t size,
                                                       std::uint64_t blocks, milliseconds wait) {
  const steady_clock::time_point end = steady_clock::now() + std::min(wait, agent::finish_wait_max);
  const std::shared_ptr<Record> record = find(session);
  if (record == nullptr || !record->session.writes) {
    return Error{Exit::not_found, "cannot finish the write", "there is no such session", "session",
                 "begin another write"};
  }
  Lock one_call(record->busy);
  if (record->finished ? record->size != size || record->session.blocks != blocks
                       : blocks != (size + record->object.cell_bytes - 1) / record->object.cell_bytes ||
                             blocks > UINT32_MAX) {
    return Error{
        Exit::refused, "cannot finish the write",
        fmt::format("{} bytes in {} blocks is not what belongs together, or not what was said before", size,
                    blocks),
        "size, blocks", "repeat the call with the same numbers"};
  }
  if (!record->finished && record->state == Record::State::open) {
    record->size = size;
    record->session.blocks = blocks;
    record->finished = command(*record, [](void* argument) {
      auto& of = *static_cast<Record*>(argument);
      of.member->ssa->finish(of.session, of.member->now_ns());
    });
  }
  for (;;) {
    conclude(*record);
    if (record->status.state != WriteState::sealing || steady_clock::now() >= end) return record->status;
    one_call.unlock();  // others may close it meanwhile
    {
      Lock lock(mutex_);
      if (stopping_) return record->status;
      changed_.wait_for(lock, look_again);
    }
    one_call.lock();
  }
}

// Looks what came of the write by now, and tells the controller once it is over.
void OwnerSessions::conclude(Record& record) {
  if (record.status.state != WriteState::sealing) return;
  if (record.state == Record::State::open && !record.session.result.ended) {
    const bool ran = command(record, [](void* argument) {
      auto& of = *static_cast<Record*>(argument);
      of.member->ssa->report(of.session);
    });
    if (!ran) return;
  }
  if (!record.session.result.ended && record.state == Record::State::open) {
    record.status = status_of(record);
    return;
  }
  agent::WriteStatus status = status_of(record);
  if (status.state == WriteState::sealed || status.state == WriteState::degraded) {
    const Result<controller::SealedAnswer> told =
        setup_.controller->client().sealed(sealed_report(record, setup_.configuration->peers));
    if (!told.ok() && told.error().code == Exit::temporary) {
      status.state = WriteState::sealing;  // it will be told again with the next call
    } else if (!told.ok()) {
      status.state = WriteState::failed;
      status.why = "the controller: " + told.error().why;
    }
  }
  record.status = std::move(status);
  if (record.status.state == WriteState::sealing) return;
  const std::lock_guard lock(mutex_);
  numbers_.writes_sealed += record.status.state == WriteState::sealed;
  numbers_.writes_degraded += record.status.state == WriteState::degraded;
  numbers_.writes_failed += record.status.state == WriteState::failed;
}

std::vector<ObjectKey> OwnerSessions::writes() const {
  const std::lock_guard lock(mutex_);
  std::vector<ObjectKey> keys;
  for (const auto& [id, record] : open_) {
    if (record->session.writes && keys.size() < controller::report_keys_max) {
      keys.push_back({record->key.object, record->key.generation});
    }
  }
  return keys;
}

void OwnerSessions::ended(const ObjectKey& key) {
  std::vector<std::shared_ptr<Record>> those;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, record] : open_) {
      if (record->session.writes && record->key.object == key.object &&
          record->key.generation == key.generation) {
        those.push_back(record);
      }
    }
    numbers_.ended += those.size();
  }
  for (const std::shared_ptr<Record>& record : those) close_session(record->id);
}

void OwnerSessions::retire(const std::shared_ptr<Record>& record) {
  record->session.write.reset();
  record->session.read.reset();
  record->session.channel.channel.reset();
  record->session.channel.keys.reset();
  record->rates = {};
  record->state = Record::State::over;
  if (record->session.writes && record->status.state == WriteState::sealing) {
    record->status.state = WriteState::failed;
    record->status.why = "the session is over";
  }
  const std::lock_guard lock(mutex_);
  slots_[record->worker][record->slot] = false;
  open_.erase(record->id);
  over_[record->id] = record;
  over_order_.push_back(record->id);
  if (over_order_.size() > remembered_max) {
    over_.erase(over_order_.front());
    over_order_.pop_front();
  }
}

void OwnerSessions::tend() {
  std::vector<std::shared_ptr<Record>> all;
  bool stopping = false;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, record] : open_) all.push_back(record);
    stopping = stopping_;
  }
  const auto idle = static_cast<std::uint64_t>(setup_.configuration->ssa.idle.count());
  const std::uint64_t now = monotonic_ns();
  for (const std::shared_ptr<Record>& record : all) {
    const Lock one_call(record->busy, std::try_to_lock);
    if (!one_call.owns_lock()) continue;
    if (record->state == Record::State::late && record->member->thread->is_done(record->ticket)) {
      record->unwanted = true;
      record->state = record->session.opened ? Record::State::open : Record::State::closing;
    }
    if (record->state == Record::State::open) {
      const std::uint64_t heard = record->session.channel.heard_ns.load(std::memory_order_relaxed);
      const bool is_idle = now > heard && now - heard > idle;
      if (is_idle && !record->unwanted) {
        const std::lock_guard lock(mutex_);
        ++numbers_.idle;
      }
      if (is_idle || record->unwanted || stopping) close(*record);
    }
    const bool is_over = record->session.channel.is_over.load(std::memory_order_acquire);
    if (record->state == Record::State::closing && is_over) retire(record);
  }
  rates_.tend(now);
  changed_.notify_all();
}

void OwnerSessions::refuse() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
}

Outcome OwnerSessions::stop() {
  refuse();
  const steady_clock::time_point end = steady_clock::now() + worker_patience;
  for (;;) {
    tend();
    {
      const std::lock_guard lock(mutex_);
      if (open_.empty()) return done;
    }
    if (steady_clock::now() >= end) {
      return Error{Exit::temporary, "cannot close the sessions of owners", "a worker does not answer",
                   "sessions", "report this"};
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
}

OwnerSessions::Numbers OwnerSessions::numbers() const {
  const std::lock_guard lock(mutex_);
  Numbers numbers = numbers_;
  numbers.open = open_.size();
  return numbers;
}

}  // namespace ssn::dataplane
