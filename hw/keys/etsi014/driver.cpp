// SPDX-License-Identifier: BSD-3-Clause
// The key driver "etsi014": what include/ssn/key_device.h wants of a driver, and nothing else.
#include "driver.h"

#include "device.h"
#include "driver_support.h"

namespace ssn::hw::etsi014 {
namespace {

Device* from(ssn_key_device* device) noexcept { return reinterpret_cast<Device*>(device); }

ssn_status driver_open(const ssn_key_device_config* config, ssn_key_device** device, ssn_error* error) {
  if (config->abi != SSN_KEY_DEVICE_ABI) {
    return fail(error, SSN_INVALID, "cannot open the key device etsi014",
                "the caller speaks another version of the interface", "", "use a driver of the same release");
  }
  return guarded(error, [&]() -> ssn_status {
    Result<std::unique_ptr<Device>> opened = Device::open(*config);
    if (!opened.ok()) {
      return report(opened.error(), error);
    }
    *device = reinterpret_cast<ssn_key_device*>(opened.value().release());
    return SSN_OK;
  });
}

void driver_close(ssn_key_device* device) { delete from(device); }

void driver_describe(ssn_key_device* device, ssn_key_device_info* info) {
  (void)guarded(nullptr, [&] {
    from(device)->describe(*info);
    return SSN_OK;
  });
}

ssn_status driver_stream_open(ssn_key_device* device, const ssn_key_stream_request* request,
                              ssn_key_stream** stream, ssn_error* error) {
  return guarded(error, [&]() -> ssn_status {
    Result<Stream*> opened = from(device)->open_stream(*request, &driver);
    if (!opened.ok()) {
      return report(opened.error(), error);
    }
    *stream = opened.value();
    return SSN_OK;
  });
}

void driver_stream_close(ssn_key_stream* head) {
  Stream* const stream = static_cast<Stream*>(head);
  stream->device->close_stream(stream);
}

ssn_status driver_peer_message(ssn_key_device* device, const char* peer, const std::uint8_t* message,
                               std::size_t length) {
  return guarded(nullptr, [&] { return from(device)->peer_message(peer, {message, length}); });
}

ssn_status driver_poll(ssn_key_stream* head) {
  const Delivery& delivery = static_cast<Stream*>(head)->delivery;
  head->health = delivery.observed_health();
  const std::uint64_t end = delivery.observed_end();
  if (end != head->end) {
    head->end = end;
    return SSN_OK;
  }
  return head->health == SSN_KEY_HEALTH_FAILED ? SSN_FAILED : SSN_AGAIN;
}

void driver_release(ssn_key_stream* head, std::uint64_t offset) {
  head->released = offset;
  static_cast<Stream*>(head)->delivery.release(offset);
}

void driver_read_statistics(const ssn_key_stream* head, ssn_key_stream_statistics* statistics) {
  *statistics = {};
  static_cast<const Stream*>(head)->delivery.read(*statistics);
}

}  // namespace

const ssn_key_driver driver = {
    .abi = SSN_KEY_DEVICE_ABI,
    .name = "etsi014",
    .description = "keys of an ETSI GS QKD 014 key manager, over mutual TLS",
    .open = driver_open,
    .close = driver_close,
    .describe = driver_describe,
    .stream_open = driver_stream_open,
    .stream_close = driver_stream_close,
    .peer_message = driver_peer_message,
    .poll = driver_poll,
    .release = driver_release,
    .read_statistics = driver_read_statistics,
};

}  // namespace ssn::hw::etsi014
