// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "decision.h"

namespace ssn::audit::test {

class Folder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "audit-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name = "log") const { return folder_ + "/" + name; }

 private:
  std::string folder_;
};

inline Decision decision(const std::string& caller, bool allowed = true,
                         const std::string& method = "Objects.Stat") {
  Decision made;
  made.caller = caller;
  made.method = method;
  made.address.assign("192.0.2.1:5000");
  made.allowed = allowed;
  made.result = allowed ? "ok" : "refused";
  return made;
}

}  // namespace ssn::audit::test
