// SPDX-License-Identifier: BSD-3-Clause
// Key devices for C++: finds and loads a driver (include/ssn/key_device.h), and owns what must be given back.
//
//   auto device = KeyDevice::open({.driver = "kmnic", .local_name = "site-a",
//                                  .settings = {{"socket", "/run/ssn-kme/kmnic.sock"}}});
//   auto stream = device.value().open_stream(SSN_KEY_SENDER, ksid, "site-b", 64 << 20);
//   while (stream.value().available() < 1344) (void)stream.value().poll();
//   std::uint64_t offset;
//   std::uint8_t* pad = stream.value().take(1344, offset);   // zero copy, in locked ring memory
//   ... use it, erase it ...
//   stream.value().release(offset + 1344);                   // the device may write there again
//
// Threads: a KeyDevice may be used by any thread; its calls wait for each other. A KeyStream belongs to one
// thread at a time; different streams are independent. Opening and closing a stream are calls of its device.
// No call of a stream but close() and its destructor allocates, locks or makes a system call.
//
// A driver stays loaded until the process ends. A device is closed when it and all its streams are gone, in
// whatever order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ssn/hw/driver_error.h"
#include "ssn/hw/result.h"
#include "ssn/hw/ring_memory.h"
#include "ssn/key_device.h"

namespace ssn::hw {

using Ksid = std::array<std::uint8_t, SSN_KSID_BYTES>;

class OpenKeyDevice;  // the implementation's: a device that is open

/// One end of one key stream, with its ring memory. Moves, never copies.
class KeyStream {
 public:
  KeyStream() noexcept = default;
  KeyStream(KeyStream&& other) noexcept;
  KeyStream& operator=(KeyStream&& other) noexcept;
  KeyStream(const KeyStream&) = delete;
  KeyStream& operator=(const KeyStream&) = delete;
  ~KeyStream() { close(); }

  /// Ends delivery, then erases the ring and gives it back: no byte of the stream stays in this process.
  void close() noexcept;
  bool is_open() const noexcept { return stream_ != nullptr; }

  // What follows needs an open stream.

  /// SSN_OK: more was delivered; SSN_AGAIN: nothing new; SSN_FAILED: nothing more will ever come.
  ssn_status poll() noexcept { return ssn_key_stream_poll(stream_); }
  /// Bytes that take() can give.
  std::uint64_t available() const noexcept { return ssn_key_stream_available(stream_); }
  /// The next `length` bytes (>= 1), contiguous, and where they begin. Null while that many are not there:
  /// then nothing is taken. Sender's and random streams.
  std::uint8_t* take(std::uint64_t length, std::uint64_t& offset) noexcept {
    return ssn_key_stream_take(stream_, length, &offset);
  }
  /// The range at `offset`, contiguous. Null when any of it was not yet delivered or was given back.
  std::uint8_t* at(std::uint64_t offset, std::uint64_t length) const noexcept {
    return ssn_key_stream_at(stream_, offset, length);
  }
  /// Gives everything below `offset` back to the device. The caller has erased it.
  void release(std::uint64_t offset) noexcept { ssn_key_stream_release(stream_, offset); }
  /// Erases everything below `offset` that was not yet given back, then gives it back.
  void erase_and_release(std::uint64_t offset) noexcept;

  std::uint64_t end() const noexcept { return stream_->end; }
  std::uint64_t next() const noexcept { return stream_->next; }
  std::uint64_t released() const noexcept { return stream_->released; }
  std::uint64_t ring_bytes() const noexcept { return stream_->ring_bytes; }
  ssn_key_health health() const noexcept { return stream_->health; }
  ssn_key_role role() const noexcept { return stream_->role; }
  const Ksid& ksid() const noexcept { return ksid_; }
  ssn_key_stream_statistics statistics() const noexcept;
  /// As an offload device is to see it: the ring, mapped twice in succession, because what take() and at()
  /// give may lie across its end. Thus without a descriptor. Valid while the stream is open.
  ssn_memory memory() const noexcept;
  /// For code that works on the C interface. Stays this object's.
  ssn_key_stream* get() const noexcept { return stream_; }

 private:
  friend class KeyDevice;

  std::shared_ptr<OpenKeyDevice> device_;
  ssn_key_stream* stream_ = nullptr;
  RingMemory ring_;
  Ksid ksid_{};
};

/// A key device that is open. Moves, never copies.
class KeyDevice {
 public:
  /// Sends a message of the driver to the driver at the peer, over the authenticated channel to it. Called
  /// from any thread; must not throw; SSN_AGAIN when the channel is busy or down.
  using SendToPeer = std::function<ssn_status(const char* peer, std::span<const std::uint8_t> message)>;

  struct Options {
    /// A name, such as "kmnic", for ssn-key-NAME.so in a directory of SSN_DRIVER_PATH (separated by colons),
    /// in the build tree of this program, or where Shareline's drivers are installed; the first that is
    /// found. Or the path of a shared object: everything with a slash. A file that everybody may write to is
    /// refused, and so is one in a build tree that belongs to somebody else.
    std::string driver;
    std::string local_name;  ///< SAE ID of this node
    std::vector<std::pair<std::string, std::string>> settings = {};
    SendToPeer send_to_peer = {};  ///< may be empty: then only drivers that need no messages work
  };
  /// not_found: no such driver or device; refused: it must not be loaded; usage: wrong ABI or settings;
  /// temporary: the device cannot be reached at present.
  static Result<KeyDevice> open(const Options& options);

  KeyDevice() noexcept = default;
  KeyDevice(KeyDevice&&) noexcept = default;
  KeyDevice& operator=(KeyDevice&&) noexcept = default;
  KeyDevice(const KeyDevice&) = delete;
  KeyDevice& operator=(const KeyDevice&) = delete;
  ~KeyDevice() = default;

  // What follows needs an open device.

  ssn_key_device_info info() const;
  /// Of the driver: "kmnic".
  std::string driver_name() const;
  /// The file that it was loaded from.
  const std::string& driver_file() const;

  struct StreamOptions {
    std::uint64_t bytes_per_second = 0;  ///< what the caller expects to need; 0: as much as there is
    RingMemory::Pages pages = RingMemory::Pages::huge_if_available;
  };
  /// `ring_bytes` is a power of two. The ring lies on the NUMA node of the device, where it names one.
  Result<KeyStream> open_stream(ssn_key_role role, const Ksid& ksid, const std::string& peer,
                                std::size_t ring_bytes, const StreamOptions& options);
  Result<KeyStream> open_stream(ssn_key_role role, const Ksid& ksid, const std::string& peer,
                                std::size_t ring_bytes) {
    return open_stream(role, ksid, peer, ring_bytes, StreamOptions{});
  }
  /// Random bytes for this node alone.
  Result<KeyStream> open_random(std::size_t ring_bytes) {
    return open_stream(SSN_KEY_RANDOM, Ksid{}, "", ring_bytes, StreamOptions{});
  }

  /// What send_to_peer was given at the peer named `peer`. SSN_UNSUPPORTED: this driver takes no messages.
  ssn_status peer_message(const std::string& peer, std::span<const std::uint8_t> message) noexcept;

 private:
  std::shared_ptr<OpenKeyDevice> device_;
};

}  // namespace ssn::hw
