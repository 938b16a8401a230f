// SPDX-License-Identifier: BSD-3-Clause
// Where `ssn put`, `get` and `verify` have data from and where they put it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "atomic_file.h"
#include "io.h"
#include "object_client.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::cli {

/// A file, or standard input (-). The size is known of regular files.
class FileSource final : public client::DataSource {
 public:
  static Result<std::unique_ptr<FileSource>> open(const std::string& path);

  Result<std::size_t> read(std::span<std::uint8_t> buffer) override;
  int poll_fd() const override { return polled_ ? fd_.get() : -1; }
  std::optional<std::uint64_t> size() const override { return size_; }

 private:
  FileSource(const std::string& path, FileDescriptor fd) : path_(path), fd_(std::move(fd)) {}

  const std::string path_;
  FileDescriptor fd_;
  bool polled_ = false;
  std::optional<std::uint64_t> size_;
};

/// Standard output.
class OutputSink final : public client::DataSink {
 public:
  OutputSink();
  Result<std::size_t> write(std::span<const std::uint8_t> bytes) override;
  int poll_fd() const override;

 private:
  bool polled_;
};

/// A file that appears complete or not at all.
class FileSink final : public client::DataSink {
 public:
  explicit FileSink(bool force) : files_(force) {}
  Outcome add(const std::string& path) { return files_.add(path); }
  Outcome reserve(std::uint64_t bytes) { return files_.reserve(0, bytes); }
  Outcome commit() { return files_.commit(); }
  Result<std::size_t> write(std::span<const std::uint8_t> bytes) override;

 private:
  OutputSet files_;
};

/// Only looks whether the data is that of a file; without a file it takes everything.
class CompareSink final : public client::DataSink {
 public:
  CompareSink() = default;
  static Result<std::unique_ptr<CompareSink>> open(const std::string& path);

  Result<std::size_t> write(std::span<const std::uint8_t> bytes) override;
  /// All of it was written: whether the file ends here, too.
  Outcome finish();

 private:
  Error differs() const;

  std::string path_;
  std::unique_ptr<FileSource> file_;
  std::uint64_t at_ = 0;
  hw::SecretBuffer buffer_;
};

}  // namespace ssn::cli
