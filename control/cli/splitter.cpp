// SPDX-License-Identifier: BSD-3-Clause
#include "splitter.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "atomic_file.h"
#include "io.h"
#include "random_source.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::cli {
namespace {

class Splitter {
 public:
  Splitter(const SplitOptions& options, const kernels::Implementation& implementation, Progress& progress)
      : options_(options), implementation_(implementation), progress_(progress), outputs_(options.force) {}

  Result<SplitReport> run();

 private:
  Outcome make_code();
  Outcome open_files();
  Outcome reserve_space();
  Outcome make_buffers();
  Outcome make_random_source();
  Outcome split_stream();
  Outcome split_block(std::uint64_t block, std::size_t data_bytes);
  Outcome write_headers();
  Outcome check_input_unchanged() const;

  bool gfshare() const { return options_.format == ShareFormat::gfshare; }
  std::string share_path(unsigned share) const;
  std::uint8_t* share_block(unsigned i) { return share_buffer_.data() + i * share_stride_; }

  const SplitOptions& options_;
  const kernels::Implementation& implementation_;
  Progress& progress_;
  kernels::Code code_;
  std::unique_ptr<kernels::Transform> transform_;
  FileDescriptor input_;
  struct stat input_before_{};
  OutputSet outputs_;
  std::unique_ptr<RandomSource> random_;
  hw::SecretBuffer data_buffer_;   // L blocks, one behind the other
  hw::SecretBuffer share_buffer_;  // n blocks, each with room for its checksum
  std::size_t share_stride_ = 0;
  std::vector<BlockChecksum> checksums_;
  ShareHeader header_;
};

std::string Splitter::share_path(unsigned share) const {
  const bool from_stdin = options_.input == "-";
  const std::string directory = !options_.directory.empty() ? options_.directory
                                : from_stdin                ? "."
                                                            : directory_of(options_.input);
  const std::string base = !options_.name.empty() ? options_.name
                           : from_stdin           ? "stdin"
                                                  : file_name(options_.input);
  const std::string file =
      gfshare() ? fmt::format("{}.{:03}", base, share) : fmt::format("{}.{}.ssn", base, share);
  const bool beside = directory == "." && options_.directory.empty() && options_.input.rfind("./", 0) != 0;
  return beside ? file : directory == "/" ? "/" + file : directory + "/" + file;
}

Outcome Splitter::make_code() {
  const kernels::Status status =
      kernels::Code::make(options_.scheme, options_.k, options_.n, options_.data_blocks, code_);
  if (status != kernels::Status::ok) {
    return kernel_error(status, fmt::format("cannot split {}-of-{} with scheme {}", options_.k, options_.n,
                                            kernels::name(options_.scheme)));
  }
  transform_ = std::make_unique<kernels::Transform>();
  const kernels::Status made = transform_->make_split(code_);
  assert(made == kernels::Status::ok);
  (void)made;
  header_.scheme = options_.scheme;
  header_.k = options_.k;
  header_.n = options_.n;
  header_.data_blocks = options_.data_blocks;
  header_.block_bytes = options_.block_bytes != 0 ? options_.block_bytes : default_block_bytes(options_.n);
  assert(std::uint64_t{header_.block_bytes} * header_.n <= blocks_of_all_shares_max);
  if (Outcome random = system_random(header_.object_id); !random.ok()) {
    return random;
  }
  for (unsigned share = 1; share <= options_.n; ++share) {
    checksums_.emplace_back(header_.object_id, share);
  }
  return done;
}

Outcome Splitter::open_files() {
  Result<FileDescriptor> input = open_input(options_.input);
  if (!input.ok()) {
    return input.error();
  }
  input_ = std::move(input.value());
  if (::fstat(input_.get(), &input_before_) != 0) {
    return system_error(errno, "cannot read " + options_.input, options_.input);
  }
  if (!options_.directory.empty()) {
    struct stat status{};
    if (::stat(options_.directory.c_str(), &status) != 0) {
      Error error = system_error(errno, "cannot put shares into " + options_.directory, options_.directory);
      error.fix = "create the directory first";
      return error;
    }
  }
  for (unsigned share = 1; share <= options_.n; ++share) {
    if (Outcome added = outputs_.add(share_path(share)); !added.ok()) {
      return added;
    }
    if (Outcome skipped = outputs_.skip(share - 1, gfshare() ? 0 : share_header_bytes); !skipped.ok()) {
      return skipped;
    }
  }
  return reserve_space();
}

Outcome Splitter::reserve_space() {
  if (!S_ISREG(input_before_.st_mode)) {
    return done;
  }
  ShareHeader expected = header_;
  expected.object_bytes = static_cast<std::uint64_t>(input_before_.st_size);
  progress_.set_total(expected.object_bytes);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (Outcome reserved =
            outputs_.reserve(i, gfshare() ? expected.object_bytes : share_file_bytes(expected));
        !reserved.ok()) {
      return reserved;
    }
  }
  return done;
}

Outcome Splitter::make_buffers() {
  // Not a multiple of 4096: writes to many blocks must not fall on the same cache sets.
  share_stride_ = (header_.block_bytes + block_checksum_bytes + 63) / 64 * 64 + 512;
  Result<hw::SecretBuffer> data =
      hw::SecretBuffer::make(std::size_t{header_.block_bytes} * options_.data_blocks);
  if (!data.ok()) {
    return data.error();
  }
  Result<hw::SecretBuffer> shares = hw::SecretBuffer::make(share_stride_ * options_.n);
  if (!shares.ok()) {
    return shares.error();
  }
  data_buffer_ = std::move(data.value());
  share_buffer_ = std::move(shares.value());
  return done;
}

Outcome Splitter::make_random_source() {
  if (code_.random_blocks() == 0) {
    header_.random = RandomOrigin::none;
    return done;
  }
  Result<std::unique_ptr<RandomSource>> source =
      options_.random_device.empty()
          ? DrbgSource::make()
          : DeviceSource::make(options_.random_device,
                               std::size_t{code_.random_blocks()} * header_.block_bytes);
  if (!source.ok()) {
    return source.error();
  }
  random_ = std::move(source.value());
  header_.random = random_->origin();
  return done;
}

Outcome Splitter::split_block(std::uint64_t block, std::size_t data_bytes) {
  const std::size_t length = (data_bytes + options_.data_blocks - 1) / options_.data_blocks;
  std::memset(data_buffer_.data() + data_bytes, 0, length * options_.data_blocks - data_bytes);
  std::array<const std::uint8_t*, kernels::max_shares> data{};
  for (unsigned l = 0; l < options_.data_blocks; ++l) {
    data[l] = data_buffer_.data() + l * length;
  }
  std::array<std::uint8_t*, kernels::max_shares> shares{};
  for (unsigned i = 0; i < options_.n; ++i) {
    shares[i] = share_block(i);
  }
  kernels::SplitJob job;
  job.transform = transform_.get();
  job.code = &code_;
  job.data = data.data();
  job.shares = shares.data();
  job.length = length;
  if (random_ != nullptr) {
    if (Outcome prepared = random_->prepare(job, code_.random_blocks(), length); !prepared.ok()) {
      return prepared;
    }
  }
  if (const kernels::Status status = kernels::split(implementation_, job); status != kernels::Status::ok) {
    return kernel_error(status, "cannot split a block");
  }
  for (unsigned i = 0; i < options_.n; ++i) {
    const std::size_t bytes = length + (gfshare() ? 0 : block_checksum_bytes);
    if (!gfshare()) {
      checksums_[i].seal(block, {shares[i], bytes});
    }
    if (Outcome written = outputs_.write(i, {shares[i], bytes}); !written.ok()) {
      return written;
    }
  }
  return done;
}

Outcome Splitter::split_stream() {
  for (std::uint64_t block = 0;; ++block) {
    const std::ptrdiff_t got = read_up_to(input_.get(), data_buffer_.span());
    if (got < 0) {
      return system_error(static_cast<int>(-got), "cannot read " + options_.input, options_.input);
    }
    if (got == 0) {
      return done;
    }
    const auto bytes = static_cast<std::size_t>(got);
    header_.object_bytes += bytes;
    if (header_.object_bytes > object_bytes_max) {
      return Error{Exit::failed, "cannot split " + options_.input,
                   fmt::format("it has more than {} bytes", object_bytes_max), options_.input,
                   "split it in parts"};
    }
    if (Outcome finished = split_block(block, bytes); !finished.ok()) {
      return finished;
    }
    progress_.update(header_.object_bytes);
    if (bytes < data_buffer_.size()) {
      return done;
    }
  }
}

Outcome Splitter::check_input_unchanged() const {
  struct stat after{};
  if (::fstat(input_.get(), &after) != 0) {
    return system_error(errno, "cannot read " + options_.input, options_.input);
  }
  const bool same = after.st_size == input_before_.st_size &&
                    after.st_mtim.tv_sec == input_before_.st_mtim.tv_sec &&
                    after.st_mtim.tv_nsec == input_before_.st_mtim.tv_nsec &&
                    header_.object_bytes == static_cast<std::uint64_t>(after.st_size);
  // Files of /proc and the like have size 0 and yet contents.
  if (!S_ISREG(after.st_mode) || same || input_before_.st_size == 0) {
    return done;
  }
  return Error{Exit::temporary, "cannot split " + options_.input, "it was changed while it was being read",
               options_.input, "run the command again when nothing writes to the file"};
}

Outcome Splitter::write_headers() {
  if (gfshare()) {
    return done;
  }
  for (unsigned i = 0; i < options_.n; ++i) {
    ShareHeader header = header_;
    header.share = i + 1;
    std::array<std::uint8_t, share_header_bytes> bytes{};
    encode_header(header, bytes);
    if (Outcome written = outputs_.write_at(i, 0, bytes); !written.ok()) {
      return written;
    }
  }
  return done;
}

Result<SplitReport> Splitter::run() {
  const auto start = std::chrono::steady_clock::now();
  using Step = Outcome (Splitter::*)();
  // The headers come last: what is left of a killed run has none and passes nowhere for a share.
  for (const Step step : {&Splitter::make_code, &Splitter::open_files, &Splitter::make_buffers,
                          &Splitter::make_random_source, &Splitter::split_stream, &Splitter::write_headers}) {
    if (Outcome outcome = (this->*step)(); !outcome.ok()) {
      return outcome.error();
    }
  }
  if (Outcome unchanged = check_input_unchanged(); !unchanged.ok()) {
    return unchanged.error();
  }
  SplitReport report;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    report.shares.push_back(outputs_.target(i));
  }
  if (Outcome committed = outputs_.commit(); !committed.ok()) {
    return committed.error();
  }
  report.header = header_;
  report.share_bytes = gfshare() ? header_.object_bytes : share_file_bytes(header_);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace

Result<SplitReport> split(const SplitOptions& options, const kernels::Implementation& implementation,
                          Progress& progress) {
  Result<SplitReport> report = Splitter(options, implementation, progress).run();
  progress.finish();
  return report;
}

Error kernel_error(kernels::Status status, std::string what) {
  using kernels::Status;
  Error error{Exit::failed, std::move(what), std::string(kernels::describe(status)), "",
              "report this as a bug"};
  switch (status) {
    case Status::threshold_too_small:
    case Status::threshold_exceeds_shares:
    case Status::too_many_shares:
    case Status::data_blocks_not_one:
    case Status::data_blocks_out_of_range:
    case Status::too_many_points:
      error.code = Exit::usage;
      error.fix = "choose other values for --k, --n and --data-blocks";
      break;
    case Status::unknown_implementation:
    case Status::unsupported_implementation:
    case Status::self_test_failed:
      error.code = Exit::kernels_refused;
      break;
    default:
      break;
  }
  return error;
}

}  // namespace ssn::cli
