// SPDX-License-Identifier: BSD-3-Clause
// Association messages: the parser on the input as it is, and a node that is told, by turns, hellos with the
// input's fields, confirms and refusals. Whatever it is told, it must keep every limit, and never be
// established with a peer whose hello and confirm did not match.
#include <algorithm>

#include "fuzz_input.h"
#include "ssn/protocol/association.h"

namespace {

using namespace ssn;
using namespace ssn::protocol;
using test::FuzzInput;
using test::require;
using Bytes = std::vector<std::uint8_t>;

void parse(std::span<const std::uint8_t> bytes) {
  const Result<AssociationMessage> parsed = parse_association_message(bytes);
  if (!parsed.ok()) {
    require(!parsed.error().why.empty() && !parsed.error().fix.empty(), "a refusal explains nothing");
    return;
  }
  require(encode(parsed.value()) == Bytes(bytes.begin(), bytes.end()),
          "a message changes when it is written");
}

Hello hello_of(FuzzInput& input, const Agreement* agreement) {
  Hello hello;
  hello.from = "bob";
  hello.to = "alice";
  hello.instance[0] = static_cast<std::uint8_t>(input.below(3));
  hello.incarnation = 1 + input.below(4);
  hello.attempt = 1 + input.below(8);
  hello.contribution[0] = input.byte();
  hello.epoch = input.below(6);
  hello.receiver_epoch = input.below(3);
  hello.receiver_incarnation = input.below(2);
  hello.longest_range = 65536;
  hello.connections.resize(1 + input.below(3));
  if (agreement != nullptr && input.flag()) {
    hello.streams = agreement->streams;
    for (StreamRecord& stream : hello.streams) {
      stream.sender = !stream.sender;
      stream.sent = input.number(2);
      stream.seen = input.number(2);
    }
  }
  return hello;
}

void write(Ledger& ledger, Association& association) {
  for (int i = 0; i < 4; ++i) {
    while (ledger.next_batch() != nullptr) ledger.committed();
    association.advance();
  }
}

void converse(FuzzInput& input) {
  Result<Ledger> opened = Ledger::open("alice", Ledger::initial_image("alice"), least_extent);
  require(opened.ok(), "no ledger");
  Ledger& ledger = opened.value();
  Association alice(ledger, {"alice", "bob", {}, 65536, 1024, {1, 2}});
  std::uint64_t epoch = 0;
  for (int step = 0; step < 30 && !input.empty(); ++step) {
    Contribution contribution{};
    contribution[0] = static_cast<std::uint8_t>(step);
    Bytes message;
    switch (input.below(6)) {
      case 0:
        (void)alice.start(contribution);
        break;
      case 1:
        message = encode(Confirm{input.below(6), {}, input.flag()});
        break;
      case 2:
        message = encode(Refused{static_cast<Refusal>(1 + input.below(5))});
        break;
      case 3:
        alice.retry();
        break;
      default:
        message = encode(hello_of(input, alice.agreement()));
        break;
    }
    // Confirms that answer what alice said are what she waits for.
    while (auto said = alice.next_message()) {
      require(said->size() <= association_message_max, "a message is too long");
      if (message.empty() && parse_association_message(*said).value().index() == 1) message = *said;
    }
    if (!message.empty()) require(alice.receive(message, contribution).ok(), "a message of ours is refused");
    write(ledger, alice);
    if (alice.agreement() != nullptr) {
      require(alice.agreement()->epoch >= epoch, "an epoch went back");
      epoch = alice.agreement()->epoch;
      require(ledger.peer("bob")->open && ledger.peer("bob")->quarantine == Quarantine::none,
              "established with a peer in quarantine");
    }
    while (alice.next_event()) {
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  parse({data, size});
  FuzzInput input(data, size);
  converse(input);
  return 0;
}
