// SPDX-License-Identifier: BSD-3-Clause
#include "shares.h"

#include <algorithm>
#include <memory>

#include "ssa_desk.h"

namespace ssn::sim {

using kernels::Status;
using store::stripe_cells;
using test::Bytes;

namespace {

std::uint16_t attempt_at(const controller::Object& object, std::uint64_t cell) {
  std::uint16_t attempt = 0;
  for (const controller::AttemptRun& run : object.attempts) {
    if (run.first_cell <= cell) attempt = static_cast<std::uint16_t>(run.attempt);
  }
  return attempt;
}

// One cell of the data from a cell of each share; empty: the shares contradict each other.
class Recovery {
 public:
  Recovery(const roles::ObjectLayout& layout, std::size_t cell_bytes) : bytes_(cell_bytes) {
    ok_ = kernels::Code::make(layout.scheme, layout.k, layout.n, layout.secret_blocks, code_) == Status::ok;
  }
  bool ok() const { return ok_; }
  unsigned data_blocks() const { return code_.data_blocks(); }

  bool cell(const std::map<std::uint8_t, Bytes>& shares, std::uint32_t cell, std::uint8_t* out) {
    Bytes rows;
    std::vector<const std::uint8_t*> in;
    for (const auto& [share, bytes] : shares) {
      rows.push_back(share);
      in.push_back(bytes.data() + std::size_t{cell} * bytes_);
    }
    std::size_t bad = bytes_;
    if (rows.size() > code_.k() &&
        (transform_->make_syndromes(code_, rows) != Status::ok ||
         kernels::check(test::chosen_implementation(), *transform_, in.data(), bytes_, bad) != Status::ok)) {
      return false;
    }
    if (bad != bytes_ || transform_->make_recover(code_, std::span(rows).first(code_.k())) != Status::ok) {
      return false;
    }
    std::vector<std::uint8_t*> to;
    for (unsigned i = 0; i < code_.data_blocks(); ++i) to.push_back(out + i * bytes_);
    return kernels::dot(test::chosen_implementation(), *transform_, in.data(), to.data(), bytes_) ==
           Status::ok;
  }

 private:
  kernels::Code code_;
  std::unique_ptr<kernels::Transform> transform_ = std::make_unique<kernels::Transform>();
  std::size_t bytes_;
  bool ok_ = false;
};

}  // namespace

Bytes Shares::share(const controller::Object& object, std::size_t share) {
  const controller::Holder& holder = object.layout.holders[share - 1];
  if (hidden_.contains(holder_number(holder.node))) return {};
  test::HolderNode& node = *world_.holders[holder_number(holder.node)];
  if (!node.alive && !node.store.open().ok()) return {};
  test::StripeReader reader(object.cell_bytes);
  const store::ShareId id{object.id, static_cast<std::uint32_t>(object.generation),
                          static_cast<std::uint8_t>(share)};
  Bytes out;
  for (std::uint32_t cell = 0; cell < object.cells; ++cell) {
    const std::uint32_t place = cell % stripe_cells;
    const store::CellRead read = reader.read(node.store.store(), id, attempt_at(object, cell),
                                             cell / stripe_cells, std::uint64_t{1} << place);
    if (read.result != store::StoreResult::done) return {};
    const store::Buffer bytes = reader.cell(place);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

Shares::Whole Shares::whole_shares(const controller::Object& object) {
  Whole whole;
  for (std::size_t i = 1; i <= object.layout.holders.size(); ++i) {
    if (object.layout.holders[i - 1].state != controller::ShareState::sealed) continue;
    Bytes bytes = share(object, i);
    if (!bytes.empty()) whole[static_cast<std::uint8_t>(i)] = std::move(bytes);
  }
  return whole;
}

std::string Shares::judge(const controller::Object& object, const Bytes& content) {
  const std::string which = object.name + ", generation " + std::to_string(object.generation) + ": ";
  const Whole whole = whole_shares(object);
  const auto hidden = std::count_if(
      object.layout.holders.begin(), object.layout.holders.end(), [this](const controller::Holder& holder) {
        return holder.state == controller::ShareState::sealed && hidden_.contains(holder_number(holder.node));
      });
  if (whole.size() < object.layout.k) {
    if (whole.size() + static_cast<std::size_t>(hidden) >= object.layout.k) return {};
    return which + "only " + std::to_string(whole.size()) + " of its shares are whole";
  }
  Recovery recovery(layout_of(object), object.cell_bytes);
  if (!recovery.ok()) return which + "no code";
  const std::size_t of_cell = std::size_t{recovery.data_blocks()} * object.cell_bytes;
  Bytes data(of_cell * object.cells);
  for (std::uint32_t cell = 0; cell < object.cells; ++cell) {
    if (!recovery.cell(whole, cell, data.data() + cell * of_cell)) {
      return which + "its shares contradict each other in cell " + std::to_string(cell);
    }
  }
  const bool same = data.size() >= content.size() && std::equal(content.begin(), content.end(), data.begin());
  return same ? "" : which + "its shares are not those of its contents";
}

std::set<controller::ObjectKey> Shares::at(std::size_t holder) {
  test::HolderNode& node = *world_.holders[holder];
  std::set<controller::ObjectKey> out;
  if (!node.alive || hidden_.contains(holder)) return out;
  const auto all = node.store.store().list({}, 1000);
  if (!all.ok()) return out;
  for (const store::ShareSummary& each : all.value()) out.insert({each.id.object, each.id.generation});
  return out;
}

std::string Shares::watch() {
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    if (!world_.holders[i]->alive || hidden_.contains(i)) continue;
    const auto all = world_.holders[i]->store.store().list({}, 1000);
    if (!all.ok()) continue;
    for (const store::ShareSummary& each : all.value()) {
      const auto known = seen_.try_emplace({i, each.id.object, each.id.generation}, each.id.share).first;
      if (known->second == each.id.share) continue;
      return "holder " + std::to_string(i) + " has had two shares of one generation of object " +
             std::to_string(each.id.object);
    }
  }
  return {};
}

}  // namespace ssn::sim
