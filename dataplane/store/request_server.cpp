// SPDX-License-Identifier: BSD-3-Clause
#include <cassert>

#include "ssn/store/store_request.h"

namespace ssn::store {
namespace {

bool good(StoreResult result) noexcept { return result == StoreResult::done || result == StoreResult::again; }

}  // namespace

RequestServer::RequestServer(ShareStore& store, std::size_t requests) : store_(store), puts_(requests) {
  free_puts_.reserve(requests);
  for (std::size_t i = requests; i-- > 0;) free_puts_.push_back(i);
}

void RequestServer::take_finished(std::vector<Finished>& out) {
  finish_puts();
  out.insert(out.end(), finished_.begin(), finished_.end());
  finished_.clear();
}

void RequestServer::serve(StoreRequest& request, std::uint32_t from, std::uint64_t now) {
  request.result = StoreResult::none;
  request.results.fill(StoreResult::none);
  switch (request.kind) {
    case StoreRequest::Kind::put:
      put(request, from, now);
      return;
    case StoreRequest::Kind::read:
      read(request);
      break;
    case StoreRequest::Kind::seal: {
      const SealAnswer answer =
          store_.seal(request.share, request.sealed_cells, request.runs, now, completions_);
      request.result = answer.result;
      request.missing = answer.missing;
      break;
    }
    case StoreRequest::Kind::remove:
      request.result = store_.remove(request.share.generation_id(), completions_);
      break;
  }
  finished_.push_back({&request, from});
}

// A request's cells wait together: the last one that comes to its end takes the request back.
void RequestServer::put(StoreRequest& request, std::uint32_t from, std::uint64_t now) {
  assert(!free_puts_.empty());
  const std::size_t place = free_puts_.back();
  free_puts_.pop_back();
  puts_[place] = {&request, from};
  request.waiting = 1;  // this function's own
  for (std::size_t i = 0; i < request.count && i < StoreRequest::most_cells; ++i) {
    put_cell(request, i, std::uint64_t{place} << 8 | i, now);
  }
  completions_.push_back({std::uint64_t{place} << 8 | StoreRequest::most_cells, StoreResult::none});
}

void RequestServer::put_cell(StoreRequest& request, std::size_t index, std::uint64_t token,
                             std::uint64_t now) {
  const protocol::Cell& cell = *request.cells[index];
  const protocol::PacketHeader& header = cell.header;
  const ShareId share{header.placement.object, header.placement.generation, header.placement.share};
  const bool kept = cell.open_result == protocol::OpenResult::kept;
  const std::uint8_t* at = cell.target != nullptr ? cell.target : cell.data;
  const std::uint32_t bytes = cell.length;
  const std::uint32_t count = kept && bytes != 0 ? cell.range_length / bytes : 1;
  StoreResult& result = request.results[index];
  result = bytes == 0 || count == 0 || (kept && count * bytes != cell.range_length) ? StoreResult::invalid
                                                                                    : StoreResult::done;
  for (std::uint32_t i = 0; i < count && result == StoreResult::done; ++i, at += bytes) {
    StoreResult taken =
        store_.put(share, header.placement.attempt, header.placement.cell + i, {at, bytes}, token, now);
    if (taken == StoreResult::busy) {  // what waits makes room
      store_.flush(now, ShareStore::Flush::all, completions_);
      taken = store_.put(share, header.placement.attempt, header.placement.cell + i, {at, bytes}, token, now);
    }
    if (taken == StoreResult::done) {
      ++request.waiting;
    } else if (taken != StoreResult::again) {
      result = taken;
    }
  }
}

void RequestServer::finish_puts() {
  for (const PutCompletion& completion : completions_) {
    const std::size_t place = completion.token >> 8;
    const std::size_t cell = completion.token & 0xFF;
    StoreRequest& request = *puts_[place].request;
    if (cell < StoreRequest::most_cells && !good(completion.result) && good(request.results[cell])) {
      request.results[cell] = completion.result;
    }
    if (--request.waiting != 0) continue;
    request.result = StoreResult::done;
    for (std::size_t i = 0; i < request.count && good(request.result); ++i) {
      if (!good(request.results[i])) request.result = request.results[i];
    }
    free_puts_.push_back(place);
    finished_.push_back(puts_[place]);
  }
  completions_.clear();
}

void RequestServer::read(StoreRequest& request) {
  std::array<std::uint8_t*, stripe_cells> places{};
  for (std::size_t i = 0; i < stripe_cells; ++i) {
    if ((request.wanted >> i & 1U) == 0) continue;
    protocol::Cell& cell = *request.cells[i];
    if (cell.length + cell.tailroom < request.cell_bytes) {
      request.result = request.results[i] = StoreResult::invalid;
      return;
    }
    places[i] = cell.data;
  }
  const CellRead read =
      store_.read(request.share, request.attempt, request.stripe, request.wanted, places, request.cell_bytes);
  request.result = read.result;
  if (read.cell_bytes != 0) request.cell_bytes = read.cell_bytes;
  for (std::size_t i = 0; i < stripe_cells; ++i) {
    if ((request.wanted >> i & 1U) == 0) continue;
    if ((read.read >> i & 1U) == 0) {
      const bool aside = (read.quarantined >> i & 1U) != 0;
      const bool plain = read.result == StoreResult::quarantined && !aside;
      request.results[i] = plain ? StoreResult::not_found : read.result;
      continue;
    }
    request.results[i] = StoreResult::done;
    protocol::Cell& cell = *request.cells[i];
    cell.tailroom = static_cast<std::uint16_t>(cell.length + cell.tailroom - request.cell_bytes);
    cell.length = request.cell_bytes;
    cell.header.placement.object = request.share.object;
    cell.header.placement.generation = request.share.generation;
    cell.header.placement.attempt = request.attempt;
    cell.header.placement.share = request.share.share;
    cell.header.placement.cell = request.stripe * stripe_cells + static_cast<std::uint32_t>(i);
  }
}

}  // namespace ssn::store
