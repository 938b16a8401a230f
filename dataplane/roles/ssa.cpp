// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/roles/ssa.h"

#include <algorithm>
#include <array>

#include "ssa_read.h"
#include "ssa_write.h"

namespace ssn::roles {

class Ssa::Implementation {
 public:
  struct Slot {
    std::uint32_t life = 0;
    SsaWritePointer write;
    SsaReadPointer read;
    bool used() const noexcept { return write != nullptr || read != nullptr; }
  };

  Implementation(const SsaOptions& given, const kernels::Implementation& implementation,
                 protocol::PacketPool& pool, RandomBlocks& random)
      : options(given), slots(std::min<std::size_t>(given.sessions, 1U << slot_bits)) {
    context.options = &options;
    context.kernels = &implementation;
    context.pool = &pool;
    context.random = &random;
    context.holders.resize(options.holders);
    context.owners.resize(options.owners);
  }

  Slot* find(SsaSession session) noexcept {
    const std::uint32_t at = slot_of(session);
    if (session == 0 || at >= slots.size() || slots[at].life != session >> slot_bits) return nullptr;
    return slots[at].used() ? &slots[at] : nullptr;
  }
  SsaSession begin(std::uint16_t owner, const ObjectKey& key, bool writes) noexcept;
  SsaWrite* write_of(std::uint16_t owner, const protocol::Placement& what) noexcept;
  SsaRead* read_of(std::uint16_t owner, const protocol::Placement& what) noexcept;
  void refuse_read(std::uint16_t owner, const protocol::PacketHeader& header,
                   const protocol::ReadRequest& request, std::uint64_t now) noexcept;
  void block_arrived(std::uint16_t owner, protocol::Cell& cell, std::uint64_t now) noexcept;
  void share_arrived(std::uint16_t holder, protocol::Cell& cell, std::uint64_t now) noexcept;
  void answer_arrived(std::uint16_t holder, const protocol::Cell& cell, std::uint64_t now) noexcept;
  void take_settled(std::uint64_t now) noexcept;
  void count_users() noexcept;
  void tell_credit(std::uint16_t owner, std::uint64_t now) noexcept;
  void give_back(protocol::Cell& cell) noexcept {
    protocol::Cell* its = &cell;
    context.pool->give_back({&its, 1});
  }

  SsaOptions options;
  SsaContext context;
  std::vector<Slot> slots;
  std::size_t used = 0;  // behind the last slot that was ever used
  std::size_t turn = 0;
  std::uint64_t due = UINT64_MAX;
  // Blocks of one delivery that were stored before.
  std::array<protocol::Cell*, protocol::Channel::max_burst> told{};
  std::size_t told_count = 0;
};

// 0: there is no place. The slot is then to be filled.
SsaSession Ssa::Implementation::begin(std::uint16_t owner, const ObjectKey& key, bool writes) noexcept {
  if (owner >= context.owners.size() || context.owners[owner].channel == nullptr) return 0;
  const protocol::Placement what{key.object, 0, key.generation, 0, 0};
  if (writes ? write_of(owner, what) != nullptr : read_of(owner, what) != nullptr) return 0;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].used()) continue;
    used = std::max(used, i + 1);
    slots[i].life = slots[i].life % ((1U << (32 - slot_bits)) - 1) + 1;
    due = 0;
    return slots[i].life << slot_bits | static_cast<std::uint32_t>(i);
  }
  return 0;
}

SsaWrite* Ssa::Implementation::write_of(std::uint16_t owner, const protocol::Placement& what) noexcept {
  for (std::size_t i = 0; i < used; ++i) {
    SsaWrite* const write = slots[i].write.get();
    if (write != nullptr && write->owner() == owner &&
        write->key() == ObjectKey{what.object, what.generation}) {
      return write;
    }
  }
  return nullptr;
}

SsaRead* Ssa::Implementation::read_of(std::uint16_t owner, const protocol::Placement& what) noexcept {
  for (std::size_t i = 0; i < used; ++i) {
    SsaRead* const read = slots[i].read.get();
    if (read != nullptr && read->owner() == owner && read->key() == ObjectKey{what.object, what.generation}) {
      return read;
    }
  }
  return nullptr;
}

// No session of this owner is about that object.
void Ssa::Implementation::refuse_read(std::uint16_t owner, const protocol::PacketHeader& header,
                                      const protocol::ReadRequest& request, std::uint64_t now) noexcept {
  protocol::Answer answer;
  answer.type = protocol::PacketType::read;
  answer.code = protocol::AnswerCode::refused;
  answer.count = request.count;
  answer.request = request.request;
  answer.bitmap = request.bitmap;
  std::array<std::uint8_t, protocol::answer_bytes> payload;
  protocol::write_answer(answer, payload.data());
  context.counters.blocks_not_given += request.count;
  (void)context.owners[owner].channel->post(protocol::PacketType::answer, header.placement, payload,
                                            protocol::no_token, now + options.read_ns, now);
}

// Until all of a delivery were looked at nothing but refuse() may be called of the owner's channel.
void Ssa::Implementation::block_arrived(std::uint16_t owner, protocol::Cell& cell,
                                        std::uint64_t now) noexcept {
  SsaWrite* const write = write_of(owner, cell.header.placement);
  const SsaWrite::Arrived arrived = write == nullptr ? SsaWrite::Arrived::refused : write->arrived(cell, now);
  switch (arrived) {
    case SsaWrite::Arrived::taken:
      ++context.counters.blocks_in;
      return;
    case SsaWrite::Arrived::again:
      ++context.counters.blocks_again;
      return give_back(cell);
    case SsaWrite::Arrived::told:
      ++context.counters.blocks_again;
      if (told_count == told.size()) return give_back(cell);
      told[told_count++] = &cell;
      return;
    case SsaWrite::Arrived::refused:
      ++context.counters.blocks_refused;
      context.owners[owner].channel->refuse(cell, now);
      return;
  }
}

void Ssa::Implementation::share_arrived(std::uint16_t holder, protocol::Cell& cell,
                                        std::uint64_t now) noexcept {
  const protocol::Placement& what = cell.header.placement;
  for (std::size_t i = 0; i < used; ++i) {
    SsaRead* const read = slots[i].read.get();
    if (read == nullptr || read->key() != ObjectKey{what.object, what.generation}) continue;
    if (read->arrived(holder, cell, now)) return;
  }
  ++context.counters.shares_unwanted;
  give_back(cell);
}

void Ssa::Implementation::answer_arrived(std::uint16_t holder, const protocol::Cell& cell,
                                         std::uint64_t now) noexcept {
  const std::optional<protocol::Answer> answer = protocol::read_answer({cell.data, cell.length});
  if (!answer) return;
  if (answer->type == protocol::PacketType::read) {
    Slot* const slot = find(static_cast<SsaSession>(answer->request >> 16));
    if (slot != nullptr && slot->read != nullptr) slot->read->answered(holder, cell.header, *answer, now);
    return;
  }
  if (answer->type == protocol::PacketType::seal_order) {
    Slot* const slot = find(static_cast<SsaSession>(answer->request >> 8));
    if (slot != nullptr && slot->write != nullptr) slot->write->answered(holder, cell.header, *answer, now);
    return;
  }
  const protocol::Placement& what = cell.header.placement;
  for (std::size_t i = 0; i < used; ++i) {
    SsaWrite* const write = slots[i].write.get();
    if (write != nullptr && write->key() == ObjectKey{what.object, what.generation}) {
      write->answered(holder, cell.header, *answer, now);
    }
  }
}

void Ssa::Implementation::take_settled(std::uint64_t now) noexcept {
  std::array<protocol::Settled, 64> settled;
  for (std::uint16_t holder = 0; holder < context.holders_end; ++holder) {
    protocol::Channel* const channel = context.holders[holder].channel;
    if (channel == nullptr) continue;
    for (std::size_t count = settled.size(); count == settled.size();) {
      count = channel->take_settled(settled);
      for (std::size_t i = 0; i < count; ++i) {
        if (settled[i].token == protocol::no_token) continue;
        const std::uint32_t at = slot_of_token(settled[i].token);
        if (at >= slots.size() || slots[at].write == nullptr) continue;
        const SsaSession session = slots[at].life << slot_bits | at;
        if (token_is_of(settled[i].token, session)) slots[at].write->settled(holder, settled[i], now);
      }
    }
  }
  for (std::uint16_t owner = 0; owner < context.owners_end; ++owner) {
    protocol::Channel* const channel = context.owners[owner].channel;
    if (channel == nullptr) continue;
    while (channel->take_settled(settled) == settled.size()) {  // nothing of it is of interest
    }
  }
}

void Ssa::Implementation::count_users() noexcept {
  context.writers = context.readers = 0;
  for (std::size_t i = 0; i < used; ++i) {
    if (slots[i].write != nullptr && slots[i].write->expects_blocks()) ++context.writers;
    if (slots[i].read != nullptr && slots[i].read->busy()) ++context.readers;
  }
}

// Whichever of its objects the owner sends blocks of, there is room for them. It must be told before anything
// is acknowledged: credit counts from what was acknowledged on.
void Ssa::Implementation::tell_credit(std::uint16_t owner, std::uint64_t now) noexcept {
  OwnerLink& link = context.owners[owner];
  if (link.channel == nullptr) return;
  std::uint32_t credit = UINT32_MAX;
  for (std::size_t i = 0; i < used; ++i) {
    const SsaWrite* const write = slots[i].write.get();
    if (write != nullptr && write->owner() == owner && write->expects_blocks()) {
      credit = std::min(credit, write->credit());
    }
  }
  if (credit == UINT32_MAX) credit = 0;
  if (credit == link.told_credit) return;
  link.channel->set_credit(credit, now);
  link.told_credit = credit;
}

Ssa::Ssa(const SsaOptions& options, const kernels::Implementation& implementation, protocol::PacketPool& pool,
         RandomBlocks& random)
    : implementation_(std::make_unique<Implementation>(options, implementation, pool, random)) {}

Ssa::~Ssa() {
  for (Implementation::Slot& slot : implementation_->slots) {
    if (slot.write != nullptr) slot.write->close(SsaTrouble::owner_gone);
    if (slot.read != nullptr) slot.read->close();
  }
}

bool Ssa::add_holder(std::uint16_t holder, protocol::Channel& channel, std::uint64_t now) noexcept {
  Implementation& its = *implementation_;
  if (holder >= its.context.holders.size() || its.context.holders[holder].channel != nullptr) return false;
  its.context.holders[holder].channel = &channel;
  its.context.holders_end = std::max<std::uint16_t>(its.context.holders_end, holder + 1);
  its.context.holders[holder].since_ns = now;
  its.context.holders[holder].asked = 0;
  its.context.holders[holder].late_times = 0;
  its.context.holders[holder].shaky_until_ns = 0;
  its.context.holders[holder].mute = false;
  for (std::size_t i = 0; i < its.used; ++i) {
    if (its.slots[i].write != nullptr) its.slots[i].write->holder_came(holder);
    if (its.slots[i].read != nullptr) its.slots[i].read->holder_changed(holder);
  }
  its.due = 0;
  return true;
}

void Ssa::remove_holder(std::uint16_t holder, std::uint64_t now) noexcept {
  Implementation& its = *implementation_;
  if (holder >= its.context.holders.size() || its.context.holders[holder].channel == nullptr) return;
  its.context.holders[holder].channel = nullptr;
  its.context.holders[holder].since_ns = now;
  for (std::size_t i = 0; i < its.used; ++i) {
    if (its.slots[i].write != nullptr) its.slots[i].write->holder_left(holder, now);
    if (its.slots[i].read != nullptr) its.slots[i].read->holder_changed(holder);
  }
  its.due = 0;
}

bool Ssa::add_owner(std::uint16_t owner, protocol::Channel& channel, std::uint64_t now) noexcept {
  Implementation& its = *implementation_;
  if (owner >= its.context.owners.size() || its.context.owners[owner].channel != nullptr) return false;
  its.context.owners[owner] = {&channel, 0};
  its.context.owners_end = std::max<std::uint16_t>(its.context.owners_end, owner + 1);
  channel.set_credit(0, now);
  return true;
}

void Ssa::remove_owner(std::uint16_t owner, std::uint64_t /*now*/) noexcept {
  Implementation& its = *implementation_;
  if (owner >= its.context.owners.size() || its.context.owners[owner].channel == nullptr) return;
  for (std::size_t i = 0; i < its.used; ++i) {
    Implementation::Slot& slot = its.slots[i];
    const bool writes = slot.write != nullptr && slot.write->owner() == owner;
    const bool reads = slot.read != nullptr && slot.read->owner() == owner;
    if (writes) slot.write->close(SsaTrouble::owner_gone);
    if (reads) slot.read->close();
    if (!writes && !reads) continue;
    SsaEvent event;
    event.kind = SsaEvent::Kind::session_dropped;
    event.trouble = SsaTrouble::owner_gone;
    event.session = slot.life << slot_bits | static_cast<std::uint32_t>(i);
    event.key = writes ? slot.write->key() : slot.read->key();
    its.context.events.push(event, its.context.counters);
  }
  its.context.owners[owner].channel = nullptr;
}

SsaSession Ssa::open_write(SsaWritePointer& write, std::uint64_t now) noexcept {
  const SsaSession session = implementation_->begin(write->owner(), write->key(), true);
  if (session == 0) return 0;
  write->open(implementation_->context, session, now);
  const std::uint16_t owner = write->owner();
  implementation_->slots[slot_of(session)].write = std::move(write);
  implementation_->count_users();
  implementation_->tell_credit(owner, now);
  return session;
}

SsaSession Ssa::open_read(SsaReadPointer& read, std::uint64_t now) noexcept {
  const SsaSession session = implementation_->begin(read->owner(), read->key(), false);
  if (session == 0) return 0;
  read->open(implementation_->context, session, now);
  implementation_->slots[slot_of(session)].read = std::move(read);
  return session;
}

void Ssa::finish_write(SsaSession session, std::uint64_t blocks, std::uint64_t now) noexcept {
  Implementation::Slot* const slot = implementation_->find(session);
  if (slot == nullptr || slot->write == nullptr) return;
  slot->write->finish(blocks, now);
  implementation_->due = 0;
}

const WriteResult* Ssa::result(SsaSession session) const noexcept {
  const Implementation::Slot* const slot = implementation_->find(session);
  return slot == nullptr || slot->write == nullptr ? nullptr : &slot->write->result();
}

SsaWritePointer Ssa::close_write(SsaSession session, std::uint64_t /*now*/) noexcept {
  Implementation::Slot* const slot = implementation_->find(session);
  if (slot == nullptr || slot->write == nullptr) return nullptr;
  slot->write->close(SsaTrouble::owner_gone);
  return std::move(slot->write);
}

SsaReadPointer Ssa::close_read(SsaSession session, std::uint64_t /*now*/) noexcept {
  Implementation::Slot* const slot = implementation_->find(session);
  if (slot == nullptr || slot->read == nullptr) return nullptr;
  slot->read->close();
  return std::move(slot->read);
}

void Ssa::delivered_from_owner(std::uint16_t owner, std::span<protocol::Cell* const> cells,
                               std::uint64_t now) noexcept {
  Implementation& its = *implementation_;
  its.due = 0;
  its.told_count = 0;
  const bool known = owner < its.context.owners.size() && its.context.owners[owner].channel != nullptr;
  for (protocol::Cell* const cell : cells) {
    if (known && cell->open_result == protocol::OpenResult::opened) its.block_arrived(owner, *cell, now);
  }
  for (std::size_t i = 0; i < its.told_count; ++i) {
    protocol::Cell& cell = *its.told[i];
    // Where there is no room to remember it, the block comes again.
    (void)its.context.owners[owner].channel->stored(cell.header, cell.range_length, now);
    its.give_back(cell);
  }
  for (protocol::Cell* const cell : cells) {
    if (known && cell->open_result == protocol::OpenResult::opened) continue;
    if (known && cell->open_result == protocol::OpenResult::message &&
        cell->header.type == protocol::PacketType::read) {
      const auto request = protocol::read_read_request({cell->data, cell->length});
      SsaRead* const read = its.read_of(owner, cell->header.placement);
      if (request && read != nullptr) {
        read->asked(cell->header, *request, now);
      } else if (request) {
        its.refuse_read(owner, cell->header, *request, now);
      }
    }
    its.give_back(*cell);
  }
  if (known) its.tell_credit(owner, now);
}

void Ssa::delivered_from_holder(std::uint16_t holder, std::span<protocol::Cell* const> cells,
                                std::uint64_t now) noexcept {
  Implementation& its = *implementation_;
  its.due = 0;
  const bool known = holder < its.context.holders.size() && its.context.holders[holder].channel != nullptr;
  for (protocol::Cell* const cell : cells) {
    if (known && cell->open_result == protocol::OpenResult::opened) {
      its.share_arrived(holder, *cell, now);
      continue;
    }
    if (known && cell->open_result == protocol::OpenResult::message &&
        cell->header.type == protocol::PacketType::answer) {
      its.answer_arrived(holder, *cell, now);
    }
    its.give_back(*cell);
  }
}

void Ssa::step(std::uint64_t now) noexcept {
  Implementation& its = *implementation_;
  its.take_settled(now);
  its.due = UINT64_MAX;
  its.count_users();
  for (std::size_t i = 0; i < its.used; ++i) {
    Implementation::Slot& slot = its.slots[(its.turn + i) % its.used];
    if (slot.write != nullptr) {
      slot.write->step(now);
      its.due = std::min(its.due, slot.write->next_due());
    }
    if (slot.read != nullptr) {
      slot.read->step(now);
      its.due = std::min(its.due, slot.read->next_due());
    }
  }
  ++its.turn;
  for (std::uint16_t owner = 0; owner < its.context.owners_end; ++owner) its.tell_credit(owner, now);
}

std::uint64_t Ssa::next_due() const noexcept { return implementation_->due; }

std::size_t Ssa::take_events(std::span<SsaEvent> events) noexcept {
  return implementation_->context.events.take(events);
}

const SsaCounters& Ssa::counters() const noexcept { return implementation_->context.counters; }

}  // namespace ssn::roles
