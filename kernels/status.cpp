// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/kernels/status.h"

namespace ssn::kernels {

std::string_view describe(Status status) noexcept {
  switch (status) {
    case Status::ok:
      return "no error";
    case Status::threshold_too_small:
      return "the threshold k is too small: at least 2 for systematic, classic and ramp, 1 for rs";
    case Status::threshold_exceeds_shares:
      return "the threshold k is larger than the number of shares n";
    case Status::too_many_shares:
      return "too many shares: n is at most 255, the number of non-zero elements of GF(2^8)";
    case Status::data_blocks_not_one:
      return "systematic and classic take one data block and rs takes k: only ramp has a choice";
    case Status::data_blocks_out_of_range:
      return "the number of data blocks L of a ramp code must be at least 1 and less than k";
    case Status::too_many_points:
      return "a ramp code needs n + L distinct elements of GF(2^8): n + L is at most 256";
    case Status::too_few_shares:
      return "fewer shares than the operation needs: k to recover or repair, more than k to check";
    case Status::too_many_shares_given:
      return "more shares than the operation takes: exactly k to recover or repair, at most n to check";
    case Status::share_index_out_of_range:
      return "a share index lies outside 1..n";
    case Status::share_index_repeated:
      return "a share index is given more than once";
    case Status::length_is_zero:
      return "the length of the buffers is zero: at least one byte column is needed";
    case Status::length_too_large:
      return "the length is beyond what AES-256-GCM can count under one nonce: 64 GiB less 32 bytes";
    case Status::missing_buffer:
      return "a buffer, transform, key or mask that the operation needs is a null pointer";
    case Status::no_random_source:
      return "neither random blocks nor a random generator are given";
    case Status::random_exhausted:
      return "the random generator is not seeded or has given its 1 TiB: seed it afresh";
    case Status::tag_mismatch:
      return "a tag does not match: the bytes were changed or the key is another one";
    case Status::unknown_implementation:
      return "no implementation has this name";
    case Status::unsupported_implementation:
      return "this CPU or operating system cannot run the implementation";
    case Status::self_test_failed:
      return "the implementation computes wrong results on this machine";
  }
  return "unknown status";
}

}  // namespace ssn::kernels
