// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "file_sealer.h"
#include "io.h"
#include "sealed_burst.h"

namespace ssn::cli {
namespace {

using Clock = std::chrono::steady_clock;

// The keys of a file are given out once: what went wrong cannot be tried again with the same file.
constexpr const char* once = "its keys are used up now: have it sealed again";

class FileOpener {
 public:
  FileOpener(const OpenOptions& options, const Preamble& preamble, SealedBurst burst, OutputSet& outputs,
             ReceiveChannel& channel)
      : options_(options),
        preamble_(preamble),
        burst_(std::move(burst)),
        outputs_(outputs),
        channel_(channel) {}

  Outcome run(int input, Progress& progress);

 private:
  Outcome load(int input, std::uint64_t first, std::size_t count);
  Outcome open(std::size_t count);
  Error damaged(std::size_t slot, std::string_view reason) const;
  Outcome check_header(std::size_t slot);
  Outcome judge(std::size_t slot);
  Outcome check_preamble(int input);
  Outcome burst(int input, std::uint64_t first, std::size_t count);
  std::uint32_t bytes_of_packet(std::uint64_t packet) const;
  void place(std::size_t slot) noexcept;

  const OpenOptions& options_;
  const Preamble& preamble_;
  SealedBurst burst_;
  OutputSet& outputs_;
  ReceiveChannel& channel_;
  std::array<std::uint64_t, SealedBurst::slots> packets_{};  // what should lie in each slot
  std::array<std::uint32_t, SealedBurst::slots> lengths_{};
};

void FileOpener::place(std::size_t slot) noexcept {
  protocol::Cell& cell = burst_.cell(slot);
  cell = protocol::Cell{};
  cell.data = burst_.packet(slot);
  cell.length = lengths_[slot] + static_cast<std::uint32_t>(protocol::overhead_bytes);
  cell.target = burst_.clear(slot);
  cell.target_room = lengths_[slot];
}

std::uint32_t FileOpener::bytes_of_packet(std::uint64_t packet) const {
  return packet == 0 ? static_cast<std::uint32_t>(preamble_bytes) : preamble_.bytes_of(packet - 1);
}

Outcome FileOpener::load(int input, std::uint64_t first, std::size_t count) {
  std::size_t wanted = 0;
  for (std::size_t slot = 0; slot < count; ++slot) {
    packets_[slot] = first + slot;
    lengths_[slot] = bytes_of_packet(first + slot);
    wanted += lengths_[slot] + protocol::overhead_bytes;
    place(slot);
  }
  const std::ptrdiff_t got = read_up_to(input, {burst_.packet(0), wanted});
  if (got < 0) {
    return system_error(static_cast<int>(-got), "cannot read the sealed file", options_.input);
  }
  if (static_cast<std::size_t>(got) != wanted) {
    return Error{
        Exit::integrity, "cannot open the sealed file",
        fmt::format("it ends between packets {} and {} of {}", first, first + count - 1, preamble_.cells()),
        options_.input, once};
  }
  for (std::size_t slot = 0; slot < count; ++slot) {
    if (Outcome outcome = check_header(slot); !outcome.ok()) {
      return outcome;
    }
  }
  return done;
}

Error FileOpener::damaged(std::size_t slot, std::string_view reason) const {
  return {Exit::integrity, "cannot open the sealed file",
          fmt::format("packet {} of {} is damaged, or other keys were used ({})", packets_[slot],
                      preamble_.cells(), reason),
          options_.input, once};
}

// The header is known beforehand. A wrong one is not even opened: it may name keys that never come.
Outcome FileOpener::check_header(std::size_t slot) {
  protocol::PacketHeader header;
  const protocol::DropReason reason =
      protocol::parse_header(burst_.packet(slot), lengths_[slot] + protocol::overhead_bytes, header);
  if (reason != protocol::DropReason::none) {
    return damaged(slot, protocol::name(reason));
  }
  if (header != header_of(preamble_, packets_[slot])) {
    return damaged(slot, "misplaced");
  }
  return done;
}

Outcome FileOpener::judge(std::size_t slot) {
  const protocol::Cell& cell = burst_.cell(slot);
  if (cell.open_result == protocol::OpenResult::opened && cell.length == lengths_[slot]) {
    return done;
  }
  return damaged(slot, cell.open_result == protocol::OpenResult::dropped ? protocol::name(cell.reason)
                                                                         : "not a fresh cell");
}

bool may_come(const protocol::Cell& cell) {
  return cell.open_result == protocol::OpenResult::dropped &&
         (cell.reason == protocol::DropReason::mask_not_delivered ||
          cell.reason == protocol::DropReason::pad_not_delivered);
}

Outcome FileOpener::open(std::size_t count) {
  for (std::size_t opened = 0; opened < count;) {
    channel_.open_packets(burst_.cells(opened, count));
    const std::size_t before = opened;
    while (opened < count && !may_come(burst_.cell(opened))) {
      if (Outcome outcome = judge(opened); !outcome.ok()) {
        return outcome;
      }
      ++opened;
    }
    for (std::size_t slot = opened; slot < count; ++slot) {
      if (!may_come(burst_.cell(slot))) {
        // Sealed in order, so keys come in order: behind one that is missing none can be there.
        if (Outcome outcome = judge(slot); !outcome.ok()) {
          return outcome;
        }
      }
      place(slot);
    }
    if (Outcome outcome = channel_.refill(opened > before, options_.patience); !outcome.ok()) {
      return outcome;
    }
  }
  return done;
}

Outcome FileOpener::check_preamble(int input) {
  if (Outcome outcome = load(input, 0, 1); !outcome.ok()) {
    return outcome;
  }
  if (Outcome outcome = open(1); !outcome.ok()) {
    return outcome;
  }
  std::array<std::uint8_t, preamble_bytes> expected{};
  write_preamble(preamble_, expected);
  if (std::memcmp(expected.data(), burst_.clear(0), expected.size()) != 0) {
    return Error{Exit::integrity, "cannot open the sealed file", "its preamble was changed", options_.input,
                 once};
  }
  return done;
}

Outcome FileOpener::burst(int input, std::uint64_t first, std::size_t count) {
  if (Outcome outcome = load(input, first + 1, count); !outcome.ok()) {
    return outcome;
  }
  if (Outcome outcome = open(count); !outcome.ok()) {
    return outcome;
  }
  return outputs_.write(0, {burst_.clear(0), burst_.clear(count - 1) + lengths_[count - 1]});
}

Outcome FileOpener::run(int input, Progress& progress) {
  if (Outcome outcome = check_preamble(input); !outcome.ok()) {
    return outcome;
  }
  progress.set_total(preamble_.file_bytes);
  for (std::uint64_t first = 0; first < preamble_.cells(); first += SealedBurst::slots) {
    const std::size_t count = std::min<std::uint64_t>(SealedBurst::slots, preamble_.cells() - first);
    if (Outcome outcome = burst(input, first, count); !outcome.ok()) {
      return outcome;
    }
    progress.update(std::min(preamble_.file_bytes, (first + count) * preamble_.cell_bytes));
  }
  std::uint8_t more = 0;
  if (read_up_to(input, {&more, 1}) != 0) {
    return Error{Exit::integrity, "cannot open the sealed file", "something follows its last packet",
                 options_.input, once};
  }
  return outputs_.commit();
}

Result<Preamble> read_preamble_of(int input, const std::string& file) {
  std::array<std::uint8_t, preamble_bytes> bytes{};
  const std::ptrdiff_t got = read_up_to(input, bytes);
  if (got < 0) {
    return system_error(static_cast<int>(-got), "cannot read the sealed file", file);
  }
  return read_preamble(std::span(bytes).first(static_cast<std::size_t>(got)), file);
}

}  // namespace

Result<SealReport> open_file(const NodeConfiguration& node, const OpenOptions& options,
                             const kernels::Implementation& implementation, Progress& progress) {
  const Clock::time_point start = Clock::now();
  const Result<FileDescriptor> input = open_input(options.input);
  if (!input.ok()) {
    return input.error();
  }
  const Result<Preamble> preamble = read_preamble_of(input.value().get(), options.input);
  if (!preamble.ok()) {
    return preamble.error();
  }
  SealReport report;
  report.preamble = preamble.value();
  if (report.preamble.recipient != node.name) {
    return Error{Exit::refused, "cannot open the sealed file",
                 fmt::format("it was sealed for {}, and this is {}", report.preamble.recipient, node.name),
                 options.input, "open it there, or give that node's configuration"};
  }
  Result<SealedBurst> burst = SealedBurst::make(report.preamble.cell_bytes);
  if (!burst.ok()) {
    return burst.error();
  }
  OutputSet outputs(options.force);  // whatever can fail fails before keys are taken
  if (Outcome outcome = prepare_output(outputs, options.output, report.preamble.file_bytes); !outcome.ok()) {
    return outcome.error();
  }
  Result<std::unique_ptr<ReceiveChannel>> channel =
      ReceiveChannel::open(node, {report.preamble.sender, report.preamble.pads, report.preamble.tag_keys},
                           report.preamble.connection_id, implementation);
  if (!channel.ok()) {
    return channel.error();
  }
  report.device = channel.value()->info();
  FileOpener opener(options, report.preamble, std::move(burst.value()), outputs, *channel.value());
  if (Outcome outcome = opener.run(input.value().get(), progress); !outcome.ok()) {
    return outcome.error();
  }
  const Result<KeyAccounts> accounts = channel.value()->close();
  if (!accounts.ok()) {
    return accounts.error();
  }
  report.keys = accounts.value();
  report.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return report;
}

}  // namespace ssn::cli
