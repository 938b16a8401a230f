// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_messages.h"

#include <limits>
#include <set>

#include "call_error.h"
#include "certificate.h"
#include "operation.pb.h"

namespace ssn::agent {
namespace {

using roles::ReshareAnswer;
using roles::ReshareOperation;
using roles::ReshareState;
using roles::ReshareTrouble;
namespace catalogue = ssn::controller::v1;

// Values are the messages'.
static_assert(static_cast<int>(ReshareOperation::check) == api::RESHARE_OPERATION_CHECK);
static_assert(static_cast<int>(ReshareState::cancelled) == api::RESHARE_STATE_CANCELLED);
static_assert(static_cast<int>(ReshareTrouble::no_keys) == api::RESHARE_TROUBLE_NO_KEYS);
static_assert(static_cast<int>(roles::CheckVerdict::unverified) == api::CHECK_VERDICT_UNVERIFIED);
// Of answers they are one more.
static_assert(static_cast<int>(ReshareAnswer::taken) + 1 == api::RESHARE_ANSWER_CODE_TAKEN);
static_assert(static_cast<int>(ReshareAnswer::unpinned) + 1 == api::RESHARE_ANSWER_CODE_UNPINNED);

constexpr unsigned most_shares = 255;
constexpr std::uint8_t usual_unit_cells = 16;
constexpr std::uint8_t usual_window = 4;
constexpr std::uint32_t usual_stall_ms = 10'000;

// Narrower, if it fits.
template <typename To>
bool fits(std::uint64_t value, To& to) {
  if (value > std::numeric_limits<To>::max()) return false;
  to = static_cast<To>(value);
  return true;
}

bool read_scheme(catalogue::Scheme scheme, kernels::Scheme& to) {
  switch (scheme) {
    case catalogue::SCHEME_SHAMIR:
      to = kernels::Scheme::systematic;
      return true;
    case catalogue::SCHEME_SHAMIR_CLASSIC:
      to = kernels::Scheme::classic;
      return true;
    case catalogue::SCHEME_RAMP:
      to = kernels::Scheme::ramp;
      return true;
    case catalogue::SCHEME_RS:
      to = kernels::Scheme::rs;
      return true;
    default:
      return false;
  }
}

// Two names with one number would be one node to us.
bool read_nodes(const api::ReshareLayout& message, std::vector<std::uint64_t>& nodes) {
  std::set<std::uint64_t> seen;
  for (const std::string& name : message.nodes()) {
    if (name.size() > pki::common_name_max) return false;
    nodes.push_back(name.empty() ? 0 : roles::node_number(name));
    if (nodes.back() != 0 && !seen.insert(nodes.back()).second) return false;
  }
  return true;
}

bool read_layout(const api::ReshareLayout& message, roles::ReshareLayout& layout) {
  if (message.row_rule() != catalogue::ROW_RULE_FIXED && message.row_rule() != catalogue::ROW_RULE_ROTATING) {
    return false;
  }
  layout.row_rule =
      message.row_rule() == catalogue::ROW_RULE_ROTATING ? roles::RowRule::rotating : roles::RowRule::fixed;
  layout.cells_per_turn = message.cells_per_turn();
  return message.nodes_size() <= static_cast<int>(most_shares) &&
         read_scheme(message.scheme(), layout.scheme) && fits(message.k(), layout.k) &&
         fits(message.n(), layout.n) && fits(message.secret_blocks(), layout.secret_blocks) &&
         read_nodes(message, layout.nodes);
}

// All cells, in order.
bool read_generation(const api::ReshareGeneration& message, std::uint64_t cells,
                     roles::ReshareGeneration& generation) {
  if (!fits(message.generation(), generation.generation) ||
      !read_layout(message.layout(), generation.layout) ||
      message.attempts_size() > static_cast<int>(store::max_attempt_runs)) {
    return false;
  }
  std::uint64_t next = 0;
  for (const catalogue::AttemptRun& run : message.attempts()) {
    store::AttemptRun to;
    if (run.first_cell() != next || run.cells() == 0 || run.cells() > cells - next ||
        !fits(run.first_cell(), to.first) || !fits(run.attempt(), to.attempt)) {
      return false;
    }
    next += run.cells();
    generation.runs.push_back(to);
  }
  return next == cells || message.attempts_size() == 0;
}

template <typename Numbers>
bool read_shares(const Numbers& numbers, std::vector<std::uint8_t>& shares) {
  if (numbers.size() > static_cast<int>(most_shares)) return false;
  for (const std::uint32_t number : numbers) {
    if (!fits(number, shares.emplace_back())) return false;
  }
  return true;
}

bool read_numbers(const api::ReshareOrder& message, roles::ReshareOrder& order) {
  order.job = message.job();
  order.object = message.object();
  order.cell_bytes = message.cell_bytes();
  order.bytes_per_second = message.bytes_per_second();
  const std::uint32_t stall_ms = message.stall_ms() == 0 ? usual_stall_ms : message.stall_ms();
  order.stall_ns = std::uint64_t{stall_ms} * 1'000'000;
  return fits(message.round(), order.round) && fits(message.cells(), order.cells) &&
         fits(message.first(), order.first) && fits(message.end(), order.end) &&
         fits(message.unit_cells() == 0 ? usual_unit_cells : message.unit_cells(), order.unit_cells) &&
         fits(message.window() == 0 ? usual_window : message.window(), order.window);
}

bool read_order(const api::ReshareOrder& message, roles::ReshareOrder& order) {
  if (message.operation() == api::RESHARE_OPERATION_UNKNOWN ||
      !api::ReshareOperation_IsValid(message.operation()) ||
      message.checker().size() > pki::common_name_max) {
    return false;
  }
  order.operation = static_cast<ReshareOperation>(message.operation());
  order.checker = message.checker().empty() ? 0 : roles::node_number(message.checker());
  const bool seals = order.operation == ReshareOperation::seal;
  const bool audits = order.operation == ReshareOperation::check && message.to_size() == 0;
  return read_numbers(message, order) && read_shares(message.from(), order.from) &&
         read_shares(message.to(), order.to) &&
         (seals || read_generation(message.source(), message.cells(), order.source)) &&
         (audits || read_generation(message.target(), message.cells(), order.target));
}

}  // namespace

roles::ReshareOrder read(const api::ReshareOrder& message) {
  roles::ReshareOrder order;
  return read_order(message, order) ? order : roles::ReshareOrder{};
}

void write(const OrderReply& reply, api::ReshareAnswer& message) {
  message.set_code(reply.term.is_old
                       ? api::RESHARE_ANSWER_CODE_OLD_TERM
                       : static_cast<api::ReshareAnswerCode>(static_cast<int>(reply.answer) + 1));
  message.set_term(reply.term.term);
}

void write(const ReshareReport& report, api::ReshareStatus& message) {
  const roles::ReshareStatus& status = report.status;
  message.set_job(status.job);
  message.set_round(status.round);
  message.set_operation(static_cast<api::ReshareOperation>(status.operation));
  message.set_state(static_cast<api::ReshareState>(status.state));
  message.set_trouble(static_cast<api::ReshareTrouble>(status.trouble));
  message.set_verdict(static_cast<api::CheckVerdict>(status.verdict));
  message.set_node(pki::clean_text(report.node, pki::common_name_max));
  message.set_through(status.through);
  message.set_computational(status.computational);
  message.set_cells_given(status.cells_given);
  message.set_bytes_given(status.bytes_given);
  message.set_cells_taken(status.cells_taken);
  message.set_mask_orders(status.mask_orders);
  message.set_mask_bytes(status.mask_bytes);
  message.set_masks_lost(status.masks_lost);
  message.set_random_bytes(status.random_bytes);
}

}  // namespace ssn::agent
