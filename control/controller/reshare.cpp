// SPDX-License-Identifier: BSD-3-Clause
#include "reshare.h"

namespace ssn::controller {
namespace {

template <typename Enum, std::size_t Count>
std::string_view pick(const std::string_view (&names)[Count], Enum value) noexcept {
  const auto index = static_cast<std::size_t>(value);
  return index < Count ? names[index] : "unknown";
}

}  // namespace

std::string_view name(ReshareOperation operation) noexcept {
  static constexpr std::string_view names[] = {"unknown",      "exchange", "repair", "refresh",
                                               "redistribute", "seal",     "check"};
  return pick(names, operation);
}

std::string_view name(ReshareStep step) noexcept {
  static constexpr std::string_view names[] = {"unknown", "transfer", "seal", "check",
                                               "erase",   "undo",     "done", "undone"};
  return pick(names, step);
}

std::string_view name(ReshareAnswer answer) noexcept {
  static constexpr std::string_view names[] = {
      "unknown",   "taken",    "again",       "superseded", "busy",     "no-part", "malformed",
      "too-large", "unlisted", "below-floor", "forbidden",  "unpinned", "old-term"};
  return pick(names, answer);
}

std::string_view name(ReshareState state) noexcept {
  static constexpr std::string_view names[] = {"none", "running", "done", "failed", "cancelled"};
  return pick(names, state);
}

std::string_view name(ReshareTrouble trouble) noexcept {
  static constexpr std::string_view names[] = {"none",         "stalled",  "peer-lost",  "not-there",
                                               "store-failed", "conflict", "incomplete", "damaged",
                                               "no-random",    "no-keys"};
  return pick(names, trouble);
}

std::string_view name(CheckVerdict verdict) noexcept {
  static constexpr std::string_view names[] = {"none", "passed", "failed", "unverified"};
  return pick(names, verdict);
}

std::vector<AttemptRun> attempts_of_target(const ReshareJob& job) {
  if (job.same_generation()) return job.attempts;
  std::vector<AttemptRun> attempts;
  for (std::size_t i = 0; i < job.runs.size(); ++i) {
    const std::uint64_t end = i + 1 < job.runs.size() ? job.runs[i + 1].first : job.cells;
    attempts.push_back({job.runs[i].first, end - job.runs[i].first, job.runs[i].round});
  }
  return attempts;
}

ReshareView view_of(const ReshareJob& job, std::uint64_t through) {
  ReshareView view{job.id,
                   job.object,
                   job.owner,
                   job.name,
                   job.operation,
                   job.reason,
                   job.step,
                   job.round,
                   job.cells,
                   job.cell_bytes,
                   through,
                   job.share,
                   job.source.k,
                   job.source.n,
                   job.target.k,
                   job.target.n,
                   job.source_generation,
                   job.target_generation,
                   {},
                   {},
                   job.computational,
                   job.unverified,
                   job.trouble,
                   job.started_ms,
                   job.ended_ms};
  const auto add = [&](const Layout& layout, std::vector<std::string>& nodes) {
    for (std::uint32_t share = 1; share <= layout.n; ++share) {
      if (job.concerns(share)) nodes.push_back(layout.holders[share - 1].node);
    }
  };
  add(job.source, view.away);
  add(job.target, view.takers);
  return view;
}

}  // namespace ssn::controller
