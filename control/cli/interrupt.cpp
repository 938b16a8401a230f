// SPDX-License-Identifier: BSD-3-Clause
#include "interrupt.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace ssn::cli {
namespace {

constexpr int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};

// Read by the handler: lock-free atomics only.
std::atomic<const char*> temporaries[temporaries_max];
static_assert(std::atomic<const char*>::is_always_lock_free);
std::atomic<int> told_fd{-1};     // of a SignalsTold
std::atomic<int> told_signal{0};  // that it was told
static_assert(std::atomic<int>::is_always_lock_free);

// Only async-signal-safe calls here.
extern "C" void end_by_signal(int signal_number) {
  int none = 0;
  if (const int fd = told_fd.load(); fd >= 0 && told_signal.compare_exchange_strong(none, signal_number)) {
    const int error_number = errno;
    const std::uint64_t one = 1;
    if (::write(fd, &one, sizeof one) < 0) {
      // It is readable already.
    }
    errno = error_number;
    return;
  }
  bool removed = false;
  for (std::atomic<const char*>& slot : temporaries) {
    const char* const path = slot.load();
    if (path != nullptr) {
      removed = ::unlink(path) == 0 || removed;
    }
  }
  const char* const text =
      removed ? "\nssn: interrupted; unfinished output was removed\n" : "\nssn: interrupted\n";
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) {
    // Nobody is left to tell.
  }
  ::_exit(128 + signal_number);
}

sigset_t ending_set() noexcept {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal_number : ending_signals) {
    sigaddset(&set, signal_number);
  }
  return set;
}

}  // namespace

void install_signal_handlers() noexcept {
  struct sigaction action{};
  action.sa_handler = end_by_signal;
  action.sa_mask = ending_set();
  for (const int signal_number : ending_signals) {
    struct sigaction before{};
    ::sigaction(signal_number, nullptr, &before);
    if (before.sa_handler != SIG_IGN) {  // nohup and background jobs of a shell: leave it so
      ::sigaction(signal_number, &action, nullptr);
    }
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

SignalsHeld::SignalsHeld() noexcept {
  const sigset_t set = ending_set();
  ::sigprocmask(SIG_BLOCK, &set, &before_);
}

SignalsHeld::~SignalsHeld() noexcept { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

SignalsTold::SignalsTold() noexcept : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  assert(told_fd.load() < 0);
  told_signal.store(0);
  told_fd.store(fd_);
}

SignalsTold::~SignalsTold() noexcept {
  const SignalsHeld held;  // the handler may run in no thread between these
  told_fd.store(-1);
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

int SignalsTold::signal_number() const noexcept { return told_signal.load(); }

int remember_temporary(const char* path) noexcept {
  assert(path != nullptr);
  for (int slot = 0; slot < temporaries_max; ++slot) {
    if (temporaries[slot].load() == nullptr) {
      temporaries[slot].store(path);
      return slot;
    }
  }
  return -1;
}

void forget_temporary(int slot) noexcept {
  assert(slot >= 0 && slot < temporaries_max);
  temporaries[slot].store(nullptr);
}

}  // namespace ssn::cli
