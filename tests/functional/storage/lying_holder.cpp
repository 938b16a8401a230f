// SPDX-License-Identifier: BSD-3-Clause
// ssn-dataplane with a store and a part in re-sharing that lie on order: linked with --wrap, all of the
// program is what is shipped but for the functions below. What they change is authentic: the liar has all
// keys.
//
//   LYING_HOLDER_ORDERS  a file of 4096 bytes; bytes 0, 1, 2, 3 are not 0 while what is read from its shares,
//                        what it contributes to repairs, what it deals, and what it says it has is a lie.
//                        From byte 8 on four numbers of 32 bits count the lies
//
// Free functions stand for member functions: in the ABI of x86-64 and AArch64 Linux the object is their first
// argument. tests/functional/meson.build has the names.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "reshare_math.h"
#include "ssn/store/share_store.h"

namespace {

using namespace ssn;
using namespace ssn::store;

enum Lie : std::size_t { reads, contributions, dealings, holdings };

constexpr std::size_t orders_bytes = 4096;
constexpr std::size_t counts_at = 8;
constexpr std::uint8_t falsehood = 0x5A;

volatile std::uint8_t* orders = nullptr;
std::atomic<std::uint32_t>* counts = nullptr;
// The store thread's: what it said is stored, and threw away; with its seal, if it came to that.
std::map<ShareId, ShareSummary>* claimed = nullptr;

[[noreturn]] void refuse(const char* path) {
  std::fprintf(stderr, "lying-holder: cannot use the file of orders '%s' (LYING_HOLDER_ORDERS)\n", path);
  std::_Exit(2);
}

__attribute__((constructor)) void begin() {
  const char* const path = std::getenv("LYING_HOLDER_ORDERS");
  if (path == nullptr) refuse("");
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) refuse(path);
  void* const at = ::mmap(nullptr, orders_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) refuse(path);
  counts = reinterpret_cast<std::atomic<std::uint32_t>*>(static_cast<std::uint8_t*>(at) + counts_at);
  orders = static_cast<std::uint8_t*>(at);
  claimed = new std::map<ShareId, ShareSummary>;  // as long as the process lives
}

bool lies(Lie lie) {
  if (orders[lie] == 0) return false;
  ++counts[lie];
  return true;
}

}  // namespace

#define WRAPPED(name) __asm__("__wrap_" name)
#define REAL(name) __asm__("__real_" name)

#define READ "_ZN3ssn5store10ShareStore4readERKNS0_7ShareIdEtjmSt4spanIKPhLm64EEj"
#define PUT "_ZN3ssn5store10ShareStore3putERKNS0_7ShareIdEtjSt4spanIKhLm18446744073709551615EEmm"
#define SEAL                                                                                      \
  "_ZN3ssn5store10ShareStore4sealERKNS0_7ShareIdEjSt4spanIKNS0_10AttemptRunELm184467440737095516" \
  "15EEmRSt6vectorINS0_13PutCompletionESaISA_EE"
#define LIST "_ZN3ssn5store10ShareStore4listERKNS0_12GenerationIdEm"
#define COEFFICIENT "_ZNK3ssn5roles11ReshareMath11coefficientEmj"
#define DEALING "_ZNK3ssn5roles11ReshareMath7dealingEmjSt4spanIhLm18446744073709551615EE"

using Places = std::span<std::uint8_t* const, stripe_cells>;

CellRead real_read(ShareStore* store, const ShareId& share, std::uint16_t attempt, std::uint32_t stripe,
                   std::uint64_t wanted, Places into, std::uint32_t room) REAL(READ);
CellRead lying_read(ShareStore* store, const ShareId& share, std::uint16_t attempt, std::uint32_t stripe,
                    std::uint64_t wanted, Places into, std::uint32_t room) WRAPPED(READ);

// One byte of each cell: the tags, made afterwards, are right.
CellRead lying_read(ShareStore* store, const ShareId& share, std::uint16_t attempt, std::uint32_t stripe,
                    std::uint64_t wanted, Places into, std::uint32_t room) {
  const CellRead read = real_read(store, share, attempt, stripe, wanted, into, room);
  for (std::uint64_t left = read.read; left != 0; left &= left - 1) {
    const auto cell = static_cast<std::uint32_t>(std::countr_zero(left));
    if (lies(reads)) into[cell][(stripe * stripe_cells + cell) % read.cell_bytes] ^= falsehood;
  }
  return read;
}

StoreResult real_put(ShareStore* store, const ShareId& share, std::uint16_t attempt, std::uint32_t cell,
                     Bytes bytes, std::uint64_t token, std::uint64_t now) REAL(PUT);
StoreResult lying_put(ShareStore* store, const ShareId& share, std::uint16_t attempt, std::uint32_t cell,
                      Bytes bytes, std::uint64_t token, std::uint64_t now) WRAPPED(PUT);

// Stored, it says, and forgets it.
StoreResult lying_put(ShareStore* store, const ShareId& share, std::uint16_t attempt, std::uint32_t cell,
                      Bytes bytes, std::uint64_t token, std::uint64_t now) {
  if (!lies(holdings)) return real_put(store, share, attempt, cell, bytes, token, now);
  (*claimed)[share] = {share, StoreResult::incomplete, static_cast<std::uint32_t>(bytes.size()), 0};
  return StoreResult::again;
}

SealAnswer real_seal(ShareStore* store, const ShareId& share, std::uint32_t cells,
                     std::span<const AttemptRun> runs, std::uint64_t now,
                     std::vector<PutCompletion>& completions) REAL(SEAL);
SealAnswer lying_seal(ShareStore* store, const ShareId& share, std::uint32_t cells,
                      std::span<const AttemptRun> runs, std::uint64_t now,
                      std::vector<PutCompletion>& completions) WRAPPED(SEAL);

SealAnswer lying_seal(ShareStore* store, const ShareId& share, std::uint32_t cells,
                      std::span<const AttemptRun> runs, std::uint64_t now,
                      std::vector<PutCompletion>& completions) {
  const auto claim = claimed->find(share);
  if (claim == claimed->end() || !lies(holdings)) {
    return real_seal(store, share, cells, runs, now, completions);
  }
  claim->second.state = StoreResult::done;
  claim->second.cells = cells;
  return {StoreResult::done, 0};
}

Result<std::vector<ShareSummary>> real_list(ShareStore* store, const GenerationId& from, std::size_t limit)
    REAL(LIST);
Result<std::vector<ShareSummary>> lying_list(ShareStore* store, const GenerationId& from, std::size_t limit)
    WRAPPED(LIST);

// With what it never had; for the controller, which compares.
Result<std::vector<ShareSummary>> lying_list(ShareStore* store, const GenerationId& from, std::size_t limit) {
  Result<std::vector<ShareSummary>> listed = real_list(store, from, limit);
  if (!listed.ok() || claimed->empty() || !lies(holdings)) return listed;
  std::vector<ShareSummary>& all = listed.value();
  const bool whole = all.size() < limit;
  for (const auto& [share, summary] : *claimed) {
    if (share.generation_id() < from || (!whole && all.back().id < share)) continue;
    all.push_back(summary);
  }
  std::ranges::sort(all, {}, &ShareSummary::id);
  all.resize(std::min(all.size(), limit));
  return listed;
}

std::uint8_t real_coefficient(const roles::ReshareMath* math, std::size_t giver, std::uint32_t cell)
    REAL(COEFFICIENT);
std::uint8_t lying_coefficient(const roles::ReshareMath* math, std::size_t giver, std::uint32_t cell)
    WRAPPED(COEFFICIENT);

std::uint8_t lying_coefficient(const roles::ReshareMath* math, std::size_t giver, std::uint32_t cell) {
  const std::uint8_t right = real_coefficient(math, giver, cell);
  return lies(contributions) ? right ^ falsehood : right;
}

void real_dealing(const roles::ReshareMath* math, std::size_t giver, std::uint32_t cell,
                  std::span<std::uint8_t> matrix) REAL(DEALING);
void lying_dealing(const roles::ReshareMath* math, std::size_t giver, std::uint32_t cell,
                   std::span<std::uint8_t> matrix) WRAPPED(DEALING);

// The last taker is dealt what is on no polynomial with the others.
void lying_dealing(const roles::ReshareMath* math, std::size_t giver, std::uint32_t cell,
                   std::span<std::uint8_t> matrix) {
  real_dealing(math, giver, cell, matrix);
  if (lies(dealings)) matrix.back() ^= falsehood;
}
