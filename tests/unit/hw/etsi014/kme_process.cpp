// SPDX-License-Identifier: BSD-3-Clause
#include "kme_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

extern char** environ;

namespace ssn::test {

KmeProcess::KmeProcess(const std::string& tls) {
  std::string pattern = (std::filesystem::temp_directory_path() / "ssn-kme-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    why_ = "no temporary folder";
    return;
  }
  folder_ = pattern;
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) {
    why_ = "no pipe";
    return;
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  std::string arguments[] = {"python3", SSN_MISBEHAVING_KME, folder_, tls};
  char* argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), arguments[3].data(),
                  nullptr};
  const int error = ::posix_spawnp(&child_, "python3", &actions, nullptr, argv, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  to_ = ::fdopen(in[1], "w");
  from_ = ::fdopen(out[0], "r");
  if (error != 0) {
    child_ = -1;
    why_ = "python3 cannot be started";
    return;
  }
  const std::string line = read_line();
  if (std::sscanf(line.c_str(), "{\"port\": %d}", &port_) != 1) {
    why_ = "the key manager for tests did not start (are python3 and openssl there?)";
  }
}

KmeProcess::~KmeProcess() {
  if (to_ != nullptr) std::fclose(to_);  // its input ends, so it ends
  if (child_ > 0) {
    int status = 0;
    (void)::waitpid(child_, &status, 0);
  }
  if (from_ != nullptr) std::fclose(from_);
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

std::string KmeProcess::read_line() {
  std::string line;
  for (int c = std::fgetc(from_); c != EOF && c != '\n'; c = std::fgetc(from_)) {
    line += static_cast<char>(c);
  }
  return line;
}

std::string KmeProcess::command(const std::string& json) {
  std::fprintf(to_, "%s\n", json.c_str());
  std::fflush(to_);
  const std::string line = read_line();
  if (line.empty()) throw std::runtime_error("the key manager for tests broke at " + json);
  return line;
}

void KmeProcess::fault(const std::string& sae, const std::string& verb, const std::string& kind, int times,
                       const std::string& more) {
  command("{\"do\": \"fault\", \"sae\": \"" + sae + "\", \"verb\": \"" + verb + "\", \"kind\": \"" + kind +
          "\", \"times\": " + std::to_string(times) + more + "}");
}

void KmeProcess::set(const std::string& name, const std::string& value) {
  command("{\"do\": \"set\", \"name\": \"" + name + "\", \"value\": " + value + "}");
}

long KmeProcess::count(const std::string& name) {
  const std::string line = command("{\"do\": \"counts\"}");
  const std::string key = "\"" + name + "\": ";
  const std::size_t at = line.find(key);
  if (at == std::string::npos) throw std::runtime_error("no such count: " + name);
  return std::strtol(line.c_str() + at + key.size(), nullptr, 10);
}

}  // namespace ssn::test
