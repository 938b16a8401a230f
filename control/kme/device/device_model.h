// SPDX-License-Identifier: BSD-3-Clause
// The device model of a key-manager NIC: does in software what docs/kmnic.md asks of a device, for every
// driver that connects to its UNIX socket. Each connection is a device function of its own, with its own
// registers, streams and memory. An emulator: its identity and a capability bit say so.
//
// One thread does everything: it serves connections, fills host rings from a StreamProvider, and goes from
// spinning over yielding to sleeping when there is nothing to do. Without a connection it costs nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "stream_source.h"

namespace ssn::kme {

/// Every error state that docs/kmnic.md names, by the name that `ssn kme` and tests use for it.
enum class FaultKind : std::uint8_t {
  corrupt_block,       ///< key bytes arrive with a wrong bit
  corrupt_descriptor,  ///< a descriptor arrives with a wrong bit
  wrong_sequence,      ///< a descriptor has the number of another block
  wrong_ksid,          ///< a descriptor names another stream
  wrong_offset,        ///< a descriptor names another place in the stream
  wrong_length,        ///< a descriptor claims more bytes than a block may have
  drop_block,          ///< a descriptor never arrives
  repeat_block,        ///< a descriptor arrives a second time in place of the next
  starve,              ///< the key manager has nothing, and the device says so
  stall,               ///< the device does nothing and answers nothing
  end_streams,         ///< the key manager ends all streams
  refuse_open,         ///< opening a stream is refused
  ignore_close,        ///< closing a stream is not answered
  reset,               ///< the device resets itself: new generation, all streams ended
  fatal,               ///< the device reports a failure that it does not recover from
  vanish,              ///< the device is gone: every connection is cut without a word
};

/// "corrupt_block", ...; nothing for names that are none.
std::string_view name(FaultKind kind) noexcept;
std::optional<FaultKind> fault_kind(std::string_view name) noexcept;

struct Fault {
  FaultKind kind = FaultKind::corrupt_block;
  /// How many blocks, openings or closings it hits, one after the other, redeliveries included. For starve
  /// and stall the duration counts instead; end_streams, reset, fatal and vanish happen once, to all
  /// connections.
  std::uint32_t count = 1;
  std::chrono::milliseconds duration{0};
};

/// Moves, never copies. Any thread.
class DeviceModel {
 public:
  struct Options {
    std::string socket_path;                   ///< of the UNIX socket; a stale one is replaced
    std::shared_ptr<StreamProvider> provider;  ///< its streams are opened and used by the model's thread only
    std::string identity = "Shareline KM-NIC device model (EMULATOR)";
    /// The SAE that may connect here; empty: drivers say who they are. Who may connect at all is decided by
    /// the permissions of the socket: its owner, and everybody who may search its directory where mode says
    /// so.
    std::string only_local_name = "";
    unsigned socket_mode = 0600;
    int numa_node = -1;
    std::uint32_t connections_max = 64;
    std::uint32_t streams_max = 64;                           ///< of one connection, at most 1024
    std::uint64_t ring_bytes_max = std::uint64_t{1} << 30;    ///< of one stream
    std::uint64_t memory_bytes_max = std::uint64_t{4} << 30;  ///< host memory mapped, of one connection
    bool poll = false;                                        ///< never sleeps
  };
  static Result<DeviceModel> start(Options options);

  DeviceModel() noexcept;
  DeviceModel(DeviceModel&& other) noexcept;
  DeviceModel& operator=(DeviceModel&& other) noexcept;
  DeviceModel(const DeviceModel&) = delete;
  DeviceModel& operator=(const DeviceModel&) = delete;
  /// Stops.
  ~DeviceModel();

  /// Takes effect within milliseconds. A later fault of the same kind replaces an earlier one.
  void inject(const Fault& fault);
  /// Takes back faults that still wait to hit something, and ends starve and stall.
  void heal();
  /// Ends all connections and the thread, erases what was kept of the keys, removes the socket.
  void stop();

  struct Statistics {
    std::uint64_t connections = 0;  ///< open now
    std::uint64_t streams = 0;      ///< open now
    std::uint64_t delivered_bytes = 0;
    std::uint64_t redelivered_blocks = 0;
    std::uint64_t faults = 0;    ///< injected faults that hit something
    std::uint64_t rejected = 0;  ///< requests of drivers that broke a rule
  };
  Statistics statistics() const;

 private:
  class Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace ssn::kme
