// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/packet_counters.h"

namespace ssn::protocol {

std::string_view name(DropReason reason) noexcept {
  static constexpr std::array<std::string_view, drop_reason_count> names = {
      "none",
      "too_short",
      "too_long",
      "unknown_version",
      "unknown_type",
      "reserved_bits",
      "bad_field",
      "bad_length",
      "unknown_connection",
      "unknown_key_index",
      "epoch_ended",
      "not_permitted",
      "number_too_old",
      "number_replayed",
      "mask_not_delivered",
      "bad_tag",
      "pad_not_delivered",
      "pad_range_forgotten",
      "bad_order",
      "no_room",
      "late_share",
      "block_given_up",
      "too_far_ahead",
      "unknown_stream",
  };
  static_assert(static_cast<std::size_t>(DropReason::unknown_stream) + 1 == drop_reason_count);
  const auto at = static_cast<std::size_t>(reason);
  return at < names.size() ? names[at] : std::string_view("unknown");
}

std::string_view name(EpochAlarm alarm) noexcept {
  switch (alarm) {
    case EpochAlarm::none:
      return "none";
    case EpochAlarm::number_reused:
      return "number_reused";
    case EpochAlarm::range_reused:
      return "range_reused";
    case EpochAlarm::range_overlap:
      return "range_overlap";
    case EpochAlarm::keys_differ:
      return "keys_differ";
  }
  return "unknown";
}

}  // namespace ssn::protocol
