// SPDX-License-Identifier: BSD-3-Clause
// Streams as associations and the ledger write them: a count, then each.
#pragma once

#include <vector>

#include "bytes.h"
#include "ssn/protocol/ledger_state.h"

namespace ssn::protocol {

inline constexpr std::size_t peer_streams_max = 4 * workers_max;
inline constexpr std::uint8_t stream_flag_sender = 1;
inline constexpr std::uint8_t stream_flag_tag_keys = 2;

inline void write_streams(ByteWriter& out, const std::vector<StreamRecord>& streams) {
  out.number(streams.size(), 2);
  for (const StreamRecord& stream : streams) {
    out.bytes(stream.ksid);
    const unsigned sender = stream.sender ? stream_flag_sender : 0U;
    out.number(sender | (stream.kind == StreamKind::tag_keys ? stream_flag_tag_keys : 0U), 1);
    out.number(stream.worker, 2);
    out.number(stream.sent, 8);
    out.number(stream.seen, 8);
  }
}

/// False when they are too many, cut off, or not streams.
inline bool read_streams(ByteReader& in, std::vector<StreamRecord>& streams) {
  const auto count = static_cast<std::size_t>(in.number(2));
  if (!in.ok() || count > peer_streams_max) return false;
  for (std::size_t i = 0; i < count; ++i) {
    StreamRecord stream;
    stream.ksid = in.bytes<SSN_KSID_BYTES>();
    const std::uint64_t flags = in.number(1);
    stream.sender = (flags & stream_flag_sender) != 0;
    stream.kind = (flags & stream_flag_tag_keys) != 0 ? StreamKind::tag_keys : StreamKind::pads;
    stream.worker = static_cast<std::uint16_t>(in.number(2));
    stream.sent = in.number(8);
    stream.seen = in.number(8);
    const bool known_flags = (flags & ~std::uint64_t{stream_flag_sender | stream_flag_tag_keys}) == 0;
    if (!in.ok() || !known_flags || stream.worker >= workers_max) return false;
    streams.push_back(stream);
  }
  return true;
}

}  // namespace ssn::protocol
