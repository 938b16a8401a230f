// SPDX-License-Identifier: BSD-3-Clause
// Messages between key drivers (docs/key-id-messages.md): what is taken must be written back byte for byte,
// and a sender and a receiver must survive whatever it says.
#include "fuzz_input.h"
#include "receiver.h"
#include "sender.h"
#include "ssn/hw/ring_memory.h"

using ssn::test::require;
using namespace ssn::hw::etsi014;

namespace {

constexpr std::size_t ring_bytes = 65536;

ssn::hw::RingMemory& ring() {
  static ssn::Result<ssn::hw::RingMemory> made =
      ssn::hw::RingMemory::make(ring_bytes, ssn::hw::RingMemory::Pages::normal);
  require(made.ok(), "no ring memory");
  return made.value();
}

}  // namespace

// A list of messages, each with its length in two bytes before it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static ssn::Result<BodyPool> pool = BodyPool::make(1, 4096);
  require(pool.ok(), "no memory for secrets");
  const Settings settings;
  Jitter jitter(1);
  Delivery sent(ring().data(), ring_bytes), received(ring().data(), ring_bytes);
  KeyIdMemory seen(64);
  Outbox outbox;
  ssn::test::FuzzInput input(data, size);
  Ksid ksid{};
  Sender sender(ksid, "peer", 1, settings, sent, pool.value(), jitter, 0);
  Receiver receiver(ksid, "peer", settings, received, jitter);
  for (Time now = 0; !input.empty() && now < 64; ++now) {
    const std::size_t length = std::min<std::size_t>(input.number(2), input.left());
    const std::vector<std::uint8_t> bytes = input.bytes(length);
    const std::optional<PeerMessage> message = decode(bytes);
    if (!message.has_value()) {
      continue;
    }
    require(encode(*message) == bytes, "a message is not written as it was read");
    sender.tick(now, outbox);
    (void)sender.on_message(*message, now, outbox);
    receiver.on_message(*message, seen, now, outbox);
    if (!receiver.wanted(now, 8, seen, outbox).empty()) {
      receiver.request_begun();
      receiver.on_refusal(input.flag() ? Refusal::answered : Refusal::no_answer, seen, now, outbox);
    }
    for (const OutgoingMessage& reply : outbox) {
      require(decode(reply.bytes).has_value(), "a reply is no message");
    }
    outbox.clear();
  }
  require(sent.end() == 0 && received.end() == 0, "keys from nowhere");
  return 0;
}
