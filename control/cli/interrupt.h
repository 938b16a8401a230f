// SPDX-License-Identifier: BSD-3-Clause
// What happens when a signal ends the command: temporary files go away, then the process exits with 128 +
// signal number. Done in the handler, so that it works while the process waits in a read, write or fsync.
#pragma once

#include <csignal>

namespace ssn::cli {

/// Handles SIGINT, SIGTERM and SIGHUP (those that were ignored stay ignored), and turns SIGPIPE and SIGXFSZ
/// into errors of write(). Call once at start.
void install_signal_handlers() noexcept;

/// Holds the ending signals back for a scope, for steps that must not stop half-way.
class SignalsHeld {
 public:
  SignalsHeld() noexcept;
  ~SignalsHeld() noexcept;
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_;
};

/// While it lives, the first ending signal ends nothing, but is told: the command puts an end to what it
/// began elsewhere. The second one ends the process as always. One at a time.
class SignalsTold {
 public:
  SignalsTold() noexcept;
  ~SignalsTold() noexcept;
  SignalsTold(const SignalsTold&) = delete;
  SignalsTold& operator=(const SignalsTold&) = delete;

  /// A descriptor that is readable once a signal came; -1 where there are no more descriptors.
  int fd() const noexcept { return fd_; }
  /// Its number; 0: none came.
  int signal_number() const noexcept;

 private:
  int fd_;
};

inline constexpr int temporaries_max = 256;

/// Enters a file that the handler removes. `path` must stay valid and unchanged until forget_temporary().
/// Call with signals held, together with creating the file. Returns a slot, or -1 when all are taken.
int remember_temporary(const char* path) noexcept;
void forget_temporary(int slot) noexcept;

}  // namespace ssn::cli
