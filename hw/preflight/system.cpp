// SPDX-License-Identifier: BSD-3-Clause
// The real system. Paths get a prefix, so that tests can put their own /proc and /sys in its place.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "ssn/hw/file_descriptor.h"
#include "ssn/hw/preflight.h"
#include "ssn/kernels/kernels.h"

namespace ssn::hw {
namespace {

constexpr std::size_t file_bytes_max = std::size_t{256} << 10;

std::uint64_t limit_of(__rlimit_resource resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) {
    return 0;
  }
  return limit.rlim_cur == RLIM_INFINITY ? SystemView::unlimited : limit.rlim_cur;
}

// statfs(2) and linux/magic.h.
std::string file_system_name(std::uint64_t magic) {
  struct Known {
    std::uint64_t magic;
    const char* name;
  };
  constexpr Known known[] = {
      {0xEF53, "ext4"},      {0x58465342, "xfs"},      {0x9123683E, "btrfs"}, {0x01021994, "tmpfs"},
      {0x858458F6, "ramfs"}, {0x794C7630, "overlay"},  {0x6969, "nfs"},       {0xFE534D42, "smb"},
      {0xFF534D42, "cifs"},  {0x65735546, "fuse"},     {0x01021997, "9p"},    {0x00C36400, "ceph"},
      {0x2FC12FC1, "zfs"},   {0xCA451A4E, "bcachefs"}, {0xF2F52010, "f2fs"},  {0x958458F6, "hugetlbfs"},
  };
  for (const Known& entry : known) {
    if (entry.magic == (magic & 0xFFFFFFFFU)) {
      return entry.name;
    }
  }
  return fmt::format("file system {:#x}", magic);
}

class RealSystem final : public SystemView {
 public:
  explicit RealSystem(std::string root) : root_(std::move(root)) {}

  std::optional<std::string> read(const std::string& path) const override;
  std::vector<std::string> list(const std::string& folder) const override;
  std::optional<std::string> link(const std::string& path) const override;
  std::optional<FileStatus> status(const std::string& path) const override;
  std::uint64_t locked_memory_limit() const override { return limit_of(RLIMIT_MEMLOCK); }
  std::uint64_t core_file_limit() const override;
  std::uint32_t user() const override { return ::geteuid(); }
  bool random_ready() const override;
  std::optional<bool> clock_synchronised() const override;
  std::int64_t now() const override { return std::time(nullptr); }
  Kernels kernels() const override;
  Result<Machine> machine() const override { return read_machine(root_); }
  Result<Storage> storage(const std::string& folder) const override;

 private:
  std::string root_;
};

std::optional<std::string> RealSystem::read(const std::string& path) const {
  const FileDescriptor file(::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  std::string text(file_bytes_max, '\0');
  std::size_t used = 0;
  while (used < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return std::nullopt;
    }
    if (got == 0) {
      break;
    }
    used += static_cast<std::size_t>(got);
  }
  text.resize(used);
  return text;
}

std::vector<std::string> RealSystem::list(const std::string& folder) const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(root_ + folder, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<std::string> RealSystem::link(const std::string& path) const {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::read_symlink(root_ + path, error);
  return error ? std::nullopt : std::optional<std::string>(target.string());
}

std::optional<SystemView::FileStatus> RealSystem::status(const std::string& path) const {
  struct stat status{};
  if (::stat((root_ + path).c_str(), &status) != 0) {
    return std::nullopt;
  }
  return FileStatus{status.st_mode, status.st_uid, static_cast<std::uint64_t>(status.st_size)};
}

// "Max core file size   0   unlimited   bytes": the soft limit comes first.
std::uint64_t RealSystem::core_file_limit() const {
  constexpr std::string_view name = "Max core file size";
  const std::string limits = read(fmt::format("/proc/{}/limits", ::getppid())).value_or("");
  const std::size_t line = limits.find(name);
  if (line == std::string::npos) {
    return limit_of(RLIMIT_CORE);
  }
  const std::size_t number = limits.find_first_not_of(' ', line + name.size());
  if (number == std::string::npos || limits.compare(number, 9, "unlimited") == 0) {
    return unlimited;
  }
  return std::strtoull(limits.c_str() + number, nullptr, 10);
}

bool RealSystem::random_ready() const {
  unsigned char byte = 0;
  return ::getrandom(&byte, 1, GRND_NONBLOCK) == 1;
}

std::optional<bool> RealSystem::clock_synchronised() const {
  timex state{};
  const int result = ::adjtimex(&state);
  if (result < 0) {
    return std::nullopt;
  }
  return (state.status & STA_UNSYNC) == 0;
}

SystemView::Kernels RealSystem::kernels() const {
  Kernels out;
  const char* const forced = std::getenv("SSN_KERNELS");
  out.forced = forced != nullptr && *forced != '\0';
  const kernels::Implementation* chosen = nullptr;
  if (const kernels::Status status = kernels::select(chosen); status != kernels::Status::ok) {
    out.reason = kernels::describe(status);
  } else {
    out.name = kernels::name(*chosen);
  }
  for (const kernels::Implementation* const other : kernels::implementations()) {
    if (other != chosen && kernels::supported(*other) && kernels::self_test(*other) != kernels::Status::ok) {
      out.passed_over = kernels::name(*other);
    }
  }
  return out;
}

Result<SystemView::Storage> RealSystem::storage(const std::string& folder) const {
  const std::string real = root_ + folder;
  struct statfs type{};
  struct statvfs space{};
  if (::statfs(real.c_str(), &type) != 0 || ::statvfs(real.c_str(), &space) != 0) {
    return system_error(errno, "cannot look at the file system", folder);
  }
  Storage out;
  out.type = file_system_name(static_cast<std::uint64_t>(type.f_type));
  out.free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  std::string name = real + "/.ssn-doctor-XXXXXX";
  const FileDescriptor file(::mkostemp(name.data(), O_CLOEXEC));
  if (file.get() < 0) {
    out.write_error = errno;
    return out;
  }
  constexpr std::array<char, 4096> block{};
  const ssize_t written = ::write(file.get(), block.data(), block.size());
  if (written != static_cast<ssize_t>(block.size())) {
    out.write_error = written < 0 ? errno : ENOSPC;
  } else if (::fdatasync(file.get()) != 0) {
    out.sync_error = errno;
  } else if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    out.lock_error = errno;
  }
  ::unlink(name.c_str());
  return out;
}

}  // namespace

std::unique_ptr<SystemView> make_system_view(std::string root) {
  return std::make_unique<RealSystem>(std::move(root));
}

}  // namespace ssn::hw
