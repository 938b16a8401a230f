// SPDX-License-Identifier: BSD-3-Clause
// misbehaving_kme.py as a child process, with its certificates in a temporary folder.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>

namespace ssn::test {

class KmeProcess {
 public:
  /// Waits until it serves. `tls`: "1.2" for nothing newer.
  explicit KmeProcess(const std::string& tls = "");
  ~KmeProcess();
  KmeProcess(const KmeProcess&) = delete;
  KmeProcess& operator=(const KmeProcess&) = delete;

  /// Empty where it could not be started; why() says the reason.
  bool running() const { return port_ != 0; }
  const std::string& why() const { return why_; }
  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }
  /// Sends one command, gives the line that it answers.
  std::string command(const std::string& json);
  /// The next `times` requests of this SAE for this verb meet the fault. `more`: further members, such as
  /// ", \"code\": 500".
  void fault(const std::string& sae, const std::string& verb, const std::string& kind, int times = 1,
             const std::string& more = "");
  void set(const std::string& name, const std::string& value);
  long count(const std::string& name);

 private:
  std::string read_line();

  std::string folder_;
  std::string why_;
  int port_ = 0;
  pid_t child_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

}  // namespace ssn::test
