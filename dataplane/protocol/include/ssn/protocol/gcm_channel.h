// SPDX-License-Identifier: BSD-3-Clause
// The shortage policy aes-256-gcm: what packets travel under when there are too few pads and the policy
// permits a cipher. AES-256-GCM (NIST SP 800-38D) with keys from the D stream, 32 bytes for every 2^24
// packets; the nonce is the packet number, and these packets have numbers of their own. A retransmission is
// encrypted anew. The secrecy of what travels so is computational: every packet is flagged in its header,
// counted, and lowers the protection class.
//
// Where the kernels have AES-256-GCM they do it; elsewhere OpenSSL does. The expanded keys are erased when
// this object goes; their memory is not locked.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/gcm.h"
#include "ssn/protocol/pad_stream.h"
#include "ssn/protocol/replay_window.h"
#include "ssn/protocol/wire.h"

struct evp_cipher_ctx_st;

namespace ssn::protocol {

inline constexpr std::uint32_t gcm_key_bytes = 32;
inline constexpr unsigned gcm_phase_log2 = 24;
/// Numbers end here: NIST allows 2^32 invocations a key, we use far fewer.
inline constexpr std::uint64_t gcm_number_end = std::uint64_t{1} << 56;

/// One expanded key, with its memory allocated ahead.
class GcmKey {
 public:
  GcmKey() noexcept = default;
  GcmKey(const GcmKey&) = delete;
  GcmKey& operator=(const GcmKey&) = delete;
  ~GcmKey();

  /// Once, before anything else. False: there is no memory, or OpenSSL has no AES-256-GCM.
  bool allocate(bool seals) noexcept;
  /// To be used with that implementation only (asserted).
  void set(const kernels::Implementation& implementation, const std::uint8_t* key, std::uint64_t phase,
           std::uint64_t d_offset) noexcept;
  void clear() noexcept;
  bool holds(std::uint64_t phase) const noexcept { return ready_ && phase_ == phase; }
  bool ready() const noexcept { return ready_; }
  std::uint64_t phase() const noexcept { return phase_; }
  std::uint64_t d_offset() const noexcept { return d_offset_; }
  void swap(GcmKey& other) noexcept;
  /// Not null: the kernels do it, and open() leaves nothing that is not authentic.
  const kernels::Implementation* implementation() const noexcept { return implementation_; }

  /// `to` may be `from`.
  bool seal(std::uint64_t number, const std::uint8_t* header, const std::uint8_t* from, std::size_t length,
            std::uint8_t* to, std::uint8_t* tag) noexcept;
  /// False: the tag is wrong; without implementation() `to` holds then what is to be erased.
  bool open(std::uint64_t number, const std::uint8_t* header, const std::uint8_t* from, std::size_t length,
            std::uint8_t* to, const std::uint8_t* tag) noexcept;
  /// With implementation() only: whether the tag is right.
  bool verify(std::uint64_t number, const std::uint8_t* header, const std::uint8_t* from, std::size_t length,
              const std::uint8_t* tag) const noexcept;

 private:
  const kernels::Implementation* implementation_ = nullptr;
  std::unique_ptr<kernels::GcmKey> expanded_;
  evp_cipher_ctx_st* context_ = nullptr;
  std::uint64_t phase_ = 0;
  std::uint64_t d_offset_ = 0;
  bool seals_ = false;
  bool ready_ = false;
};

class GcmSender {
 public:
  static Result<std::unique_ptr<GcmSender>> make(std::uint64_t first_number = 0);

  /// Sees to the keys while there are pads: this phase's, and the next one's from the middle of this one.
  void prepare(const kernels::Implementation& implementation, PadSender& pads) noexcept;
  /// Whether the next packet can be sealed. Takes its key if need be.
  Take ready(const kernels::Implementation& implementation, PadSender& pads) noexcept;
  /// After ready(). The header gets number, flag and key offset.
  bool seal(PacketHeader& header, std::uint8_t* packet, const std::uint8_t* source,
            std::size_t length) noexcept;
  void end() noexcept;
  std::uint64_t next() const noexcept { return next_; }
  /// Where in D a key lies that was fetched and nothing was sealed with yet; UINT64_MAX: there is none.
  std::uint64_t unused_key_offset() const noexcept;

 private:
  explicit GcmSender(std::uint64_t first_number) noexcept : next_(first_number) {}
  Take fetch(const kernels::Implementation& implementation, PadSender& pads, std::uint64_t phase) noexcept;

  std::uint64_t next_;
  std::array<GcmKey, 2> keys_;  // by phase mod 2
};

class GcmReceiver {
 public:
  static Result<std::unique_ptr<GcmReceiver>> make(std::uint32_t window = 8192);

  enum class Opened : std::uint8_t {
    ok,
    replayed,
    too_old,
    bad_tag,
    key_not_delivered,
    number_reused,
  };
  /// Writes the payload to `to`, which may be the payload itself, when the answer is ok. Everything else
  /// changes nothing.
  Opened open(const kernels::Implementation& implementation, PadReceiver& pads, const PacketHeader& header,
              const std::uint8_t* packet, std::size_t length, std::uint8_t* to) noexcept;
  void end() noexcept;

 private:
  using Tag = std::array<std::uint8_t, wire_tag_bytes>;
  explicit GcmReceiver(std::uint32_t window) : window_(window), tags_(window) {}
  GcmKey* find_key(const kernels::Implementation& implementation, PadReceiver& pads,
                   const PacketHeader& header, Opened& why) noexcept;
  bool decrypt(GcmKey& key, const PacketHeader& header, const std::uint8_t* packet, std::size_t length,
               std::uint8_t* to) noexcept;

  ReplayWindow window_;
  std::vector<Tag> tags_;  // of the numbers in the window
  std::array<GcmKey, 2> keys_;
  GcmKey candidate_;            // until a packet proves it
  hw::SecretBuffer plaintext_;  // until the tag is checked, for OpenSSL
};

}  // namespace ssn::protocol
