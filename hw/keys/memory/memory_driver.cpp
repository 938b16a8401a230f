// SPDX-License-Identifier: BSD-3-Clause
// The key driver "memory": pads from a seed, for tests and benchmarks. Whoever knows the seed knows every
// pad.
//
// A stream is AES-256 in counter mode under a key made from the seed, the KSID and the names of sender and
// receiver, with a fresh key for every segment of 1 GiB. Both ends get the same bytes when they have the same
// seed and call each other by the same names. A KSID that is opened again gives the same bytes again.
#include <openssl/evp.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>
#include <span>
#include <string>

#include "driver_support.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"

namespace ssn::hw {
namespace {

constexpr std::uint64_t segment_bytes = std::uint64_t{1} << 30;
// What a poll makes at most: fits a first- or second-level cache.
constexpr std::uint64_t poll_bytes = 64 << 10;
constexpr std::uint64_t block_bytes = 16;
constexpr std::uint32_t streams_max = 4096;
constexpr std::size_t seed_key_bytes = kernels::RandomGenerator::seed_bytes;
constexpr std::size_t max_seed_text = 1024;

extern const ssn_key_driver memory_driver;

using SegmentKey = std::array<std::uint8_t, seed_key_bytes>;

std::uint64_t now_nanoseconds() noexcept {
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

struct Device {
  const kernels::Implementation* kernels = nullptr;
  std::string local_name;
  std::string seed;
  std::uint32_t streams = 0;
};

struct Stream {
  ssn_key_stream head{};  // first: the caller's view
  Device* device = nullptr;
  kernels::RandomGenerator generator;
  std::uint64_t segment_left = 0;
  std::uint64_t opened = 0;
};
static_assert(offsetof(Stream, head) == 0);

Stream* from(ssn_key_stream* head) noexcept { return reinterpret_cast<Stream*>(head); }
const Stream* from(const ssn_key_stream* head) noexcept { return reinterpret_cast<const Stream*>(head); }
Device* from(ssn_key_device* device) noexcept { return reinterpret_cast<Device*>(device); }

Error no_random(const char* why) {
  return {Exit::failed, "cannot open a stream of the memory key device", why, "", "look at the system log"};
}

// Each part with its length in front, so that no two lists of parts give the same bytes.
bool hash(std::initializer_list<std::string_view> parts, SegmentKey& out) {
  std::string text;
  for (const std::string_view part : parts) {
    text += std::to_string(part.size()) + ":";
    text += part;
  }
  unsigned length = 0;
  const bool hashed = EVP_Digest(text.data(), text.size(), out.data(), &length, EVP_sha256(), nullptr) == 1;
  ::explicit_bzero(text.data(), text.size());
  return hashed && length == out.size();
}

// The key of a segment is the first output of the generator before it that nobody sees.
ssn_status next_segment(Stream& stream) noexcept {
  SegmentKey key{};
  const kernels::Status made =
      kernels::random(*stream.device->kernels, stream.generator, key.data(), key.size());
  if (made != kernels::Status::ok) {
    return SSN_FAILED;
  }
  stream.generator.seed(key);
  ::explicit_bzero(key.data(), key.size());
  stream.segment_left = segment_bytes;
  return SSN_OK;
}

Outcome seed_stream(Stream& stream, const ssn_key_stream_request& request) {
  const Device& device = *stream.device;
  SegmentKey key{};
  if (request.role == SSN_KEY_RANDOM) {
    if (::getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size())) {
      return no_random("the system gave no random bytes");
    }
  } else {
    const std::string_view ksid(reinterpret_cast<const char*>(request.ksid), sizeof request.ksid);
    const std::string_view local = device.local_name;
    const std::string_view peer = request.peer;
    const bool sender = request.role == SSN_KEY_SENDER;
    if (!hash(
            {"shareline memory key stream", device.seed, ksid, sender ? local : peer, sender ? peer : local},
            key)) {
      return no_random("SHA-256 failed in libcrypto");
    }
  }
  stream.generator.seed(key);
  ::explicit_bzero(key.data(), key.size());
  stream.segment_left = segment_bytes;
  return done;
}

Result<std::unique_ptr<Device>> make_device(const ssn_key_device_config& config) {
  const Result<DriverSettings> settings = DriverSettings::read(config, {"seed"});
  if (!settings.ok()) {
    return settings.error();
  }
  Result<std::string> seed = settings.value().require("seed", "the same text at both ends");
  if (!seed.ok()) {
    return seed.error();
  }
  if (seed.value().size() > max_seed_text) {
    return Error{Exit::usage, "cannot open the memory key device", "the seed is longer than 1024 bytes",
                 "setting seed", "give a shorter one"};
  }
  auto device = std::make_unique<Device>();
  if (const kernels::Status chosen = kernels::select(device->kernels); chosen != kernels::Status::ok) {
    return Error{Exit::kernels_refused, "cannot open the memory key device",
                 std::string(kernels::describe(chosen)), "SSN_KERNELS", "unset SSN_KERNELS or correct it"};
  }
  device->local_name = config.local_name;
  device->seed = std::move(seed.value());
  return device;
}

// ---- The interface --------------------------------------------------------------------------------------

ssn_status memory_open(const ssn_key_device_config* config, ssn_key_device** device, ssn_error* error) {
  if (config->abi != SSN_KEY_DEVICE_ABI) {
    return report({Exit::usage, "cannot open the memory key device",
                   "the caller speaks version " + std::to_string(config->abi) + " of the interface", "",
                   "use a driver of the same release"},
                  error);
  }
  return guarded(error, [&]() -> ssn_status {
    Result<std::unique_ptr<Device>> made = make_device(*config);
    if (!made.ok()) {
      return report(made.error(), error);
    }
    *device = reinterpret_cast<ssn_key_device*>(made.value().release());
    return SSN_OK;
  });
}

void memory_close(ssn_key_device* handle) {
  Device* const device = from(handle);
  assert(device->streams == 0);
  ::explicit_bzero(device->seed.data(), device->seed.size());
  delete device;
}

void memory_describe(ssn_key_device*, ssn_key_device_info* info) {
  *info = {};
  info->protection = SSN_PROTECTION_EMULATED;
  info->numa_node = -1;
  info->streams_max = streams_max;
  info->delivers_random = true;
  info->ring_bytes_min = 4096;
  info->ring_bytes_max = std::uint64_t{1} << 40;
  constexpr std::string_view identity = "memory: keys from a seed, INSECURE, for tests and benchmarks only";
  static_assert(identity.size() < sizeof info->identity);
  std::memcpy(info->identity, identity.data(), identity.size());
}

ssn_status open_stream(Device* device, const ssn_key_stream_request* request, ssn_key_stream** out,
                       ssn_error* error) {
  const std::uint64_t bytes = request->memory.bytes;
  if (request->memory.base == nullptr || bytes < 4096 || (bytes & (bytes - 1)) != 0 ||
      (request->role != SSN_KEY_RANDOM && request->peer == nullptr)) {
    return report({Exit::usage, "cannot open a stream of the memory key device",
                   "the ring is no power of two of at least 4096 bytes, or the peer has no name", "",
                   "correct the caller"},
                  error);
  }
  if (device->streams == streams_max) {
    return report({Exit::key_material, "cannot open a stream of the memory key device",
                   "4096 streams are open already", "", "close some"},
                  error);
  }
  auto stream = std::make_unique<Stream>();
  stream->device = device;
  if (const Outcome seeded = seed_stream(*stream, *request); !seeded.ok()) {
    return report(seeded.error(), error);
  }
  stream->head.ring = static_cast<std::uint8_t*>(request->memory.base);
  stream->head.ring_bytes = bytes;
  stream->head.role = request->role;
  stream->opened = now_nanoseconds();
  ++device->streams;
  stream->head.driver = &memory_driver;
  *out = &stream.release()->head;
  return SSN_OK;
}

ssn_status memory_stream_open(ssn_key_device* device, const ssn_key_stream_request* request,
                              ssn_key_stream** out, ssn_error* error) {
  return guarded(error, [&] { return open_stream(from(device), request, out, error); });
}

void memory_stream_close(ssn_key_stream* head) {
  Stream* const stream = from(head);
  --stream->device->streams;
  delete stream;  // erases the generator's key
}

ssn_status memory_poll(ssn_key_stream* head) {
  Stream& stream = *from(head);
  if (head->health == SSN_KEY_HEALTH_FAILED) {
    return SSN_FAILED;
  }
  const std::uint64_t room = head->ring_bytes - (head->end - head->released);
  const std::uint64_t length = std::min({room / block_bytes * block_bytes, poll_bytes, stream.segment_left});
  if (length == 0) {
    return SSN_AGAIN;
  }
  std::uint8_t* const at = head->ring + (head->end & (head->ring_bytes - 1));
  if (kernels::random(*stream.device->kernels, stream.generator, at, length) != kernels::Status::ok) {
    head->health = SSN_KEY_HEALTH_FAILED;
    return SSN_FAILED;
  }
  stream.segment_left -= length;
  if (stream.segment_left == 0 && next_segment(stream) != SSN_OK) {
    head->health = SSN_KEY_HEALTH_FAILED;
  }
  head->end += length;
  return SSN_OK;
}

void memory_release(ssn_key_stream* head, std::uint64_t offset) { head->released = offset; }

void memory_read_statistics(const ssn_key_stream* head, ssn_key_stream_statistics* statistics) {
  *statistics = {};
  statistics->delivered = head->end;
  statistics->level = UINT64_MAX;
  const double seconds = static_cast<double>(now_nanoseconds() - from(head)->opened) * 1e-9;
  statistics->bytes_per_second =
      seconds > 0 ? static_cast<std::uint64_t>(static_cast<double>(head->end) / seconds) : 0;
}

const ssn_key_driver memory_driver = {
    .abi = SSN_KEY_DEVICE_ABI,
    .name = "memory",
    .description = "pads from a seed, insecure, for tests and benchmarks",
    .open = memory_open,
    .close = memory_close,
    .describe = memory_describe,
    .stream_open = memory_stream_open,
    .stream_close = memory_stream_close,
    .peer_message = nullptr,
    .poll = memory_poll,
    .release = memory_release,
    .read_statistics = memory_read_statistics,
};

}  // namespace
}  // namespace ssn::hw

SSN_EXPORT_KEY_DRIVER(ssn::hw::memory_driver)
