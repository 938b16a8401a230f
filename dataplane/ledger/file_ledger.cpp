// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/ledger/file_ledger.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "ssn/hw/file_descriptor.h"
#include "ssn/hw/file_names.h"

namespace ssn::ledger {
namespace {

using Span = std::span<const std::uint8_t>;

using hw::FileDescriptor;

Outcome write_all(int fd, std::uint64_t offset, Span bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return system_error(put == 0 ? EIO : errno, "cannot write the ledger", path);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return done;
}

class PosixFile : public LedgerFile {
 public:
  PosixFile(FileDescriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Outcome write(std::uint64_t offset, Span bytes) override {
    return write_all(fd_.get(), offset, bytes, path_);
  }
  Outcome sync() override {
    // The file has its size and its blocks already: data is all that changes.
    if (::fdatasync(fd_.get()) != 0) return system_error(errno, "cannot sync the ledger", path_);
    return done;
  }

 private:
  FileDescriptor fd_;  // holds the lock
  std::string path_;
};

// Puts the first image in place; never over a file that is there. A crash leaves no ledger or a whole one.
Outcome create_file(const std::string& path, std::string_view node) {
  const std::string temporary = path + "." + std::to_string(::getpid()) + ".new";
  const FileDescriptor fd(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0) return system_error(errno, "cannot create the ledger", temporary);
  Outcome result = write_all(fd.get(), 0, protocol::Ledger::initial_image(node), temporary);
  if (result.ok() && ::fsync(fd.get()) != 0) {
    result = system_error(errno, "cannot sync the ledger", temporary);
  }
  if (result.ok() && ::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    result = system_error(errno, "cannot create the ledger", path);
  }
  ::unlink(temporary.c_str());
  if (!result.ok()) return result;
  const std::string directory = hw::directory_of(path);
  if (const int error = hw::sync_directory(directory); error != 0) {
    return system_error(error, "cannot make sure that the ledger's name is on the disk", directory);
  }
  return done;
}

Result<std::vector<std::uint8_t>> read_all(int fd, std::size_t size, const std::string& path) {
  std::vector<std::uint8_t> image(size);
  std::size_t at = 0;
  while (at < size) {
    const ssize_t got = ::pread(fd, image.data() + at, size - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return system_error(got == 0 ? EIO : errno, "cannot read the ledger", path);
    at += static_cast<std::size_t>(got);
  }
  return image;
}

Outcome lock(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return done;
  if (errno != EWOULDBLOCK) return system_error(errno, "cannot lock the ledger", path);
  return Error{Exit::temporary, "cannot use the ledger", "another process of this node uses it", path,
               "stop that process first; a node must never run twice"};
}

}  // namespace

Result<FileLedger> FileLedger::open(const std::string& path, std::string_view node, Create create,
                                    std::uint64_t extent) {
  constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  int fd = ::open(path.c_str(), flags);
  if (fd < 0 && errno == ENOENT && create == Create::if_missing) {
    if (Outcome created = create_file(path, node); !created.ok()) return created.error();
    fd = ::open(path.c_str(), flags);
  }
  FileDescriptor file(fd);
  if (fd < 0) return system_error(errno, "cannot open the ledger", path);
  if (Outcome locked = lock(fd, path); !locked.ok()) return locked.error();
  struct stat status{};
  if (::fstat(fd, &status) != 0) return system_error(errno, "cannot read the ledger", path);
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != protocol::ledger_file_bytes) {
    return Error{Exit::integrity, "cannot use the ledger",
                 "this is not a file of " + std::to_string(protocol::ledger_file_bytes) + " bytes", path,
                 "name the ledger that this node made"};
  }
  Result<std::vector<std::uint8_t>> image = read_all(fd, protocol::ledger_file_bytes, path);
  if (!image.ok()) return image.error();
  Result<FileLedger> opened =
      open(std::make_unique<PosixFile>(std::move(file), path), image.value(), node, extent);
  if (!opened.ok() && opened.error().where.empty()) opened.error().where = path;
  return opened;
}

Result<FileLedger> FileLedger::open(std::unique_ptr<LedgerFile> file, Span image, std::string_view node,
                                    std::uint64_t extent) {
  Result<protocol::Ledger> read = protocol::Ledger::open(node, image, extent);
  if (!read.ok()) return read.error();
  FileLedger out;
  out.file_ = std::move(file);
  out.ledger_ = std::make_unique<protocol::Ledger>(std::move(read.value()));
  if (Outcome started = out.step(); !started.ok()) return started.error();
  return out;
}

Outcome FileLedger::step() {
  if (failure_) return *failure_;
  ledger_->collect();
  while (const protocol::LedgerBatch* const batch = ledger_->next_batch()) {
    Outcome result = file_->write(batch->offset, batch->bytes);
    if (result.ok()) result = file_->sync();
    if (!result.ok()) {
      ledger_->fail();
      failure_ = std::make_unique<Error>(result.error());
      return result;
    }
    ledger_->committed();
  }
  return done;
}

}  // namespace ssn::ledger
