/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Key devices: where the pads come from.
 *
 * A key device delivers key streams into locked ring memory. A key stream is a one-directional sequence of
 * key bytes between two nodes (ITU-T Y.3808 Ak; ETSI GS QKD 004 KSID): the same bytes at the same offsets at
 * both ends, each byte delivered once to each end. It is named by a KSID of 16 bytes, which is never opened
 * twice.
 *
 * Delivery is in order and without gaps. The consumer reads and erases keys in place and gives the room back:
 *
 *        released             next (sender's cursor)        end
 *   ---------|-------------------|----------------------------|----------------> offset, from 0
 *   given    | being used, out   | delivered, not yet         | not yet
 *   back     | of order if need  | taken                      | delivered
 *
 * Ring memory is mapped twice in succession, so that every range of at most ring_bytes is contiguous:
 *   offset o lies at ring + (o mod ring_bytes).
 *
 * A device that cannot go on (reset, a block that stays corrupt, its key manager restarted) ends its streams:
 * health becomes SSN_KEY_HEALTH_FAILED. What was delivered before is good and may still be used; the rest
 * must come from a new stream with a fresh KSID. A driver never delivers a byte that it has doubts about.
 *
 * Threads: calls on a device are serialised by the caller, except peer_message, which may come from any
 * thread. A stream belongs to one thread at a time. Different streams are independent of each other. On the
 * fast path (poll, release, read_statistics and the inline functions) nothing allocates, locks or makes a
 * system call.
 */
#ifndef SSN_KEY_DEVICE_H
#define SSN_KEY_DEVICE_H

#include <assert.h>
#include <stdbool.h>

#include "ssn/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Changes whenever a caller and a driver that were built apart could misunderstand each other. */
#define SSN_KEY_DEVICE_ABI 1u

/* The one symbol that a driver exports; of type ssn_key_driver_entry. */
#define SSN_KEY_DRIVER_ENTRY "ssn_get_key_driver"

#define SSN_KSID_BYTES 16u
/* Longest name of a peer (its SAE ID), without the closing zero. */
#define SSN_PEER_NAME_MAX 255u
/* Longest message between the drivers of two peers. */
#define SSN_KEY_PEER_MESSAGE_MAX 65536u

struct ssn_key_device; /* the driver's own */

enum ssn_key_role {
  SSN_KEY_SENDER = 0,   /* this node protects with the stream */
  SSN_KEY_RECEIVER = 1, /* this node opens what the peer protected with it */
  SSN_KEY_RANDOM = 2,   /* random bytes for this node alone; has no peer and no KSID */
};

enum ssn_key_health {
  SSN_KEY_HEALTH_OK = 0,
  SSN_KEY_HEALTH_STARVED = 1, /* the key manager has nothing at present */
  SSN_KEY_HEALTH_STALLED = 2, /* the device or the key manager does not answer; may recover */
  SSN_KEY_HEALTH_FAILED = 3,  /* ended: nothing more will come */
};

/* Sends a message of this driver to the driver of the same stream at `peer`, over the authenticated channel
 * that the host has to it. `message` is copied. SSN_AGAIN: the channel is busy or down, try later. Any
 * thread. */
typedef enum ssn_status (*ssn_key_send_to_peer)(void* context, const char* peer, const uint8_t* message,
                                                size_t length);

struct ssn_key_device_config {
  uint32_t abi;                       /* SSN_KEY_DEVICE_ABI of the caller */
  const char* local_name;             /* SAE ID of this node */
  const struct ssn_setting* settings; /* an unknown one is an error that names it */
  size_t setting_count;
  ssn_key_send_to_peer send_to_peer; /* may be NULL: then only drivers that need no messages work */
  void* send_context;
};

struct ssn_key_device_info {
  enum ssn_protection protection; /* what this device can honestly claim */
  int numa_node;                  /* -1: unknown or without meaning */
  uint32_t streams_max;           /* that can be open at a time */
  bool delivers_random;           /* SSN_KEY_RANDOM works */
  uint64_t ring_bytes_min;        /* least ring memory that a stream needs */
  uint64_t ring_bytes_max;
  char identity[128]; /* maker, model and version, as reported by the device or its key manager */
};

struct ssn_key_stream_request {
  enum ssn_key_role role;
  uint8_t ksid[SSN_KSID_BYTES]; /* fresh; equal at both ends; ignored for SSN_KEY_RANDOM */
  const char* peer;             /* SAE ID of the other end; NULL for SSN_KEY_RANDOM */
  struct ssn_memory memory;     /* the ring: memory.bytes long, a power of two, mapped twice from memory.base;
                                   memory.fd holds it once */
  uint64_t bytes_per_second;    /* what the caller expects to need; 0: as much as there is */
};

struct ssn_key_stream_statistics {
  uint64_t delivered;        /* bytes, = end */
  uint64_t level;            /* bytes that the key manager still holds for this stream; UINT64_MAX: unknown */
  uint64_t bytes_per_second; /* recent rate of delivery */
  uint64_t redelivered_blocks; /* asked for again because they were corrupt or out of order */
  uint64_t starved;            /* how often there was room and no key */
  uint64_t stalled;            /* how often the device did not answer in time */
};

/* The common head of every stream: a driver puts it first in its own structure. The caller reads; only the
 * functions below write. One cache line for what changes. */
struct ssn_key_stream {
  const struct ssn_key_driver* driver;
  uint8_t* ring;
  uint64_t ring_bytes;        /* a power of two */
  uint64_t end;               /* bytes below this offset were delivered; set by poll */
  uint64_t next;              /* sender's cursor; set by ssn_key_stream_take */
  uint64_t released;          /* bytes below this offset were given back; set by release */
  enum ssn_key_health health; /* set by poll */
  enum ssn_key_role role;
};

struct ssn_key_driver {
  uint32_t abi;            /* SSN_KEY_DEVICE_ABI of the driver */
  const char* name;        /* "kmnic" */
  const char* description; /* one line */

  /* Control path: may block, allocate and take locks. `error` is filled in for everything but SSN_OK. */
  enum ssn_status (*open)(const struct ssn_key_device_config* config, struct ssn_key_device** device,
                          struct ssn_error* error);
  /* All streams are closed already. */
  void (*close)(struct ssn_key_device* device);
  void (*describe)(struct ssn_key_device* device, struct ssn_key_device_info* info);
  enum ssn_status (*stream_open)(struct ssn_key_device* device, const struct ssn_key_stream_request* request,
                                 struct ssn_key_stream** stream, struct ssn_error* error);
  /* Ends delivery at this end. When it returns neither driver nor device touch the ring any more, whether or
   * not the device answered; everything that the driver itself kept of the keys is erased. */
  void (*stream_close)(struct ssn_key_stream* stream);
  /* What send_to_peer was given at the peer named `peer`. Untrusted in content. NULL: takes no messages. */
  enum ssn_status (*peer_message)(struct ssn_key_device* device, const char* peer, const uint8_t* message,
                                  size_t length);

  /* Fast path. */
  /* Takes in what was delivered since: raises `end`, sets `health`. SSN_OK: `end` rose; SSN_AGAIN: nothing
   * new; SSN_FAILED: nothing more will come. Handles a bounded number of key blocks a call. */
  enum ssn_status (*poll)(struct ssn_key_stream* stream);
  /* Gives the ring below `offset` back to the device, which may overwrite it at once. The caller has erased
   * it (released <= offset <= end). */
  void (*release)(struct ssn_key_stream* stream, uint64_t offset);
  void (*read_statistics)(const struct ssn_key_stream* stream, struct ssn_key_stream_statistics* statistics);
};

typedef const struct ssn_key_driver* (*ssn_key_driver_entry)(void);

/* Bytes that a sender can take now. */
static inline uint64_t ssn_key_stream_available(const struct ssn_key_stream* stream) {
  return stream->end - stream->next;
}

/* Address of a range that was delivered and not yet given back; contiguous. NULL where any of it was not, or
 * was given back already: the caller decides what that means. Length >= 1. */
static inline uint8_t* ssn_key_stream_at(const struct ssn_key_stream* stream, uint64_t offset,
                                         uint64_t length) {
  assert(length >= 1);
  if (offset < stream->released || offset >= stream->end || length > stream->end - offset) {
    return NULL;
  }
  return stream->ring + (offset & (stream->ring_bytes - 1));
}

/* Takes the next `length` bytes of a sender's or random stream and sets *offset to where they begin. NULL
 * when that many were not yet delivered: nothing is taken then. */
static inline uint8_t* ssn_key_stream_take(struct ssn_key_stream* stream, uint64_t length, uint64_t* offset) {
  uint8_t* const range = ssn_key_stream_at(stream, stream->next, length);
  if (range != NULL) {
    *offset = stream->next;
    stream->next += length;
  }
  return range;
}

static inline enum ssn_status ssn_key_stream_poll(struct ssn_key_stream* stream) {
  return stream->driver->poll(stream);
}

static inline void ssn_key_stream_release(struct ssn_key_stream* stream, uint64_t offset) {
  assert(offset >= stream->released && offset <= stream->end);
  stream->driver->release(stream, offset);
}

#ifdef __cplusplus
}
#endif

#endif
