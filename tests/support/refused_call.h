// SPDX-License-Identifier: BSD-3-Clause
// A kernel or file system that does not know a system call.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace ssn::test {

/// Runs `act` in a thread for which the system call `number` fails with `error_number`. False, and it does
/// not run, where that cannot be had.
template <typename Act>
bool with_call_refused(long number, int error_number, const Act& act) {
  bool refused = false;
  std::thread thread([&] {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error_number)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{static_cast<unsigned short>(sizeof program / sizeof program[0]), program};
    // Holds for this thread, and ends with it.
    refused = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
              ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
    if (refused) act();
  });
  thread.join();
  return refused;
}

}  // namespace ssn::test
