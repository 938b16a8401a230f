// SPDX-License-Identifier: BSD-3-Clause
// A data owner's whole way to the storage network: put, get and verify objects by name. Asks the controller,
// opens a session at the SSA that it names, and moves the data over UDP. docs/objects.md says what is
// promised. No gRPC type, no thread of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "controller_client.h"
#include "ssn/hw/result.h"

namespace ssn::client {

/// Where put() takes data from.
class DataSource {
 public:
  virtual ~DataSource() = default;
  /// How many bytes were read; 0: the end. Called only when poll_fd(), if there is one, is readable; must
  /// wait for nothing but a disk.
  virtual Result<std::size_t> read(std::span<std::uint8_t> buffer) = 0;
  /// A descriptor to poll() for reading, as of a pipe; -1: always ready.
  virtual int poll_fd() const { return -1; }
  /// Where it is known before. Another size in the end is an error.
  virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
};

/// Where get() puts data, in order.
class DataSink {
 public:
  virtual ~DataSink() = default;
  /// How many bytes were taken; fewer than all, or none: poll_fd() is asked before the next call.
  virtual Result<std::size_t> write(std::span<const std::uint8_t> bytes) = 0;
  /// A descriptor to poll() for writing; -1: always ready.
  virtual int poll_fd() const { return -1; }
};

/// How the caller follows, and stops, what runs.
struct Watch {
  /// Bytes that the SSA has (put), or the sink (get, verify); total 0: not known. May be empty.
  std::function<void(std::uint64_t bytes, std::uint64_t total)> progress;
  /// Before the first block: what may move a second at most, and by whose limit; not called where there is
  /// none. May be empty.
  std::function<void(std::uint64_t bytes_per_second, const std::string& whose)> limited;
  /// A descriptor: once it is readable, everything is given up, and nothing half-done stays. -1: none. Where
  /// a call to the controller or the SSA runs, that is waited for.
  int stop_fd = -1;

  bool stopped() const noexcept;
};
/// What then comes back: temporary, with this as `why`.
inline constexpr const char* interrupted = "it was interrupted";

struct PutOptions {
  /// Zeros: the controller's policy. `token`, `name` and `size` are set by put().
  controller::WriteRequest request;
  /// Fewer holders than the quorum will do, if it is the minimum; false: such a write is given up.
  bool accept_degraded = true;
};

/// A holder that has not (yet) sealed its share.
struct HolderTrouble {
  std::uint32_t share = 0;
  std::string node;
  std::string trouble;
};

struct PutReport {
  controller::Object object;  ///< as committed
  bool degraded = false;
  std::uint64_t replaced = 0;  ///< the object that had the name; 0: none
  std::uint32_t sealed = 0;    ///< holders
  std::vector<HolderTrouble> troubles;
  std::chrono::nanoseconds took{};  ///< from the first block to the commit
};

struct GetReport {
  controller::Object object;
  std::chrono::nanoseconds took{};
};

struct ObjectClientOptions {
  std::chrono::milliseconds patience{30'000};  ///< without any progress
  std::chrono::milliseconds ask_again{3'000};  ///< for blocks that do not come; at most a quarter of patience
  unsigned tries = 4;  ///< of what is *temporary* before any data moved, and of commits
};

/// One thread at a time.
class ObjectClient {
 public:
  /// Prepares only.
  static Result<std::unique_ptr<ObjectClient>> make(const ControllerPlace& place,
                                                    const ObjectClientOptions& options = {});
  virtual ~ObjectClient() = default;

  /// On any failure the write was given up at the controller, and nothing of it is or becomes visible; only
  /// where the answer to the commit was lost the error says that it is not known.
  virtual Result<PutReport> put(DataSource& source, const std::string& name, const PutOptions& options,
                                Watch& watch) = 0;
  /// The sink has the first bytes of the object where it fails. `opened`, which may be empty, hears of the
  /// object before the first byte; its error ends it.
  virtual Result<GetReport> get(const std::string& name, DataSink& sink, Watch& watch,
                                const std::function<Outcome(const controller::Object&)>& opened) = 0;

  /// For what needs no data.
  virtual ControllerClient& controller() = 0;
};

}  // namespace ssn::client
