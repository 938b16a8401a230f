// SPDX-License-Identifier: BSD-3-Clause
// Who we are and whom we believe, as the files say now: a certificate that was renewed, an authority that was
// added and a list of revoked certificates that was replaced count without a restart. What is broken counts
// for nothing: what was there before stays, and that is told. No gRPC.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "certificate.h"
#include "ssn/hw/file_stamp.h"
#include "trust.h"

namespace ssn::pki {

/// How often files are looked at: what is put in place counts within two of these.
inline constexpr std::chrono::milliseconds look_interval{1000};

/// Times are seconds since 1970. Thread-safe.
class LiveIdentity {
 public:
  /// A line for the log: something changed, is broken, or ends soon.
  using Tell = std::function<void(const std::string& line)>;

  static Result<std::shared_ptr<LiveIdentity>> open(const IdentityFiles& files, CertificateUse use, Tell tell,
                                                    std::int64_t now);

  /// Looks at the files, and at how long what they say will last. A new certificate must have the same name
  /// and no role less. What cannot be used is tried twice before it is told, because files that belong
  /// together do not come at once.
  void refresh(std::int64_t now);

  std::shared_ptr<const Identity> identity() const;
  /// One more with each change of identity().
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }

  /// Who holds the certificate, if it is to be believed now. Cheap where it was believed before: an open
  /// connection is judged on each call. Counts what it refuses.
  Result<Holder> judge(std::string_view certificate_pem, std::string_view chain_pem, Purpose purpose,
                       std::int64_t now);
  Result<Holder> judge(X509& certificate, const std::vector<CertificatePointer>& chain, Purpose purpose,
                       std::int64_t now);

  struct State {
    std::string name;                ///< of our certificate
    std::int64_t ends = 0;           ///< our certificate, or one above it
    std::int64_t lists_end = 0;      ///< the first list of revoked ones; 0: there is none
    bool healthy = true;             ///< nothing ends soon, and the files can be used
    std::string condition;           ///< "valid", "ends in 12 days", ...
    std::uint64_t reloads = 0;       ///< changes that count
    std::uint64_t reloads_bad = 0;   ///< changes that could not be used
    std::uint64_t revoked = 0;       ///< certificates of others that were refused because they are revoked
    std::uint64_t not_believed = 0;  ///< for other reasons
  };
  State state(std::int64_t now) const;

 private:
  using Stamps = std::array<hw::FileStamp, 5>;
  struct Believed {
    Holder holder;
    std::int64_t since = 0;
    std::int64_t until = 0;
  };

  LiveIdentity(IdentityFiles files, CertificateUse use, Tell tell)
      : files_(std::move(files)), use_(use), tell_(std::move(tell)) {}
  Stamps look() const;
  Result<Identity> load(std::int64_t now) const;
  void take(Identity&& identity, std::int64_t now);
  void warn(std::int64_t now);
  void say(const std::string& line) const;
  const Believed* find(const std::string& key, std::int64_t now);
  Result<Holder> judge(const std::string& key, X509& certificate,
                       const std::vector<CertificatePointer>& chain, Purpose purpose, std::int64_t now);

  const IdentityFiles files_;
  const CertificateUse use_;
  const Tell tell_;

  std::mutex refreshing_;  // of what follows
  Stamps taken_{};         // of what counts
  Stamps tried_{};         // of what could not be used
  unsigned tries_ = 0;
  std::int64_t tried_at_ = 0;
  unsigned certificate_stage_ = 0;
  unsigned list_stage_ = 0;

  mutable std::mutex mutex_;  // of what follows
  std::shared_ptr<const Identity> identity_;
  std::string trouble_;  // why the files cannot be used; empty: they can
  std::map<std::string, Believed, std::less<>> believed_;

  std::atomic<std::uint64_t> generation_{0};
  std::atomic<std::uint64_t> reloads_{0};
  std::atomic<std::uint64_t> reloads_bad_{0};
  std::atomic<std::uint64_t> revoked_{0};
  std::atomic<std::uint64_t> not_believed_{0};
};

/// Looks again and again, on a thread of its own, until it is destroyed.
class IdentityWatch {
 public:
  /// `looked` is called each time, behind that: connections that are open can be judged again.
  explicit IdentityWatch(std::vector<std::shared_ptr<LiveIdentity>> watched,
                         std::function<void()> looked = nullptr);
  ~IdentityWatch();
  IdentityWatch(const IdentityWatch&) = delete;
  IdentityWatch& operator=(const IdentityWatch&) = delete;

 private:
  const std::vector<std::shared_ptr<LiveIdentity>> watched_;
  const std::function<void()> looked_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ssn::pki
