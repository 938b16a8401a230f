// SPDX-License-Identifier: BSD-3-Clause
#include "combiner.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "atomic_file.h"
#include "io.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::cli {
namespace {

using kernels::Status;

// All files that hold one share, usually one.
struct Copies {
  unsigned share = 0;
  std::vector<ShareInput*> files;
  // Of the current block:
  std::uint8_t* bytes = nullptr;
  ShareInput* source = nullptr;        // where `bytes` come from; null: no good copy
  std::vector<ShareInput*> conflicts;  // good by their checksum, yet different
};

// A transform together with the list of shares that it was made for; blocks mostly have the same list.
class CachedTransform {
 public:
  CachedTransform() : transform_(std::make_unique<kernels::Transform>()) {}

  template <typename Make>
  const kernels::Transform& get(const std::vector<std::uint8_t>& shares, Make make) {
    if (shares != shares_) {
      const Status status = make(*transform_);
      assert(status == Status::ok);
      (void)status;
      shares_ = shares;
    }
    return *transform_;
  }

 private:
  std::unique_ptr<kernels::Transform> transform_;
  std::vector<std::uint8_t> shares_;
};

class Combiner {
 public:
  Combiner(const CombineOptions& options, const kernels::Implementation& implementation, Progress& progress,
           CombineReport& report)
      : options_(options),
        implementation_(implementation),
        progress_(progress),
        report_(report),
        output_(options.force) {}

  Outcome run();

 private:
  Outcome open_shares();
  Outcome prepare();
  Outcome check_complete() const;
  Outcome open_output();
  Outcome restore_stream();
  Outcome restore_block(std::uint64_t block);
  void read_block(std::uint64_t block);
  void read_copies(Copies& copies, std::uint64_t block);
  void collect();
  Outcome check_enough(std::uint64_t block) const;
  Outcome check_agreement(std::uint64_t block);
  Outcome leave_out_wrong(std::uint64_t block);
  void settle_conflicts(std::uint64_t block);
  Outcome recover(std::uint64_t block);
  Outcome write(std::span<const std::uint8_t> bytes);

  bool gfshare() const { return options_.format == ShareFormat::gfshare; }
  bool to_stdout() const { return options_.output == "-"; }
  std::size_t trailer() const { return gfshare() ? 0 : block_checksum_bytes; }

  const CombineOptions& options_;
  const kernels::Implementation& implementation_;
  Progress& progress_;
  CombineReport& report_;
  ShareHeader header_;
  kernels::Code code_;
  OutputSet output_;
  std::vector<Copies> copies_;     // ascending share index
  hw::SecretBuffer share_buffer_;  // one block per entry of copies_, and one more to compare with
  std::size_t stride_ = 0;
  hw::SecretBuffer data_buffer_;
  CachedTransform syndromes_;
  CachedTransform recovery_;
  // Of the current block: what takes part, in the order of copies_.
  std::size_t length_ = 0;
  std::vector<std::uint8_t> indices_;
  std::vector<const std::uint8_t*> blocks_;
  std::vector<Copies*> taking_part_;
};

Outcome Combiner::open_shares() {
  if (gfshare()) {
    report_.shares = open_gfshare(options_.shares, options_.k);
  } else {
    for (const std::string& path : options_.shares) {
      report_.shares.push_back(open_share(path));
    }
  }
  Result<ShareHeader> chosen = choose_object(report_.shares);
  if (!chosen.ok()) {
    return chosen.error();
  }
  header_ = chosen.value();
  report_.header = header_;
  const Status status = kernels::Code::make(header_.scheme, header_.k, header_.n, header_.data_blocks, code_);
  if (status != Status::ok) {  // only --format gfshare --k can come here: parse_header() checks the same
    return kernel_error(status, "cannot combine");
  }
  return done;
}

Outcome Combiner::prepare() {
  for (ShareInput& input : report_.shares) {
    if (!input.usable()) {
      continue;
    }
    const unsigned share = input.header->share;
    auto entry =
        std::find_if(copies_.begin(), copies_.end(), [&](const Copies& c) { return c.share == share; });
    if (entry == copies_.end()) {
      copies_.push_back({share, {}, nullptr, nullptr, {}});
      entry = copies_.end() - 1;
    } else if (input.state == ShareState::good) {
      input.state = ShareState::duplicate;
      input.detail = fmt::format("it holds the same share as {}", entry->files.front()->path);
    }
    entry->files.push_back(&input);
  }
  std::sort(copies_.begin(), copies_.end(),
            [](const Copies& a, const Copies& b) { return a.share < b.share; });
  assert(copies_.size() >= header_.k && copies_.size() <= kernels::max_shares);
  stride_ = (header_.block_bytes + block_checksum_bytes + 63) / 64 * 64 + 512;
  Result<hw::SecretBuffer> shares = hw::SecretBuffer::make(stride_ * (copies_.size() + 1));
  Result<hw::SecretBuffer> data =
      hw::SecretBuffer::make(std::size_t{header_.block_bytes} * header_.data_blocks);
  if (!shares.ok() || !data.ok()) {
    return shares.ok() ? data.error() : shares.error();
  }
  share_buffer_ = std::move(shares.value());
  data_buffer_ = std::move(data.value());
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    copies_[i].bytes = share_buffer_.data() + i * stride_;
  }
  return check_complete();
}

// The last block is missing in every truncated file: say so now rather than after an hour.
Outcome Combiner::check_complete() const {
  const auto complete =
      static_cast<std::size_t>(std::count_if(copies_.begin(), copies_.end(), [](const Copies& copies) {
        return std::any_of(copies.files.begin(), copies.files.end(),
                           [](const ShareInput* f) { return f->complete; });
      }));
  if (complete >= header_.k) {
    return done;
  }
  std::string names;
  for (const ShareInput& input : report_.shares) {
    if (!input.complete) {
      names += (names.empty() ? "" : ", ") + input.path;
    }
  }
  return Error{
      Exit::not_a_share, "cannot restore the object",
      fmt::format("only {} of the {} needed shares are complete; truncated: {}", complete, header_.k, names),
      names, "use other copies of the truncated shares, or other shares"};
}

Outcome Combiner::open_output() {
  if (to_stdout()) {
    return done;
  }
  struct stat target{};
  if (::stat(options_.output.c_str(), &target) == 0) {
    for (const ShareInput& input : report_.shares) {
      struct stat share{};
      if (input.usable() && ::fstat(input.file.get(), &share) == 0 && share.st_dev == target.st_dev &&
          share.st_ino == target.st_ino) {
        return Error{Exit::refused, "cannot write " + options_.output, "it is one of the shares", input.path,
                     "choose another name for the output"};
      }
    }
  }
  if (Outcome added = output_.add(options_.output); !added.ok()) {
    return added;
  }
  return output_.reserve(0, header_.object_bytes);
}

void Combiner::read_copies(Copies& copies, std::uint64_t block) {
  copies.source = nullptr;
  copies.conflicts.clear();
  std::uint8_t* const spare = share_buffer_.data() + copies_.size() * stride_;
  for (ShareInput* const input : copies.files) {
    if (!input->usable()) {
      continue;
    }
    std::uint8_t* const buffer = copies.source == nullptr ? copies.bytes : spare;
    if (!read_share_block(*input, block, {buffer, length_ + trailer()})) {
      continue;
    }
    if (copies.source == nullptr) {
      copies.source = input;
    } else if (std::memcmp(copies.bytes, spare, length_) != 0) {
      copies.conflicts.push_back(input);
    }
  }
}

void Combiner::read_block(std::uint64_t block) {
  length_ = block_share_bytes(header_, block);
  for (Copies& copies : copies_) {
    read_copies(copies, block);
  }
  collect();
}

void Combiner::collect() {
  indices_.clear();
  blocks_.clear();
  taking_part_.clear();
  for (Copies& copies : copies_) {
    if (copies.source != nullptr) {
      indices_.push_back(static_cast<std::uint8_t>(copies.share));
      blocks_.push_back(copies.bytes);
      taking_part_.push_back(&copies);
    }
  }
}

Outcome Combiner::check_enough(std::uint64_t block) const {
  if (indices_.size() >= header_.k) {
    return done;
  }
  Exit code = Exit::unrecoverable;
  std::string reasons;
  const auto severity = [](ShareState state) {
    return state == ShareState::damaged || state == ShareState::wrong ? Exit::integrity
           : state == ShareState::truncated                           ? Exit::not_a_share
                                                                      : Exit::failed;
  };
  for (const ShareInput& input : report_.shares) {
    const bool ours = input.header && input.header->same_object(header_);
    if (!ours || input.state == ShareState::good || input.state == ShareState::duplicate) {
      continue;
    }
    const Exit found = severity(input.state);
    // Damage outranks a cut, a cut outranks a read error.
    if (code == Exit::unrecoverable || found == Exit::integrity ||
        (found == Exit::not_a_share && code == Exit::failed)) {
      code = found;
    }
    reasons += fmt::format("; {}: {}", input.path, input.detail);
  }
  return Error{code, fmt::format("cannot restore block {}", block),
               fmt::format("only {} good shares of the {} needed{}", indices_.size(), header_.k, reasons),
               object_label(header_), "give more shares of this object, or undamaged copies of these"};
}

// Names wrong shares among more than k, takes them out of this block and sets them aside for good.
Outcome Combiner::leave_out_wrong(std::uint64_t block) {
  auto result = std::make_unique<kernels::LocateResult>();
  const Status status = kernels::locate(implementation_, code_, indices_, blocks_.data(), length_, *result);
  if (status != Status::ok) {
    return kernel_error(status, "cannot compare the shares");
  }
  if (!result->located) {
    const std::size_t surplus = indices_.size() - header_.k;
    return Error{
        Exit::integrity, "cannot restore the object",
        fmt::format("the shares contradict each other in block {}, and {} shares for k = {} can only "
                    "name up to {} wrong one{}",
                    block, indices_.size(), header_.k, surplus / 2, surplus / 2 == 1 ? "" : "s"),
        object_label(header_),
        "give more shares of this object: two more for each wrong one that is to be named"};
  }
  for (std::size_t i = 0; i < taking_part_.size(); ++i) {
    if (result->wrong[i]) {
      taking_part_[i]->source->set_aside(
          ShareState::wrong, fmt::format("its bytes contradict the other shares{}, first in block {}",
                                         gfshare() ? "" : " although its checksums match", block));
      taking_part_[i]->source = nullptr;
      taking_part_[i]->conflicts.clear();  // the other copies may be right: they show it in the next block
    }
  }
  collect();
  assert(indices_.size() > header_.k);
  return done;
}

// More than k shares agree, so a copy that differs from one of them is the wrong one.
void Combiner::settle_conflicts(std::uint64_t block) {
  for (Copies* const copies : taking_part_) {
    for (ShareInput* const input : copies->conflicts) {
      input->set_aside(ShareState::wrong,
                       fmt::format("block {} differs from the copy in {}, which agrees with the others",
                                   block, copies->source->path));
    }
  }
}

Outcome Combiner::check_agreement(std::uint64_t block) {
  if (indices_.size() == header_.k) {
    for (const Copies* const copies : taking_part_) {
      if (!copies->conflicts.empty()) {
        return Error{
            Exit::integrity, "cannot restore the object",
            fmt::format("two copies of share {} differ in block {} and no further share tells which is right",
                        copies->share, block),
            copies->source->path + ", " + copies->conflicts.front()->path,
            "give one more share of this object"};
      }
    }
    return done;
  }
  const kernels::Transform& syndromes = syndromes_.get(
      indices_, [&](kernels::Transform& transform) { return transform.make_syndromes(code_, indices_); });
  std::size_t first_bad = 0;
  const Status status = kernels::check(implementation_, syndromes, blocks_.data(), length_, first_bad);
  if (status != Status::ok) {
    return kernel_error(status, "cannot compare the shares");
  }
  if (first_bad < length_) {
    if (Outcome left_out = leave_out_wrong(block); !left_out.ok()) {
      return left_out;
    }
  }
  settle_conflicts(block);
  ++report_.checked_blocks;
  return done;
}

Outcome Combiner::write(std::span<const std::uint8_t> bytes) {
  if (!to_stdout()) {
    return output_.write(0, bytes);
  }
  const int error_number = write_all(STDOUT_FILENO, bytes);
  return error_number == 0
             ? Outcome(done)
             : Outcome(system_error(error_number, "cannot write the output", "standard output"));
}

Outcome Combiner::recover(std::uint64_t block) {
  std::vector<std::uint8_t> first(indices_.begin(), indices_.begin() + header_.k);
  const kernels::Transform& transform =
      recovery_.get(first, [&](kernels::Transform& made) { return made.make_recover(code_, first); });
  std::array<std::uint8_t*, kernels::max_shares> data{};
  for (unsigned l = 0; l < header_.data_blocks; ++l) {
    data[l] = data_buffer_.data() + l * length_;
  }
  kernels::RecoverJob job;
  job.transform = &transform;
  job.shares = blocks_.data();
  job.data = data.data();
  job.length = length_;
  if (const Status status = kernels::recover(implementation_, job); status != Status::ok) {
    return kernel_error(status, "cannot restore a block");
  }
  return write(data_buffer_.span().first(block_data_bytes(header_, block)));
}

Outcome Combiner::restore_block(std::uint64_t block) {
  read_block(block);
  if (Outcome enough = check_enough(block); !enough.ok()) {
    return enough;
  }
  if (Outcome agreed = check_agreement(block); !agreed.ok()) {
    return agreed;
  }
  return recover(block);
}

Outcome Combiner::restore_stream() {
  const std::uint64_t blocks = block_count(header_);
  progress_.set_total(header_.object_bytes);
  std::uint64_t restored = 0;
  for (std::uint64_t block = 0; block < blocks; ++block) {
    if (Outcome outcome = restore_block(block); !outcome.ok()) {
      return outcome;
    }
    restored += block_data_bytes(header_, block);
    ++report_.blocks;
    progress_.update(restored);
  }
  assert(restored == header_.object_bytes);
  for (ShareInput& input : report_.shares) {
    check_end(input);
  }
  return done;
}

Outcome Combiner::run() {
  using Step = Outcome (Combiner::*)();
  for (const Step step :
       {&Combiner::open_shares, &Combiner::prepare, &Combiner::open_output, &Combiner::restore_stream}) {
    if (Outcome outcome = (this->*step)(); !outcome.ok()) {
      return outcome;
    }
  }
  return to_stdout() ? Outcome(done) : output_.commit();
}

}  // namespace

CombineReport combine(const CombineOptions& options, const kernels::Implementation& implementation,
                      Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  CombineReport report;
  Outcome outcome = Combiner(options, implementation, progress, report).run();
  progress.finish();
  if (!outcome.ok()) {
    report.error = std::move(outcome.error());
  }
  for (ShareInput& input : report.shares) {
    input.file.close();
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace ssn::cli
