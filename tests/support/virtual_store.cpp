// SPDX-License-Identifier: BSD-3-Clause
#include "virtual_store.h"

#include <algorithm>
#include <utility>

namespace ssn::test {

using store::StoreRequest;

Outcome VirtualStore::open() {
  server_.reset();
  store_.reset();
  Result<store::GenerationKeys> keys = store::GenerationKeys::open(medium_.open_file(), 1000);
  if (!keys.ok()) return keys.error();
  Result<store::ShareStore> opened =
      store::ShareStore::open(medium_.open_store(), std::move(keys.value()), options_.store);
  if (!opened.ok()) return opened.error();
  store_ = std::make_unique<store::ShareStore>(std::move(opened.value()));
  server_ = std::make_unique<store::RequestServer>(*store_, options_.requests);
  return done;
}

// A ring keeps its order: nothing is served before what was submitted earlier.
bool VirtualStore::submit(StoreRequest& request) noexcept {
  if (credit() == 0) return false;
  ++outstanding_;
  most_outstanding_ = std::max(most_outstanding_, outstanding_);
  last_submit_ns_ = std::max(last_submit_ns_, now_ns_ + random_.below(options_.most_delay_ns + 1));
  submitted_.push({last_submit_ns_, order_++, &request});
  return true;
}

std::size_t VirtualStore::collect(std::span<StoreRequest*> requests) noexcept {
  std::size_t count = 0;
  while (count < requests.size() && !finished_.empty() && finished_.top().at_ns <= now_ns_) {
    requests[count++] = finished_.top().request;
    finished_.pop();
  }
  outstanding_ -= count;
  return count;
}

void VirtualStore::take_finished(const StoreRequest* except) {
  scratch_.clear();
  server_->take_finished(scratch_);
  for (const store::RequestServer::Finished& each : scratch_) {
    if (each.request == except) continue;
    finished_.push({now_ns_ + random_.below(options_.most_delay_ns + 1), order_++, each.request});
  }
}

void VirtualStore::work(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  while (!stalled_ && !submitted_.empty() && submitted_.top().at_ns <= now_ns) {
    StoreRequest& request = *submitted_.top().request;
    submitted_.pop();
    if (request.kind == StoreRequest::Kind::read && busy_reads_ != 0) {
      --busy_reads_;
      request.result = store::StoreResult::busy;
      finished_.push({now_ns, order_++, &request});
      continue;
    }
    server_->serve(request, 0, now_ns);
  }
  if (!stalled_ && now_ns >= server_->next_flush()) server_->flush(now_ns, store::ShareStore::Flush::due);
  take_finished();
}

std::uint64_t VirtualStore::next_due() const {
  std::uint64_t due = finished_.empty() ? UINT64_MAX : finished_.top().at_ns;
  if (stalled_) return due;
  if (!submitted_.empty()) due = std::min(due, submitted_.top().at_ns);
  return std::min(due, server_->next_flush());
}

void VirtualStore::drain() {
  for (; !submitted_.empty(); submitted_.pop()) server_->serve(*submitted_.top().request, 0, now_ns_);
  server_->flush(now_ns_, store::ShareStore::Flush::all);
  const std::uint64_t now = std::exchange(now_ns_, 0);
  const std::uint64_t delay = std::exchange(options_.most_delay_ns, 0);
  take_finished();
  now_ns_ = now;
  options_.most_delay_ns = delay;
  std::priority_queue<Waiting> back;
  for (; !finished_.empty(); finished_.pop()) back.push({0, finished_.top().order, finished_.top().request});
  finished_ = std::move(back);
}

store::StoreResult VirtualStore::remove(const store::GenerationId& generation) {
  StoreRequest request;
  request.kind = StoreRequest::Kind::remove;
  request.share = {generation.object, generation.generation, 0};
  server_->serve(request, 0, now_ns_);
  take_finished(&request);
  return request.result;
}

}  // namespace ssn::test
