// SPDX-License-Identifier: BSD-3-Clause
// For the services of server.h only: events as they come, to one caller.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>

#include "controller.grpc.pb.h"
#include "desk.h"

namespace ssn::controller {

/// At a time: each of them takes a thread.
inline constexpr unsigned watchers_max = 8;

/// Until the caller leaves, may not any more, or the server ends. `watchers`: how many run.
grpc::Status watch_events(const Desk& desk, std::atomic<unsigned>& watchers,
                          const grpc::ServerContext& context, const v1::WatchEventsRequest& request,
                          grpc::ServerWriter<v1::EventList>& writer);

}  // namespace ssn::controller
