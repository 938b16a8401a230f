// SPDX-License-Identifier: BSD-3-Clause
#include "atomic_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "interrupt.h"

namespace ssn::cli {
namespace {

constexpr std::uint64_t writeback_step = 16U << 20;

Error already_exists(const std::string& target) {
  return Error{Exit::refused, "cannot create " + target, "it exists already", target,
               "choose another name or directory, or add --force to replace it"};
}

// `.NAME.RANDOM.tmp` beside the target: same file system, hidden, and told apart from shares by its end.
Result<std::string> temporary_name(const std::string& target) {
  std::array<std::uint8_t, 8> random{};
  if (Outcome filled = system_random(random); !filled.ok()) {
    return filled.error();
  }
  std::string suffix;
  for (const std::uint8_t byte : random) {
    suffix += fmt::format("{:02x}", byte);
  }
  // Names are limited to 255 bytes, and ours adds 22.
  return fmt::format("{}/.{}.{}.tmp", directory_of(target), file_name(target).substr(0, 230), suffix);
}

Outcome check_target(const std::string& target, bool force) {
  struct stat status{};
  if (::lstat(target.c_str(), &status) != 0) {
    return errno == ENOENT ? Outcome(done) : Outcome(system_error(errno, "cannot create " + target, target));
  }
  if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
    return Error{Exit::refused, "cannot create " + target,
                 "something that is not a regular file has that name", target,
                 "choose another name; to write to a device or pipe use -o - and redirect the output"};
  }
  return force ? Outcome(done) : Outcome(already_exists(target));
}

}  // namespace

OutputSet::~OutputSet() { discard(); }

Outcome OutputSet::add(const std::string& target) {
  if (Outcome checked = check_target(target, force_); !checked.ok()) {
    return checked;
  }
  auto file = std::make_unique<File>();
  file->target = target;
  Result<std::string> temporary = temporary_name(target);
  if (!temporary.ok()) {
    return temporary.error();
  }
  file->temporary = std::move(temporary.value());
  if (Outcome created = create_temporary(*file); !created.ok()) {
    return created;
  }
  files_.push_back(std::move(file));
  return done;
}

Outcome OutputSet::create_temporary(File& file) {
  const SignalsHeld held;  // no signal between creating the file and knowing about it
  file.slot = remember_temporary(file.temporary.c_str());
  if (file.slot < 0) {
    return Error{Exit::failed, "cannot create " + file.target, "too many files are being written",
                 file.target, "write fewer shares at once"};
  }
  file.fd = FileDescriptor(
      ::open(file.temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.fd.is_open()) {
    const int error_number = errno;
    forget(file);
    return system_error(error_number, "cannot create " + file.target, directory_of(file.target));
  }
  return done;
}

Outcome OutputSet::reserve(std::size_t i, std::uint64_t bytes) {
  assert(i < files_.size());
  File& file = *files_[i];
  if (bytes == 0 || ::fallocate(file.fd.get(), 0, 0, static_cast<off_t>(bytes)) == 0) {
    return done;
  }
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
    return system_error(errno, fmt::format("cannot write {} ({} bytes)", file.target, bytes), file.target);
  }
  return done;  // not every file system can; write() will tell
}

Outcome OutputSet::skip(std::size_t i, std::size_t bytes) {
  assert(i < files_.size());
  File& file = *files_[i];
  if (::lseek(file.fd.get(), static_cast<off_t>(bytes), SEEK_CUR) < 0) {
    return system_error(errno, "cannot write " + file.target, file.target);
  }
  file.written += bytes;
  return done;
}

Outcome OutputSet::write(std::size_t i, std::span<const std::uint8_t> bytes) {
  assert(i < files_.size());
  File& file = *files_[i];
  if (const int error_number = write_all(file.fd.get(), bytes); error_number != 0) {
    return system_error(error_number, "cannot write " + file.target, file.target);
  }
  file.written += bytes.size();
  if (file.written - file.sync_started >= writeback_step) {
    // Let the disk work meanwhile, so that fsync at the end is short. Only a hint.
    (void)::sync_file_range(file.fd.get(), static_cast<off64_t>(file.sync_started),
                            static_cast<off64_t>(file.written - file.sync_started), SYNC_FILE_RANGE_WRITE);
    file.sync_started = file.written;
  }
  return done;
}

Outcome OutputSet::write_at(std::size_t i, std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  assert(i < files_.size());
  File& file = *files_[i];
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t put = ::pwrite(file.fd.get(), bytes.data() + written, bytes.size() - written,
                                 static_cast<off_t>(offset + written));
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put <= 0) {
      return system_error(put == 0 ? EIO : errno, "cannot write " + file.target, file.target);
    }
    written += static_cast<std::size_t>(put);
  }
  return done;
}

Outcome OutputSet::sync(File& file) {
  // The size is what was written, also where reserve() took more.
  if (::ftruncate(file.fd.get(), static_cast<off_t>(file.written)) != 0 || ::fsync(file.fd.get()) != 0) {
    return system_error(errno, "cannot make sure that " + file.target + " is on the disk", file.target);
  }
  return done;
}

Outcome OutputSet::publish(File& file) {
  const char* const from = file.temporary.c_str();
  const char* const to = file.target.c_str();
  int error_number = hw::rename_new(from, to);
  if (error_number == EEXIST && force_) {
    if (Outcome checked = check_target(file.target, true); !checked.ok()) {
      return checked;  // somebody put a directory or device there meanwhile
    }
    Result<std::string> backup = temporary_name(file.target);
    if (!backup.ok()) {
      return backup.error();
    }
    // Keep the old file under another name until all new ones are in place.
    if (::rename(to, backup.value().c_str()) != 0) {
      return system_error(errno, "cannot replace " + file.target, file.target);
    }
    file.backup = std::move(backup.value());
    error_number = hw::rename_new(from, to);
  }
  if (error_number == EEXIST) {
    return already_exists(file.target);
  }
  if (error_number != 0) {
    return system_error(error_number, "cannot give " + file.target + " its name", file.target);
  }
  file.published = true;
  return done;
}

void OutputSet::take_back(File& file) noexcept {
  if (file.published) {
    ::unlink(file.target.c_str());
    file.published = false;
    forget(file);
  }
  if (!file.backup.empty()) {
    ::rename(file.backup.c_str(), file.target.c_str());
    file.backup.clear();
  }
}

Outcome OutputSet::commit() {
  for (const std::unique_ptr<File>& file : files_) {
    if (Outcome synced = sync(*file); !synced.ok()) {
      return synced;
    }
  }
  const SignalsHeld held;
  for (const std::unique_ptr<File>& file : files_) {
    if (Outcome published = publish(*file); !published.ok()) {
      for (const std::unique_ptr<File>& undone : files_) {
        take_back(*undone);
      }
      return published;
    }
  }
  std::string synced_directory;
  Outcome result = done;
  for (const std::unique_ptr<File>& file : files_) {
    forget(*file);
    file->fd.close();
    if (!file->backup.empty()) {
      ::unlink(file->backup.c_str());
    }
    if (const std::string directory = directory_of(file->target);
        result.ok() && directory != synced_directory) {
      if (const int error_number = hw::sync_directory(directory); error_number != 0) {
        result = system_error(error_number, "cannot make sure that the new names are on the disk", directory);
      }
      synced_directory = directory;
    }
  }
  files_.clear();
  return result;
}

void OutputSet::forget(File& file) noexcept {
  if (file.slot >= 0) {
    forget_temporary(file.slot);
    file.slot = -1;
  }
}

void OutputSet::discard() noexcept {
  const SignalsHeld held;
  for (const std::unique_ptr<File>& file : files_) {
    if (file->slot >= 0) {
      ::unlink(file->temporary.c_str());
      forget(*file);
    }
  }
  files_.clear();
}

}  // namespace ssn::cli
