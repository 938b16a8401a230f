/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver of an offload device as somebody outside of Shareline would write it: C, and include/ only. It has
 * the three operations with a matrix alone, multiplies bit by bit, and is as particular as hardware may be:
 * aligned buffers in one piece, lengths of whole words, registered memory, small queues, results in order.
 * SSN_EXAMPLE_BREAKS makes it break one rule of the interface.
 */
#include <stdlib.h>
#include <string.h>

#include "ssn/offload_check.h"

#ifndef SSN_EXAMPLE_BREAKS
#define SSN_EXAMPLE_BREAKS 0
#endif
enum { BREAKS_ABI = 1, BREAKS_COMPLETENESS = 2, BREAKS_DEVICE = 3, BREAKS_DESCRIPTION = 4 };

enum { DEPTH_MAX = 48, QUEUES_MAX = 3, MEMORIES_MAX = 3, MATRICES_MAX = 5 };

struct ssn_offload_device {
  uint32_t queues, matrices;
  struct ssn_memory memories[MEMORIES_MAX];
};

struct ssn_offload_matrix {
  uint32_t rows, columns;
  uint8_t coefficients[8 * 8];
};

struct ssn_offload_queue {
  struct ssn_offload_device* device;
  uint32_t depth, count, first;
  struct ssn_offload_job* jobs[DEPTH_MAX]; /* a ring */
  uint32_t cancelled;                      /* that many at the front were given up */
};

static enum ssn_status fail(struct ssn_error* error, enum ssn_status status, const char* why) {
  memset(error, 0, sizeof *error);
  strcpy(error->what, "cannot do this with the example of a C driver");
  strncpy(error->why, why, sizeof error->why - 1);
  strcpy(error->fix, "keep its limits");
  return status;
}

static void describe(const struct ssn_offload_device* device, struct ssn_offload_device_info* info) {
  (void)device;
  memset(info, 0, sizeof *info);
  info->operations = SSN_OFFLOAD_BIT(SSN_OFFLOAD_SPLIT) | SSN_OFFLOAD_BIT(SSN_OFFLOAD_RECOVER) |
                     SSN_OFFLOAD_BIT(SSN_OFFLOAD_DOT);
  info->completion = SSN_OFFLOAD_ASYNCHRONOUS;
  info->ordered = true;
  info->memory_registration = true;
  info->rows_max = 8;
  info->columns_max = 8;
  info->length_min = 32;
  info->length_max = 4096;
  info->length_multiple = 8;
  info->alignment = SSN_EXAMPLE_BREAKS == BREAKS_DESCRIPTION ? 48 : 16;
  info->segments_max = 1;
  info->queues_max = QUEUES_MAX;
  info->queue_depth_max = DEPTH_MAX;
  info->memories_max = MEMORIES_MAX;
  info->matrices_max = MATRICES_MAX;
  info->close_ns_max = 1000000;
  info->protection = SSN_PROTECTION_EMULATED;
  info->numa_node = -1;
  strcpy(info->identity, "example in C");
}

static enum ssn_status open_device(const struct ssn_offload_device_config* config,
                                   struct ssn_offload_device** device, struct ssn_error* error) {
  if (config->setting_count != 0) {
    fail(error, SSN_INVALID, "there is no such setting");
    strncpy(error->where, config->settings[0].name, sizeof error->where - 1);
    return SSN_INVALID;
  }
  if (SSN_EXAMPLE_BREAKS == BREAKS_DEVICE) {
    return SSN_OK;
  }
  *device = calloc(1, sizeof **device);
  return *device != NULL ? SSN_OK : fail(error, SSN_EXHAUSTED, "there is no memory");
}

static void close_device(struct ssn_offload_device* device) { free(device); }

static enum ssn_status register_memory(struct ssn_offload_device* device, const struct ssn_memory* memory,
                                       uint32_t* handle, struct ssn_error* error) {
  uint32_t i;
  if (memory->base == NULL || memory->bytes == 0) {
    return fail(error, SSN_INVALID, "this is no memory");
  }
  for (i = 0; i < MEMORIES_MAX; ++i) {
    if (device->memories[i].base == NULL) {
      device->memories[i] = *memory;
      *handle = 100 + i;
      return SSN_OK;
    }
  }
  return fail(error, SSN_EXHAUSTED, "no more memory can be registered");
}

static void unregister_memory(struct ssn_offload_device* device, uint32_t handle) {
  memset(&device->memories[handle - 100], 0, sizeof device->memories[0]);
}

static enum ssn_status prepare_matrix(struct ssn_offload_device* device, const uint8_t* coefficients,
                                      uint32_t rows, uint32_t columns, struct ssn_offload_matrix** matrix,
                                      struct ssn_error* error) {
  if (rows < 1 || rows > 8 || columns < 1 || columns > 8) {
    return fail(error, SSN_INVALID, "a matrix has 1 to 8 rows and columns");
  }
  if (device->matrices == MATRICES_MAX) {
    return fail(error, SSN_EXHAUSTED, "no more matrices can be prepared");
  }
  *matrix = calloc(1, sizeof **matrix);
  if (*matrix == NULL) {
    return fail(error, SSN_EXHAUSTED, "there is no memory");
  }
  (*matrix)->rows = rows;
  (*matrix)->columns = columns;
  memcpy((*matrix)->coefficients, coefficients, (size_t)rows * columns);
  ++device->matrices;
  return SSN_OK;
}

static void release_matrix(struct ssn_offload_device* device, struct ssn_offload_matrix* matrix) {
  free(matrix);
  --device->matrices;
}

static enum ssn_status prepare_tag_key(struct ssn_offload_device* device, const uint8_t* r,
                                       struct ssn_offload_tag_key** key, struct ssn_error* error) {
  (void)device, (void)r, (void)key;
  return fail(error, SSN_UNSUPPORTED, "it makes no tags");
}

static void release_tag_key(struct ssn_offload_device* device, struct ssn_offload_tag_key* key) {
  (void)device, (void)key;
}

static void set_tag_key(struct ssn_offload_queue* queue, struct ssn_offload_tag_key* key, const uint8_t* r) {
  (void)queue, (void)key, (void)r;
}

static enum ssn_status open_queue(struct ssn_offload_device* device,
                                  const struct ssn_offload_queue_config* config,
                                  struct ssn_offload_queue** queue, struct ssn_error* error) {
  if (config->depth < 1 || config->depth > DEPTH_MAX) {
    return fail(error, SSN_INVALID, "a queue has a depth of 1 to 48");
  }
  if (device->queues == QUEUES_MAX) {
    return fail(error, SSN_EXHAUSTED, "no more queues can be open");
  }
  *queue = calloc(1, sizeof **queue);
  if (*queue == NULL) {
    return fail(error, SSN_EXHAUSTED, "there is no memory");
  }
  (*queue)->device = device;
  (*queue)->depth = config->depth;
  ++device->queues;
  return SSN_OK;
}

static void close_queue(struct ssn_offload_queue* queue) {
  --queue->device->queues;
  free(queue);
}

static bool registered(const struct ssn_offload_device* device, const struct ssn_offload_buffer* buffers,
                       uint32_t count, uint32_t length) {
  uint32_t i;
  for (i = 0; i < count; ++i) {
    const struct ssn_offload_segment piece = ssn_offload_piece(&buffers[i], length, 0); /* there is no other */
    const struct ssn_memory* memory;
    uintptr_t begin;
    if (piece.memory < 100 || piece.memory >= 100 + MEMORIES_MAX) {
      return false;
    }
    memory = &device->memories[piece.memory - 100];
    begin = (uintptr_t)memory->base;
    if (memory->base == NULL || (uintptr_t)piece.data < begin ||
        (uintptr_t)piece.data - begin + piece.length > memory->bytes) {
      return false;
    }
  }
  return true;
}

static enum ssn_status check(const struct ssn_offload_queue* queue, const struct ssn_offload_job* job,
                             uint64_t now) {
  struct ssn_offload_device_info info;
  const uint32_t rows = job->matrix != NULL ? job->matrix->rows : 0;
  const uint32_t columns = job->matrix != NULL ? job->matrix->columns : 0;
  enum ssn_status status;
  describe(queue->device, &info);
  status = ssn_offload_check_job(&info, job, rows, columns);
  if (status != SSN_OK) {
    return status;
  }
  if (!registered(queue->device, job->inputs, job->input_count, job->length) ||
      !registered(queue->device, job->outputs, job->output_count, job->length)) {
    return SSN_INVALID;
  }
  return job->deadline != 0 && job->deadline <= now ? SSN_TIMEOUT : SSN_AGAIN;
}

/* Bit by bit modulo x^8 + x^4 + x^3 + x^2 + 1. */
static uint8_t multiply(uint8_t a, uint8_t b) {
  uint8_t product = 0;
  int i;
  for (i = 0; i < 8; ++i) {
    product = (uint8_t)(product ^ ((b >> i & 1) * a));
    a = (uint8_t)(a << 1 ^ (a >> 7) * 0x1D);
  }
  return product;
}

static void compute(const struct ssn_offload_job* job) {
  const struct ssn_offload_matrix* const matrix = job->matrix;
  uint32_t row, column, i;
  for (row = 0; row < matrix->rows; ++row) {
    uint8_t* const out = ssn_offload_piece(&job->outputs[row], job->length, 0).data;
    memset(out, 0, job->length);
    for (column = 0; column < matrix->columns; ++column) {
      const uint8_t* const in = ssn_offload_piece(&job->inputs[column], job->length, 0).data;
      const uint8_t coefficient = matrix->coefficients[row * matrix->columns + column];
      for (i = 0; i < job->length; ++i) {
        out[i] = (uint8_t)(out[i] ^ multiply(coefficient, in[i]));
      }
    }
  }
}

static uint32_t enqueue(struct ssn_offload_queue* queue, struct ssn_offload_job* const* jobs, uint32_t count,
                        uint64_t now, uint32_t* completed) {
  uint32_t accepted;
  *completed = 0;
  for (accepted = 0; accepted < count && queue->count < queue->depth; ++accepted) {
    struct ssn_offload_job* const job = jobs[accepted];
    job->held = false;
    job->status = check(queue, job, now);
    if (job->status == SSN_AGAIN) {
      queue->jobs[(queue->first + queue->count++) % DEPTH_MAX] = job;
    } else {
      ++*completed;
    }
  }
  return accepted;
}

/* The "device" works when it is asked for results: late and cancelled jobs are not begun. */
static uint32_t dequeue(struct ssn_offload_queue* queue, struct ssn_offload_job** jobs, uint32_t capacity,
                        uint64_t now) {
  uint32_t given = 0;
  for (; given < capacity && queue->count > 0; ++given, --queue->count) {
    struct ssn_offload_job* const job = queue->jobs[queue->first];
    queue->first = (queue->first + 1) % DEPTH_MAX;
    if (queue->cancelled > 0) {
      --queue->cancelled;
      job->status = SSN_CANCELLED;
    } else if (job->deadline != 0 && job->deadline <= now) {
      job->status = SSN_TIMEOUT;
    } else {
      compute(job);
      job->status = SSN_OK;
    }
    jobs[given] = job;
  }
  return given;
}

static void cancel(struct ssn_offload_queue* queue) { queue->cancelled = queue->count; }

static const struct ssn_offload_driver driver = {
    .abi = SSN_EXAMPLE_BREAKS == BREAKS_ABI ? SSN_OFFLOAD_DEVICE_ABI + 1000 : SSN_OFFLOAD_DEVICE_ABI,
    .name = "example",
    .description = "an example in C",
    .open = open_device,
    .close = close_device,
    .describe = describe,
    .memory_register = register_memory,
    .memory_unregister = unregister_memory,
    .matrix_prepare = prepare_matrix,
    .matrix_release = release_matrix,
    .tag_key_prepare = prepare_tag_key,
    .tag_key_release = release_tag_key,
    .tag_key_set = set_tag_key,
    .queue_open = open_queue,
    .queue_close = close_queue,
    .enqueue = enqueue,
    .dequeue = SSN_EXAMPLE_BREAKS == BREAKS_COMPLETENESS ? NULL : dequeue,
    .cancel = cancel,
};

const struct ssn_offload_driver* ssn_get_offload_driver(void);
const struct ssn_offload_driver* ssn_get_offload_driver(void) { return &driver; }
