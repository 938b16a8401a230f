// SPDX-License-Identifier: BSD-3-Clause
// Jobs with random contents, and what they must come back with: computed by the scalar reference.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arena.h"
#include "ssn/hw/offload_device.h"
#include "ssn/kernels/kernels.h"
#include "ssn/offload_check.h"

namespace ssn::hw::offload {

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): repeatable, and nothing depends on it being more.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept;
  /// From 0 to bound - 1.
  std::uint32_t below(std::uint64_t bound) noexcept { return static_cast<std::uint32_t>(next() % bound); }
  std::uint32_t between(std::uint32_t low, std::uint32_t high) noexcept {
    return low + below(std::uint64_t{high} - low + 1);
  }
  void fill(std::uint8_t* out, std::size_t length) noexcept;

 private:
  std::uint64_t state_;
};

/// A matrix at the device and at the reference.
struct TestMatrix {
  std::uint32_t rows = 1;
  std::uint32_t columns = 1;
  OffloadMatrix device;
  kernels::Transform reference;
};

struct TestKey {
  OffloadTagKey device;
  kernels::TagKey reference;
};

/// What a job should look like.
struct Shape {
  ssn_offload_operation operation = SSN_OFFLOAD_DOT;
  std::uint32_t rows = 1;  ///< 1 and 1 for SEAL and OPEN
  std::uint32_t columns = 1;
  std::uint32_t length = 1;
  std::uint32_t segments = 1;  ///< most of them that a buffer is cut into
  bool in_place = false;       ///< outputs replace their pads
  bool over_input = false;     ///< with SEAL and OPEN: the output replaces the input
};

std::string describe(const Shape& shape);

using Bytes = std::vector<std::uint8_t>;

struct Buffer {
  std::vector<ssn_offload_segment> segments;
  Bytes read() const;
  void write(const Bytes& bytes) const;
};

/// One job. Stays where it is: the job points into it.
class Task {
 public:
  Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  ssn_offload_job job{};
  Shape shape;
  std::vector<Buffer> inputs;
  std::vector<Buffer> outputs;
  std::vector<Buffer> pads;
  std::vector<ssn_offload_buffer> input_list;
  std::vector<ssn_offload_buffer> output_list;
  std::vector<ssn_offload_buffer> pad_list;
  std::vector<ssn_offload_tagging> tagging;
  std::vector<ssn_offload_segment> spare;  ///< for lists that are wrong on purpose

  ssn_status expected = SSN_OK;
  std::vector<Bytes> expected_outputs;
  std::vector<Bytes> expected_tags;
  std::array<std::uint64_t, 4> expected_mismatch{};
  /// What must not change: inputs and pads that no output replaces.
  std::vector<std::pair<const Buffer*, Bytes>> untouched;

  std::vector<Bytes> left_behind;

  /// What the harness knows.
  enum class State { idle, in_flight, held, back };
  State state = State::idle;
  std::uint64_t sequence = 0;

  /// Compares everything with what is expected, given the status that the job came back with. Empty, or what
  /// is wrong.
  std::string verify() const;
  /// Makes it a job that must be refused: outputs and tags stay as they are.
  void expect_refusal(ssn_status status);
  /// The tag of this number was made wrong: the job must end with SSN_INTEGRITY and name it.
  void expect_mismatch(std::uint32_t number);
  /// What it left in its outputs, when it came back late or cancelled: it must not change any more.
  void remember_outputs();
};

/// Makes tasks in the memory of an arena.
class TaskMaker {
 public:
  TaskMaker(OffloadDevice& device, Arena& arena, std::uint32_t memory, std::uint64_t seed);

  /// Keys and reference. An error when the device gives none.
  Outcome prepare();
  /// A task of that shape; null when the arena is full or a matrix cannot be prepared (failure() then says
  /// why).
  std::unique_ptr<Task> make(const Shape& shape);
  const std::string& failure() const noexcept { return failure_; }
  /// Forgets all matrices and takes all memory back. No task is in use.
  /// Gives one of the tag keys another hash key. No task that is still to be run was made.
  void change_key(OffloadQueue& queue);
  void reset();

  Random& random() noexcept { return random_; }
  const ssn_offload_device_info& info() const noexcept { return device_.info(); }

 private:
  TestMatrix* matrix(const Shape& shape);
  bool add_buffers(const Shape& shape, Task& task);
  bool cut(const Shape& shape, Buffer& buffer);
  std::uint8_t* bytes(std::uint32_t length);
  bool add_tagging(Task& task, std::uint32_t count);
  void list(const std::vector<Buffer>& buffers, std::vector<ssn_offload_buffer>& out);
  void compute(Task& task);
  void compute_tags(Task& task, const std::vector<Bytes>& tagged);

  OffloadDevice& device_;
  Arena& arena_;
  std::uint32_t memory_;
  Random random_;
  const kernels::Implementation* scalar_ = nullptr;
  std::vector<std::unique_ptr<TestKey>> keys_;
  std::vector<std::uint32_t> key_of_;  // which key each tagging of the task in the making uses
  std::map<std::array<std::uint32_t, 3>, std::unique_ptr<TestMatrix>> matrices_;
  std::string failure_;
};

}  // namespace ssn::hw::offload
