// SPDX-License-Identifier: BSD-3-Clause
// One driver's connection: a device function with its own registers, host memory and streams.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "device_model.h"
#include "faults.h"
#include "host_memory.h"
#include "layout.h"
#include "model_stream.h"
#include "registers.h"

namespace ssn::kme {

/// Registers in memory that is sealed, and can be handed over.
class RegisterFile {
 public:
  RegisterFile() noexcept = default;
  RegisterFile(const RegisterFile&) = delete;
  RegisterFile& operator=(const RegisterFile&) = delete;
  ~RegisterFile();

  Outcome make(std::size_t bytes);
  const kmnic::Registers& registers() const noexcept { return registers_; }
  int fd() const noexcept { return fd_; }

 private:
  kmnic::Registers registers_;
  void* base_ = nullptr;
  int fd_ = -1;
};

class Connection {
 public:
  using Clock = std::chrono::steady_clock;

  /// Owns `socket`.
  Connection(int socket, const DeviceModel::Options& options, std::uint32_t generation);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  int socket() const noexcept { return socket_; }
  /// False: the driver has left, or broke a rule.
  bool serve_messages(ModelStream::Counters& counters);
  /// Looks for commands, if `look`, and moves every stream on. False: there was nothing to do.
  bool pump(bool look, Clock::time_point now, FaultPlan& faults, ModelStream::Counters& counters);

  /// The least patience of all streams; `longest` without any.
  std::chrono::microseconds patience(std::chrono::microseconds longest) const noexcept;

  void end_streams(kmnic::EndReason reason) noexcept;
  void reset() noexcept;
  void fail() noexcept;
  std::size_t open_streams() const noexcept { return open_.size(); }

 private:
  struct Page {
    kmnic::Registers registers;
    std::uint64_t command = 0;  // the last that was seen
    std::unique_ptr<ModelStream> stream;
  };

  Outcome make_registers();
  bool answer(kmnic::Message& message, int fd_to_send);
  bool handle(kmnic::Message& message, int fd, ModelStream::Counters& counters);
  std::uint32_t unmap(std::uint64_t address);
  bool look_for_commands(FaultPlan& faults, ModelStream::Counters& counters);
  kmnic::Answer open_stream(Page& page, ModelStream::Counters& counters);
  kmnic::Answer read_setup(const Page& page, ModelStream::Setup& setup, StreamProvider::Request& request);
  void forget_closed();

  int socket_;
  const DeviceModel::Options& options_;
  std::uint32_t generation_;
  RegisterFile registers_;
  HostMemory memory_;
  std::vector<Page> pages_;
  std::vector<std::uint32_t> open_;  // pages with a stream
  bool greeted_ = false;
  bool kicked_ = false;
  bool failed_ = false;
};

}  // namespace ssn::kme
