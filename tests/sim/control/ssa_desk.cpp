// SPDX-License-Identifier: BSD-3-Clause
#include "ssa_desk.h"

#include <algorithm>

namespace ssn::sim {

using controller::Catalogue;
using controller::Now;
using test::one_ms;
using test::one_s;

namespace {

constexpr std::uint64_t report_ns = 100 * one_ms;
constexpr std::uint64_t retry_ns = 60 * one_ms;
constexpr std::uint64_t patience_ns = 20 * one_s;  // of an owner, with one step
constexpr const char* ssa_name = "ssa";
constexpr const char* owner_name = "alice";

}  // namespace

kernels::Scheme scheme_of(controller::Scheme scheme) {
  switch (scheme) {
    case controller::Scheme::shamir_classic:
      return kernels::Scheme::classic;
    case controller::Scheme::ramp:
      return kernels::Scheme::ramp;
    case controller::Scheme::rs:
      return kernels::Scheme::rs;
    default:
      return kernels::Scheme::systematic;
  }
}

std::uint16_t holder_number(const std::string& node) {
  return static_cast<std::uint16_t>(std::stoul(node.substr(1)) - 1);
}

roles::ObjectLayout layout_of(const controller::Object& object) {
  const controller::Layout& from = object.layout;
  roles::ObjectLayout layout;
  layout.scheme = scheme_of(from.scheme);
  layout.k = from.k;
  layout.n = from.n;
  layout.secret_blocks = from.secret_blocks;
  layout.cell_bytes = object.cell_bytes;
  layout.quorum = from.quorum;
  layout.minimum = from.minimum;
  layout.holders.clear();
  for (const controller::Holder& holder : from.holders) layout.holders.push_back(holder_number(holder.node));
  return layout;
}

void SsaDesk::started() {
  ++starts_;
  registered_ = busy_ = false;
  instance_[0] = 1;
  instance_[1] = static_cast<std::uint8_t>(starts_);
  writes_.clear();
}

void SsaDesk::send() {
  busy_ = true;
  next_ns_ = world_.now_ns + report_ns;
  const auto told = std::make_shared<bool>(false);
  const bool registers = !registered_;
  controller::Report report;
  report.instance = instance_;
  report.writes.assign(writes_.begin(), writes_.end());
  controller::Registration registration;
  registration.instance = instance_;
  registration.roles = {pki::Role::ssa};
  registration.agent = "192.0.2.1:7000";
  registration.data_addresses = {"192.0.2.1:4711"};
  net_.call(
      ssa_name,
      [this, told, registers, report, registration] {
        return controller_.serve([&](Catalogue& catalogue, Now now) {
          *told = registers ? catalogue.register_node(now, ssa_name, {pki::Role::ssa}, registration).ok()
                            : catalogue.report(now, ssa_name, report).ok();
        });
      },
      [this, told, start = starts_](bool reached) {
        if (start != starts_) return;
        busy_ = false;
        registered_ = reached && *told;
      });
}

void SsaDesk::step() {
  if (!busy_ && world_.now_ns >= next_ns_) send();
}

OwnedObject::OwnedObject(const Desks& desks, std::string name, test::Bytes content, std::uint32_t blocks)
    : desks_(desks),
      name_(std::move(name)),
      content_(std::move(content)),
      blocks_(blocks),
      self_(std::make_shared<OwnedObject*>(this)) {
  request_.name = name_;
  request_.size = content_.size();
  request_.create_only = true;
  for (std::size_t i = 0; i < request_.token.size(); ++i) {
    request_.token[i] = static_cast<std::uint8_t>(1 + desks_.world.random.below(255));
  }
}

bool OwnedObject::is_over() const noexcept {
  return vanished_ || state_ == State::waiting || state_ == State::acknowledged || state_ == State::removed ||
         state_ == State::failed || state_ == State::unknown;
}

void OwnedObject::turn(State state) {
  state_ = state;
  turned_ns_ = desks_.world.now_ns;
  retry_ns_ = 0;
}

void OwnedObject::fail(const std::string& why) {
  if (why_.empty()) why_ = why;
  close();
  turn(commits_ ? State::unknown : State::failed);
}

// The session goes; what the SSA still says of the object is nothing.
void OwnedObject::close() {
  desks_.ssa.closed(object_.key());
  if (owner_ == nullptr) return;
  if (ssa_start_ == desks_.ssa.starts()) {
    (void)desks_.world.ssa->close_write(session_, desks_.world.now_ns);
    desks_.world.remove_owner(*owner_);
  }
  owner_ = nullptr;
}

void OwnedObject::vanish() {
  if (is_over() || state_ == State::removing) return;
  vanished_ = true;
  fail("the owner vanished");
}

void OwnedObject::ssa_restarted() {
  if (owner_ == nullptr) return;
  owner_ = nullptr;
  if (state_ == State::writing || state_ == State::sealing) fail("the SSA started again");
}

// Asks until there is an answer that will not change.
template <typename T, typename Ask, typename Take>
void OwnedObject::call(const std::string& from, Ask ask, Take take) {
  if (busy_ || desks_.world.now_ns < retry_ns_) return;
  if (desks_.world.now_ns - turned_ns_ > patience_ns) return fail("no answer in time");
  busy_ = true;
  const auto answer = std::make_shared<Result<T>>(Error{});
  desks_.net.call(
      from,
      [&controller = desks_.controller, ask, answer] {
        return controller.serve([&](Catalogue& catalogue, Now now) { *answer = ask(catalogue, now); });
      },
      [asker = std::weak_ptr(self_), asked = state_, answer, take](bool reached) {
        const auto here = asker.lock();
        if (here == nullptr) return;
        OwnedObject& self = **here;
        self.busy_ = false;
        if (self.state_ != asked) return;
        if (reached && answer->ok()) return take(self, answer->value());
        self.retry_ns_ = self.desks_.world.now_ns + retry_ns;
        if (reached && answer->error().code != Exit::temporary) self.fail(answer->error().why);
      });
}

void OwnedObject::ask_to_begin() {
  call<controller::WriteTicket>(
      owner_name,
      [request = request_](Catalogue& catalogue, Now now) {
        return catalogue.begin_write(now, owner_name, request);
      },
      [](OwnedObject& self, const controller::WriteTicket& ticket) {
        self.object_ = ticket.object;
        self.turn(State::opening);
      });
}

void OwnedObject::ask_to_open() {
  call<controller::Object>(
      ssa_name,
      [key = object_.key()](Catalogue& catalogue, Now now) {
        return catalogue.object_for(now, ssa_name, key);
      },
      [](OwnedObject& self, const controller::Object& object) {
        self.object_ = object;
        self.open();
      });
}

void OwnedObject::open() {
  test::SsaWorld& world = desks_.world;
  if (object_.state != controller::ObjectState::writing) return fail("the write is over");
  owner_ = &world.add_owner();
  ssa_start_ = desks_.ssa.starts();
  const roles::ObjectKey key{object_.id, static_cast<std::uint32_t>(object_.generation)};
  auto made = roles::make_write({key, layout_of(object_), static_cast<std::uint16_t>(owner_->name)},
                                world.options.ssa);
  session_ = made.ok() ? world.ssa->open_write(made.value(), world.now_ns) : 0;
  if (session_ == 0) return fail("the SSA opens no session");
  owner_->write(key, content_);
  desks_.ssa.opened(object_.key());
  turn(State::writing);
}

void OwnedObject::write() {
  test::SsaWorld& world = desks_.world;
  const roles::WriteResult& result = *world.ssa->result(session_);
  if (result.ended) {
    written_ = result;
    if (result.why != roles::SsaTrouble::none) return fail(std::string(roles::name(result.why)));
    return turn(State::sealing);
  }
  const bool full = blocks_ % object_.layout.secret_blocks == 0;
  if (!finished_ && (full ? owner_->all_stored() : owner_->received_count >= blocks_)) {
    finished_ = true;
    world.ssa->finish_write(session_, blocks_, world.now_ns);
  }
}

void OwnedObject::tell_sealed() {
  controller::SealedReport report;
  report.key = object_.key();
  report.size = content_.size();
  report.cells = written_.cells;
  for (std::size_t i = 0; i < written_.attempts.size(); ++i) {
    const std::uint32_t first = written_.attempts[i].first;
    const std::uint32_t end =
        i + 1 < written_.attempts.size() ? written_.attempts[i + 1].first : written_.cells;
    report.attempts.push_back({first, end - first, written_.attempts[i].attempt});
  }
  for (const roles::HolderResult& each : written_.holders) {
    report.shares.push_back({each.share, object_.layout.holders[each.share - 1U].node, each.sealed,
                             each.sealed ? std::string() : std::string(roles::describe(each.trouble))});
  }
  report.protection = static_cast<controller::Protection>(written_.protection);
  call<controller::SealedAnswer>(
      ssa_name, [report](Catalogue& catalogue, Now now) { return catalogue.sealed(now, ssa_name, report); },
      [](OwnedObject& self, const controller::SealedAnswer&) {
        self.close();
        self.turn(State::committing);
      });
}

void OwnedObject::ask_to_commit() {
  commits_ = true;
  call<controller::CommitAnswer>(
      owner_name,
      [key = object_.key()](Catalogue& catalogue, Now now) {
        return catalogue.commit(now, owner_name, key, true);
      },
      [](OwnedObject& self, const controller::CommitAnswer& answer) {
        self.object_ = answer.object;
        self.turn(State::acknowledged);
      });
}

void OwnedObject::ask_to_remove() {
  call<std::uint64_t>(
      owner_name,
      [name = name_, id = object_.id](Catalogue& catalogue, Now now) {
        return catalogue.remove(now, owner_name, name, id);
      },
      [](OwnedObject& self, std::uint64_t) { self.turn(State::removed); });
}

void OwnedObject::step() {
  if (vanished_) return;
  switch (state_) {
    case State::beginning:
      return ask_to_begin();
    case State::opening:
      return ask_to_open();
    case State::writing:
      return write();
    case State::sealing:
      return tell_sealed();
    case State::committing:
      return ask_to_commit();
    case State::removing:
      return ask_to_remove();
    default:
      return;
  }
}

ObjectReading::ObjectReading(const Desks& desks, std::string name)
    : desks_(desks), name_(std::move(name)), self_(std::make_shared<ObjectReading*>(this)) {
  const auto answer = std::make_shared<Result<controller::ReadTicket>>(Error{});
  desks_.net.call(
      owner_name,
      [&controller = desks_.controller, its = name_, answer] {
        return controller.serve(
            [&](Catalogue& catalogue, Now now) { *answer = catalogue.open_read(now, owner_name, its); });
      },
      [asker = std::weak_ptr(self_), answer](bool reached) {
        const auto here = asker.lock();
        if (here == nullptr) return;
        if (reached && answer->ok()) return (*here)->open(answer->value().object);
        (*here)->over_ = true;
      });
}

void ObjectReading::open(const controller::Object& object) {
  test::SsaWorld& world = desks_.world;
  owner_ = &world.add_owner();
  ssa_start_ = desks_.ssa.starts();
  const roles::ObjectKey key{object.id, static_cast<std::uint32_t>(object.generation)};
  roles::ReadOrder order;
  order.key = key;
  order.layout = layout_of(object);
  order.owner = static_cast<std::uint16_t>(owner_->name);
  order.cells = static_cast<std::uint32_t>(object.cells);
  for (const controller::AttemptRun& run : object.attempts) {
    order.attempts.push_back(
        {static_cast<std::uint32_t>(run.first_cell), static_cast<std::uint16_t>(run.attempt)});
  }
  for (std::size_t i = 0; i < object.layout.holders.size(); ++i) {
    if (object.layout.holders[i].state == controller::ShareState::sealed) {
      order.shares.push_back(static_cast<std::uint8_t>(i + 1));
    }
  }
  auto made = roles::make_read(order, world.options.ssa);
  session_ = made.ok() ? world.ssa->open_read(made.value(), world.now_ns) : 0;
  over_ = session_ == 0;
  const auto blocks = static_cast<std::uint32_t>(object.size / object.cell_bytes);
  owner_->read(key, blocks);
}

bool ObjectReading::step() {
  if (owner_ != nullptr && !over_) over_ = owner_->read_over();
  return over_;
}

void ObjectReading::ssa_restarted() { over_ = over_ || owner_ != nullptr; }

void ObjectReading::close() {
  if (owner_ == nullptr || ssa_start_ != desks_.ssa.starts()) return;
  if (session_ != 0) (void)desks_.world.ssa->close_read(session_, desks_.world.now_ns);
  desks_.world.remove_owner(*owner_);
}

}  // namespace ssn::sim
