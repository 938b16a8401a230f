// SPDX-License-Identifier: BSD-3-Clause
// One re-sharing job, step by step: docs/resharing.md, "What the control side does". Sans-IO: what nodes say
// and what time it is come in, what is to be asked of nodes and what is to be made durable comes out.
//
//   answered(), told(), unreachable(), cancelled() -> decide() -> save: the caller writes job(), then saved()
//                                                              -> commit, end: the caller's own transaction
//                                                  -> asks()   (none before what they say is durable)
//
// All that must survive a crash is in the job. A machine that was made from a job of the database finds out
// from the nodes whether its round still runs; if not all of them know it, the next one begins.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reshare.h"

namespace ssn::controller {

/// What the caller is to do before anything else.
enum class ReshareWish : std::uint8_t {
  nothing,
  save,     ///< write job(), then saved()
  commit,   ///< make the target the object's layout, in one transaction; then replace()
  clean,    ///< committed: end it if all old shares are gone; then replace()
  abandon,  ///< all nodes have stopped: order the new shares to be removed, end it; then replace()
};

struct ReshareAsk {
  std::string node;
  bool cancel = false;
  ReshareOrder order;  ///< unless cancel; job always
};

class ReshareMachine {
 public:
  using IsUp = std::function<bool(const std::string& node)>;

  /// The job as it is in the database.
  ReshareMachine(ReshareJob job, const ReshareTiming& timing, std::uint64_t now_ms);

  const ReshareJob& job() const noexcept { return job_; }
  /// Cells that all nodes have of the target as far as they said; for people.
  std::uint64_t through() const noexcept;
  /// Nodes whose status it needs now.
  std::vector<std::string> watched() const;

  void answered(std::uint64_t now_ms, const std::string& node, std::uint32_t round, ReshareAnswer answer);
  /// Null: the node knows nothing of the job.
  void told(std::uint64_t now_ms, const std::string& node, const ReshareStatus* status);
  /// An order or a cancellation did not get through, as far as is known.
  void unreachable(std::uint64_t now_ms, const std::string& node, std::uint32_t round);
  /// Its status was not to be had.
  void unheard(const std::string& node);
  void cancelled(const std::string& node);
  void cancel(std::uint64_t now_ms, const std::string& why);

  ReshareWish decide(std::uint64_t now_ms, const IsUp& is_up);
  void saved() noexcept { dirty_ = false; }
  void replace(ReshareJob job, std::uint64_t now_ms);
  std::vector<ReshareAsk> asks(std::uint64_t now_ms);
  /// Whether a node that is down is not waited for any more.
  /// From its next decision on.
  void set_timing(const ReshareTiming& timing) noexcept { timing_ = timing; }
  bool gives_up(std::uint64_t now_ms) const noexcept { return now_ms - progress_ms_ > timing_.cancel_ms; }
  /// The order of the present round.
  ReshareOrder order() const;

 private:
  struct Part {              // of a node in the present round
    bool asked = false;      // an order was sent, whatever became of it
    bool ordered = false;    // it said that it has the order
    bool in_flight = false;  // an answer is to come
    bool heard = false;      // its status, since the round began or the controller was started
    bool known = false;      // its status was of this round
    bool done = false;       // its part of the round; undo: nothing runs there
    unsigned misses = 0;     // statuses in a row that were not of this round
    ReshareState state = ReshareState::none;
    CheckVerdict verdict = CheckVerdict::none;
    std::uint64_t through = 0;
    std::uint64_t retry_at_ms = 0;
  };

  bool works() const noexcept;
  void set_parts(std::uint64_t now_ms);
  void progress(std::uint64_t now_ms) noexcept { progress_ms_ = now_ms; }
  void fail(std::uint64_t now_ms, const std::string& suspect, std::string why);
  void undo(std::uint64_t now_ms, const std::string& why);
  void assume_the_worst();
  const std::string& checker() const;
  void judge(std::uint64_t now_ms, const std::string& node, const ReshareStatus& status);
  ReshareWish decide_round(std::uint64_t now_ms, const IsUp& is_up);
  bool resumed(std::uint64_t now_ms);
  bool next_round(std::uint64_t now_ms, const IsUp& is_up);
  bool choose(const IsUp& is_up);
  std::optional<std::vector<std::uint32_t>> chosen(const IsUp& is_up) const;
  void lost(std::uint64_t now_ms, const std::string& node, const std::string& why);
  std::vector<std::uint32_t> givers(const IsUp& is_up) const;
  std::uint64_t least_through() const noexcept;
  bool is_round_done() const;
  bool is_settled(std::uint64_t now_ms);
  void advance(std::uint64_t now_ms, const IsUp& is_up);
  ReshareWish after_check(std::uint64_t now_ms);
  void shrink(std::uint64_t now_ms);

  ReshareJob job_;
  ReshareTiming timing_;
  bool dirty_ = false;
  bool over_ = false;        // the round failed; the next one waits for begin_at_ms_
  bool committing_ = false;  // all checks passed
  bool resuming_ = false;
  std::uint64_t begin_at_ms_ = 0;
  std::uint64_t progress_ms_ = 0;
  std::uint64_t done_ms_ = 0;  // since when the round is done; 0: it is not
  std::map<std::string, Part> parts_;
  std::map<std::string, unsigned> suspicion_;  // rounds that failed because of a node
};

}  // namespace ssn::controller
