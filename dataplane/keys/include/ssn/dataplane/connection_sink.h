// SPDX-License-Identifier: BSD-3-Clause
// How connections get to workers and back. The pipeline implements it with Worker::post.
#pragma once

#include "ssn/dataplane/connection.h"

namespace ssn::dataplane {

/// Called by the key service's threads, one call at a time. Each posts a command to the connection's worker
/// and returns at once. False: the worker's inbox is full; the same call comes again a millisecond later.
class ConnectionSink {
 public:
  /// The worker begins to use the connection. For one worker and peer there is never a second one before the
  /// first has been let go.
  virtual bool attach(Connection& connection) = 0;
  /// The worker stops using it, waits for offload jobs and packets that still refer to it, then calls
  /// connection.let_go(). Comes once for each attach().
  virtual bool detach(Connection& connection) = 0;
  /// The worker has let go of it, and its memory is about to go: nothing may refer to that from now on, no
  /// device either. Comes once for each detach().
  virtual void released(Connection&) {}
  /// The worker has not called service() for a while (it sleeps): it does so once.
  virtual bool refresh(Connection& connection) = 0;

 protected:
  ConnectionSink() = default;
  ConnectionSink(const ConnectionSink&) = default;
  ConnectionSink& operator=(const ConnectionSink&) = default;
  ~ConnectionSink() = default;
};

}  // namespace ssn::dataplane
