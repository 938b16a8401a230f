// SPDX-License-Identifier: BSD-3-Clause
#include "watch.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include <atomic>
#include <cstdlib>

// Ours come before those of the C library, which keeps its own under other names.
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* memory);
}

namespace ssn::bench {
namespace {

thread_local std::uint64_t allocations = 0;

#if defined(__x86_64__) && defined(PR_SET_SYSCALL_USER_DISPATCH)

// Read by the system at each system call of a watched thread.
thread_local volatile char selector = SYSCALL_DISPATCH_FILTER_ALLOW;
thread_local bool watched = false;
std::atomic<std::uint64_t> caught{0};
std::atomic<long> last{-1};

constexpr int instruction_bytes = 2;  // of "syscall"

// Lets the call happen after all: goes back to its instruction.
void on_system_call(int, siginfo_t* info, void* context) {
  selector = SYSCALL_DISPATCH_FILTER_ALLOW;
  caught.fetch_add(1, std::memory_order_relaxed);
  last.store(info->si_syscall, std::memory_order_relaxed);
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP] -= instruction_bytes;
}

bool begin_watching() noexcept {
  struct sigaction action{};
  action.sa_sigaction = on_system_call;
  action.sa_flags = SA_SIGINFO;
  return ::sigaction(SIGSYS, &action, nullptr) == 0 &&
         ::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) == 0;
}

#endif

}  // namespace

std::uint64_t allocations_of_this_thread() noexcept { return allocations; }

#if defined(__x86_64__) && defined(PR_SET_SYSCALL_USER_DISPATCH)

bool watch_system_calls() noexcept {
  watched = watched || begin_watching();
  if (watched) selector = SYSCALL_DISPATCH_FILTER_BLOCK;
  return watched;
}
void ignore_system_calls() noexcept { selector = SYSCALL_DISPATCH_FILTER_ALLOW; }
std::uint64_t system_calls_caught() noexcept { return caught.load(std::memory_order_relaxed); }
long last_system_call() noexcept { return last.load(std::memory_order_relaxed); }

#else

bool watch_system_calls() noexcept { return false; }
void ignore_system_calls() noexcept {}
std::uint64_t system_calls_caught() noexcept { return 0; }
long last_system_call() noexcept { return -1; }

#endif

void count_allocation() noexcept;
void count_allocation() noexcept { ++allocations; }

}  // namespace ssn::bench

extern "C" {

void* malloc(std::size_t bytes) {
  ssn::bench::count_allocation();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  ssn::bench::count_allocation();
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  ssn::bench::count_allocation();
  return __libc_realloc(memory, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  ssn::bench::count_allocation();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  ssn::bench::count_allocation();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  ssn::bench::count_allocation();
  *memory = __libc_memalign(alignment, bytes);
  return *memory != nullptr ? 0 : ENOMEM;
}
void free(void* memory) {
  if (memory != nullptr) ssn::bench::count_allocation();
  __libc_free(memory);
}

}  // extern "C"
