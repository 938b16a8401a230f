// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/store/store_thread.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "ssn/hw/file_descriptor.h"

namespace ssn::store {
namespace {

constexpr std::uint64_t status_ns = 1'000'000'000;
constexpr std::size_t requests_a_turn = 256;  // of one worker, before another has its turn
constexpr std::uint64_t scrub_a_turn = std::uint64_t{256} << 10;
constexpr std::size_t most_workers = 256;

std::uint64_t now_ns() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

void signal(int event) noexcept {
  const std::uint64_t one = 1;
  // Fails only where the counter is full, and then it is readable already.
  [[maybe_unused]] const ssize_t written = ::write(event, &one, sizeof one);
}
void drain(int event) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read = ::read(event, &count, sizeof count);
}

}  // namespace

Result<std::unique_ptr<StorePort>> StorePort::make(std::size_t requests) {
  if (!std::has_single_bit(requests) || requests > (std::size_t{1} << 20)) {
    return Error{Exit::usage, "cannot make the rings of a store thread",
                 std::to_string(requests) + " is no power of two up to 2^20", "requests", "choose one"};
  }
  std::unique_ptr<StorePort> port(new StorePort(requests));
  port->event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (port->event_ < 0) return system_error(errno, "cannot make an event for a worker", "eventfd");
  return port;
}
StorePort::~StorePort() {
  if (event_ >= 0) ::close(event_);
}

bool StorePort::submit(StoreRequest& request) noexcept {
  if (credit() == 0) return false;
  [[maybe_unused]] const bool pushed = requests_.push(&request);
  assert(pushed);
  ++outstanding_;
  // Pairs with the fence before the store thread's last look: one of the two sees the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sleeping_ != nullptr && sleeping_->load(std::memory_order_relaxed)) signal(wake_);
  return true;
}

std::size_t StorePort::collect(std::span<StoreRequest*> requests) noexcept {
  std::size_t count = 0;
  while (count < requests.size()) {
    StoreRequest* const request = completions_.pop();
    if (request == nullptr) break;
    requests[count++] = request;
  }
  outstanding_ -= count;
  return count;
}

class StoreThread::Implementation {
 public:
  Implementation(ShareStore store, const StoreThreadOptions& options)
      : store_(std::move(store)), scrubber_(store_, options.scrub) {}
  ~Implementation() { stop(); }

  Outcome prepare(const StoreThreadOptions& options);
  void stop();
  StorePort& port(std::size_t worker) noexcept { return *ports_.at(worker); }

  StoreStatus status() {
    const std::scoped_lock lock(mutex_);
    return status_;
  }
  ScrubStatus scrub_status() {
    const std::scoped_lock lock(mutex_);
    return scrub_status_;
  }
  std::vector<StoreEvent> take_events() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(events_, {});
  }
  Result<std::vector<ShareSummary>> list(const GenerationId& from, std::size_t limit);
  void set_scrub_rate(std::uint64_t bytes_per_second);

 private:
  struct ListOrder {
    GenerationId from;
    std::size_t limit = 0;
    std::optional<Result<std::vector<ShareSummary>>> answer;
  };

  void run();
  bool serve(std::uint32_t worker, std::uint64_t now);
  void give_back();
  void serve_others(std::uint64_t now);
  void sleep(std::uint64_t now);

  ShareStore store_;
  std::optional<RequestServer> server_;
  std::vector<RequestServer::Finished> finished_;
  Scrubber scrubber_;
  std::vector<std::unique_ptr<StorePort>> ports_;
  hw::FileDescriptor wake_;
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;

  std::mutex mutex_;  // of what follows
  std::condition_variable answered_;
  StoreStatus status_;
  ScrubStatus scrub_status_;
  std::vector<StoreEvent> events_;
  ListOrder* order_ = nullptr;
  std::optional<std::uint64_t> scrub_rate_;
  bool ended_ = false;
  std::uint64_t next_status_ = 0;  // the thread's own
};

Outcome StoreThread::Implementation::prepare(const StoreThreadOptions& options) {
  if (options.workers == 0 || options.workers > most_workers) {
    return Error{Exit::usage, "cannot start a store thread", std::to_string(options.workers) + " workers",
                 "workers", "give it 1 to " + std::to_string(most_workers)};
  }
  wake_ = hw::FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (wake_.get() < 0) return system_error(errno, "cannot make an event for the store thread", "eventfd");
  for (std::size_t worker = 0; worker < options.workers; ++worker) {
    Result<std::unique_ptr<StorePort>> port = StorePort::make(options.requests);
    if (!port.ok()) return port.error();
    port.value()->sleeping_ = &sleeping_;
    port.value()->wake_ = wake_.get();
    ports_.push_back(std::move(port.value()));
  }
  server_.emplace(store_, options.workers * options.requests);
  status_ = store_.status();
  scrub_status_ = scrubber_.status();
  thread_ = std::thread([this] { run(); });
  return done;
}

void StoreThread::Implementation::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  signal(wake_.get());
  thread_.join();
}

void StoreThread::Implementation::run() {
  (void)::pthread_setname_np(::pthread_self(), "ssn-store");
  while (true) {
    const bool stopping = stopping_.load(std::memory_order_acquire);
    std::uint64_t now = now_ns();
    bool busy = false;
    for (std::uint32_t worker = 0; worker < ports_.size(); ++worker) busy = serve(worker, now) || busy;
    now = now_ns();
    if (stopping || now >= server_->next_flush()) {
      server_->flush(now, stopping && !busy ? ShareStore::Flush::all : ShareStore::Flush::due);
    }
    give_back();
    for (const std::unique_ptr<StorePort>& port : ports_) {
      if (std::exchange(port->answered_, false)) signal(port->event_);
    }
    if (stopping && !busy) break;
    busy = scrubber_.step(now, scrub_a_turn) || busy;
    serve_others(now);
    if (!busy) sleep(now);
  }
  (void)scrubber_.save();
  next_status_ = 0;
  serve_others(now_ns());
  const std::scoped_lock lock(mutex_);
  ended_ = true;
  answered_.notify_all();
}

bool StoreThread::Implementation::serve(std::uint32_t worker, std::uint64_t now) {
  for (std::size_t i = 0; i < requests_a_turn; ++i) {
    StoreRequest* const request = ports_[worker]->requests_.pop();
    if (request == nullptr) return i != 0;
    server_->serve(*request, worker, now);
    give_back();
  }
  return true;
}

// There is always room: as many requests as the ring holds are on their way at most.
void StoreThread::Implementation::give_back() {
  server_->take_finished(finished_);
  for (const RequestServer::Finished& each : finished_) {
    StorePort& port = *ports_[each.from];
    [[maybe_unused]] const bool pushed = port.completions_.push(each.request);
    assert(pushed);
    port.answered_ = true;
  }
  finished_.clear();
}

void StoreThread::Implementation::serve_others(std::uint64_t now) {
  std::vector<StoreEvent> events = store_.take_events();
  const std::scoped_lock lock(mutex_);
  for (StoreEvent& event : events) {
    if (events_.size() < 1024) events_.push_back(std::move(event));
  }
  if (order_ != nullptr) {
    order_->answer = store_.list(order_->from, order_->limit);
    order_ = nullptr;
    answered_.notify_all();
  }
  if (scrub_rate_) {
    scrubber_.set_rate(*scrub_rate_);
    scrub_rate_.reset();
  }
  if (now < next_status_) return;
  next_status_ = now + status_ns;
  status_ = store_.status();
  scrub_status_ = scrubber_.status();
}

void StoreThread::Implementation::sleep(std::uint64_t now) {
  sleeping_.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  bool work = stopping_.load(std::memory_order_acquire);
  for (const std::unique_ptr<StorePort>& port : ports_) work = work || port->requests_.size() != 0;
  const std::uint64_t until = std::min({store_.next_flush(), scrubber_.next_step(), next_status_});
  if (!work && until > now) {
    const std::uint64_t wait = std::min<std::uint64_t>(until - now, status_ns);
    const timespec timeout{static_cast<time_t>(wait / 1'000'000'000),
                           static_cast<long>(wait % 1'000'000'000)};
    pollfd event{wake_.get(), POLLIN, 0};
    (void)::ppoll(&event, 1, &timeout, nullptr);
  }
  sleeping_.store(false, std::memory_order_relaxed);
  drain(wake_.get());
}

Result<std::vector<ShareSummary>> StoreThread::Implementation::list(const GenerationId& from,
                                                                    std::size_t limit) {
  ListOrder order{from, limit, {}};
  std::unique_lock lock(mutex_);
  answered_.wait(lock, [&] { return order_ == nullptr || ended_; });
  if (!ended_) {
    order_ = &order;
    signal(wake_.get());
    answered_.wait(lock, [&] { return order.answer.has_value() || ended_; });
  }
  if (order.answer) return std::move(*order.answer);
  return Error{Exit::temporary, "cannot list the shares", "the store is being closed", "share store",
               "ask again after the restart"};
}

void StoreThread::Implementation::set_scrub_rate(std::uint64_t bytes_per_second) {
  const std::scoped_lock lock(mutex_);
  scrub_rate_ = bytes_per_second;
  signal(wake_.get());
}

Result<std::unique_ptr<StoreThread>> StoreThread::start(ShareStore store, const StoreThreadOptions& options) {
  auto made = std::make_unique<Implementation>(std::move(store), options);
  if (Outcome ready = made->prepare(options); !ready.ok()) return ready.error();
  return std::unique_ptr<StoreThread>(new StoreThread(std::move(made)));
}

StoreThread::StoreThread(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
StoreThread::~StoreThread() = default;
StorePort& StoreThread::port(std::size_t worker) noexcept { return implementation_->port(worker); }
void StoreThread::stop() { implementation_->stop(); }
StoreStatus StoreThread::status() { return implementation_->status(); }
ScrubStatus StoreThread::scrub_status() { return implementation_->scrub_status(); }
std::vector<StoreEvent> StoreThread::take_events() { return implementation_->take_events(); }
Result<std::vector<ShareSummary>> StoreThread::list(const GenerationId& from, std::size_t limit) {
  return implementation_->list(from, limit);
}
void StoreThread::set_scrub_rate(std::uint64_t bytes_per_second) {
  implementation_->set_scrub_rate(bytes_per_second);
}

}  // namespace ssn::store
