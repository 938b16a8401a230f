/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Offload devices: the share operations on silicon.
 *
 * An offload device does to bursts of packets what the kernels do to one on the CPU: multiply byte columns by
 * a matrix over GF(2^8) (polynomial 0x11D), put one-time pads on and take them off, make and check tags.
 * Results are the same bytes, whatever device made them; the CPU is one of the drivers.
 *
 *   host                                   driver
 *   enqueue(jobs) ------------------------> accepts some, from the front; the rest is back-pressure
 *        <--------------------------------- completed now (CPU driver: all), or still in flight
 *   dequeue() ---------------------------->
 *        <--------------------------------- jobs that are completed, in any order unless `ordered`
 *
 * A job belongs to the device from the moment that enqueue accepts it until it was completed: its structure,
 * its lists, the buffers, pads, headers, masks and tags that they name, the matrix and the tag keys. The host
 * changes and frees none of it meanwhile, and does not read outputs. The device writes `status`, `held` and
 * `tag_mismatch` only within enqueue and dequeue, thus in the host's own thread.
 *
 * Deadlines. The host names a clock when it opens a queue and says what time it is in every call. A job with
 * a deadline is completed by the first dequeue at or after that time that has room for it: with its result
 * where that is there, else with SSN_TIMEOUT. One that is late when it is enqueued is completed there.
 * Silicon cannot always be stopped: `held` then says that the device may still read and write the job's
 * buffers. Such a job is dequeued a second time, with `held` false, as soon as it does not. The host runs a
 * late job again on the CPU, into other buffers.
 *
 * Bad arguments never crash a driver. What breaks a rule below is accepted and completed with SSN_INVALID, or
 * with SSN_UNSUPPORTED where the device does not have the operation, and touches no buffer. (The driver
 * trusts that pointers which are not NULL point to what they say, and that handles are its own.)
 *
 * Threads: calls on a device, and with them all of the control path, are serialised by the caller. A queue
 * belongs to one thread at a time; queues are independent of each other and of the control path. Matrices
 * are immutable and serve all queues of their device, and so do tag keys while jobs name them. On the fast
 * path (enqueue, dequeue, tag_key_set, cancel) nothing allocates, locks, waits or makes a system call.
 */
#ifndef SSN_OFFLOAD_DEVICE_H
#define SSN_OFFLOAD_DEVICE_H

#include <stdbool.h>

#include "ssn/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Changes whenever a caller and a driver that were built apart could misunderstand each other. */
#define SSN_OFFLOAD_DEVICE_ABI 1u

/* The one symbol that a driver exports; of type ssn_offload_driver_entry. */
#define SSN_OFFLOAD_DRIVER_ENTRY "ssn_get_offload_driver"

#define SSN_OFFLOAD_TAG_BYTES 16u
/* Largest matrix that the field gives a meaning to. */
#define SSN_OFFLOAD_ROWS_MAX 255u
#define SSN_OFFLOAD_COLUMNS_MAX 255u
/* Memory that was not registered; good where the device does not need registration. */
#define SSN_OFFLOAD_UNREGISTERED UINT32_MAX

/* The driver's own. */
struct ssn_offload_device;
struct ssn_offload_queue;
struct ssn_offload_matrix;
struct ssn_offload_tag_key;

/*
 * What a job does. M is the matrix, "+" is XOR, tag(x) is, with the GHASH of NIST SP 800-38D and 64-bit
 * big-endian bit lengths,
 *   GHASH_r(header, zeros to 16 bytes, x, zeros to 16 bytes, length of header, length of x) + mask.
 * The first three are one computation; they are told apart because a device may not have all of them.
 */
enum ssn_offload_operation {
  SSN_OFFLOAD_SPLIT = 0,        /* outputs = M inputs; inputs are the random blocks, then the data blocks */
  SSN_OFFLOAD_RECOVER = 1,      /* outputs = M inputs; inputs are shares, outputs data or a repaired share */
  SSN_OFFLOAD_DOT = 2,          /* outputs = M inputs; any matrix: sums for refresh, re-sharing, checks */
  SSN_OFFLOAD_SEAL = 3,         /* output = input + pad; writes tag(output). One input, one output, no M */
  SSN_OFFLOAD_OPEN = 4,         /* checks tag(input); output = input + pad. One input, one output, no M */
  SSN_OFFLOAD_SPLIT_PAD = 5,    /* outputs = M inputs + pads */
  SSN_OFFLOAD_SPLIT_SEAL = 6,   /* outputs = M inputs + pads; writes the tag of each output */
  SSN_OFFLOAD_OPEN_RECOVER = 7, /* checks the tag of each input; outputs = M (inputs + pads) */
};
#define SSN_OFFLOAD_OPERATIONS 8u

enum ssn_offload_completion {
  SSN_OFFLOAD_INLINE = 0,       /* every job is completed within enqueue */
  SSN_OFFLOAD_ASYNCHRONOUS = 1, /* jobs may be in flight; bad and late ones may be completed within enqueue */
};

struct ssn_offload_device_config {
  uint32_t abi;                       /* SSN_OFFLOAD_DEVICE_ABI of the caller */
  const struct ssn_setting* settings; /* an unknown one is an error that names it */
  size_t setting_count;
};

/* What the device can do. Constant while it is open. A job beyond a limit is SSN_INVALID, an object beyond
 * one SSN_EXHAUSTED. */
struct ssn_offload_device_info {
  uint32_t operations; /* bit (1u << operation) for each that it has */
  enum ssn_offload_completion completion;
  bool ordered;  /* dequeue gives jobs back in the order in which they were enqueued */
  bool in_place; /* an output may be the same bytes as its own pad, cut alike; with SEAL and OPEN also the
                    same as the input. Otherwise, and in all other ways, buffers must not overlap */
  bool memory_registration; /* every segment must lie in registered memory */
  uint32_t rows_max;        /* of a matrix; 1 to SSN_OFFLOAD_ROWS_MAX */
  uint32_t columns_max;
  uint32_t length_min; /* bytes of a buffer; at least 1 */
  uint32_t length_max;
  uint32_t length_multiple; /* at least 1 */
  uint32_t alignment;       /* of each buffer segment's address, and of each segment's length but the last
                               of its list; a power of two, 1 for any. Not for headers, masks and tags */
  uint32_t segments_max;    /* of one buffer; at least 1 */
  uint32_t header_length_max;
  uint32_t queues_max;      /* open at a time */
  uint32_t queue_depth_max; /* jobs in flight in one queue; at least 1 */
  uint32_t memories_max;    /* registered at a time */
  uint32_t matrices_max;    /* prepared at a time */
  uint32_t tag_keys_max;
  uint64_t close_ns_max;          /* longest time that queue_close may take, a reset included */
  enum ssn_protection protection; /* of data that passes through it. Emulators and fault drivers say
                                     SSN_PROTECTION_EMULATED; a device in this host that only does the
                                     arithmetic takes nothing away: SSN_PROTECTION_INFORMATION_THEORETIC */
  int numa_node;                  /* -1: unknown or without meaning */
  char identity[128];             /* maker, model and version, as reported by the device */
};

struct ssn_offload_queue_config {
  uint32_t depth; /* jobs that may be in flight, all of which the queue takes; 1 to queue_depth_max */
  int32_t clock;  /* POSIX clock (clockid_t) that times are of, such as CLOCK_MONOTONIC; or -1: a clock of the
                     host's own, such as a simulator's, of which only `now` tells */
  int32_t numa_node; /* where the thread runs that will use the queue; -1: unknown */
};

/* A run of bytes, and the registration that it lies in. */
struct ssn_offload_segment {
  uint8_t* data;
  uint32_t length; /* at least 1 */
  uint32_t memory; /* handle from memory_register, or SSN_OFFLOAD_UNREGISTERED */
};

/* A buffer of job.length bytes. In one piece, as most are: its address, and no segments to look up. Or cut
 * into segments, one after the other, which together are job.length bytes; buffers of one job may be cut at
 * different places. Only outputs are written. */
struct ssn_offload_buffer {
  union {
    uint8_t* data;                              /* segment_count is 0 */
    const struct ssn_offload_segment* segments; /* segment_count is 1 to segments_max */
  };
  uint32_t segment_count;
  uint32_t memory; /* what `data` lies in, as in a segment; ignored where there are segments */
};

static inline struct ssn_offload_buffer ssn_offload_whole(uint8_t* data, uint32_t memory) {
  struct ssn_offload_buffer buffer;
  buffer.data = data;
  buffer.segment_count = 0;
  buffer.memory = memory;
  return buffer;
}

static inline struct ssn_offload_buffer ssn_offload_cut(const struct ssn_offload_segment* segments,
                                                        uint32_t segment_count) {
  struct ssn_offload_buffer buffer;
  buffer.segments = segments;
  buffer.segment_count = segment_count;
  buffer.memory = SSN_OFFLOAD_UNREGISTERED;
  return buffer;
}

/* What belongs to one tag. */
struct ssn_offload_tagging {
  const struct ssn_offload_tag_key* key;
  uint8_t* header; /* not looked at where header_length is 0 */
  uint8_t* mask;   /* 16 bytes, used once */
  uint8_t* tag;    /* 16 bytes: written by SEAL and SPLIT_SEAL, read by OPEN and OPEN_RECOVER; may be the same
                      bytes as the mask where it is written */
  uint32_t header_length; /* 0: no header */
  uint32_t header_memory; /* what each lies in, as in a segment */
  uint32_t mask_memory;
  uint32_t tag_memory;
};

/* What a driver reads and writes of every job comes first: one cache line where the job is aligned to 64
 * bytes. */
struct ssn_offload_job {
  /* Set by the host. */
  uint16_t operation;    /* enum ssn_offload_operation */
  uint16_t input_count;  /* columns of the matrix; 1 for SEAL and OPEN */
  uint16_t output_count; /* rows of the matrix; 1 for SEAL and OPEN */

  /* Set by the driver, in enqueue or dequeue. */
  bool held; /* with SSN_TIMEOUT and SSN_CANCELLED: the device may still touch the job, which will be dequeued
                once more, with the same status, when it does not */
  enum ssn_status
      status; /* SSN_AGAIN while in flight, then
SSN_OK           done
SSN_INTEGRITY    a tag does not match: outputs are all zeros
SSN_INVALID      a rule was broken; no buffer was touched
SSN_UNSUPPORTED  the device does not have this operation; no buffer was touched
SSN_TIMEOUT      late; outputs and written tags are undefined
SSN_CANCELLED    given up after cancel(); outputs and written tags are undefined
SSN_UNAVAILABLE  the device cannot do it at present; outputs and written tags are undefined
SSN_FAILED       the device is broken, every later job will end so too; outputs and tags are undefined */

  /* Set by the host. */
  uint32_t length;                         /* of every buffer */
  const struct ssn_offload_matrix* matrix; /* ignored by SEAL and OPEN */
  const struct ssn_offload_buffer* inputs;
  const struct ssn_offload_buffer* outputs;
  const struct ssn_offload_buffer* pads; /* SEAL, SPLIT_PAD, SPLIT_SEAL: one an output. OPEN, OPEN_RECOVER:
                                            one an input. Ignored by the others */
  const struct ssn_offload_tagging* tagging; /* SEAL, SPLIT_SEAL: one an output. OPEN, OPEN_RECOVER: one an
                                                input. Ignored by the others */
  uint64_t deadline;                         /* ns of the queue's clock; 0: none */
  void* context;                             /* the host's; the driver never looks at it */

  /* Set by the driver, in enqueue or dequeue. */
  uint64_t tag_mismatch[4]; /* with SSN_INTEGRITY: bit i % 64 of word i / 64 is set where tag i is wrong */
};

struct ssn_offload_driver {
  uint32_t abi;            /* SSN_OFFLOAD_DEVICE_ABI of the driver */
  const char* name;        /* "cpu" */
  const char* description; /* one line */

  /* Control path: may block, allocate and take locks. `error` is filled in for everything but SSN_OK. */
  enum ssn_status (*open)(const struct ssn_offload_device_config* config, struct ssn_offload_device** device,
                          struct ssn_error* error);
  /* All queues are closed, all objects released already. */
  void (*close)(struct ssn_offload_device* device);
  void (*describe)(const struct ssn_offload_device* device, struct ssn_offload_device_info* info);

  /* Makes memory known to the device, for all its queues. `handle` is the driver's choice and never
   * SSN_OFFLOAD_UNREGISTERED. The memory stays mapped, and its contents where they are, until it was
   * unregistered; no job that names it is in flight then. Drivers that do not need registration take it too.
   */
  enum ssn_status (*memory_register)(struct ssn_offload_device* device, const struct ssn_memory* memory,
                                     uint32_t* handle, struct ssn_error* error);
  void (*memory_unregister)(struct ssn_offload_device* device, uint32_t handle);

  /* Prepares a matrix, row-major, for any number of jobs: once a layout, not once a packet. The coefficients
   * are copied. SSN_INVALID: no rows or columns, or more than the device takes. */
  enum ssn_status (*matrix_prepare)(struct ssn_offload_device* device, const uint8_t* coefficients,
                                    uint32_t rows, uint32_t columns, struct ssn_offload_matrix** matrix,
                                    struct ssn_error* error);
  void (*matrix_release)(struct ssn_offload_device* device, struct ssn_offload_matrix* matrix);

  /* Prepares a hash key r of 16 bytes, which is copied and secret. Erased when it is released. */
  enum ssn_status (*tag_key_prepare)(struct ssn_offload_device* device, const uint8_t* r,
                                     struct ssn_offload_tag_key** key, struct ssn_error* error);
  void (*tag_key_release)(struct ssn_offload_device* device, struct ssn_offload_tag_key* key);

  enum ssn_status (*queue_open)(struct ssn_offload_device* device,
                                const struct ssn_offload_queue_config* config,
                                struct ssn_offload_queue** queue, struct ssn_error* error);
  /* Forgets what is in flight, whose jobs are not given back. When it returns neither driver nor device touch
   * them or their buffers any more, whether or not the device answered: it resets the device if it must. */
  void (*queue_close)(struct ssn_offload_queue* queue);

  /* Fast path. `now` is the time on the queue's clock; it never goes back. */
  /* Takes jobs from the front of `jobs` and returns how many: at least one while the queue has room, and
   * fewer than `count` when it has no more, or takes no more at a time. Sets the `status` of those, and
   * *completed to the number of them that are completed now: their status is not SSN_AGAIN, they are not held
   * and will not be dequeued. The others are not touched. */
  uint32_t (*enqueue)(struct ssn_offload_queue* queue, struct ssn_offload_job* const* jobs, uint32_t count,
                      uint64_t now, uint32_t* completed);
  /* Gives back up to `capacity` completed jobs and returns how many; none of them twice in one call. */
  uint32_t (*dequeue)(struct ssn_offload_queue* queue, struct ssn_offload_job** jobs, uint32_t capacity,
                      uint64_t now);
  /* Gives a prepared key another hash key of 16 bytes, which is copied; the one before is erased. No job in
   * flight names the key, in this queue or another. (The hash key of a stream changes every 2^20 packets.) */
  void (*tag_key_set)(struct ssn_offload_queue* queue, struct ssn_offload_tag_key* key, const uint8_t* r);
  /* Asks to give up all that is in flight. The jobs are dequeued as before, each with its result or with
   * SSN_CANCELLED, those that are no longer held within close_ns_max. */
  void (*cancel)(struct ssn_offload_queue* queue);
};

typedef const struct ssn_offload_driver* (*ssn_offload_driver_entry)(void);

#ifdef __cplusplus
}
#endif

#endif
