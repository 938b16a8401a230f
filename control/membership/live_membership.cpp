// SPDX-License-Identifier: BSD-3-Clause
#include "live_membership.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "signatures.h"

namespace ssn::membership {
namespace {

constexpr const char* what = "cannot use the membership";
constexpr std::int64_t day = 86400;
// What cannot be used is tried again now and then: it may be one that holds later.
constexpr std::int64_t try_again = 60;
constexpr std::size_t signers_file_max = std::size_t{256} << 10;
constexpr std::size_t seen_max = 128;
constexpr std::size_t digest_digits = 64;

std::string join(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& each : names) all += (all.empty() ? "" : ", ") + each;
  return all.empty() ? "nobody" : all;
}

// 0: not soon; 1, 2: within 30 days, within 7; 3: it has ended. What lives for days only is no news before.
unsigned stage_of(const Document& document, std::int64_t now) {
  const std::int64_t life = document.until - document.from;
  const std::int64_t left = document.until - now;
  return left <= 0                              ? 3
         : left <= std::min(7 * day, life / 10) ? 2
         : left <= std::min(30 * day, life / 3) ? 1
                                                : 0;
}

std::string left_text(std::int64_t seconds) {
  return seconds >= 2 * day ? fmt::format("{} days", seconds / day)
                            : fmt::format("{} hours", std::max<std::int64_t>(seconds, 0) / 3600);
}

}  // namespace

Result<Pinned> load_pinned(const Files& files) {
  const Result<std::string> text = pki::read_file(files.document, document_max, false, what);
  if (!text.ok()) return text.error();
  const Result<std::string> signatures = pki::read_file(files.signatures, signatures_max, false, what);
  if (!signatures.ok()) return signatures.error();
  const Result<std::string> certificates = pki::read_file(files.signers, signers_file_max, false, what);
  if (!certificates.ok()) return certificates.error();
  const Result<Signers> signers = read_signers(certificates.value(), files.signers);
  if (!signers.ok()) return signers.error();
  if (files.threshold > signers.value().certificates.size()) {
    return Error{
        Exit::usage, what,
        fmt::format("{} must sign, and {} may", files.threshold, signers.value().certificates.size()),
        files.signers, "add certificates, or ask for fewer"};
  }
  Result<std::vector<std::string>> who =
      who_signed(text.value(), signatures.value(), signers.value(), files.signatures);
  if (!who.ok()) return who.error();
  if (who.value().size() < files.threshold) {
    return Error{Exit::refused, what,
                 fmt::format("{} of those who may signed it ({}), {} must", who.value().size(),
                             join(who.value()), files.threshold),
                 files.document, "have it signed: ssn membership sign"};
  }
  // Only now: what nobody vouches for is not even read.
  Result<Document> document = parse(text.value(), files.document);
  if (!document.ok()) return document.error();
  return Pinned{std::move(document.value()), std::move(who.value())};
}

Result<std::shared_ptr<LiveMembership>> LiveMembership::open(const Files& files, Tell tell,
                                                             std::int64_t now) {
  std::shared_ptr<LiveMembership> live(new LiveMembership(files, std::move(tell)));
  if (Outcome seen = live->read_seen(); !seen.ok()) return seen.error();
  live->taken_stamps_ = live->look();
  if (Outcome taken = live->take(now); !taken.ok()) return taken.error();
  live->warn(now);
  return live;
}

LiveMembership::Stamps LiveMembership::look() const {
  return {hw::stamp_of(files_.document), hw::stamp_of(files_.signatures), hw::stamp_of(files_.signers)};
}

// "SERIAL DIGEST".
Outcome LiveMembership::read_seen() {
  if (::access(files_.seen.c_str(), F_OK) != 0 && errno == ENOENT) return done;
  const Result<std::string> text = pki::read_file(files_.seen, seen_max, false, what);
  if (!text.ok()) return text.error();
  const char* const end = text.value().data() + text.value().size();
  const auto [at, error] = std::from_chars(text.value().data(), end, seen_serial_);
  if (error != std::errc() || static_cast<std::size_t>(end - at) != digest_digits + 2 || *at != ' ' ||
      end[-1] != '\n') {
    return Error{
        Exit::integrity, what, "the file does not say which one was seen last", files_.seen,
        "write the highest serial that this node saw and the SHA-256 of its document into it, with a "
        "space between, on one line"};
  }
  seen_digest_.assign(at + 1, digest_digits);
  return done;
}

// Durable before it counts.
Outcome LiveMembership::accept(const Pinned& next, std::int64_t now) {
  const Document& document = next.document;
  if (document.serial < seen_serial_) {
    return Error{Exit::refused, what,
                 fmt::format("it is number {}, and {} was seen here", document.serial, seen_serial_),
                 files_.document, "give the newest one; an old one is never taken again"};
  }
  if (document.serial == seen_serial_ && document.digest != seen_digest_) {
    return Error{Exit::refused, what, fmt::format("another one of number {} was seen here", document.serial),
                 files_.document, "operators signed two: make one with a higher serial, and find out why"};
  }
  if (const auto before = pinned(); before != nullptr && before->document.network != document.network) {
    return Error{
        Exit::refused, what,
        fmt::format("it is of the network {}, not of {}", document.network, before->document.network),
        files_.document, "give that of this network"};
  }
  if (const Verdict now_holds = membership::holds(document, now); !now_holds.ok()) {
    return Error{Exit::refused, what, now_holds.why, files_.document,
                 "look at the clock; or have a newer one signed: ssn membership sign"};
  }
  if (document.serial == seen_serial_) return done;
  const std::string line = fmt::format("{} {}\n", document.serial, document.digest);
  if (Outcome kept = pki::replace_file(files_.seen, line, 0600, what); !kept.ok()) return kept;
  seen_serial_ = document.serial;
  seen_digest_ = document.digest;
  return done;
}

Outcome LiveMembership::take(std::int64_t now) {
  Result<Pinned> next = load_pinned(files_);
  if (!next.ok()) return next.error();
  if (Outcome accepted = accept(next.value(), now); !accepted.ok()) return accepted;
  const std::lock_guard lock(mutex_);
  pinned_ = std::make_shared<const Pinned>(std::move(next.value()));
  trouble_.clear();
  return done;
}

void LiveMembership::refresh(std::int64_t now) {
  const std::lock_guard lock(refreshing_);
  const Stamps stamps = look();
  if (stamps != tried_) tries_ = 0;
  const bool waits = tries_ >= 2 && now >= tried_at_ && now - tried_at_ < try_again;
  if (stamps == taken_stamps_ || waits) {
    if (stamps == taken_stamps_) {
      const std::lock_guard of_state(mutex_);
      trouble_.clear();
    }
    warn(now);
    return;
  }
  tried_ = stamps;
  tried_at_ = now;
  const std::uint64_t before = pinned()->document.serial;
  if (const Outcome taken = take(now); taken.ok()) {
    taken_stamps_ = stamps;
    tries_ = 0;
    const auto after = pinned();
    if (after->document.serial != before) {
      taken_.fetch_add(1, std::memory_order_relaxed);
      stage_ = 0;
      say(fmt::format("took the membership {} of {}, signed by {}", after->document.serial,
                      after->document.network, join(after->signers)));
    }
  } else if (++tries_ == 2) {
    const Error& error = taken.error();
    not_taken_.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard of_state(mutex_);
      trouble_ = fmt::format("{}: {}", error.where, error.why);
    }
    say(fmt::format("{}: {}: {} (fix: {}); what was there before still counts", error.what, error.where,
                    error.why, error.fix));
  }
  warn(now);
}

void LiveMembership::warn(std::int64_t now) {
  const auto mine = pinned();
  const unsigned stage = stage_of(mine->document, now);
  if (stage <= stage_) return;
  stage_ = stage;
  say(stage == 3
          ? fmt::format("the membership {} has ended: nothing is written or made anew any more "
                        "({}; fix: ssn membership sign)",
                        mine->document.serial, files_.document)
          : fmt::format("the membership {} ends in {} ({}; fix: ssn membership sign)", mine->document.serial,
                        left_text(mine->document.until - now), files_.document));
}

void LiveMembership::say(const std::string& line) const {
  if (tell_) tell_(line);
}

std::shared_ptr<const Pinned> LiveMembership::pinned() const {
  const std::lock_guard lock(mutex_);
  return pinned_;
}

LiveMembership::State LiveMembership::state(std::int64_t now) const {
  State state;
  {
    const std::lock_guard lock(mutex_);
    state.pinned = pinned_;
    state.condition = trouble_;
  }
  state.threshold = files_.threshold;
  const Document& document = state.pinned->document;
  const Verdict now_holds = membership::holds(document, now);
  const unsigned stage = stage_of(document, now);
  state.healthy = state.condition.empty() && now_holds.ok() && stage == 0;
  if (!now_holds.ok()) {
    state.condition = now_holds.why;
  } else if (state.condition.empty()) {
    state.condition = stage == 0 ? "valid" : "ends in " + left_text(document.until - now);
  }
  state.taken = taken_.load(std::memory_order_relaxed);
  state.not_taken = not_taken_.load(std::memory_order_relaxed);
  return state;
}

}  // namespace ssn::membership
