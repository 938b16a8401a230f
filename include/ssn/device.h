/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What key devices and offload devices have in common: status values, errors for people, settings, memory
 * that is shared with a device, and the protection class of what a device makes.
 *
 * A driver is a shared object that exports one function (see key_device.h and offload_device.h). It is
 * written in any language that can speak C, needs nothing of Shareline but these headers, and may be built
 * out of tree. Structures only grow at their end; `size` or `abi` in each interface says what the other side
 * knows.
 */
#ifndef SSN_DEVICE_H
#define SSN_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Results of calls to a driver. Everything but SSN_OK leaves its outputs untouched unless said otherwise. */
enum ssn_status {
  SSN_OK = 0,
  SSN_AGAIN = 1,       /* not now: nothing there yet, or a queue is full; try again later */
  SSN_INVALID = 2,     /* the caller broke a rule of the interface, or a setting is wrong */
  SSN_UNSUPPORTED = 3, /* this device cannot do that, and never will */
  SSN_NOT_FOUND = 4,   /* no such stream, peer or object */
  SSN_EXHAUSTED = 5,   /* a limit of the device was reached: streams, memory, registrations */
  SSN_REFUSED = 6,     /* the other side does not permit it */
  SSN_TIMEOUT = 7,     /* a deadline passed */
  SSN_UNAVAILABLE = 8, /* the device or its key manager cannot be reached at present */
  SSN_FAILED = 9,      /* the device or the stream is broken for good and must be opened anew */
  SSN_INTEGRITY = 10,  /* a check value or a tag does not match */
  SSN_CANCELLED = 11,  /* given up because the caller asked for it */
};

/* Why a call of the control path failed, for a person. Strings are complete English clauses in UTF-8, ended
 * by a zero byte, cut where they are too long, and never contain secrets. */
struct ssn_error {
  char what[128];  /* what could not be done: "cannot attach to the key device" */
  char why[256];   /* the reason */
  char where[160]; /* file, address, setting or register; may be empty */
  char fix[256];   /* what to do about it */
};

/* One setting from the configuration, such as {"socket", "/run/ssn-kme/kmnic.sock"}. */
struct ssn_setting {
  const char* name;
  const char* value;
};

/* How well what was made with a device is protected, weakest first. The class of an object is the least that
 * its shares were ever made with or travelled under; it never rises. */
enum ssn_protection {
  SSN_PROTECTION_EMULATED = 0,              /* keys from a seed or an emulator: no protection is claimed */
  SSN_PROTECTION_COMPUTATIONAL = 1,         /* safe while a cipher holds */
  SSN_PROTECTION_INFORMATION_THEORETIC = 2, /* keys from a QKD network, each used once */
};

/*
 * Memory that host and device share. The host allocates it from a sealed memfd (huge pages where there are
 * any), locks it and keeps it out of core dumps. It stays mapped until the device has confirmed that it is
 * done with it: after stream_close() or unregister_memory().
 */
struct ssn_memory {
  void* base;           /* where the host has mapped it; page-aligned */
  uint64_t bytes;       /* a multiple of page_bytes */
  uint64_t page_bytes;  /* of the pages that back it: 4096, 2 MiB or 1 GiB */
  uint64_t fd_offset;   /* of `base` in the file */
  int fd;               /* the memfd, sealed against shrinking and growing; owned by the host; or -1 */
  int numa_node;        /* where it lies; -1 where this is unknown */
  const uint64_t* iova; /* bus address of each page of page_bytes, or NULL without an IOMMU mapping */
};

#ifdef __cplusplus
}
#endif

#endif
