// SPDX-License-Identifier: BSD-3-Clause
#include "quantity.h"

#include <gtest/gtest.h>

#include <vector>

#include "ssn/hw/nearest.h"

namespace ssn::hw {
namespace {

TEST(Quantity, ReadsNumbersWithUnits) {
  EXPECT_EQ(parse_quantity("4 MiB", byte_units()), 4U << 20);
  EXPECT_EQ(parse_quantity("4MiB", byte_units()), 4U << 20);
  EXPECT_EQ(parse_quantity("1.5 GiB", byte_units()), 3ULL << 29);
  EXPECT_EQ(parse_quantity("0 B", byte_units()), 0U);
  EXPECT_EQ(parse_quantity("10 MB", byte_units()), 10000000U);
  EXPECT_EQ(parse_quantity("10 Gbit/s", bit_rate_units()), 10000000000U);
  EXPECT_EQ(parse_quantity("0.5 kbit/s", bit_rate_units()), 500U);
  EXPECT_EQ(parse_quantity("1.000000001 s", duration_units()), 1000000001U);
  EXPECT_EQ(parse_quantity("30 d", duration_units()), 2592000000000000U);
  EXPECT_EQ(parse_quantity("9223372036854775807 B", byte_units()), 9223372036854775807U);
}

TEST(Quantity, RefusesEverythingElse) {
  for (const char* text : {"",
                           " ",
                           "MiB",
                           "4",
                           "4 ",
                           "4  MiB",
                           " 4 MiB",
                           "4 MiB ",
                           "4 mib",
                           "4 MiB/s",
                           "-4 B",
                           "+4 B",
                           ".5 MiB",
                           "5. MiB",
                           "1.2.3 B",
                           "0x10 B",
                           "1e3 B",
                           "0.5 B",
                           "1.0000000001 s",
                           "4_0 B",
                           "9223372036854775808 B",
                           "18446744073709551616 B",
                           "99999999999999999999 B",
                           "9000000000 TiB",
                           "nan B",
                           "4 MiB\n"}) {
    EXPECT_EQ(parse_quantity(text, byte_units()), std::nullopt) << text;
  }
  EXPECT_EQ(parse_quantity(std::string_view("4 B\0", 4), byte_units()), std::nullopt);
  EXPECT_EQ(parse_quantity("4 MiB", bit_rate_units()), std::nullopt);
  EXPECT_EQ(parse_quantity("1.0000000001 s", duration_units()), std::nullopt);
}

TEST(Nearest, FindsTypingErrorsOnly) {
  const std::vector<std::string> keys{"port", "certificate", "key", "address"};
  EXPECT_EQ(nearest("prot", keys), "port");
  EXPECT_EQ(nearest("certificaet", keys), "certificate");
  EXPECT_EQ(nearest("certificates", keys), "certificate");
  EXPECT_EQ(nearest("addr3ss", keys), "address");
  EXPECT_EQ(nearest("kee", keys), "key");
  EXPECT_EQ(nearest("colour", keys), "");
  EXPECT_EQ(nearest("", keys), "");
  EXPECT_EQ(nearest(std::string(100000, 'x'), keys), "");
}

}  // namespace
}  // namespace ssn::hw
