// SPDX-License-Identifier: BSD-3-Clause
#include "transfer_file.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace ssn::cli {
namespace {

constexpr std::size_t compare_bytes = 256 << 10;

// Reading or writing may wait for somebody, so poll() is asked before.
bool waits_for_others(const struct stat& status) {
  return S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || S_ISCHR(status.st_mode);
}

}  // namespace

Result<std::unique_ptr<FileSource>> FileSource::open(const std::string& path) {
  Result<FileDescriptor> fd = open_input(path);
  if (!fd.ok()) {
    return fd.error();
  }
  std::unique_ptr<FileSource> source(new FileSource(path, std::move(fd.value())));
  struct stat status{};
  if (::fstat(source->fd_.get(), &status) != 0) {
    return system_error(errno, "cannot open " + path, path);
  }
  source->polled_ = waits_for_others(status);
  // Files of /proc and the like say 0, and hold something nevertheless.
  const off_t at = ::lseek(source->fd_.get(), 0, SEEK_CUR);
  if (S_ISREG(status.st_mode) && status.st_size != 0 && at >= 0) {
    source->size_ = static_cast<std::uint64_t>(std::max<off_t>(status.st_size - at, 0));
  }
  return source;
}

Result<std::size_t> FileSource::read(std::span<std::uint8_t> buffer) {
  for (;;) {
    const ssize_t count = ::read(fd_.get(), buffer.data(), buffer.size());
    if (count >= 0) {
      return static_cast<std::size_t>(count);
    }
    if (errno != EINTR) {
      return system_error(errno, "cannot read " + (path_ == "-" ? std::string("standard input") : path_),
                          path_);
    }
  }
}

OutputSink::OutputSink() {
  struct stat status{};
  polled_ = ::fstat(STDOUT_FILENO, &status) == 0 && waits_for_others(status);
}

int OutputSink::poll_fd() const { return polled_ ? STDOUT_FILENO : -1; }

Result<std::size_t> OutputSink::write(std::span<const std::uint8_t> bytes) {
  constexpr const char* what = "cannot write standard output";
  if (!polled_) {
    const int error_number = write_all(STDOUT_FILENO, bytes);
    return error_number == 0 ? Result<std::size_t>(bytes.size())
                             : Result<std::size_t>(system_error(error_number, what, "-"));
  }
  // A pipe that poll() calls writable takes so much without waiting.
  pollfd room{STDOUT_FILENO, POLLOUT, 0};
  if (::poll(&room, 1, 0) <= 0) {
    return std::size_t{0};
  }
  const ssize_t count = ::write(STDOUT_FILENO, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
  if (count >= 0) {
    return static_cast<std::size_t>(count);
  }
  return errno == EINTR || errno == EAGAIN ? Result<std::size_t>(std::size_t{0})
                                           : Result<std::size_t>(system_error(errno, what, "-"));
}

Result<std::size_t> FileSink::write(std::span<const std::uint8_t> bytes) {
  const Outcome written = files_.write(0, bytes);
  return written.ok() ? Result<std::size_t>(bytes.size()) : written.error();
}

Result<std::unique_ptr<CompareSink>> CompareSink::open(const std::string& path) {
  Result<std::unique_ptr<FileSource>> file = FileSource::open(path);
  if (!file.ok()) {
    return file.error();
  }
  Result<hw::SecretBuffer> buffer = hw::SecretBuffer::make(compare_bytes);
  if (!buffer.ok()) {
    return buffer.error();
  }
  auto sink = std::make_unique<CompareSink>();
  sink->path_ = path;
  sink->file_ = std::move(file.value());
  sink->buffer_ = std::move(buffer.value());
  return sink;
}

Error CompareSink::differs() const {
  return {Exit::integrity, "the object is not the same as " + path_,
          fmt::format("they differ from byte {} on", at_), path_,
          "see which of them was changed; the object is as it was put"};
}

Result<std::size_t> CompareSink::write(std::span<const std::uint8_t> bytes) {
  if (file_ == nullptr) {
    return bytes.size();
  }
  const std::span<std::uint8_t> room = buffer_.span().first(std::min(bytes.size(), buffer_.size()));
  const Result<std::size_t> read = file_->read(room);
  if (!read.ok()) {
    return read;
  }
  const auto [ours, theirs] =
      std::mismatch(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(read.value()), bytes.begin());
  at_ += static_cast<std::uint64_t>(theirs - bytes.begin());
  if (read.value() == 0 || static_cast<std::size_t>(ours - room.begin()) != read.value()) {
    return differs();
  }
  return read;
}

Outcome CompareSink::finish() {
  if (file_ == nullptr) {
    return done;
  }
  std::uint8_t one = 0;
  const Result<std::size_t> more = file_->read({&one, 1});
  return !more.ok() ? Outcome(more.error()) : more.value() != 0 ? Outcome(differs()) : Outcome(done);
}

}  // namespace ssn::cli
