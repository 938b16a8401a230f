// SPDX-License-Identifier: BSD-3-Clause
// The ledger's file and its records. The input is: records, straight to the reader of records; and blocks
// with their checksums made right, so that the log behind them is reached. What is accepted must keep every
// limit, survive writing and reading, and come with reasons where it is refused.
#include <algorithm>
#include <cstring>

#include "fuzz_input.h"
#include "ssn/protocol/ledger.h"

#include <openssl/sha.h>

namespace {

using namespace ssn;
using namespace ssn::protocol;
using test::FuzzInput;
using test::require;
using Bytes = std::vector<std::uint8_t>;

Bytes written(const LedgerState& state) {
  Bytes out;
  encode_node(state, out);
  for (const auto& [name, peer] : state.peers) encode_peer(name, peer, out);
  return out;
}

void check_state(const LedgerState& state) {
  require(!state.node.empty() && state.node.size() <= node_name_max, "a ledger without a node");
  require(state.peers.size() <= peers_max && state.stream_count() <= ledger_streams_max, "limits are broken");
  for (const auto& [name, peer] : state.peers) {
    require(!name.empty() && peer.streams.size() <= 4 * workers_max, "an impossible peer");
    for (const StreamRecord& stream : peer.streams)
      require(stream.worker < workers_max, "an impossible worker");
  }
  LedgerState again;
  require(apply_records(written(state), again), "a state cannot be read back");
  require(written(again) == written(state), "a state changes when it is written");
}

// One block with the input's fields: position and checksum are right, so that it counts.
void put_block(Bytes& image, FuzzInput& input) {
  constexpr std::size_t block = 4096;
  const std::size_t index = input.below(8);
  const std::size_t area = input.below(2);
  std::uint8_t* const at = image.data() + (area * 256 + index) * block;
  std::memset(at, 0, block);
  std::memcpy(at, "SSNLEDG1", 8);
  at[15] = static_cast<std::uint8_t>(2 * input.below(4) + area);  // generation
  at[23] = static_cast<std::uint8_t>(1 + input.below(6));         // batch
  at[27] = static_cast<std::uint8_t>(index);
  const std::size_t length = input.below(300);
  at[28] = static_cast<std::uint8_t>(length >> 8);
  at[29] = static_cast<std::uint8_t>(length);
  at[30] = input.byte() & 3U;
  const Bytes payload = input.bytes(length);
  std::copy(payload.begin(), payload.end(), at + 48);
  std::uint8_t digest[32];
  SHA256(at, block, digest);
  std::memcpy(at + 32, digest, 16);
}

void open_image(const Bytes& image) {
  Result<Ledger> opened = Ledger::open("alice", image, least_extent);
  if (!opened.ok()) {
    require(!opened.error().why.empty() && !opened.error().fix.empty(), "a refusal explains nothing");
    return;
  }
  check_state(opened.value().state());
  Bytes next = image;
  while (const LedgerBatch* batch = opened.value().next_batch()) {
    require(batch->offset + batch->bytes.size() <= next.size(), "a batch lies outside of the file");
    std::copy(batch->bytes.begin(), batch->bytes.end(),
              next.begin() + static_cast<std::ptrdiff_t>(batch->offset));
    opened.value().committed();
  }
  const Result<Ledger> again = Ledger::open("alice", next, least_extent);
  require(again.ok(), "what was opened and written cannot be opened again");
  require(again.value().state().incarnation == opened.value().state().incarnation + 1,
          "a start was not counted");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  LedgerState state;
  if (apply_records({data, size}, state)) check_state(state);
  FuzzInput input(data, size);
  Bytes image = input.flag() ? Ledger::initial_image("alice") : Bytes(ledger_file_bytes);
  for (int i = 0; i < 12 && !input.empty(); ++i) put_block(image, input);
  open_image(image);
  return 0;
}
