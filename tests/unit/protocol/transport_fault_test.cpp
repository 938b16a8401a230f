// SPDX-License-Identifier: BSD-3-Clause
// Promises of the transport, broken on purpose: each must be noticed.
#include <gtest/gtest.h>

#include "implementations.h"
#include "planted_faults.h"
#include "transport_world.h"

namespace ssn::protocol {
namespace {

using test::LinkOptions;
using test::one_ms;
using test::one_s;
using test::Traffic;
using test::TransportEnd;
using test::TransportOptions;
using test::TransportWorld;

bool never() { return false; }

/// What the opener had to answer with pad gone is given up, not taken for received: not even where that
/// answer is lost, and an acknowledgement comes first.
bool gone_pads_are_told(std::uint64_t seed) {
  LinkOptions cut;
  cut.cut = true;
  TransportWorld world(TransportOptions{}, LinkOptions{}, cut, seed);
  TransportEnd& sender = *world.ends[0];
  test::PacketEnds& keys = *world.keys[0];
  keys.poll();
  (void)keys.pads_in.discard(1344, 1344);  // the second packet's
  sender.traffic.wanted = 3;
  (void)world.run(one_ms, never);
  world.back.options.cut = false;
  return world.run(2 * one_s, [&] { return world.finished(); }) &&
         sender.traffic.expired[ExpireReason::pad_gone] == 1 && sender.traffic.received == 2;
}

/// Stored means durable.
bool stored_is_durable(std::uint64_t seed) {
  TransportOptions options;
  options.until_stored = true;
  TransportWorld world(options, LinkOptions{}, LinkOptions{}, seed);
  world.ends[0]->traffic.wanted = 2000;
  return world.run(5 * one_s, [&] { return world.finished(); });
}

/// Numbers that a ping let go are not taken for received: they were lost.
bool lost_numbers_stay_lost(std::uint64_t seed) {
  TransportOptions options;
  options.cipher_only = true;
  options.sender.computational = options.receiver.computational = true;
  options.ends.policy = ShortagePolicy::aes_256_gcm;
  options.ends.gcm = true;
  LinkOptions link;
  link.loss_percent = 25;
  TransportWorld world(options, link, link, seed);
  world.ends[0]->traffic.wanted = 800;
  return world.run(60 * one_s, [&] { return world.finished(); });
}

/// A receiver gets no cell that it has no room for.
bool credit_is_kept(std::uint64_t seed) {
  TransportOptions options;
  options.credit = 40;
  TransportWorld world(options, LinkOptions{}, LinkOptions{}, seed);
  world.ends[0]->traffic.wanted = 500;
  if (!world.run(one_s, [&] { return world.ends[0]->traffic.arrived >= 100; })) return false;
  world.ends[1]->credit = 0;
  (void)world.run(one_s, never);
  return world.ends[0]->traffic.arrived <= 200;
}

/// What is lost is sent again.
bool losses_are_made_up_for(std::uint64_t seed) {
  LinkOptions link;
  link.loss_percent = 10;
  TransportWorld world(TransportOptions{}, link, link, seed);
  world.ends[0]->traffic.wanted = 300;
  return world.run(10 * one_s, [&] { return world.finished(); });
}

/// What is given up does not stop the receiver's ring, and not for long: where nothing in flight is probed
/// for, an acknowledgement alone shows the hole. Keepalives come only once a second.
bool holes_are_closed(std::uint64_t seed) {
  LinkOptions cut;
  cut.cut = true;
  TransportWorld world(TransportOptions{}, cut, LinkOptions{}, seed);
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 3;
  (void)world.run(one_ms, never);
  for (std::uint64_t token = 0; token < 3; ++token) sender.give_up(token);
  world.there.options.cut = false;
  sender.traffic.wanted = 40;
  return world.run(one_s / 10,
                   [&] { return world.finished() && world.keys[0]->pads_in.account().discarded != 0; });
}

/// Nobody waits for ever for what was lost.
bool silence_is_broken(std::uint64_t seed) {
  TransportWorld world(TransportOptions{}, LinkOptions{}, LinkOptions{}, seed);
  TransportEnd& sender = *world.ends[0];
  world.there.options.cut = true;
  sender.traffic.wanted = 5;
  (void)world.run(one_ms, never);
  world.there.options.cut = false;
  return world.run(5 * one_s, [&] { return world.finished(); });
}

/// A deadline ends everything.
bool deadlines_are_kept(std::uint64_t seed) {
  LinkOptions link;
  link.cut = true;
  TransportWorld world(TransportOptions{}, link, LinkOptions{}, seed);
  TransportEnd& sender = *world.ends[0];
  sender.traffic.deadline_ns = 5 * one_ms;
  sender.traffic.wanted = 4;
  return world.run(one_s, [&] { return sender.traffic.finished() == 4; });
}

/// Over a bad link with ports that take their time, nothing is sent but what was sealed, and every cell comes
/// home.
bool cells_come_home(std::uint64_t seed) {
  TransportOptions options;
  options.port_ns = 700 * test::one_us;
  LinkOptions link;
  link.loss_percent = 15;
  TransportWorld world(options, link, link, seed);
  world.ends[0]->traffic.wanted = 400;
  return world.run(60 * one_s, [&] { return world.finished(); }) &&
         world.run(10 * one_s, [&] { return world.quiet(); });
}

/// What is settled before it departed is the port's.
bool departures_stay(std::uint64_t seed) {
  TransportWorld world(TransportOptions{}, LinkOptions{}, LinkOptions{}, seed);
  TransportEnd& sender = *world.ends[0];
  sender.departs = false;
  sender.traffic.wanted = 5;
  (void)world.run(one_ms, never);
  for (std::uint64_t token = 0; token < 5; ++token) sender.give_up(token);
  (void)world.run(one_ms, never);
  sender.departs = true;
  return world.run(one_s, [&] { return world.quiet(); });
}

/// What the owner refused comes again.
bool refused_comes_again(std::uint64_t seed) {
  TransportOptions options;
  options.session = true;
  TransportWorld world(options, LinkOptions{}, LinkOptions{}, seed);
  world.ends[1]->refuse_percent = 30;
  Traffic& traffic = world.ends[0]->traffic;
  traffic.wanted = 200;
  return world.run(10 * one_s, [&] { return world.finished(); }) && traffic.arrived == 200;
}

/// What is lost under AES-256-GCM is noticed while there are pads for everything else.
bool cipher_losses_are_seen(std::uint64_t seed) {
  TransportOptions options;
  options.pad_bytes = 64;  // a key
  options.ends.policy = ShortagePolicy::aes_256_gcm;
  options.ends.gcm = true;
  TransportWorld world(options, LinkOptions{}, LinkOptions{}, seed);
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 20;
  if (!world.run(one_s, [&] { return world.finished(); })) return false;  // the key is proven
  world.there.options.cut = true;
  sender.traffic.wanted = 23;
  (void)world.run(one_ms, never);
  world.there.options.cut = false;
  return world.run(5 * one_s, [&] { return world.finished(); });
}

/// What is refused for ever does not fill the link.
bool refused_rests(std::uint64_t seed) {
  TransportOptions options;
  options.session = true;
  TransportWorld world(options, LinkOptions{}, LinkOptions{}, seed);
  world.ends[1]->refuse_percent = 100;
  world.ends[0]->traffic.wanted = 10;
  (void)world.run(one_s, never);
  return world.wrong().empty() && world.ends[0]->sender.counters().sent_again < 500;
}

struct Promise {
  PlantedFault fault;
  bool (*kept)(std::uint64_t seed);
};

TEST(TransportFaults, EachIsNoticed) {
  const std::uint64_t seed = test::random_for_this_test().next();
  for (const Promise& promise :
       {Promise{PlantedFault::gone_is_received, gone_pads_are_told},
        Promise{PlantedFault::stored_early, stored_is_durable},
        Promise{PlantedFault::claim_let_go, lost_numbers_stay_lost},
        Promise{PlantedFault::credit_ignored, credit_is_kept},
        Promise{PlantedFault::lost_forgotten, losses_are_made_up_for},
        Promise{PlantedFault::holes_stay, holes_are_closed},
        Promise{PlantedFault::no_probe, silence_is_broken},
        Promise{PlantedFault::no_deadline, deadlines_are_kept},
        Promise{PlantedFault::read_packet_changed, cells_come_home},
        Promise{PlantedFault::queued_given_back, departures_stay},
        Promise{PlantedFault::refused_forgotten, refused_comes_again},
        Promise{PlantedFault::settled_kept, cells_come_home}, Promise{PlantedFault::no_rest, refused_rests},
        Promise{PlantedFault::silent_cipher, cipher_losses_are_seen}}) {
    SCOPED_TRACE(static_cast<int>(promise.fault));
    plant(PlantedFault::none);
    EXPECT_TRUE(promise.kept(seed));
    plant(promise.fault);
    EXPECT_FALSE(promise.kept(seed));
    plant(PlantedFault::none);
  }
}

}  // namespace
}  // namespace ssn::protocol
