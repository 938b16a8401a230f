// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/address.h"

#include <gtest/gtest.h>

#include "host_fixture.h"
#include "ssn/dataplane/checksum.h"

namespace ssn::dataplane {
namespace {

using test::address;
using test::Bytes;
using test::mac;
using test::prefix;
using test::TestRandom;

TEST(EthernetAddress, TextAndNumber) {
  EXPECT_EQ(format(mac("02:00:5e:A0:ff:01")), "02:00:5e:a0:ff:01");
  EXPECT_EQ(mac("02:00:5e:a0:ff:01").number(), 0x02005EA0FF01U);
  EXPECT_EQ(EthernetAddress::from_number(0x02005EA0FF01), mac("02:00:5e:a0:ff:01"));
  for (const char* const wrong :
       {"", "02:00:5e:a0:ff", "02:00:5e:a0:ff:1", "02:00:5e:a0:ff:01:", "02-00-5e-a0-ff-01",
        "02:00:5e:a0:ff:0g", "+2:00:5e:a0:ff:01", "02:00:5e:a0:ff:011"}) {
    EXPECT_FALSE(parse_mac(wrong)) << wrong;
  }
}

TEST(EthernetAddress, Kinds) {
  EXPECT_TRUE(broadcast_mac.is_broadcast());
  EXPECT_TRUE(broadcast_mac.is_multicast());
  EXPECT_TRUE(mac("33:33:00:00:00:01").is_multicast());
  EXPECT_FALSE(mac("33:33:00:00:00:01").is_broadcast());
  EXPECT_FALSE(mac("02:ff:ff:ff:ff:ff").is_multicast());
  EXPECT_TRUE(EthernetAddress{}.is_zero());
}

// Examples of RFC 4291, 2.7.1, RFC 2464, 4 and 7.
TEST(Address6, DerivedOnes) {
  EXPECT_EQ(format(solicited_node(address("4037::1:800:200e:8c6c"))), "ff02::1:ff0e:8c6c");
  EXPECT_EQ(format(multicast_mac(address("ff02::1:ff0e:8c6c"))), "33:33:ff:0e:8c:6c");
  EXPECT_EQ(format(link_local(mac("34:56:78:9a:bc:de"))), "fe80::3656:78ff:fe9a:bcde");
  EXPECT_TRUE(is_link_local6(address("febf::1")));
  EXPECT_FALSE(is_link_local6(address("fec0::1")));
  EXPECT_FALSE(is_link_local6(address("254.128.0.1")));
  EXPECT_TRUE(is_mapped(address("::ffff:10.0.0.1")));
  EXPECT_FALSE(is_mapped(address("::fffe:10.0.0.1")));
}

TEST(Broadcast, OfANetwork) {
  EXPECT_TRUE(is_broadcast_of(prefix("10.0.1.1/24"), address("10.0.1.255")));
  EXPECT_FALSE(is_broadcast_of(prefix("10.0.1.1/24"), address("10.0.1.254")));
  EXPECT_FALSE(is_broadcast_of(prefix("10.0.1.1/24"), address("10.0.2.255")));
  EXPECT_TRUE(is_broadcast_of(prefix("10.0.1.1/30"), address("10.0.1.3")));
  EXPECT_FALSE(is_broadcast_of(prefix("10.0.1.0/31"), address("10.0.1.1")));  // RFC 3021
  EXPECT_FALSE(is_broadcast_of(prefix("10.0.1.1/32"), address("10.0.1.1")));
  EXPECT_FALSE(is_broadcast_of(prefix("fd00::1/64"), address("fd00::ffff:ffff:ffff:ffff")));
}

/// RFC 1071, word by word.
std::uint16_t definition(const Bytes& data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    sum += static_cast<std::uint32_t>(data[i] << 8 | (i + 1 < data.size() ? data[i + 1] : 0));
    sum = (sum & 0xFFFF) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

TEST(Checksum, IsThatOfTheDefinition) {
  TestRandom random = TestRandom::labelled("checksum");
  for (std::size_t length = 0; length < 600; ++length) {
    const std::size_t offset = random.below(16);
    Bytes memory = random.bytes(offset + length);
    if (random.below(8) == 0) std::fill(memory.begin(), memory.end(), 0xFF);
    const Bytes data(memory.begin() + static_cast<std::ptrdiff_t>(offset), memory.end());
    const std::uint16_t sum = checksum_fold(checksum_add(0, memory.data() + offset, length));
    ASSERT_EQ(static_cast<std::uint16_t>(sum << 8 | sum >> 8), definition(data)) << length;
  }
  EXPECT_EQ(checksum_fold(~std::uint64_t{0}), 0xFFFF);
  EXPECT_EQ(checksum_fold(0xFFFFFFFF00000001), 1);
}

// The example of RFC 1071, 3.
TEST(Checksum, Example) {
  const Bytes data = {0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7};
  EXPECT_EQ(definition(data), 0xDDF2);
  EXPECT_EQ(checksum_fold(checksum_add(0, data.data(), data.size())), 0xF2DD);  // as it lies in memory
}

TEST(Checksum, PseudoHeaders) {
  Bytes four = {10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0x12, 0x34};
  const std::uint64_t sum4 = pseudo_header_sum(address("10.0.0.1"), address("10.0.0.2"), 17, 0x1234);
  EXPECT_EQ(checksum_fold(sum4), checksum_fold(checksum_add(0, four.data(), four.size())));
  Bytes six;
  for (const char* const text : {"fd00::1", "fd00::2"}) {
    const IpAddress one = address(text);
    six.insert(six.end(), one.bytes.begin(), one.bytes.end());
  }
  for (const int byte : {0, 1, 2, 3, 0, 0, 0, 58}) six.push_back(static_cast<std::uint8_t>(byte));
  const std::uint64_t sum6 = pseudo_header_sum(address("fd00::1"), address("fd00::2"), 58, 0x10203);
  EXPECT_EQ(checksum_fold(sum6), checksum_fold(checksum_add(0, six.data(), six.size())));
}

}  // namespace
}  // namespace ssn::dataplane
