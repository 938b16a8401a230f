// SPDX-License-Identifier: BSD-3-Clause
// What a worker must not do between packets: allocate memory, or call the system. Both are counted for the
// thread that asks for it.
#pragma once

#include <cstdint>

namespace ssn::bench {

/// Calls of malloc(), its relatives and free() by the calling thread, since it first asked.
std::uint64_t allocations_of_this_thread() noexcept;

/// System calls of the calling thread, caught by the system itself. A caught one is done all the same; those
/// that follow it are not seen until watch_system_calls() is called again.
/// False: this system cannot do it.
bool watch_system_calls() noexcept;
/// The caller's thread is watched no longer.
void ignore_system_calls() noexcept;
/// Of all threads.
std::uint64_t system_calls_caught() noexcept;
/// The number of the last one, as <sys/syscall.h> has it.
long last_system_call() noexcept;

}  // namespace ssn::bench
