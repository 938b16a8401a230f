// SPDX-License-Identifier: BSD-3-Clause
#include "recorder.h"

#include <algorithm>

#include "ssn/protocol/tag_stream.h"
#include "test_key_stream.h"

namespace ssn::sim {

using namespace protocol;
using test::Bytes;

Recorder::Share Recorder::share_of(const ssn_offload_job& job, std::uint32_t output) {
  Share share{{}, job.length};
  Bytes packet(overhead_bytes + 1);  // as long as a packet is at least
  std::copy_n(job.tagging[output].header, header_bytes, packet.begin());
  if (parse_header(packet.data(), packet.size(), share.header) != DropReason::none) share.length = 0;
  return share;
}

void Recorder::submitted(const Ksid& d, const Ksid& a, const ssn_offload_job& job) {
  if (job.operation != SSN_OFFLOAD_SPLIT_SEAL) return;
  std::uint64_t inputs = 1;
  for (std::uint32_t i = 0; i < job.input_count; ++i) {
    // Ours are in one piece.
    if (job.inputs[i].segment_count != 0) return violation("a job has a cut buffer");
    inputs = fingerprint({job.inputs[i].data, job.length}, inputs);
  }
  for (std::uint32_t i = 0; i < job.output_count; ++i) {
    const Share share = share_of(job, i);
    if (share.length == 0) return violation("a job has a header that nobody can read");
    const std::uint64_t message = fingerprint({job.tagging[i].header, header_bytes}, inputs + i);
    device_.pad_spent(d, share.header.d_offset, share.length, message);
    device_.mask_spent(a, share.header.number, message);
  }
}

void Recorder::failed(const Ksid& d, const ssn_offload_job& job) {
  if (job.operation != SSN_OFFLOAD_SPLIT_SEAL) return;
  for (std::uint32_t i = 0; i < job.output_count; ++i) burnt_.insert({d, share_of(job, i).header.d_offset});
}

// Shares 1..t of these schemes are the random blocks themselves.
void Recorder::random_block(const Ksid& d, const Cell& cell, std::uint64_t message) {
  const PacketHeader& header = cell.header;
  Bytes share = test::key_bytes(d, load_big<std::uint64_t>(cell.packet() + 16), cell.length);
  for (std::size_t i = 0; i < share.size(); ++i) share[i] ^= cell.data[i];
  const std::uint64_t whose = message * 256 + header.placement.share;
  const auto [found, fresh] = random_blocks_.try_emplace(fingerprint(share), whose);
  if (!fresh && found->second != whose) violation("a random block served two contents");
}

void Recorder::sealed(const Ksid& d, const Ksid& a, const Cell& cell, const kernels::Code& code,
                      std::uint64_t message) {
  const std::span<const std::uint8_t> bytes(cell.packet(), cell.packet_bytes());
  PacketHeader header;
  if (parse_header(bytes.data(), bytes.size(), header) != DropReason::none) {
    return violation("a packet was sealed that nobody can read");
  }
  std::uint64_t print = fingerprint(bytes.subspan(overhead_bytes));
  wire_.pad_spent(d, header.d_offset, cell.length, print);
  print = fingerprint(bytes.first(header_bytes), print);
  wire_.mask_spent(a, header.number, print);
  wire_.used_up_to(a, mask_offset(header.number) + mask_bytes);
  if (burnt_.contains({d, header.d_offset})) violation("the pad of a failed job was used again");
  const bool visible = code.scheme() == kernels::Scheme::systematic || code.scheme() == kernels::Scheme::ramp;
  if (visible && header.placement.share <= code.random_blocks()) random_block(d, cell, message);
}

std::vector<std::string> Recorder::violations() const {
  std::vector<std::string> out = wire_.violations();
  for (const std::string& each : device_.violations()) out.push_back("device: " + each);
  return out;
}

}  // namespace ssn::sim
