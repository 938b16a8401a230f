// SPDX-License-Identifier: BSD-3-Clause
#include "random_source.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ssn::cli {
namespace {

// A sound source of full entropy shows so many equal bytes in a row with probability 2^-120 a position.
constexpr unsigned repetitions_max = 16;

}  // namespace

Result<std::unique_ptr<RandomSource>> DrbgSource::make() {
  auto source = std::make_unique<DrbgSource>();
  if (Outcome seeded = source->reseed(); !seeded.ok()) {
    return seeded.error();
  }
  return std::unique_ptr<RandomSource>(std::move(source));
}

Outcome DrbgSource::reseed() {
  std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seed{};
  Outcome filled = system_random(seed);
  if (filled.ok()) {
    generator_.seed(seed);
    ++seeds_;
  }
  ::explicit_bzero(seed.data(), seed.size());
  return filled;
}

Outcome DrbgSource::prepare(kernels::SplitJob& job, unsigned blocks, std::size_t length) {
  const std::uint64_t needed = std::uint64_t{blocks} * ((length + 15) / 16);
  assert(needed <= kernels::RandomGenerator::max_blocks);
  if (generator_.blocks_left() < needed) {
    if (Outcome seeded = reseed(); !seeded.ok()) {
      return seeded;
    }
  }
  job.generator = &generator_;
  job.random = nullptr;
  return done;
}

Result<std::unique_ptr<RandomSource>> DeviceSource::make(const std::string& path, std::size_t largest) {
  Result<FileDescriptor> device = open_input(path);
  if (!device.ok()) {
    device.error().what = "cannot open the random device";
    return device.error();
  }
  struct stat status{};
  if (::fstat(device.value().get(), &status) != 0) {
    return system_error(errno, "cannot use the random device", path);
  }
  if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)) {
    return Error{Exit::refused, "cannot take random blocks from " + path,
                 "it is a stored file, and its bytes could serve for two splits, which would reveal both",
                 path, "name the device of a random number generator (or a pipe from one)"};
  }
  auto source = std::make_unique<DeviceSource>();
  Result<hw::SecretBuffer> buffer = hw::SecretBuffer::make(largest);
  if (!buffer.ok()) {
    return buffer.error();
  }
  source->path_ = path;
  source->device_ = std::move(device.value());
  source->buffer_ = std::move(buffer.value());
  return std::unique_ptr<RandomSource>(std::move(source));
}

Outcome DeviceSource::check_health(std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) {
    repetitions_ = byte == last_byte_ ? repetitions_ + 1 : 1;
    last_byte_ = byte;
    if (repetitions_ >= repetitions_max) {
      return Error{Exit::failed, "cannot trust the random device " + path_,
                   fmt::format("it gave the same byte {} times in a row", repetitions_), path_,
                   "repair or replace the generator; nothing was written"};
    }
  }
  return done;
}

Outcome DeviceSource::prepare(kernels::SplitJob& job, unsigned blocks, std::size_t length) {
  const std::size_t total = blocks * length;
  assert(total <= buffer_.size());
  const std::span<std::uint8_t> fresh = buffer_.span().first(total);
  const std::ptrdiff_t got = read_up_to(device_.get(), fresh);
  if (got < 0) {
    return system_error(static_cast<int>(-got), "cannot read the random device", path_);
  }
  if (static_cast<std::size_t>(got) < total) {
    return Error{Exit::failed, "cannot read enough from the random device",
                 fmt::format("it ended after {} of {} bytes", got, total), path_,
                 "use a generator that delivers as many random bytes as the split needs"};
  }
  if (Outcome healthy = check_health(fresh); !healthy.ok()) {
    return healthy;
  }
  blocks_.resize(blocks);
  for (unsigned j = 0; j < blocks; ++j) {
    blocks_[j] = fresh.data() + j * length;
  }
  job.random = blocks_.data();
  job.generator = nullptr;
  return done;
}

}  // namespace ssn::cli
