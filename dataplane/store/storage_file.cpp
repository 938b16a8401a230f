// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/store/storage_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "ssn/hw/file_descriptor.h"
#include "ssn/hw/file_names.h"

namespace ssn::store {
namespace {

using hw::FileDescriptor;

Error file_error(int error_number, std::string what, const std::string& path) {
  Error error = system_error(error_number, std::move(what), path);
  if (error_number == ENOSPC || error_number == EDQUOT) {
    error.code = Exit::temporary;
    error.fix = "free space on this file system";
  } else if (error.code == Exit::temporary || error.code == Exit::not_found) {
    error.code = Exit::failed;
  }
  return error;
}

class PosixStorageFile final : public StorageFile {
 public:
  PosixStorageFile(FileDescriptor fd, std::uint64_t size, std::string path)
      : fd_(std::move(fd)), size_(size), path_(std::move(path)) {}

  std::uint64_t size() const noexcept override { return size_; }
  Outcome read(std::uint64_t offset, std::span<std::uint8_t> bytes) override {
    while (!bytes.empty()) {
      const ssize_t got = ::pread(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return file_error(got == 0 ? EIO : errno, "cannot read the key file", path_);
      bytes = bytes.subspan(static_cast<std::size_t>(got));
      offset += static_cast<std::uint64_t>(got);
    }
    return done;
  }
  Outcome write(std::uint64_t offset, Bytes bytes) override {
    assert(offset + bytes.size() <= size_);
    if (failure_) return *failure_;
    while (!bytes.empty()) {
      const ssize_t put = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return fail(put == 0 ? EIO : errno, "cannot write the key file");
      bytes = bytes.subspan(static_cast<std::size_t>(put));
      offset += static_cast<std::uint64_t>(put);
    }
    return done;
  }
  Outcome extend(std::uint64_t size) override {
    assert(size >= size_);
    if (failure_) return *failure_;
    // Blocks are there before they are needed: an erasure never lacks space.
    const int error =
        ::posix_fallocate(fd_.get(), static_cast<off_t>(size_), static_cast<off_t>(size - size_));
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
      return file_error(error == EFBIG ? ENOSPC : error, "cannot make the key file longer", path_);
    }
    if (error != 0) return fail(error, "cannot make the key file longer");
    if (::fsync(fd_.get()) != 0) return fail(errno, "cannot sync the key file");
    size_ = size;
    return done;
  }
  Outcome sync() override {
    if (failure_) return *failure_;
    if (::fdatasync(fd_.get()) != 0) return fail(errno, "cannot sync the key file");
    return done;
  }

 private:
  Outcome fail(int error_number, std::string what) {
    failure_ = file_error(error_number, std::move(what), path_);
    failure_->code = Exit::failed;
    return *failure_;
  }
  FileDescriptor fd_;  // holds the lock
  std::uint64_t size_;
  std::string path_;
  std::optional<Error> failure_;
};

}  // namespace

Result<std::unique_ptr<StorageFile>> open_storage_file(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0) return file_error(errno, "cannot open the key file", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return file_error(errno, "cannot lock the key file", path);
    return Error{Exit::temporary, "cannot use the key file", "another process uses it", path,
                 "stop that process first; a node must never run twice"};
  }
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return file_error(errno, "cannot look at the key file", path);
  if (!S_ISREG(status.st_mode) || (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Error{Exit::refused, "will not use the key file",
                 "it is not a regular file that only its owner can read", path, "chmod 600 " + path};
  }
  const std::string directory = hw::directory_of(path);
  if (const int error = hw::sync_directory(directory); error != 0) {
    return file_error(error, "cannot make sure that the key file's name is on the disk", directory);
  }
  return std::unique_ptr<StorageFile>(
      std::make_unique<PosixStorageFile>(std::move(fd), static_cast<std::uint64_t>(status.st_size), path));
}

}  // namespace ssn::store
