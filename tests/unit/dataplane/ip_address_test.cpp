// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/ip_address.h"

#include <gtest/gtest.h>

namespace ssn::dataplane {
namespace {

TEST(IpAddress, ReadsAndWrites) {
  for (const char* text : {"10.0.0.1", "0.0.0.0", "255.255.255.255", "::", "fd00::1", "2001:db8::a:0:0:1"}) {
    const auto address = parse_ip_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(format(*address), text);
  }
  for (const char* text :
       {"", "10.0.0", "10.0.0.01x", "10.0.0.256", " 10.0.0.1", "fd00::1%eth0", "1:2:3", "::1::"}) {
    EXPECT_FALSE(parse_ip_address(text)) << text;
  }
  EXPECT_FALSE(parse_ip_address(std::string_view("10.0.0.1\0x", 10)));
  EXPECT_FALSE(parse_ip_address(std::string(200, '1')));
}

TEST(IpAddress, KnowsKinds) {
  EXPECT_TRUE(parse_ip_address("224.0.0.5")->is_multicast());
  EXPECT_TRUE(parse_ip_address("ff02::1")->is_multicast());
  EXPECT_FALSE(parse_ip_address("10.0.0.1")->is_multicast());
  EXPECT_TRUE(parse_ip_address("127.3.0.1")->is_loopback());
  EXPECT_TRUE(parse_ip_address("::1")->is_loopback());
  EXPECT_FALSE(parse_ip_address("fd00::1")->is_loopback());
  EXPECT_TRUE(parse_ip_address("::")->is_unspecified());
  EXPECT_TRUE(parse_ip_address("255.255.255.255")->is_broadcast());
  EXPECT_FALSE(parse_ip_address("ffff:ffff::")->is_broadcast());
}

TEST(IpPrefix, ReadsAndContains) {
  for (const char* text :
       {"10.0.0.1", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/08", "fd00::/129", "/24", "x/24"}) {
    EXPECT_FALSE(parse_ip_prefix(text)) << text;
  }
  const auto inside = [](const char* prefix, const char* address) {
    return parse_ip_prefix(prefix)->contains(*parse_ip_address(address));
  };
  EXPECT_TRUE(inside("10.1.2.3/24", "10.1.2.200"));
  EXPECT_FALSE(inside("10.1.2.3/24", "10.1.3.200"));
  EXPECT_TRUE(inside("10.1.2.3/23", "10.1.3.200"));
  EXPECT_FALSE(inside("10.1.2.3/22", "10.1.4.0"));
  EXPECT_TRUE(inside("10.1.2.3/0", "200.1.3.200"));
  EXPECT_TRUE(inside("10.1.2.3/32", "10.1.2.3"));
  EXPECT_FALSE(inside("10.1.2.3/32", "10.1.2.2"));
  EXPECT_FALSE(inside("::/0", "10.1.2.3"));
  EXPECT_TRUE(inside("fd00::1/63", "fd00:0:0:1::9"));
  EXPECT_FALSE(inside("fd00::1/64", "fd00:0:0:1::9"));
  EXPECT_EQ(format(*parse_ip_prefix("fd00::1/64")), "fd00::1/64");
}

TEST(IpAddress, EndpointsNeedAPort) {
  for (const char* const text : {"192.0.2.1:7100", "192.0.2.1:65535", "[2001:db8::1]:1"}) {
    const auto endpoint = parse_ip_endpoint(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(format(*endpoint), text);
  }
  for (const char* const text :
       {"", ":", ":1", "[]:1", "[:1", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536",
        "192.0.2.1:+1", "192.0.2.1:01", "[192.0.2.1]:1", "2001:db8::1:1x", "::1", "[::1]", "[::1]:", "[::1]1",
        "host:1", "192.0.2.1:1 "}) {
    EXPECT_FALSE(parse_ip_endpoint(text)) << text;
  }
}

}  // namespace
}  // namespace ssn::dataplane
