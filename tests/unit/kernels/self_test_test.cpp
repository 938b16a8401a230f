// SPDX-License-Identifier: BSD-3-Clause
// The start-up self-test: passes for what is right, and refuses an implementation in which any one function
// computes wrongly in any one of several ways.
#include <gtest/gtest.h>

#include <algorithm>

#include "implementation.h"
#include "implementations.h"

namespace {

namespace kernels = ssn::kernels;
using kernels::Combination;
using kernels::Implementation;
using kernels::Status;

/// What the planted functions spoil the results of. Plain functions hold no state, so it is kept here.
const Implementation* original = nullptr;

void flip(std::uint8_t& byte) { byte = static_cast<std::uint8_t>(byte ^ 0x10U); }

void combine_last_byte(const Combination& c) noexcept {
  original->combine(c);
  if (c.row_count > 0) flip(c.output[c.row_count - 1][c.length - 1]);
}
void combine_long_runs(const Combination& c) noexcept {
  original->combine(c);
  if (c.row_count > 0 && c.length > 1024) flip(c.output[0][1024]);
}
void combine_copies(const Combination& c) noexcept {
  original->combine(c);
  if (c.copies > 0) flip(c.copy[c.copies - 1][0]);
}
void combine_output_pads(const Combination& c) noexcept {
  original->combine(c);
  if (c.row_count > 0 && c.output_pad != nullptr) flip(c.output[0][0]);
}
void combine_input_pads(const Combination& c) noexcept {
  original->combine(c);
  if (c.input_pad != nullptr && c.row_count > 0) flip(c.output[0][0]);
}
void combine_keystream(const Combination& c) noexcept {
  Combination wrong = c;
  ++wrong.counter;
  original->combine(c.generated > 1 ? wrong : c);
}
void combine_input_tags(const Combination& c) noexcept {
  original->combine(c);
  if (c.tag_before_count > 0) flip(c.tag_before[c.tag_before_count - 1].tag[15]);
}
void combine_output_tags(const Combination& c) noexcept {
  original->combine(c);
  if (c.tag_after_count > 0) flip(c.tag_after[c.tag_after_count - 1].tag[0]);
}
void combine_tables(const Combination& c) noexcept {
  std::uint8_t coefficients[255] = {};
  Combination wrong = c;
  const unsigned count = c.row_count * c.column_count;
  if (count > 0 && count <= sizeof coefficients) {
    std::copy(c.coefficients, c.coefficients + count, coefficients);
    flip(coefficients[count - 1]);
    wrong.coefficients = coefficients;
    wrong.isal_tables = nullptr;  // else ISA-L's path does not see the wrong coefficient
    wrong.first_row_is_ones = c.first_row_is_ones && c.row_count > 1;
  }
  original->combine(wrong);
}
void pad_last_byte(const std::uint8_t* in, const std::uint8_t* pad, std::uint8_t* out,
                   std::size_t length) noexcept {
  original->pad(in, pad, out, length);
  flip(out[length - 1]);
}
void pad_nothing(const std::uint8_t* in, const std::uint8_t*, std::uint8_t* out,
                 std::size_t length) noexcept {
  std::copy(in, in + length, out);
}
void random_last_byte(const std::uint8_t* keys, std::uint64_t counter, std::uint8_t* out,
                      std::size_t length) noexcept {
  original->random(keys, counter, out, length);
  flip(out[length - 1]);
}
void random_standing_counter(const std::uint8_t* keys, std::uint64_t, std::uint8_t* out,
                             std::size_t length) noexcept {
  original->random(keys, 0, out, length);
}
void expand_first_power(const std::uint8_t* r, std::uint8_t* table) noexcept {
  std::uint8_t wrong[16];
  std::copy(r, r + 16, wrong);
  flip(wrong[0]);
  original->expand_tag_key(wrong, table);
}
void tag_flipped(const kernels::TagTask& task, std::size_t length) noexcept {
  original->tag(task, length);
  flip(task.tag[7]);
}
void tag_without_header(const kernels::TagTask& task, std::size_t length) noexcept {
  kernels::TagTask wrong = task;
  wrong.header_length = 0;
  original->tag(wrong, length);
}

struct Plant {
  const char* what;
  void (*spoil)(Implementation&);
};

const Plant plants[] = {
    {"combine: last byte of the last row", [](Implementation& i) { i.combine = combine_last_byte; }},
    {"combine: a byte far into a long run", [](Implementation& i) { i.combine = combine_long_runs; }},
    {"combine: copied rows", [](Implementation& i) { i.combine = combine_copies; }},
    {"combine: pads on outputs", [](Implementation& i) { i.combine = combine_output_pads; }},
    {"combine: pads off inputs", [](Implementation& i) { i.combine = combine_input_pads; }},
    {"combine: counter of generated columns", [](Implementation& i) { i.combine = combine_keystream; }},
    {"combine: tags of inputs", [](Implementation& i) { i.combine = combine_input_tags; }},
    {"combine: tags of outputs", [](Implementation& i) { i.combine = combine_output_tags; }},
    {"combine: one coefficient", [](Implementation& i) { i.combine = combine_tables; }},
    {"pad: last byte", [](Implementation& i) { i.pad = pad_last_byte; }},
    {"pad: does nothing", [](Implementation& i) { i.pad = pad_nothing; }},
    {"random: last byte", [](Implementation& i) { i.random = random_last_byte; }},
    {"random: counter stands still", [](Implementation& i) { i.random = random_standing_counter; }},
    {"expand_tag_key: wrong key", [](Implementation& i) { i.expand_tag_key = expand_first_power; }},
    {"tag: one bit", [](Implementation& i) { i.tag = tag_flipped; }},
    {"tag: header left out", [](Implementation& i) { i.tag = tag_without_header; }},
};

class SelfTest : public ssn::test::PerImplementation {};

TEST_P(SelfTest, Passes) { EXPECT_EQ(kernels::self_test(implementation()), Status::ok); }

TEST_P(SelfTest, PassesForAnUnspoiledCopy) {
  const Implementation copy = implementation();
  EXPECT_EQ(kernels::self_test(copy), Status::ok) << "else the next test would prove nothing";
}

void cipher_last_byte(const std::uint8_t* keys, const std::uint8_t* nonce, std::uint32_t counter,
                      const std::uint8_t* in, std::uint8_t* out, std::size_t length) noexcept {
  original->cipher(keys, nonce, counter, in, out, length);
  flip(out[length - 1]);
}
void gcm_seal_standing_counter(const kernels::TagTask& task, const std::uint8_t* keys,
                               const std::uint8_t* nonce, const std::uint8_t* in, std::uint8_t* out,
                               std::size_t length) noexcept {
  original->gcm_seal(task, keys, nonce, in, out, length);
  if (length > 64) original->cipher(keys, nonce, 2, in + 64, out + 64, length - 64);
}
void gcm_open_long_runs(const kernels::TagTask& task, const std::uint8_t* keys, const std::uint8_t* nonce,
                        const std::uint8_t* in, std::uint8_t* out, std::size_t length) noexcept {
  original->gcm_open(task, keys, nonce, in, out, length);
  if (length > 256) flip(out[256]);
}
TEST_P(SelfTest, FailsWhereAes256GcmIsWrong) {
  if (implementation().cipher == nullptr) GTEST_SKIP() << "it has none";
  original = &implementation();
  for (const auto spoil : {+[](Implementation& i) { i.cipher = cipher_last_byte; },
                           +[](Implementation& i) { i.gcm_seal = gcm_seal_standing_counter; },
                           +[](Implementation& i) { i.gcm_open = gcm_open_long_runs; }}) {
    Implementation spoiled = implementation();
    spoil(spoiled);
    EXPECT_EQ(kernels::self_test(spoiled), Status::self_test_failed);
  }
}

TEST_P(SelfTest, FailsForEveryPlantedFault) {
  original = &implementation();
  for (const Plant& plant : plants) {
    Implementation spoiled = implementation();
    plant.spoil(spoiled);
    EXPECT_EQ(kernels::self_test(spoiled), Status::self_test_failed) << plant.what;
  }
}

SSN_FOR_EVERY_IMPLEMENTATION(SelfTest);

}  // namespace
