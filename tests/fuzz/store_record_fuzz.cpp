// SPDX-License-Identifier: BSD-3-Clause
// What lies in the records of a share store, right and wrong: heads, directories, stripes and keys of
// records. What is accepted keeps every limit and is written as it was read.
#include <algorithm>
#include <cstring>

#include "fuzz_input.h"
#include "record.h"

namespace {

using namespace ssn::store;
using ssn::test::FuzzInput;
using ssn::test::require;

void check_head(Bytes bytes) {
  Head head;
  if (!Head::read(bytes, head)) return;
  require(valid_cell_bytes(head.cell_bytes), "an impossible length of cells");
  require(head.sealed == !head.runs.empty() && head.runs.size() <= max_attempt_runs, "impossible runs");
  Buffer again(head.bytes());
  head.write(again.data());
  require(again.size() == bytes.size() && std::equal(again.begin(), again.end(), bytes.begin()),
          "a head changes when it is written");
  if (!head.sealed) return;
  require(head.attempt_of(0) == head.runs[0].attempt, "the first cell has another attempt");
  require(head.attempt_of(head.cells - 1) == head.runs.back().attempt, "the last cell has another attempt");
}

void check_directory(Bytes bytes) {
  Directory directory;
  if (!Directory::read(bytes, directory)) return;
  Buffer again(Directory::bytes);
  directory.write(again.data());
  require(std::equal(again.begin(), again.end(), bytes.begin()), "a directory changes when it is written");
  for (const DirectoryEntry& entry : directory.entries) {
    require((entry.version != 0) == (entry.present != 0), "cells without a stripe");
  }
}

void check_stripe(Bytes bytes) {
  StripeHeader header;
  if (!StripeHeader::read(bytes, header)) return;
  Buffer again(StripeHeader::bytes);
  header.write(again.data());
  require(std::equal(again.begin(), again.end(), bytes.begin()),
          "a stripe's header changes when it is written");
  require(header.present != 0, "a stripe without cells");
}

// A record that nobody sealed.
void open_any(Bytes record) {
  static RecordCipher* const cipher = [] {
    ssn::hw::SecretBuffer key = std::move(ssn::hw::SecretBuffer::make(32).value());
    return new RecordCipher(std::move(RecordCipher::make(key).value()));
  }();
  Buffer clear(record.size() > Envelope::overhead ? record.size() - Envelope::overhead : 1);
  const std::span<std::uint8_t> piece(clear);
  for (const RecordType type : {RecordType::head, RecordType::directory, RecordType::stripe}) {
    require(!open_record(*cipher, type, RecordKey::head({1, 1, 1}), record, {&piece, 1}),
            "a record that nobody sealed opens");
  }
}

// The layout with fields of the input, so that more than lengths is reached.
void make_head(FuzzInput& input) {
  Head head;
  head.cell_bytes = 64 * (1 + input.below(300));
  head.sealed = input.flag();
  head.cells = static_cast<std::uint32_t>(input.number(4));
  for (unsigned i = input.below(6); i > 0; --i) {
    head.runs.push_back(
        {static_cast<std::uint32_t>(input.number(4)), static_cast<std::uint16_t>(input.number(2))});
  }
  if (input.flag() && !head.runs.empty()) {
    head.runs[0].first = 0;
    std::sort(head.runs.begin(), head.runs.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  Buffer bytes(head.bytes());
  head.write(bytes.data());
  check_head(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  check_head(bytes);
  check_directory(bytes);
  check_stripe(bytes);
  open_any(bytes);
  ShareId share;
  if (read_head_key(bytes, share)) {
    const RecordKey key = RecordKey::head(share);
    const Bytes again = key;
    require(again.size() == size && std::equal(again.begin(), again.end(), data), "a key changes");
  }
  FuzzInput input(data, size);
  make_head(input);
  Buffer directory(Directory::bytes);
  const Buffer some = input.bytes(input.below(Directory::bytes));
  std::copy(some.begin(), some.end(), directory.begin());
  check_directory(directory);
  Buffer stripe(StripeHeader::bytes);
  const Buffer first = input.bytes(StripeHeader::bytes);
  std::copy(first.begin(), first.end(), stripe.begin());
  check_stripe(stripe);
  return 0;
}
