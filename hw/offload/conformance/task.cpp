// SPDX-License-Identifier: BSD-3-Clause
#include "task.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace ssn::hw::offload {
namespace {

constexpr std::uint8_t unwritten = 0xEE;
constexpr std::size_t keys_wanted = 3;

bool has(const Shape& shape, std::uint32_t set) { return ssn_offload_is_in(shape.operation, set); }

std::string first_difference(const Bytes& found, const Bytes& wanted) {
  const auto at = std::mismatch(found.begin(), found.end(), wanted.begin()).first - found.begin();
  return fmt::format("byte {} is 0x{:02x} and not 0x{:02x}", at, found[static_cast<std::size_t>(at)],
                     wanted[static_cast<std::size_t>(at)]);
}

constexpr std::uint32_t splits = SSN_OFFLOAD_BIT(SSN_OFFLOAD_SPLIT) | SSN_OFFLOAD_BIT(SSN_OFFLOAD_SPLIT_PAD) |
                                 SSN_OFFLOAD_BIT(SSN_OFFLOAD_SPLIT_SEAL);
constexpr std::uint32_t recovers =
    SSN_OFFLOAD_BIT(SSN_OFFLOAD_RECOVER) | SSN_OFFLOAD_BIT(SSN_OFFLOAD_OPEN_RECOVER);

// Operations of one kind share their matrices, as they do at hosts.
std::uint32_t kind(const Shape& shape) { return has(shape, splits) ? 0 : has(shape, recovers) ? 1 : 2; }

// Coefficients as hosts use them: of a code where there is one of that shape, otherwise random ones.
std::vector<std::uint8_t> coefficients(const Shape& shape, Random& random) {
  std::vector<std::uint8_t> all(std::size_t{shape.rows} * shape.columns);
  random.fill(all.data(), all.size());
  kernels::Code code;
  const unsigned k = shape.columns;
  if (has(shape, splits) &&
      kernels::Code::make(kernels::Scheme::systematic, k, shape.rows, 1, code) == kernels::Status::ok) {
    for (unsigned row = 0; row < shape.rows; ++row) {
      code.generator_row(row + 1, all.data() + std::size_t{row} * k);
    }
  } else if (has(shape, recovers) && shape.rows == 1 && k <= 250 &&
             kernels::Code::make(kernels::Scheme::systematic, k, k + 5, 1, code) == kernels::Status::ok) {
    std::vector<std::uint8_t> shares(k);
    for (unsigned i = 0; i < k; ++i) {
      shares[i] = static_cast<std::uint8_t>(i + 1);
    }
    shares[k - 1] = static_cast<std::uint8_t>(k + random.below(6));
    code.data_from_shares(shares.data(), 0, all.data());
  }
  return all;
}

}  // namespace

std::uint64_t Random::next() noexcept {
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

void Random::fill(std::uint8_t* out, std::size_t length) noexcept {
  while (length > 0) {
    const std::uint64_t word = next();
    const std::size_t bytes = std::min(length, sizeof word);
    std::memcpy(out, &word, bytes);
    out += bytes;
    length -= bytes;
  }
}

std::string describe(const Shape& shape) {
  std::string text(hw::name(shape.operation));
  if (!has(shape, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    text += fmt::format(" {}x{}", shape.rows, shape.columns);
  }
  text += fmt::format(", {} bytes", shape.length);
  if (shape.segments > 1) {
    text += fmt::format(" in up to {} segments", shape.segments);
  }
  return text + (shape.in_place ? ", in place" : shape.over_input ? ", over its input" : "");
}

Bytes Buffer::read() const {
  Bytes bytes;
  for (const ssn_offload_segment& segment : segments) {
    bytes.insert(bytes.end(), segment.data, segment.data + segment.length);
  }
  return bytes;
}

void Buffer::write(const Bytes& bytes) const {
  const std::uint8_t* from = bytes.data();
  for (const ssn_offload_segment& segment : segments) {
    std::memcpy(segment.data, from, segment.length);
    from += segment.length;
  }
}

std::string Task::verify() const {
  const auto wrong = [this](const std::string& what) { return describe(shape) + ": " + what; };
  if (job.status != expected) {
    return wrong(fmt::format("ended with status {} and not with {}", name(job.status), name(expected)));
  }
  if (expected == SSN_INTEGRITY &&
      !std::equal(expected_mismatch.begin(), expected_mismatch.end(), std::begin(job.tag_mismatch))) {
    return wrong("names other tags as wrong than those that are");
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (const Bytes found = outputs[i].read(); found != expected_outputs[i]) {
      return wrong(fmt::format("output {}: {}", i, first_difference(found, expected_outputs[i])));
    }
  }
  for (std::size_t i = 0; i < expected_tags.size(); ++i) {
    const std::uint8_t* const tag = tagging[i].tag;
    if (const Bytes found(tag, tag + SSN_OFFLOAD_TAG_BYTES); found != expected_tags[i]) {
      return wrong(fmt::format("tag {}: {}", i, first_difference(found, expected_tags[i])));
    }
  }
  for (const auto& [buffer, bytes] : untouched) {
    if (const Bytes found = buffer->read(); found != bytes) {
      return wrong("an input or a pad was changed: " + first_difference(found, bytes));
    }
  }
  return {};
}

void Task::expect_refusal(ssn_status status) {
  expected = status;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    expected_outputs[i] = outputs[i].read();
  }
  expected_tags.clear();
  for (const ssn_offload_tagging& one : tagging) {
    expected_tags.emplace_back(one.tag, one.tag + SSN_OFFLOAD_TAG_BYTES);
  }
}

void Task::expect_mismatch(std::uint32_t number) {
  expected = SSN_INTEGRITY;
  expected_mismatch[number / 64] |= std::uint64_t{1} << number % 64;
  for (Bytes& bytes : expected_outputs) {
    std::fill(bytes.begin(), bytes.end(), std::uint8_t{0});
  }
  const std::uint8_t* const tag = tagging[number].tag;
  expected_tags[number].assign(tag, tag + SSN_OFFLOAD_TAG_BYTES);
}

void Task::remember_outputs() {
  left_behind.clear();
  for (const Buffer& output : outputs) {
    left_behind.push_back(output.read());
  }
}

TaskMaker::TaskMaker(OffloadDevice& device, Arena& arena, std::uint32_t memory, std::uint64_t seed)
    : device_(device), arena_(arena), memory_(memory), random_(seed) {}

Outcome TaskMaker::prepare() {
  if (const kernels::Status status = kernels::find("scalar", scalar_); status != kernels::Status::ok) {
    return Error{Exit::kernels_refused, "cannot check offload drivers",
                 std::string(kernels::describe(status)), "scalar kernels", "report this as a bug"};
  }
  if ((info().operations & (SSN_OFFLOAD_WRITES_TAGS | SSN_OFFLOAD_CHECKS_TAGS)) == 0) {
    return done;
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(keys_wanted, info().tag_keys_max); ++i) {
    std::array<std::uint8_t, 16> r;
    random_.fill(r.data(), r.size());
    Result<OffloadTagKey> key = device_.prepare_tag_key(r);
    if (!key.ok()) {
      return key.error();
    }
    keys_.push_back(std::make_unique<TestKey>());
    keys_.back()->device = std::move(key.value());
    keys_.back()->reference.expand(*scalar_, r);
  }
  return done;
}

void TaskMaker::change_key(OffloadQueue& queue) {
  if (keys_.empty()) {
    return;
  }
  TestKey& key = *keys_[random_.below(keys_.size())];
  std::array<std::uint8_t, 16> r;
  random_.fill(r.data(), r.size());
  queue.set_tag_key(key.device, r);
  key.reference.expand(*scalar_, r);
}

void TaskMaker::reset() {
  matrices_.clear();
  arena_.reset();
}

TestMatrix* TaskMaker::matrix(const Shape& shape) {
  std::unique_ptr<TestMatrix>& found = matrices_[{kind(shape), shape.rows, shape.columns}];
  if (found == nullptr) {
    const std::vector<std::uint8_t> all = coefficients(shape, random_);
    auto made = std::make_unique<TestMatrix>();
    made->rows = shape.rows;
    made->columns = shape.columns;
    [[maybe_unused]] const kernels::Status status =
        made->reference.make_matrix(all, shape.rows, shape.columns);
    assert(status == kernels::Status::ok);
    Result<OffloadMatrix> device = device_.prepare_matrix(all, shape.rows, shape.columns);
    if (!device.ok()) {
      failure_ = fmt::format("{} rows and {} columns: {}: {}", shape.rows, shape.columns, device.error().what,
                             device.error().why);
      return nullptr;
    }
    made->device = std::move(device.value());
    found = std::move(made);
  }
  return found.get();
}

std::uint8_t* TaskMaker::bytes(std::uint32_t length) { return arena_.take(length, 1, random_.below(16)); }

// A buffer of shape.length bytes in a random number of pieces, as the device allows them.
bool TaskMaker::cut(const Shape& shape, Buffer& buffer) {
  const std::uint32_t alignment = info().alignment;
  std::uint32_t left = shape.length;
  const std::uint32_t most = std::min(shape.segments, info().segments_max);
  for (std::uint32_t piece = 0; left > 0; ++piece) {
    std::uint32_t length = left;
    if (piece + 1 < most && left > alignment) {
      length = std::min(left, random_.between(1, (left - 1) / alignment) * alignment);
      length = std::min(length, std::max(alignment, left / 2 / alignment * alignment));
    }
    const std::uint32_t steps = alignment < 64 ? 64 / alignment : 1;
    std::uint8_t* const data = arena_.take(length, alignment, random_.below(steps) * alignment);
    if (data == nullptr) {
      return false;
    }
    buffer.segments.push_back({data, length, memory_});
    left -= length;
  }
  return true;
}

bool TaskMaker::add_buffers(const Shape& shape, Task& task) {
  const bool pads_inputs = has(shape, SSN_OFFLOAD_PADS_INPUTS);
  const bool pads_outputs = has(shape, SSN_OFFLOAD_PADS_OUTPUTS);
  task.inputs.resize(shape.columns);
  task.outputs.resize(shape.rows);
  task.pads.resize(pads_inputs ? shape.columns : pads_outputs ? shape.rows : 0);
  for (std::vector<Buffer>* const buffers : {&task.inputs, &task.pads, &task.outputs}) {
    for (std::size_t i = 0; i < buffers->size(); ++i) {
      if (buffers == &task.outputs && (shape.in_place || shape.over_input)) {
        (*buffers)[i] = shape.over_input ? task.inputs[i] : task.pads[i];
        continue;
      }
      if (!cut(shape, (*buffers)[i])) {
        return false;
      }
      Bytes bytes(shape.length, unwritten);
      if (buffers != &task.outputs) {
        random_.fill(bytes.data(), bytes.size());
      }
      (*buffers)[i].write(bytes);
    }
  }
  for (const Buffer& input : task.inputs) {
    if (!shape.over_input) {
      task.untouched.emplace_back(&input, input.read());
    }
  }
  for (const Buffer& pad : task.pads) {
    if (!shape.in_place) {
      task.untouched.emplace_back(&pad, pad.read());
    }
  }
  return true;
}

bool TaskMaker::add_tagging(Task& task, std::uint32_t count) {
  key_of_.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    key_of_.push_back(random_.below(keys_.size()));
    ssn_offload_tagging one{};
    one.key = keys_[key_of_.back()]->device.get();
    one.header_memory = one.mask_memory = one.tag_memory = memory_;
    one.header_length = random_.between(0, std::min(info().header_length_max, 48U));
    one.mask = bytes(SSN_OFFLOAD_TAG_BYTES);
    // Without a header it does not matter where one would be.
    one.header = one.header_length > 0   ? bytes(one.header_length)
                 : random_.below(2) == 0 ? one.mask
                                         : nullptr;
    // Where a tag is written it may replace its mask.
    const bool shared = has(task.shape, SSN_OFFLOAD_WRITES_TAGS) && random_.below(4) == 0;
    one.tag = shared ? one.mask : bytes(SSN_OFFLOAD_TAG_BYTES);
    if ((one.header_length > 0 && one.header == nullptr) || one.mask == nullptr || one.tag == nullptr) {
      return false;
    }
    if (one.header_length > 0) {
      random_.fill(one.header, one.header_length);
    }
    std::memset(one.tag, unwritten, SSN_OFFLOAD_TAG_BYTES);
    random_.fill(one.mask, SSN_OFFLOAD_TAG_BYTES);
    task.tagging.push_back(one);
  }
  return true;
}

// What is in one piece is described as such, or as a buffer of one segment.
void TaskMaker::list(const std::vector<Buffer>& buffers, std::vector<ssn_offload_buffer>& out) {
  for (const Buffer& buffer : buffers) {
    const ssn_offload_segment& first = buffer.segments[0];
    out.push_back(
        buffer.segments.size() == 1 && random_.below(4) != 0
            ? ssn_offload_whole(first.data, first.memory)
            : ssn_offload_cut(buffer.segments.data(), static_cast<std::uint32_t>(buffer.segments.size())));
  }
}

std::unique_ptr<Task> TaskMaker::make(const Shape& shape) {
  failure_.clear();
  auto task = std::make_unique<Task>();
  task->shape = shape;
  const bool tagged = has(shape, SSN_OFFLOAD_WRITES_TAGS | SSN_OFFLOAD_CHECKS_TAGS);
  if (!add_buffers(shape, *task)) {
    return nullptr;
  }
  if (tagged && !add_tagging(*task, static_cast<std::uint32_t>(task->pads.size()))) {
    return nullptr;
  }
  list(task->inputs, task->input_list);
  list(task->outputs, task->output_list);
  list(task->pads, task->pad_list);
  ssn_offload_job& job = task->job;
  if (!has(shape, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    const TestMatrix* const found = matrix(shape);
    if (found == nullptr) {
      return nullptr;
    }
    job.matrix = found->device.get();
  }
  job.operation = static_cast<std::uint16_t>(shape.operation);
  job.length = shape.length;
  job.input_count = static_cast<std::uint16_t>(shape.columns);
  job.output_count = static_cast<std::uint16_t>(shape.rows);
  job.inputs = task->input_list.data();
  job.outputs = task->output_list.data();
  job.pads = task->pads.empty() ? nullptr : task->pad_list.data();
  job.tagging = tagged ? task->tagging.data() : nullptr;
  job.context = task.get();
  compute(*task);
  return task;
}

// From the definitions in offload_device.h, step by step.
void TaskMaker::compute(Task& task) {
  const Shape& shape = task.shape;
  const auto exclusive_or = [&](Bytes& bytes, const Buffer& pad) {
    const Bytes other = pad.read();
    std::transform(bytes.begin(), bytes.end(), other.begin(), bytes.begin(),
                   [](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a ^ b); });
  };
  std::vector<Bytes> columns;
  for (const Buffer& input : task.inputs) {
    columns.push_back(input.read());
  }
  if (has(shape, SSN_OFFLOAD_CHECKS_TAGS)) {
    compute_tags(task, columns);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      exclusive_or(columns[i], task.pads[i]);
    }
  }
  task.expected_outputs.assign(shape.rows, Bytes(shape.length));
  if (has(shape, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    task.expected_outputs[0] = columns[0];
  } else {
    std::vector<const std::uint8_t*> in;
    std::vector<std::uint8_t*> out;
    for (const Bytes& column : columns) {
      in.push_back(column.data());
    }
    for (Bytes& output : task.expected_outputs) {
      out.push_back(output.data());
    }
    [[maybe_unused]] const kernels::Status status =
        kernels::dot(*scalar_, matrix(shape)->reference, in.data(), out.data(), shape.length);
    assert(status == kernels::Status::ok);
  }
  if (has(shape, SSN_OFFLOAD_PADS_OUTPUTS)) {
    for (std::size_t i = 0; i < task.expected_outputs.size(); ++i) {
      exclusive_or(task.expected_outputs[i], task.pads[i]);
    }
  }
  if (has(shape, SSN_OFFLOAD_WRITES_TAGS)) {
    compute_tags(task, task.expected_outputs);
  }
}

// Tags that will be checked are put where the device reads them.
void TaskMaker::compute_tags(Task& task, const std::vector<Bytes>& tagged) {
  for (std::size_t i = 0; i < tagged.size(); ++i) {
    const ssn_offload_tagging& one = task.tagging[i];
    kernels::Tagging tagging;
    tagging.key = &keys_[key_of_[i]]->reference;
    tagging.header = one.header;
    tagging.header_length = one.header_length;
    tagging.mask = one.mask;
    Bytes tag(SSN_OFFLOAD_TAG_BYTES);
    [[maybe_unused]] const kernels::Status status =
        kernels::tag(*scalar_, tagging, tagged[i].data(), tagged[i].size(), tag.data());
    assert(status == kernels::Status::ok);
    if (has(task.shape, SSN_OFFLOAD_CHECKS_TAGS)) {
      std::copy(tag.begin(), tag.end(), one.tag);
    }
    task.expected_tags.push_back(std::move(tag));
  }
}

}  // namespace ssn::hw::offload
