// SPDX-License-Identifier: BSD-3-Clause
#include "event_stream.h"

#include <chrono>
#include <thread>

namespace ssn::controller {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds look_each{100};        // for new events
constexpr unsigned looks_between_words = 50;  // then something is said: a caller that is gone is noticed

struct Place {
  explicit Place(std::atomic<unsigned>& all) : watchers(all), taken(++all <= watchers_max) {}
  ~Place() { --watchers; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  std::atomic<unsigned>& watchers;
  const bool taken;
};

// What is behind `after`, which moves on.
Result<v1::EventList> next_events(const Desk& desk, bool only_alarms, std::uint64_t& after) {
  v1::EventList list;
  const Result<std::vector<Event>> events = desk.catalogue.events(after, page_max);
  if (!events.ok()) return events.error();
  // Numbers have no gaps but those of events that were forgotten.
  if (after != 0 && !events.value().empty()) list.set_lost(events.value().front().number - after - 1);
  for (const Event& event : events.value()) {
    after = event.number;
    if (!only_alarms || event.change != AlarmChange::none) write(event, *list.add_events());
  }
  return list;
}

}  // namespace

grpc::Status watch_events(const Desk& desk, std::atomic<unsigned>& watchers,
                          const grpc::ServerContext& context, const v1::WatchEventsRequest& request,
                          grpc::ServerWriter<v1::EventList>& writer) {
  if (const Result<pki::Caller> caller = desk.admit(context, Call::watch_events); !caller.ok()) {
    return pki::to_status(caller.error());
  }
  const Place place(watchers);
  if (!place.taken) {
    return pki::to_status({Exit::temporary, "cannot watch events",
                           fmt::format("{} callers do so already", watchers_max), "",
                           "end one of them, or list events"});
  }
  std::uint64_t after = request.only_new() ? desk.catalogue.last_event() : request.after();
  for (unsigned looks = 0; !context.IsCancelled(); ++looks) {
    // Each time: it may have lost the right meanwhile.
    if (const Result<pki::Caller> caller = desk.admit(context, Call::watch_events); !caller.ok()) {
      return pki::to_status(caller.error());
    }
    const bool more = desk.catalogue.last_event() > after;
    if (more || looks % looks_between_words == 0) {
      const Result<v1::EventList> list = next_events(desk, request.only_alarms(), after);
      if (!list.ok()) return pki::to_status(list.error());
      const bool wanted =
          looks % looks_between_words == 0 || list.value().events_size() != 0 || list.value().lost() != 0;
      if (wanted && !writer.Write(list.value())) break;
    }
    std::this_thread::sleep_for(look_each);
  }
  return grpc::Status::OK;
}

}  // namespace ssn::controller
