// SPDX-License-Identifier: BSD-3-Clause
// Whether this machine is ready for the data plane. Each check looks at one thing through a SystemView and
// gives findings: what was found, why it matters, and the command that mends it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/hw/topology.h"

namespace ssn::hw {

enum class Level {
  ok,
  note,     ///< good to know; nothing must be done
  warning,  ///< it works, but slower or less safely than it should
  error,    ///< the data plane cannot work so, or must not
};
std::string_view name(Level level) noexcept;

struct Finding {
  std::string
      id;  ///< "memory.huge-pages"; stable, and the heading in docs/operating.md begins with its first word
  Level level = Level::ok;
  std::string what;
  std::string why;  ///< empty where level is ok
  std::string fix;  ///< a command where one mends it, otherwise what to do; empty where level is ok
};

/// What is asked of the system. The whole of what checks know: tests put their own in its place.
class SystemView {
 public:
  virtual ~SystemView() = default;

  /// A file's text (of the kernel, or short), its first 256 KiB. Nothing where it cannot be read.
  virtual std::optional<std::string> read(const std::string& path) const = 0;
  /// The names in a folder, sorted; empty where there is none.
  virtual std::vector<std::string> list(const std::string& folder) const = 0;
  /// Where a symbolic link leads.
  virtual std::optional<std::string> link(const std::string& path) const = 0;

  struct FileStatus {
    std::uint32_t mode = 0;
    std::uint32_t owner = 0;
    std::uint64_t bytes = 0;
  };
  virtual std::optional<FileStatus> status(const std::string& path) const = 0;

  static constexpr std::uint64_t unlimited = UINT64_MAX;
  virtual std::uint64_t locked_memory_limit() const = 0;
  /// Of the program that called this one: ours forbid themselves dumps at their start.
  virtual std::uint64_t core_file_limit() const = 0;
  virtual std::uint32_t user() const = 0;
  /// Whether getrandom() answers without waiting.
  virtual bool random_ready() const = 0;
  /// Whether the kernel's clock is disciplined; nothing where it cannot be asked.
  virtual std::optional<bool> clock_synchronised() const = 0;
  virtual std::int64_t now() const = 0;  ///< seconds since 1970, UTC

  struct Kernels {
    std::string name;         ///< of the chosen implementation; empty: none may be used
    std::string reason;       ///< why none may be used
    std::string passed_over;  ///< a faster supported one whose self-test failed; usually empty
    bool forced = false;      ///< by SSN_KERNELS
  };
  virtual Kernels kernels() const = 0;
  virtual Result<Machine> machine() const = 0;

  struct Storage {
    std::string type;  ///< of the file system: "ext4"
    std::uint64_t free_bytes = 0;
    int write_error = 0;  ///< errno of the first thing that failed, or 0: making a file there,
    int sync_error = 0;   ///< fdatasync on it,
    int lock_error = 0;   ///< flock on it
  };
  /// Tries a temporary file in the folder, and removes it.
  virtual Result<Storage> storage(const std::string& folder) const = 0;
};

/// This machine. `root` stands before every path (tests).
std::unique_ptr<SystemView> make_system_view(std::string root = "");

struct CertificateFiles {
  std::string name;         ///< what they are for, for messages
  std::string certificate;  ///< PEM, with the chain behind it
  std::string key;          ///< PEM; may be empty
  std::string authorities;  ///< PEM, trusted; may be empty
};

/// What the machine is to run.
struct PreflightWish {
  PlanWish plan;
  std::uint64_t locked_bytes = std::uint64_t{64} << 20;  ///< key rings and keys
  std::uint64_t huge_bytes = std::uint64_t{256} << 20;   ///< on the node of the workers
  std::string ledger;                                    ///< file, or its folder; empty: not checked
  std::uint64_t ledger_bytes = std::uint64_t{64} << 20;
  std::vector<CertificateFiles> certificates;
  std::vector<std::string> sockets;  ///< of key devices
};

/// Reads what `ssn doctor --config` takes: docs/operating.md lists the keys.
Result<PreflightWish> read_preflight_wish(const std::string& path);

/// All checks, in a fixed order; several findings of one id are possible.
std::vector<Finding> run_preflight(const SystemView& system, const PreflightWish& wish);
Level worst(const std::vector<Finding>& findings) noexcept;

}  // namespace ssn::hw
