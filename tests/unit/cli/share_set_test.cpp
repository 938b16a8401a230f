// SPDX-License-Identifier: BSD-3-Clause
#include "share_set.h"

#include <gtest/gtest.h>

#include "temporary_directory.h"

namespace ssn::cli {
namespace {

ShareInput share_of(std::uint8_t object, unsigned share, unsigned k = 3) {
  ShareInput input;
  input.path = "object" + std::to_string(object) + "." + std::to_string(share);
  ShareHeader header;
  header.k = k;
  header.n = 9;
  header.share = share;
  header.random = RandomOrigin::drbg;
  header.block_bytes = 64;
  header.object_id[0] = object;
  input.header = header;
  return input;
}

ShareInput rejected(Exit code) {
  ShareInput input;
  input.path = "rejected";
  input.error = Error{code, "what", "why", "rejected", "fix"};
  return input;
}

// Inputs own files and cannot be copied out of an initializer list.
template <typename... Inputs>
std::vector<ShareInput> list(Inputs... inputs) {
  std::vector<ShareInput> all;
  (all.push_back(std::move(inputs)), ...);
  return all;
}

template <typename... Inputs>
Exit refusal(Inputs... given) {
  std::vector<ShareInput> inputs = list(std::move(given)...);
  const Result<ShareHeader> chosen = choose_object(inputs);
  return chosen.ok() ? Exit::ok : chosen.error().code;
}

TEST(ChooseObject, TakesTheOnlyCompleteOneAndNamesTheOthers) {
  std::vector<ShareInput> inputs =
      list(share_of(2, 1), share_of(1, 1), share_of(1, 2), share_of(2, 2), share_of(1, 9));
  const Result<ShareHeader> chosen = choose_object(inputs);
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen.value().object_id[0], 1);
  EXPECT_EQ(inputs[0].state, ShareState::foreign);
  EXPECT_EQ(inputs[3].state, ShareState::foreign);
  EXPECT_EQ(inputs[4].state, ShareState::good);
}

TEST(ChooseObject, CountsDifferentSharesOnly) {
  EXPECT_EQ(refusal(share_of(1, 1), share_of(1, 1), share_of(1, 2)), Exit::unrecoverable);
}

TEST(ChooseObject, RefusesToGuess) {
  EXPECT_EQ(refusal(share_of(1, 1, 2), share_of(1, 2, 2), share_of(2, 1, 2), share_of(2, 2, 2)),
            Exit::mixed_objects);
  EXPECT_EQ(refusal(share_of(1, 1), share_of(2, 2)), Exit::mixed_objects);
}

TEST(ChooseObject, OtherParametersAreAnotherObject) {
  std::vector<ShareInput> inputs = list(share_of(1, 1), share_of(1, 2), share_of(1, 3), share_of(1, 4));
  inputs[2].header->object_bytes = 1;
  ASSERT_TRUE(choose_object(inputs).ok());
  EXPECT_EQ(inputs[2].state, ShareState::foreign);
}

TEST(ChooseObject, GivesTheReasonThatMadeTheDifference) {
  EXPECT_EQ(refusal(share_of(1, 1), share_of(1, 2), rejected(Exit::not_found)), Exit::not_found);
  EXPECT_EQ(refusal(share_of(1, 1), share_of(1, 2), rejected(Exit::not_a_share)), Exit::not_a_share);
  EXPECT_EQ(refusal(share_of(1, 1), share_of(1, 2), rejected(Exit::integrity)), Exit::integrity);
  EXPECT_EQ(refusal(share_of(1, 1), share_of(1, 2), rejected(Exit::failed)), Exit::failed);
  EXPECT_EQ(refusal(share_of(1, 1), rejected(Exit::not_a_share), rejected(Exit::not_found)), Exit::not_found);
  // With the missing file there would still be too few.
  EXPECT_EQ(refusal(share_of(1, 1), rejected(Exit::not_found)), Exit::unrecoverable);
  EXPECT_EQ(refusal(rejected(Exit::not_a_share), rejected(Exit::not_a_share)), Exit::not_a_share);
}

class OpenShare : public test::TemporaryDirectory {};

TEST_F(OpenShare, ReportsWhatIsWrong) {
  write("empty", "");
  write("text", std::string(2000, 'x'));
  EXPECT_EQ(open_share(path("empty")).state, ShareState::not_a_share);
  EXPECT_EQ(open_share(path("text")).state, ShareState::not_a_share);
  EXPECT_EQ(open_share(path("missing")).state, ShareState::unreadable);
  EXPECT_EQ(open_share(path("missing")).error->code, Exit::not_found);
  EXPECT_EQ(open_share(path(".")).state, ShareState::unreadable);
}

TEST_F(OpenShare, NoticesTruncationByLength) {
  ShareHeader header = *share_of(1, 2).header;
  header.object_bytes = 100;
  std::array<std::uint8_t, share_header_bytes> bytes{};
  encode_header(header, bytes);
  const std::string head(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  write("whole", head + std::string(64 + 8 + 36 + 8, 'x'));
  write("short", head + std::string(64 + 8 + 36 + 7, 'x'));
  EXPECT_EQ(open_share(path("whole")).state, ShareState::good);
  EXPECT_EQ(open_share(path("short")).state, ShareState::truncated);
  EXPECT_FALSE(open_share(path("short")).complete);
}

TEST_F(OpenShare, GfshareIndexComesFromTheName) {
  for (const char* name : {"a.001", "a.255", "a.000", "a.256", "a.1", "a001", "a.01x"}) {
    write(name, "share");
  }
  const std::vector<std::string> paths{path("a.001"), path("a.255"), path("a.000"), path("a.256"),
                                       path("a.1"),   path("a001"),  path("a.01x")};
  const std::vector<ShareInput> inputs = open_gfshare(paths, 0);
  EXPECT_EQ(inputs[0].header->share, 1U);
  EXPECT_EQ(inputs[1].header->share, 255U);
  EXPECT_EQ(inputs[0].header->k, 2U);  // as many as there are
  for (std::size_t i = 2; i < inputs.size(); ++i) {
    EXPECT_EQ(inputs[i].state, ShareState::not_a_share) << inputs[i].path;
  }
}

}  // namespace
}  // namespace ssn::cli
