// SPDX-License-Identifier: BSD-3-Clause
#include "share_set.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cerrno>

#include "ssn/hw/secret_buffer.h"

namespace ssn::cli {
namespace {

using IndexSet = std::bitset<kernels::max_shares + 1>;

struct Group {
  ShareHeader header;
  IndexSet shares;
  std::size_t files = 0;

  bool enough() const { return shares.count() >= header.k; }
};

std::vector<Group> group_by_object(std::span<const ShareInput> inputs) {
  std::vector<Group> groups;
  for (const ShareInput& input : inputs) {
    if (!input.header) {
      continue;
    }
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& g) { return g.header.same_object(*input.header); });
    if (group == groups.end()) {
      groups.push_back({*input.header, {}, 0});
      group = groups.end() - 1;
    }
    group->shares.set(input.header->share);
    ++group->files;
  }
  return groups;
}

std::string describe_groups(const std::vector<Group>& groups) {
  std::string text;
  for (const Group& group : groups) {
    text += fmt::format("{}{} of the {} needed for {}", text.empty() ? "" : ", ", group.shares.count(),
                        group.header.k, object_label(group.header));
  }
  return text;
}

Error mixed_objects(const std::vector<Group>& groups, bool several_complete) {
  return Error{
      Exit::mixed_objects, "cannot tell which object to restore",
      fmt::format("the shares belong to {} objects{}: {}", groups.size(),
                  several_complete ? ", and more than one of them is complete" : "", describe_groups(groups)),
      "", "give the shares of one object; `ssn inspect` shows which belong together"};
}

// The file that would have made the difference: the most telling reason first.
const Error* reason_for_rejection(std::span<const ShareInput> inputs) {
  const ShareInput* best = nullptr;
  const auto rank = [](const ShareInput& input) {
    switch (input.error->code) {
      case Exit::not_found:
        return 0;
      case Exit::not_a_share:
        return 2;
      case Exit::integrity:
        return 3;
      default:
        return 1;  // cannot be read
    }
  };
  for (const ShareInput& input : inputs) {
    if (input.error && (best == nullptr || rank(input) < rank(*best))) {
      best = &input;
    }
  }
  return best != nullptr ? &*best->error : nullptr;
}

Error too_few(std::span<const ShareInput> inputs, const std::vector<Group>& groups) {
  const auto rejected = static_cast<std::size_t>(
      std::count_if(inputs.begin(), inputs.end(), [](const ShareInput& input) { return !input.header; }));
  const std::size_t present = groups.empty() ? 0 : groups[0].shares.count();
  const std::size_t needed = groups.empty() ? 1 : groups[0].header.k;
  const std::string count = groups.empty() ? "none of the given files can be used"
                                           : fmt::format("only {}", describe_groups(groups));
  const Error* const reason = reason_for_rejection(inputs);
  if (reason != nullptr && present + rejected >= needed) {
    return Error{reason->code, "cannot restore the object",
                 fmt::format("{}; {}: {}", count, reason->where, reason->why), reason->where, reason->fix};
  }
  const std::size_t more = needed - std::min(needed, present);
  return Error{Exit::unrecoverable, "cannot restore the object", count, "",
               fmt::format("give {} more share{} of it", more, more == 1 ? "" : "s")};
}

void reject(ShareInput& input, Error error, ShareState state) {
  error.where = input.path;
  input.detail = error.why;
  input.state = state;
  input.error = std::move(error);
  input.file.close();
}

ShareState state_of(const Error& error) {
  return error.code == Exit::integrity ? ShareState::damaged : ShareState::not_a_share;
}

// Regular files tell by their length, before an hour of work, that they are not complete.
void compare_length(ShareInput& input) {
  struct stat status{};
  if (::fstat(input.file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return;
  }
  const auto length = static_cast<std::uint64_t>(status.st_size);
  const std::uint64_t expected = share_file_bytes(*input.header);
  if (length < expected) {
    input.complete = false;
    input.state = ShareState::truncated;
    input.detail = fmt::format("it is truncated: {} of {} bytes are there", length, expected);
  }
}

// Index from "NAME.NNN", 0 when there is none.
unsigned gfshare_index(const std::string& path) {
  if (path.size() < 4 || path[path.size() - 4] != '.') {
    return 0;
  }
  unsigned index = 0;
  for (std::size_t i = path.size() - 3; i < path.size(); ++i) {
    if (path[i] < '0' || path[i] > '9') {
      return 0;
    }
    index = index * 10 + static_cast<unsigned>(path[i] - '0');
  }
  return index <= kernels::max_shares ? index : 0;
}

ShareInput open_gfshare_file(const std::string& path) {
  ShareInput input;
  input.path = path;
  const unsigned index = gfshare_index(path);
  if (index == 0) {
    reject(input,
           {Exit::not_a_share, "", "its name does not end in a share number from .001 to .255", "",
            "name the files as gfsplit does: NAME.001"},
           ShareState::not_a_share);
    return input;
  }
  Result<FileDescriptor> file = open_input(path);
  if (!file.ok()) {
    reject(input, file.error(), ShareState::unreadable);
    return input;
  }
  struct stat status{};
  if (::fstat(file.value().get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    reject(input,
           {Exit::not_a_share, "", "it is not a regular file, so its length is not known", "",
            "store it in a file"},
           ShareState::not_a_share);
    return input;
  }
  input.file = std::move(file.value());
  ShareHeader header;
  header.scheme = kernels::Scheme::classic;
  header.n = kernels::max_shares;
  header.share = index;
  header.random = RandomOrigin::drbg;
  header.block_bytes = 1U << 20;
  header.object_bytes = static_cast<std::uint64_t>(status.st_size);
  header.header_bytes = 0;
  input.header = header;
  return input;
}

}  // namespace

std::string_view name(ShareState state) noexcept {
  switch (state) {
    case ShareState::good:
      return "good";
    case ShareState::duplicate:
      return "duplicate";
    case ShareState::damaged:
      return "damaged";
    case ShareState::truncated:
      return "truncated";
    case ShareState::wrong:
      return "wrong";
    case ShareState::foreign:
      return "foreign";
    case ShareState::not_a_share:
      return "not_a_share";
    case ShareState::unreadable:
      return "unreadable";
  }
  return "unreadable";
}

void ShareInput::set_aside(ShareState why, std::string sentence) {
  assert(why != ShareState::good);
  state = why;
  detail = std::move(sentence);
  file.close();
}

std::string object_label(const ShareHeader& header) {
  return header.header_bytes == 0 ? fmt::format("an object of {} bytes", header.object_bytes)
                                  : "object " + to_hex(header.object_id);
}

ShareInput open_share(const std::string& path) {
  ShareInput input;
  input.path = path;
  Result<FileDescriptor> file = open_input(path);
  if (!file.ok()) {
    reject(input, file.error(), ShareState::unreadable);
    return input;
  }
  input.file = std::move(file.value());
  std::array<std::uint8_t, share_header_bytes_max> bytes{};
  std::ptrdiff_t got = read_up_to(input.file.get(), std::span(bytes).first(share_prefix_bytes));
  if (got < 0) {
    reject(input, system_error(static_cast<int>(-got), "cannot read " + path, path), ShareState::unreadable);
    return input;
  }
  std::size_t length = static_cast<std::size_t>(got);
  const Result<std::size_t> wanted = parse_prefix(std::span(bytes).first(length));
  if (!wanted.ok()) {
    reject(input, wanted.error(), state_of(wanted.error()));
    return input;
  }
  got = read_up_to(input.file.get(), std::span(bytes).subspan(length, wanted.value() - length));
  if (got < 0) {
    reject(input, system_error(static_cast<int>(-got), "cannot read " + path, path), ShareState::unreadable);
    return input;
  }
  length += static_cast<std::size_t>(got);
  const Result<ShareHeader> header = parse_header(std::span(bytes).first(length));
  if (!header.ok()) {
    const bool truncated = length < wanted.value();
    reject(input, header.error(), truncated ? ShareState::truncated : state_of(header.error()));
    return input;
  }
  input.header = header.value();
  compare_length(input);
  return input;
}

std::vector<ShareInput> open_gfshare(std::span<const std::string> paths, unsigned k) {
  std::vector<ShareInput> inputs;
  IndexSet indices;
  for (const std::string& path : paths) {
    inputs.push_back(open_gfshare_file(path));
    if (inputs.back().header) {
      indices.set(inputs.back().header->share);
    } else if (inputs.back().state == ShareState::unreadable) {
      indices.set(gfshare_index(path));  // it was meant to count
    }
  }
  const unsigned threshold = k != 0 ? k : std::max(2U, static_cast<unsigned>(indices.count()));
  for (ShareInput& input : inputs) {
    if (input.header) {
      input.header->k = threshold;
    }
  }
  return inputs;
}

bool read_share_block(ShareInput& input, std::uint64_t block, std::span<std::uint8_t> buffer) {
  assert(input.usable() && input.header);
  const std::ptrdiff_t got = read_up_to(input.file.get(), buffer);
  if (got < 0) {
    Error error = system_error(static_cast<int>(-got), "cannot read " + input.path, input.path);
    input.set_aside(ShareState::unreadable, fmt::format("reading block {} failed: {}", block, error.why));
    input.error = std::move(error);
    return false;
  }
  if (static_cast<std::size_t>(got) < buffer.size()) {
    input.complete = false;
    input.set_aside(ShareState::truncated, fmt::format("it is truncated: it ends within block {}", block));
    return false;
  }
  if (!input.has_checksums() ||
      BlockChecksum(input.header->object_id, input.header->share).matches(block, buffer)) {
    ++input.good_blocks;
    return true;
  }
  if (input.bad_blocks++ == 0) {
    input.first_bad_block = block;
  }
  input.state = ShareState::damaged;
  input.detail = fmt::format("the checksum of {} block{} does not match, first block {}", input.bad_blocks,
                             input.bad_blocks == 1 ? "" : "s", input.first_bad_block);
  return false;
}

void check_end(ShareInput& input) {
  std::uint8_t extra = 0;
  if (input.usable() && read_up_to(input.file.get(), {&extra, 1}) == 1 &&
      input.state != ShareState::damaged) {
    input.state = ShareState::damaged;
    input.detail = "it goes on after its last block; its blocks are good";
  }
}

Outcome check_share(ShareInput& input, Progress& progress) {
  assert(input.usable() && input.has_checksums());
  const ShareHeader& header = *input.header;
  Result<hw::SecretBuffer> buffer = hw::SecretBuffer::make(header.block_bytes + block_checksum_bytes);
  if (!buffer.ok()) {
    return buffer.error();
  }
  progress.set_total(share_file_bytes(header));
  const std::uint64_t blocks = block_count(header);
  std::uint64_t bytes_done = 0;
  for (std::uint64_t block = 0; block < blocks && input.usable(); ++block) {
    const std::size_t length = block_share_bytes(header, block) + block_checksum_bytes;
    (void)read_share_block(input, block, buffer.value().span().first(length));
    bytes_done += length;
    progress.update(bytes_done);
  }
  check_end(input);
  progress.finish();
  return done;
}

Result<ShareHeader> choose_object(std::span<ShareInput> shares) {
  const std::vector<Group> groups = group_by_object(shares);
  const auto complete =
      std::count_if(groups.begin(), groups.end(), [](const Group& g) { return g.enough(); });
  if (complete > 1 || (complete == 0 && groups.size() > 1)) {
    return mixed_objects(groups, complete > 1);
  }
  if (complete == 0) {
    return too_few(shares, groups);
  }
  const auto chosen = std::find_if(groups.begin(), groups.end(), [](const Group& g) { return g.enough(); });
  for (ShareInput& input : shares) {
    if (input.header && !input.header->same_object(chosen->header)) {
      const bool same_id =
          input.header->object_id == chosen->header.object_id && input.header->header_bytes != 0;
      input.set_aside(ShareState::foreign,
                      same_id ? std::string("it claims to be of the same object with other parameters")
                              : "it belongs to " + object_label(*input.header));
    }
  }
  // More than one share may carry a header of another length; blocks follow each one's own.
  return chosen->header;
}

}  // namespace ssn::cli
