// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/wire_stream.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <string>

#include "ssn/protocol/tag_stream.h"
#include "ssn/protocol/wire_block.h"

namespace ssn::protocol {
namespace {

Error wrong(const char* where, std::string why, std::string fix) {
  return {Exit::usage, "cannot use this stream", std::move(why), where, std::move(fix)};
}

// The next set of k of n indices in the order in which those nearest to the first k come first: sets are
// enumerated by how many of 1..k they lack.
class Subsets {
 public:
  Subsets(unsigned k, unsigned n, unsigned lacking) : k_(k), lack_(lacking), add_(lacking) {
    std::iota(lack_.begin(), lack_.end(), 0U);
    std::iota(add_.begin(), add_.end(), 0U);
    done_ = lacking > k || lacking > n - k;
    surplus_ = n - k;
  }
  bool done() const noexcept { return done_; }
  std::vector<std::uint8_t> shares() const {
    std::vector<std::uint8_t> out;
    for (unsigned i = 0; i < k_; ++i) {
      if (std::find(lack_.begin(), lack_.end(), i) == lack_.end())
        out.push_back(static_cast<std::uint8_t>(i + 1));
    }
    for (const unsigned each : add_) out.push_back(static_cast<std::uint8_t>(k_ + each + 1));
    return out;
  }
  void next() noexcept {
    if (step(add_, surplus_)) return;
    std::iota(add_.begin(), add_.end(), 0U);
    done_ = !step(lack_, k_);
  }

 private:
  static bool step(std::vector<unsigned>& chosen, unsigned of) noexcept {
    const auto count = static_cast<unsigned>(chosen.size());
    for (unsigned i = count; i-- > 0;) {
      if (chosen[i] + (count - i) >= of) continue;
      ++chosen[i];
      for (unsigned j = i + 1; j < count; ++j) chosen[j] = chosen[j - 1] + 1;
      return true;
    }
    return false;
  }

  unsigned k_;
  unsigned surplus_ = 0;
  std::vector<unsigned> lack_;
  std::vector<unsigned> add_;
  bool done_ = false;
};

// Whether the device can do an operation of that shape on cells.
// `alignment`: that buffers have at least.
bool able(const ssn_offload_device_info& info, ssn_offload_operation operation, unsigned rows,
          unsigned columns, std::uint32_t cell_bytes, std::uint32_t alignment) noexcept {
  return (info.operations >> operation & 1) != 0 && rows <= info.rows_max && columns <= info.columns_max &&
         info.length_min <= share_granule && cell_bytes <= info.length_max && info.alignment <= alignment &&
         share_granule % info.length_multiple == 0 && info.header_length_max >= header_bytes;
}

}  // namespace

Outcome check(const WireStream& stream) {
  kernels::Code code;
  if (const kernels::Status status =
          kernels::Code::make(stream.scheme, stream.k, stream.n, stream.data_blocks, code);
      status != kernels::Status::ok) {
    return wrong("scheme, k, n, data_blocks", std::string(kernels::describe(status)), "choose others");
  }
  if (stream.cell_bytes < share_granule || stream.cell_bytes > max_payload ||
      stream.cell_bytes % share_granule != 0) {
    return wrong(
        "cell", "a cell has " + std::to_string(stream.cell_bytes) + " bytes",
        "choose a multiple of 64 from 64 to " + std::to_string(max_payload / share_granule * share_granule));
  }
  if (stream.frame_max < 1 || stream.frame_max > frame_bytes_max) {
    return wrong("mtu", "a frame has up to " + std::to_string(stream.frame_max) + " bytes",
                 "choose 1 to " + std::to_string(frame_bytes_max));
  }
  if (!std::has_single_bit(stream.window) || stream.window < 64 || stream.window > 65536) {
    return wrong("window", "the window has " + std::to_string(stream.window) + " blocks",
                 "choose a power of two from 64 to 65536");
  }
  if (stream.reorder_ns < 1000 || stream.reorder_ns > 60'000'000'000 || stream.latency_ns > 60'000'000'000) {
    return wrong("reorder, latency", "a time is out of range",
                 "choose a latency of at most 60 s, and reorder from 1 us to 60 s");
  }
  return done;
}

Result<std::unique_ptr<StreamCode>> StreamCode::make(const WireStream& stream, hw::OffloadDevice* device) {
  if (Outcome checked = check(stream); !checked.ok()) return checked.error();
  std::unique_ptr<StreamCode> made(new StreamCode(stream));
  kernels::Status status =
      kernels::Code::make(stream.scheme, stream.k, stream.n, stream.data_blocks, made->code_);
  made->split_ = std::make_unique<kernels::Transform>();
  if (status == kernels::Status::ok) status = made->split_->make_split(made->code_);
  if (status != kernels::Status::ok) {
    return wrong("scheme, k, n, data_blocks", std::string(kernels::describe(status)), "choose others");
  }
  if (device != nullptr) {
    if (Outcome prepared = made->prepare(*device); !prepared.ok()) return prepared.error();
  }
  return made;
}

Outcome StreamCode::prepare(hw::OffloadDevice& device) {
  const unsigned k = code_.k();
  const unsigned n = code_.n();
  if (able(device.info(), SSN_OFFLOAD_SPLIT_SEAL, n, k, stream_.cell_bytes, share_granule)) {
    std::vector<std::uint8_t> rows(std::size_t{n} * k);
    for (unsigned share = 1; share <= n; ++share) code_.generator_row(share, rows.data() + (share - 1) * k);
    Result<hw::OffloadMatrix> matrix = device.prepare_matrix(rows, n, k);
    if (!matrix.ok()) return matrix.error();
    split_matrix_ = std::move(matrix.value());
  }
  if (able(device.info(), SSN_OFFLOAD_OPEN_RECOVER, code_.data_blocks(), k, stream_.cell_bytes,
           1)) {  // shares lie where the network put them
    return prepare_recover(device);
  }
  return done;
}

Outcome StreamCode::prepare_recover(hw::OffloadDevice& device) {
  const unsigned k = code_.k();
  const unsigned rows = code_.data_blocks();
  const std::size_t most = std::min<std::size_t>(prepared_max, device.info().matrices_max / 2);
  std::vector<std::uint8_t> coefficients(std::size_t{rows} * k);
  for (unsigned lacking = 0; lacking <= k && recover_.size() < most; ++lacking) {
    for (Subsets subsets(k, code_.n(), lacking); !subsets.done() && recover_.size() < most; subsets.next()) {
      const std::vector<std::uint8_t> shares = subsets.shares();
      for (unsigned row = 0; row < rows; ++row) {
        code_.data_from_shares(shares.data(), row, coefficients.data() + std::size_t{row} * k);
      }
      Result<hw::OffloadMatrix> matrix = device.prepare_matrix(coefficients, rows, k);
      if (!matrix.ok()) return matrix.error();
      Prepared prepared{{}, std::move(matrix.value())};
      for (const std::uint8_t share : shares) prepared.shares.add(share);
      recover_.push_back(std::move(prepared));
    }
  }
  places_.assign(std::bit_ceil(4 * recover_.size()), 0);
  for (std::size_t i = 0; i < recover_.size(); ++i) {
    std::size_t at = hash(recover_[i].shares);
    while (places_[at & (places_.size() - 1)] != 0) ++at;
    places_[at & (places_.size() - 1)] = static_cast<std::uint16_t>(i + 1);
  }
  return done;
}

std::size_t StreamCode::hash(const ShareSet& shares) noexcept {
  std::uint64_t mixed = 0;
  for (const std::uint64_t word : shares.bits) mixed = (mixed ^ word) * 0x9e3779b97f4a7c15U;
  return static_cast<std::size_t>(mixed >> 32);
}

const ssn_offload_matrix* StreamCode::recover_matrix(const ShareSet& shares) const noexcept {
  if (places_.empty()) return nullptr;
  for (std::size_t at = hash(shares);; ++at) {
    const std::uint16_t place = places_[at & (places_.size() - 1)];
    if (place == 0) return nullptr;
    if (recover_[place - 1].shares == shares) return recover_[place - 1].matrix.get();
  }
}

}  // namespace ssn::protocol
