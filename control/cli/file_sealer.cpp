// SPDX-License-Identifier: BSD-3-Clause
#include "file_sealer.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "io.h"
#include "sealed_burst.h"

namespace ssn::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Checks that the whole file can be sealed, and sets its length.
Outcome measure(const SealOptions& options, int fd, Preamble& preamble) {
  struct stat about{};
  if (::fstat(fd, &about) != 0) {
    return system_error(errno, "cannot seal the file", options.input);
  }
  if (!S_ISREG(about.st_mode)) {
    return Error{Exit::usage, "cannot seal the input",
                 "its length must be known first, and it is no regular file", options.input,
                 "write it to a file and seal that"};
  }
  preamble.file_bytes = static_cast<std::uint64_t>(about.st_size);
  if (preamble.cells() > sealed_cells_max) {
    return Error{Exit::usage, "cannot seal the file",
                 fmt::format("it has more than 2^32 cells of {} bytes", preamble.cell_bytes), options.input,
                 "choose larger cells (--cell-size), or seal it in parts"};
  }
  return done;
}

Outcome draw_names(Preamble& preamble) {
  for (hw::Ksid* const ksid : {&preamble.pads, &preamble.tag_keys}) {
    if (Outcome outcome = system_random(*ksid); !outcome.ok()) {
      return outcome;
    }
  }
  std::array<std::uint8_t, 12> numbers{};
  if (Outcome outcome = system_random(numbers); !outcome.ok()) {
    return outcome;
  }
  preamble.object = protocol::load_big<std::uint64_t>(numbers.data());
  preamble.connection_id = protocol::load_big<std::uint32_t>(numbers.data() + 8) | 1;
  return done;
}

static_assert(preamble_bytes + protocol::overhead_bytes <= SealedBurst::least_bytes);

class FileSealer {
 public:
  FileSealer(const SealOptions& options, const Preamble& preamble, SealedBurst burst, OutputSet& outputs,
             SendChannel& channel)
      : options_(options),
        preamble_(preamble),
        burst_(std::move(burst)),
        outputs_(outputs),
        channel_(channel) {}

  Outcome run(int input, Progress& progress);

 private:
  Outcome begin();
  Outcome load(int input, std::uint64_t first, std::size_t count);
  Outcome seal(std::size_t count);
  Outcome write(std::size_t count);
  void place(std::size_t slot, std::uint64_t packet, std::uint32_t length) noexcept;

  const SealOptions& options_;
  const Preamble& preamble_;
  SealedBurst burst_;
  OutputSet& outputs_;
  SendChannel& channel_;
};

void FileSealer::place(std::size_t slot, std::uint64_t packet, std::uint32_t length) noexcept {
  protocol::Cell& cell = burst_.cell(slot);
  cell = protocol::Cell{};
  cell.data = burst_.packet(slot) + protocol::overhead_bytes;
  cell.headroom = protocol::overhead_bytes;
  cell.source = burst_.clear(slot);
  cell.length = length;
  cell.header.type = protocol::PacketType::cell;
  cell.header.placement = header_of(preamble_, packet).placement;
}

Outcome FileSealer::load(int input, std::uint64_t first, std::size_t count) {
  const std::size_t wanted = (count - 1) * preamble_.cell_bytes + preamble_.bytes_of(first + count - 1);
  const std::ptrdiff_t got = read_up_to(input, {burst_.clear(0), wanted});
  if (got < 0) {
    return system_error(static_cast<int>(-got), "cannot read the file", options_.input);
  }
  if (static_cast<std::size_t>(got) != wanted) {
    return Error{Exit::failed, "cannot seal the file", "it became shorter meanwhile", options_.input,
                 "seal it when nothing writes to it"};
  }
  for (std::size_t slot = 0; slot < count; ++slot) {
    place(slot, first + slot + 1, preamble_.bytes_of(first + slot));
  }
  return done;
}

Outcome FileSealer::seal(std::size_t count) {
  for (std::size_t sealed = 0; sealed < count;) {
    const std::size_t now = channel_.seal(burst_.cells(sealed, count));
    sealed += now;
    if (sealed < count) {
      const protocol::SealResult why = burst_.cell(sealed).seal_result;
      assert(why == protocol::SealResult::waiting || why == protocol::SealResult::ended);
      static_cast<void>(why);  // refill() finds out that keys have ended
    }
    if (Outcome outcome = channel_.refill(now > 0, options_.patience); !outcome.ok()) {
      return outcome;
    }
  }
  return done;
}

Outcome FileSealer::write(std::size_t count) {
  const std::uint8_t* const end = burst_.cell(count - 1).packet() + burst_.cell(count - 1).packet_bytes();
  return outputs_.write(0, {burst_.packet(0), end});
}

Outcome FileSealer::begin() {
  std::array<std::uint8_t, preamble_bytes> bytes{};
  write_preamble(preamble_, bytes);
  if (Outcome outcome = outputs_.write(0, bytes); !outcome.ok()) {
    return outcome;
  }
  std::memcpy(burst_.clear(0), bytes.data(), bytes.size());
  place(0, 0, preamble_bytes);
  if (Outcome outcome = seal(1); !outcome.ok()) {
    return outcome;
  }
  return write(1);
}

Outcome FileSealer::run(int input, Progress& progress) {
  if (Outcome outcome = begin(); !outcome.ok()) {
    return outcome;
  }
  progress.set_total(preamble_.file_bytes);
  for (std::uint64_t first = 0; first < preamble_.cells(); first += SealedBurst::slots) {
    const std::size_t count = std::min<std::uint64_t>(SealedBurst::slots, preamble_.cells() - first);
    if (Outcome outcome = load(input, first, count); !outcome.ok()) {
      return outcome;
    }
    if (Outcome outcome = seal(count); !outcome.ok()) {
      return outcome;
    }
    if (Outcome outcome = write(count); !outcome.ok()) {
      return outcome;
    }
    progress.update(std::min(preamble_.file_bytes, (first + count) * preamble_.cell_bytes));
  }
  std::uint8_t more = 0;
  if (read_up_to(input, {&more, 1}) != 0) {
    return Error{Exit::failed, "cannot seal the file", "it became longer meanwhile", options_.input,
                 "seal it when nothing writes to it"};
  }
  return outputs_.commit();
}

}  // namespace

Outcome prepare_output(OutputSet& outputs, const std::string& target, std::uint64_t bytes) {
  if (Outcome outcome = outputs.add(target); !outcome.ok()) {
    return outcome;
  }
  return outputs.reserve(0, bytes);
}

Result<SealReport> seal_file(const NodeConfiguration& node, const SealOptions& options,
                             const kernels::Implementation& implementation, Progress& progress) {
  const Clock::time_point start = Clock::now();
  const Result<FileDescriptor> input = open_input(options.input);
  if (!input.ok()) {
    return input.error();
  }
  SealReport report;
  report.preamble.cell_bytes = options.cell_bytes;
  report.preamble.sender = node.name;
  report.preamble.recipient = options.peer;
  if (Outcome outcome = measure(options, input.value().get(), report.preamble); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = draw_names(report.preamble); !outcome.ok()) {
    return outcome.error();
  }
  Result<SealedBurst> burst = SealedBurst::make(options.cell_bytes);
  if (!burst.ok()) {
    return burst.error();
  }
  OutputSet outputs(options.force);  // whatever can fail fails before keys are taken
  if (Outcome outcome = prepare_output(outputs, options.output, report.preamble.sealed_bytes());
      !outcome.ok()) {
    return outcome.error();
  }
  Result<std::unique_ptr<SendChannel>> channel =
      SendChannel::open(node, {options.peer, report.preamble.pads, report.preamble.tag_keys},
                        report.preamble.connection_id, implementation);
  if (!channel.ok()) {
    return channel.error();
  }
  report.device = channel.value()->info();
  report.preamble.protection = static_cast<std::uint8_t>(report.device.protection);
  FileSealer sealer(options, report.preamble, std::move(burst.value()), outputs, *channel.value());
  if (Outcome outcome = sealer.run(input.value().get(), progress); !outcome.ok()) {
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
