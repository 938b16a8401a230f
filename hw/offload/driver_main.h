// SPDX-License-Identifier: BSD-3-Clause
// What the drivers `cpu` and `fault` have in common. The driver async-example does without: it is copied.
#pragma once

#include "driver_support.h"
#include "ssn/offload_device.h"

namespace ssn::hw::offload {

/// SSN_OK, or an error for who opens a device with a program of another version.
inline ssn_status check_abi(const ssn_offload_device_config& config, const char* what,
                            ssn_error* error) noexcept {
  return config.abi == SSN_OFFLOAD_DEVICE_ABI
             ? SSN_OK
             : fail(error, SSN_INVALID, what, "the program was built for another version of the interface",
                    "", "install program and driver of one version");
}

}  // namespace ssn::hw::offload

/// Defines the one function that a driver exports, SSN_OFFLOAD_DRIVER_ENTRY. For use in the namespace that
/// has the functions that the table names.
#define SSN_EXPORT_OFFLOAD_DRIVER(name, description)                                                     \
  namespace {                                                                                            \
  const ssn_offload_driver driver = {SSN_OFFLOAD_DEVICE_ABI,                                             \
                                     name,                                                               \
                                     description,                                                        \
                                     open_device,                                                        \
                                     close_device,                                                       \
                                     describe,                                                           \
                                     register_memory,                                                    \
                                     unregister_memory,                                                  \
                                     prepare_matrix,                                                     \
                                     release_matrix,                                                     \
                                     prepare_tag_key,                                                    \
                                     release_tag_key,                                                    \
                                     open_queue,                                                         \
                                     close_queue,                                                        \
                                     enqueue,                                                            \
                                     dequeue,                                                            \
                                     set_tag_key,                                                        \
                                     cancel};                                                            \
  }                                                                                                      \
  extern "C" __attribute__((visibility("default"))) const ssn_offload_driver* ssn_get_offload_driver() { \
    return &driver;                                                                                      \
  }
