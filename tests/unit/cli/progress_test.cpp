// SPDX-License-Identifier: BSD-3-Clause
#include "progress.h"

#include <gtest/gtest.h>

namespace ssn::cli {
namespace {

TEST(Progress, FormatsBytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.0 kB");
  EXPECT_EQ(format_bytes(999949), "999.9 kB");
  EXPECT_EQ(format_bytes(999999), "1.0 MB");
  EXPECT_EQ(format_bytes(1500000000), "1.5 GB");
  EXPECT_EQ(format_bytes(18446744073709551615U), "18.4 EB");
}

TEST(Progress, FormatsDurations) {
  EXPECT_EQ(format_duration(-1), "0 s");
  EXPECT_EQ(format_duration(59.4), "59 s");
  EXPECT_EQ(format_duration(59.6), "1 min 00 s");
  EXPECT_EQ(format_duration(3599), "59 min 59 s");
  EXPECT_EQ(format_duration(7800), "2 h 10 min");
}

TEST(Progress, ShowsRateAndRemainingTime) {
  EXPECT_EQ(progress_line("split", 1000000000, 4000000000, 2),
            "split 1.0 GB of 4.0 GB  25 %  500.0 MB/s  6 s left");
  EXPECT_EQ(progress_line("split", 1000000, 0, 2), "split 1.0 MB  500.0 kB/s");
  EXPECT_EQ(progress_line("split", 0, 10, 0), "split 0 B of 10 B  0 %  0 B/s");
  EXPECT_EQ(progress_line("split", 10, 10, 1), "split 10 B of 10 B  100 %  10 B/s");
}

}  // namespace
}  // namespace ssn::cli
