// SPDX-License-Identifier: BSD-3-Clause
// What an SSA and a data owner say to the controller about one object: a write in two steps, a read, a
// removal. Each call may get lost or come late, the owner may vanish at any step, and the SSA may restart.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "controller_process.h"

namespace ssn::sim {

/// The number of the world's holder with that name.
std::uint16_t holder_number(const std::string& node);
kernels::Scheme scheme_of(controller::Scheme scheme);
/// As the SSA reads what the controller says of an object.
roles::ObjectLayout layout_of(const controller::Object& object);

/// The SSA towards the controller: registers, and renews the leases of writes.
class SsaDesk {
 public:
  SsaDesk(test::SsaWorld& world, ControlNet& net, ControllerProcess& controller)
      : world_(world), net_(net), controller_(controller) {
    started();
  }
  void started();
  void step();
  void opened(const controller::ObjectKey& key) { writes_.insert(key); }
  void closed(const controller::ObjectKey& key) { writes_.erase(key); }
  /// Counts its starts: a session of another one is gone.
  unsigned starts() const noexcept { return starts_; }

 private:
  void send();

  test::SsaWorld& world_;
  ControlNet& net_;
  ControllerProcess& controller_;
  controller::Bytes16 instance_{};
  unsigned starts_ = 0;
  bool registered_ = false;
  bool busy_ = false;
  std::uint64_t next_ns_ = 0;
  std::set<controller::ObjectKey> writes_;
};

/// What comes from whoever is asked; one call at a time.
struct Desks {
  test::SsaWorld& world;
  ControlNet& net;
  ControllerProcess& controller;
  SsaDesk& ssa;
};

/// One object of one owner, from its write to its removal.
class OwnedObject {
 public:
  enum class State : std::uint8_t {
    waiting,
    beginning,  ///< the controller is to place it
    opening,    ///< the SSA asks the controller about it
    writing,
    sealing,  ///< the SSA is to tell who sealed
    committing,
    acknowledged,  ///< from now on it is promised
    removing,
    removed,
    failed,   ///< the owner knows that it is not there, and never will be
    unknown,  ///< the owner vanished or gave up when the commit may have been on its way
  };
  OwnedObject(const Desks& desks, std::string name, test::Bytes content, std::uint32_t blocks);
  ~OwnedObject() { close(); }
  OwnedObject(const OwnedObject&) = delete;
  OwnedObject& operator=(const OwnedObject&) = delete;

  void begin() { turn(State::beginning); }
  void remove() { turn(State::removing); }
  /// Nobody cares any more, whatever goes on.
  void vanish();
  /// Its session is gone.
  void ssa_restarted();
  void step();

  State state() const noexcept { return state_; }
  bool is_over() const noexcept;
  bool vanished() const noexcept { return vanished_; }
  const std::string& name() const noexcept { return name_; }
  const test::Bytes& content() const noexcept { return content_; }
  std::uint32_t blocks() const noexcept { return blocks_; }
  const roles::WriteResult& written() const noexcept { return written_; }
  const controller::Object& object() const noexcept { return object_; }
  const std::string& why() const noexcept { return why_; }

 private:
  void turn(State state);
  void fail(const std::string& why);
  void close();
  template <typename T, typename Ask, typename Take>
  void call(const std::string& from, Ask ask, Take take);
  void ask_to_begin();
  void ask_to_open();
  void open();
  void write();
  void tell_sealed();
  void ask_to_commit();
  void ask_to_remove();

  Desks desks_;
  const std::string name_;
  const test::Bytes content_;
  const std::uint32_t blocks_;
  controller::WriteRequest request_;
  State state_ = State::waiting;
  bool vanished_ = false;
  bool busy_ = false;
  bool commits_ = false;  // may be under way
  std::uint64_t retry_ns_ = 0;
  std::uint64_t turned_ns_ = 0;
  std::string why_;
  controller::Object object_;
  test::TestOwner* owner_ = nullptr;
  roles::SsaSession session_ = 0;
  unsigned ssa_start_ = 0;
  bool finished_ = false;
  roles::WriteResult written_;
  std::shared_ptr<OwnedObject*> self_;  // for calls that come back
};

/// A read of what the controller says the object is now.
class ObjectReading {
 public:
  ObjectReading(const Desks& desks, std::string name);
  ~ObjectReading() { close(); }
  ObjectReading(const ObjectReading&) = delete;
  ObjectReading& operator=(const ObjectReading&) = delete;

  /// True: it is over.
  bool step();
  void ssa_restarted();
  const std::string& name() const noexcept { return name_; }
  /// Null: the controller had no such object, or was not there.
  const test::TestOwner* reader() const noexcept { return owner_; }

 private:
  void open(const controller::Object& object);
  void close();

  Desks desks_;
  const std::string name_;
  bool over_ = false;
  test::TestOwner* owner_ = nullptr;
  roles::SsaSession session_ = 0;
  unsigned ssa_start_ = 0;
  std::shared_ptr<ObjectReading*> self_;
};

}  // namespace ssn::sim
