// SPDX-License-Identifier: BSD-3-Clause
// What a worker asks of a share store, in a form that crosses threads; and what serves it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ssn/protocol/cell.h"
#include "ssn/store/share_store.h"

namespace ssn::store {

/// Made and owned by a worker. From StorePort::submit() until collect() gives it back it and all memory that
/// it names belong to the store thread.
struct StoreRequest {
  enum class Kind : std::uint8_t {
    /// Cells as the opener left them, whose headers place them: `opened` ones, and `kept` ones, whose target
    /// holds cells from the header's on, range_length bytes of them, and whose length was made that of one
    /// of them. Given back once all is durable.
    put,
    /// Cells `wanted` of stripe `stripe`: cells[i] is where cell i of it goes, with room for cell_bytes at
    /// data, which becomes the length of the share's cells. Gets length, and the header's placement.
    read,
    seal,    ///< `sealed_cells`, `runs`
    remove,  ///< the generation of `share`
  };
  static constexpr std::size_t most_cells = stripe_cells;

  Kind kind = Kind::put;
  std::uint8_t count = 0;            ///< put: of cells
  std::uint16_t attempt = 0;         ///< read
  std::uint32_t cell_bytes = 0;      ///< read: room in, length out
  ShareId share;                     ///< read, seal, remove
  std::uint32_t stripe = 0;          ///< read
  std::uint32_t sealed_cells = 0;    ///< seal
  std::uint64_t wanted = 0;          ///< read
  std::span<const AttemptRun> runs;  ///< seal
  std::array<protocol::Cell*, most_cells> cells{};
  std::uint64_t context = 0;  ///< the worker's own
  std::uint8_t side = 0;      ///< of a worker's two roles: StoreDivider's own

  /// done only if all was; otherwise the first reason.
  StoreResult result = StoreResult::none;
  std::array<StoreResult, most_cells> results{};  ///< put, read: of each of cells
  std::uint32_t missing = 0;                      ///< seal: the first cell that is missing
  std::uint32_t waiting = 0;                      ///< the server's own
};

/// Serves requests from a ShareStore, on its thread: a StoreThread's, or a simulator's.
class RequestServer {
 public:
  struct Finished {
    StoreRequest* request = nullptr;
    std::uint32_t from = 0;  ///< as given to serve()
  };

  /// `requests`: how many puts may wait at once. The store must stay until its end.
  RequestServer(ShareStore& store, std::size_t requests);

  /// Puts are finished by the flush() that makes them durable, everything else at once.
  void serve(StoreRequest& request, std::uint32_t from, std::uint64_t now);
  void flush(std::uint64_t now, ShareStore::Flush how) { store_.flush(now, how, completions_); }
  std::uint64_t next_flush() const noexcept { return store_.next_flush(); }
  /// Appends what came to its end since the last call.
  void take_finished(std::vector<Finished>& out);

 private:
  void put(StoreRequest& request, std::uint32_t from, std::uint64_t now);
  void put_cell(StoreRequest& request, std::size_t index, std::uint64_t token, std::uint64_t now);
  void read(StoreRequest& request);
  void finish_puts();

  ShareStore& store_;
  std::vector<PutCompletion> completions_;
  // Puts that wait, found by a token's upper bits; its lower byte is the cell.
  std::vector<Finished> puts_;
  std::vector<std::size_t> free_puts_;
  std::vector<Finished> finished_;
};

}  // namespace ssn::store
