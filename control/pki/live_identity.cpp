// SPDX-License-Identifier: BSD-3-Clause
#include "live_identity.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <ctime>

#include "issuer.h"
#include "validity.h"

namespace ssn::pki {
namespace {

constexpr const char* const what = "cannot take the changed certificates";
// What cannot be used is tried again now and then: it may be a certificate that begins to hold later.
constexpr std::int64_t try_again = 60;
constexpr std::size_t believed_max = 1024;

unsigned certificate_stage(const Identity& mine, std::int64_t now) {
  return pki::certificate_stage(mine.begins, mine.ends, now);
}
unsigned list_stage(const Trust& trust, std::int64_t now) {
  return pki::list_stage(trust.lists_begin(), trust.lists_end(), now);
}

std::string utc(std::int64_t seconds) {
  const std::time_t time = seconds;
  tm fields{};
  ::gmtime_r(&time, &fields);
  char text[32];
  (void)std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &fields);
  return text;
}

bool same(const Identity& one, const Identity& other) {
  return one.certificate == other.certificate && one.ca == other.ca && one.lists == other.lists &&
         one.key.size() == other.key.size() &&
         CRYPTO_memcmp(one.key.data(), other.key.data(), one.key.size()) == 0;
}

bool has_all(const Roles& wanted, const Roles& have) {
  for (std::size_t i = 0; i < roles_count; ++i) {
    if (wanted.has(static_cast<Role>(i)) && !have.has(static_cast<Role>(i))) return false;
  }
  return true;
}

std::string key_of(Purpose purpose, std::string_view bytes) {
  return std::string(1, purpose == Purpose::client ? 'c' : 's').append(bytes);
}

}  // namespace

Result<std::shared_ptr<LiveIdentity>> LiveIdentity::open(const IdentityFiles& files, CertificateUse use,
                                                         Tell tell, std::int64_t now) {
  std::shared_ptr<LiveIdentity> live(new LiveIdentity(files, use, std::move(tell)));
  live->taken_ = live->look();
  Result<Identity> identity = load_identity(files, use, now);
  if (!identity.ok()) return identity.error();
  live->identity_ = std::make_shared<const Identity>(std::move(identity.value()));
  live->warn(now);
  return live;
}

LiveIdentity::Stamps LiveIdentity::look() const {
  return {hw::stamp_of(files_.certificate), hw::stamp_of(files_.key), hw::stamp_of(files_.ca),
          hw::stamp_of(files_.crl), hw::stamp_of(files_.others)};
}

Result<Identity> LiveIdentity::load(std::int64_t now) const {
  Result<Identity> loaded = load_identity(files_, use_, now);
  if (!loaded.ok()) return loaded;
  const std::shared_ptr<const Identity> before = identity();
  if (loaded.value().name != before->name || !has_all(before->roles, loaded.value().roles)) {
    return Error{Exit::refused, what,
                 loaded.value().name != before->name
                     ? fmt::format("it is that of {}, not of {}", loaded.value().name, before->name)
                     : fmt::format("it lacks a role that {} has had", before->name),
                 files_.certificate, "renew the certificate: ssn pki renew; another one needs a restart"};
  }
  return loaded;
}

void LiveIdentity::refresh(std::int64_t now) {
  const std::lock_guard lock(refreshing_);
  // Before it is read: what changes meanwhile is seen the next time.
  const Stamps stamps = look();
  if (stamps == taken_) {
    if (tries_ != 0) {  // back as it was
      tries_ = 0;
      const std::lock_guard of_state(mutex_);
      trouble_.clear();
    }
    warn(now);
    return;
  }
  if (stamps != tried_) tries_ = 0;
  if (tries_ >= 2 && now >= tried_at_ && now - tried_at_ < try_again) {
    warn(now);
    return;
  }
  Result<Identity> loaded = load(now);
  tried_ = stamps;
  tried_at_ = now;
  if (loaded.ok()) {
    taken_ = stamps;
    tries_ = 0;
    take(std::move(loaded.value()), now);
  } else if (++tries_ == 2) {
    const Error& error = loaded.error();
    reloads_bad_.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard of_state(mutex_);
      trouble_ = fmt::format("{}: {}", error.where, error.why);
    }
    say(fmt::format("{}: {}: {} (fix: {}); what was there before still counts", error.what, error.where,
                    error.why, error.fix));
  }
  warn(now);
}

void LiveIdentity::take(Identity&& identity, std::int64_t now) {
  const std::shared_ptr<const Identity> before = this->identity();
  const bool changed = !same(identity, *before);
  {
    const std::lock_guard lock(mutex_);
    trouble_.clear();
    if (changed) {
      identity_ = std::make_shared<const Identity>(std::move(identity));
      believed_.clear();
    }
  }
  if (!changed) return;
  generation_.fetch_add(1, std::memory_order_acq_rel);
  reloads_.fetch_add(1, std::memory_order_relaxed);
  certificate_stage_ = 0;
  list_stage_ = 0;
  const std::shared_ptr<const Identity> after = this->identity();
  const bool lists = after->trust->checks_lists();
  say(fmt::format("took changed certificates: that of {} ends {}{}{}", after->name, utc(after->ends),
                  lists ? "; the list of revoked ones ends " : "",
                  lists ? utc(after->trust->lists_end()) : ""));
  warn(now);
}

void LiveIdentity::warn(std::int64_t now) {
  const std::shared_ptr<const Identity> mine = identity();
  const std::int64_t left = mine->ends - now;
  if (const unsigned stage = certificate_stage(*mine, now); stage > certificate_stage_) {
    certificate_stage_ = stage;
    say(stage == 3
            ? fmt::format("the certificate of {} has ended: nobody believes it any more ({}; fix: ssn "
                          "pki renew {})",
                          mine->name, files_.certificate, mine->name)
            : fmt::format("the certificate of {} ends in {}, {} ({}; fix: ssn pki renew {})", mine->name,
                          duration_text(left), utc(mine->ends), files_.certificate, mine->name));
  }
  if (!mine->trust->checks_lists()) return;
  if (const unsigned stage = list_stage(*mine->trust, now); stage > list_stage_) {
    list_stage_ = stage;
    const std::int64_t end = mine->trust->lists_end();
    say(stage == 3
            ? fmt::format(
                  "the list of revoked certificates has ended: everybody is refused ({}; fix: ssn pki "
                  "crl)",
                  files_.crl)
            : fmt::format("the list of revoked certificates ends in {}, {}; then everybody is refused ({}; "
                          "fix: ssn pki crl)",
                          duration_text(end - now), utc(end), files_.crl));
  }
}

void LiveIdentity::say(const std::string& line) const {
  if (tell_) tell_(line);
}

std::shared_ptr<const Identity> LiveIdentity::identity() const {
  const std::lock_guard lock(mutex_);
  return identity_;
}

// With the lock held.
const LiveIdentity::Believed* LiveIdentity::find(const std::string& key, std::int64_t now) {
  const auto found = believed_.find(key);
  return found != believed_.end() && found->second.since <= now && now < found->second.until ? &found->second
                                                                                             : nullptr;
}

Result<Holder> LiveIdentity::judge(std::string_view certificate_pem, std::string_view chain_pem,
                                   Purpose purpose, std::int64_t now) {
  const std::string key = key_of(purpose, certificate_pem);
  {
    const std::lock_guard lock(mutex_);
    if (const Believed* const known = find(key, now)) return known->holder;
  }
  const CertificatePointer certificate = certificate_from(certificate_pem);
  if (certificate == nullptr) {
    not_believed_.fetch_add(1, std::memory_order_relaxed);
    return Error{Exit::refused, "cannot believe a certificate", "there is none", "", "show one"};
  }
  return judge(key, *certificate, certificates_from(chain_pem, chain_max), purpose, now);
}

Result<Holder> LiveIdentity::judge(X509& certificate, const std::vector<CertificatePointer>& chain,
                                   Purpose purpose, std::int64_t now) {
  unsigned char* der = nullptr;
  const int bytes = i2d_X509(&certificate, &der);
  const std::string key =
      key_of(purpose, {reinterpret_cast<const char*>(der), static_cast<std::size_t>(std::max(bytes, 0))});
  OPENSSL_free(der);
  {
    const std::lock_guard lock(mutex_);
    if (const Believed* const known = find(key, now)) return known->holder;
  }
  return judge(key, certificate, chain, purpose, now);
}

Result<Holder> LiveIdentity::judge(const std::string& key, X509& certificate,
                                   const std::vector<CertificatePointer>& chain, Purpose purpose,
                                   std::int64_t now) {
  const std::shared_ptr<const Identity> mine = identity();
  const Trust::Judgement judgement = mine->trust->judge(certificate, chain, purpose, now);
  Holder holder = holder_of(certificate);
  if (judgement.error != X509_V_OK) {
    const bool is_revoked = judgement.error == X509_V_ERR_CERT_REVOKED;
    (is_revoked ? revoked_ : not_believed_).fetch_add(1, std::memory_order_relaxed);
    return Error{Exit::refused, "cannot believe a certificate",
                 fmt::format("the certificate of {} is not to be believed: {}",
                             holder.name.empty() ? "nobody" : holder.name,
                             X509_verify_cert_error_string(judgement.error)),
                 "", "get another certificate: ssn pki issue, ssn pki renew"};
  }
  const std::lock_guard lock(mutex_);
  if (identity_ == mine) {  // else it was judged by what does not count any more
    if (believed_.size() >= believed_max) believed_.clear();
    believed_[key] = {holder, now, judgement.until};
  }
  return holder;
}

LiveIdentity::State LiveIdentity::state(std::int64_t now) const {
  State state;
  std::shared_ptr<const Identity> mine;
  std::string trouble;
  {
    const std::lock_guard lock(mutex_);
    mine = identity_;
    trouble = trouble_;
  }
  const Trust& trust = *mine->trust;
  state.name = mine->name;
  state.ends = mine->ends;
  state.lists_end = trust.lists_end();
  const std::int64_t left = state.ends - now;
  const std::int64_t list_left = state.lists_end - now;
  const unsigned certificate = certificate_stage(*mine, now);
  const unsigned list = trust.checks_lists() ? list_stage(trust, now) : 0;
  state.healthy = certificate == 0 && list == 0 && trouble.empty();
  state.condition = certificate == 3   ? "has ended"
                    : list == 3        ? "the list of revoked ones has ended"
                    : !trouble.empty() ? trouble
                    : certificate != 0 ? fmt::format("ends in {}", duration_text(left))
                    : list != 0 ? fmt::format("the list of revoked ones ends in {}", duration_text(list_left))
                                : "valid";
  state.reloads = reloads_.load(std::memory_order_relaxed);
  state.reloads_bad = reloads_bad_.load(std::memory_order_relaxed);
  state.revoked = revoked_.load(std::memory_order_relaxed);
  state.not_believed = not_believed_.load(std::memory_order_relaxed);
  return state;
}

IdentityWatch::IdentityWatch(std::vector<std::shared_ptr<LiveIdentity>> watched, std::function<void()> looked)
    : watched_(std::move(watched)), looked_(std::move(looked)), thread_([this] {
        std::unique_lock lock(mutex_);
        while (!changed_.wait_for(lock, look_interval, [this] { return stopping_; })) {
          lock.unlock();
          for (const std::shared_ptr<LiveIdentity>& each : watched_) each->refresh(::time(nullptr));
          if (looked_) looked_();
          lock.lock();
        }
      }) {}

IdentityWatch::~IdentityWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

}  // namespace ssn::pki
