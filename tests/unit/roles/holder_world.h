// SPDX-License-Identifier: BSD-3-Clause
// A holder and SSAs that use it, over links that lose, double and mix packets by a seed, in virtual time.
// Every packet is sealed and opened for real, and the store is a real one. What is promised is checked at
// every step; the first thing that is wrong is kept.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../store/test_store.h"
#include "packet_ends.h"
#include "ssn/protocol/channel.h"
#include "ssn/roles/holder.h"
#include "test_packet_pool.h"
#include "transport_world.h"
#include "virtual_store.h"

namespace ssn::test {

struct HolderWorldOptions {
  LinkOptions link;
  roles::HolderOptions holder;
  VirtualStoreOptions store;
  protocol::ChannelOptions channel;
  std::uint32_t cell_bytes = 128;
  std::uint64_t pad_bytes = std::uint64_t{1} << 40;  ///< of each direction
  std::size_t pool_cells = 40000;
  bool gcm = false;
};

/// The SSA's end of one connection.
class TestSsa {
 public:
  struct Write {
    store::ShareId share;
    std::uint16_t attempt = 0;
    std::uint32_t cell = 0;
    std::uint32_t kept_cells = 0;  ///< of a keep order; 0: a cell
    std::uint32_t bytes = 0;
    bool received = false;
    bool stored = false;
    bool expired = false;
    protocol::ExpireReason reason = protocol::ExpireReason::deadline;
  };
  struct Got {
    protocol::Answer answer;
    protocol::Placement what;
  };

  TestSsa(const HolderWorldOptions& options, PacketEnds& out, PacketEnds& in, std::uint64_t now_ns);

  void put(const store::ShareId& share, std::uint16_t attempt, std::uint32_t cell, std::uint32_t bytes = 0);
  void keep(const store::ShareId& share, std::uint16_t attempt, std::uint32_t cell, std::uint32_t cells);
  void fill(const store::ShareId& share, std::uint32_t cells, std::uint16_t attempt = 0);
  void read(const store::ShareId& share, std::uint16_t attempt, std::uint32_t first, std::uint16_t count,
            std::uint64_t request);
  void seal(const store::ShareId& share, std::uint32_t cells, std::uint64_t request,
            std::vector<protocol::SealOrder::Run> runs = {{0, 0}}, std::uint32_t first = 0,
            std::uint32_t end = 0);
  void remove(const store::ShareId& share, std::uint64_t request);
  void post(protocol::PacketType type, const protocol::Placement& what, Bytes payload);

  void receive(const Bytes& packet);
  void work(std::uint64_t now_ns);
  std::uint64_t next_due() const { return channel.next_due(); }
  /// What was put there.
  Bytes content(const store::ShareId& share, std::uint16_t attempt, std::uint32_t cell,
                std::uint32_t bytes) const;
  std::size_t count_stored() const;
  bool all_stored() const { return count_stored() == writes.size(); }
  bool settled() const { return to_send_.empty() && messages_.empty(); }
  const Got* answer(std::uint64_t request, std::size_t number = 0) const;

  TestPacketPool pool;
  protocol::Channel channel;
  std::vector<Write> writes;  ///< by token
  std::vector<Got> answers;
  std::map<std::pair<store::ShareId, std::pair<std::uint16_t, std::uint32_t>>, unsigned>
      given;           ///< by the holder
  bool honest = true;  ///< keeps to the credit
  bool mute = false;   ///< acknowledges nothing
  bool again = false;  ///< seals anew what expired
  std::uint64_t deadline_ns = UINT64_MAX;
  std::vector<std::uint64_t> newly_stored;  ///< tokens since last looked at
  std::string wrong;

 private:
  struct Message {
    protocol::PacketType type;
    protocol::Placement what;
    Bytes payload;
  };
  void fail(const std::string& what) {
    if (wrong.empty()) wrong = what;
  }
  void send_writes(std::uint64_t now_ns);
  bool send_one(std::uint64_t token, std::uint64_t now_ns);
  bool send_keep(std::uint64_t token, std::uint64_t now_ns);
  void take_in(protocol::Cell& cell);
  void take_settled();

  HolderWorldOptions options_;
  PacketEnds& out_;
  PacketEnds& in_;
  std::deque<std::uint64_t> to_send_;
  std::deque<Message> messages_;
  std::vector<protocol::Cell*> arrived_;
  std::map<std::pair<store::ShareId, std::pair<std::uint16_t, std::uint32_t>>, Bytes> kept_;
};

/// A connection's two ends.
struct Connection {
  std::unique_ptr<PacketEnds> there;  ///< SSA to holder
  std::unique_ptr<PacketEnds> back;
  std::unique_ptr<TestSsa> ssa;
  std::unique_ptr<protocol::Channel> channel;  ///< the holder's end
  roles::PeerId peer;
  std::vector<protocol::Cell*> arrived;
  bool at_holder = false;
};

class HolderWorld {
 public:
  /// `access`: another store than the virtual one, in another time.
  HolderWorld(const HolderWorldOptions& options, std::uint64_t seed, roles::StoreAccess* access = nullptr);
  ~HolderWorld();

  /// Which connection; nothing where the holder has no place.
  std::optional<std::size_t> connect(const roles::PeerIdentity& identity = {1, true, false});
  void disconnect(std::size_t connection);
  TestSsa& ssa(std::size_t connection = 0) { return *connections[connection]->ssa; }

  template <typename Done>
  bool run(std::uint64_t limit_ns, Done done) {
    const std::uint64_t end = now_ns + limit_ns;
    for (work(); !done(); work()) {
      if (!advance(end)) return false;
    }
    return true;
  }
  void work();
  bool advance(std::uint64_t end_ns);
  /// One round at a time that somebody else's clock says.
  void work_at(std::uint64_t time_ns) {
    now_ns = std::max(now_ns, time_ns);
    receive();
    work();
  }
  /// Power goes at the holder, and comes back: what is in the store then is all there is.
  void crash();
  /// Afterwards: another holder over the same store.
  void restart();
  /// Whether the store has the cell as it was put; asks the store itself.
  bool has(const TestSsa& ssa, const store::ShareId& share, std::uint16_t attempt, std::uint32_t cell,
           std::uint32_t bytes);
  /// Of all that an SSA was told as stored.
  bool has_all_stored(std::string* which = nullptr);
  std::string wrong() const;

  HolderWorldOptions options;
  std::uint64_t now_ns = one_s;
  std::uint64_t steps = 0;
  Link there, back;
  CrashMedium medium;
  VirtualStore store;
  TestPacketPool pool;
  roles::SsaAccess rule;
  std::unique_ptr<roles::Holder> holder;
  std::vector<std::unique_ptr<Connection>> connections;
  bool verify_stored = true;  ///< ask the store about each cell as soon as its SSA is told
  bool alive = true;
  void (*watch)(bool begins) = nullptr;  ///< called around everything that the holder does

 private:
  void receive();
  void deliver(Connection& connection);
  void transmit(protocol::Channel& channel, TestPacketPool& from, Link& link, unsigned to);
  void check();
  void watched(bool begins) const {
    if (watch != nullptr) watch(begins);
  }
  void fail(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }
  std::map<const protocol::Cell*, Bytes> secrets_;  // where keep orders put shares
  std::string wrong_;
  roles::StoreAccess* access_;
};

}  // namespace ssn::test
