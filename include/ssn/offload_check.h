/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For drivers of offload devices: whether a job keeps the rules of offload_device.h. Use it, so that all
 * drivers refuse the same things. What only a driver can know it must check itself: that registered memory
 * covers the buffers, piece by piece.
 */
#ifndef SSN_OFFLOAD_CHECK_H
#define SSN_OFFLOAD_CHECK_H

#include "ssn/offload_device.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SSN_OFFLOAD_BIT(operation) (1u << (unsigned)(operation))

/* Sets of operations, as in ssn_offload_device_info.operations. */
#define SSN_OFFLOAD_ALL ((1u << SSN_OFFLOAD_OPERATIONS) - 1u)
#define SSN_OFFLOAD_WITHOUT_MATRIX (SSN_OFFLOAD_BIT(SSN_OFFLOAD_SEAL) | SSN_OFFLOAD_BIT(SSN_OFFLOAD_OPEN))
#define SSN_OFFLOAD_PADS_OUTPUTS                                                \
  (SSN_OFFLOAD_BIT(SSN_OFFLOAD_SEAL) | SSN_OFFLOAD_BIT(SSN_OFFLOAD_SPLIT_PAD) | \
   SSN_OFFLOAD_BIT(SSN_OFFLOAD_SPLIT_SEAL))
#define SSN_OFFLOAD_PADS_INPUTS \
  (SSN_OFFLOAD_BIT(SSN_OFFLOAD_OPEN) | SSN_OFFLOAD_BIT(SSN_OFFLOAD_OPEN_RECOVER))
#define SSN_OFFLOAD_WRITES_TAGS (SSN_OFFLOAD_BIT(SSN_OFFLOAD_SEAL) | SSN_OFFLOAD_BIT(SSN_OFFLOAD_SPLIT_SEAL))
#define SSN_OFFLOAD_CHECKS_TAGS SSN_OFFLOAD_PADS_INPUTS

static inline bool ssn_offload_is_in(uint32_t operation, uint32_t set) {
  return operation < SSN_OFFLOAD_OPERATIONS && (set >> operation & 1u) != 0;
}

/* The pieces of a buffer of `length` bytes, whether it is in one or cut. */
static inline uint32_t ssn_offload_pieces(const struct ssn_offload_buffer* buffer) {
  return buffer->segment_count == 0 ? 1 : buffer->segment_count;
}

static inline struct ssn_offload_segment ssn_offload_piece(const struct ssn_offload_buffer* buffer,
                                                           uint32_t length, uint32_t i) {
  struct ssn_offload_segment piece;
  if (buffer->segment_count != 0) {
    return buffer->segments[i];
  }
  piece.data = buffer->data;
  piece.length = length;
  piece.memory = buffer->memory;
  return piece;
}

static inline bool ssn_offload_aligned(const struct ssn_offload_device_info* info, const uint8_t* data) {
  return ((uintptr_t)data & (info->alignment - 1u)) == 0;
}

static inline bool ssn_offload_check_buffer(const struct ssn_offload_device_info* info,
                                            const struct ssn_offload_buffer* buffer, uint32_t length) {
  uint64_t sum = 0;
  uint32_t i;
  if (buffer->segment_count == 0) {
    return buffer->data != NULL && ssn_offload_aligned(info, buffer->data);
  }
  if (buffer->segments == NULL || buffer->segment_count > info->segments_max) {
    return false;
  }
  for (i = 0; i < buffer->segment_count; ++i) {
    const struct ssn_offload_segment* const segment = &buffer->segments[i];
    const bool last = i + 1 == buffer->segment_count;
    if (segment->data == NULL || segment->length == 0 || !ssn_offload_aligned(info, segment->data) ||
        (!last && (segment->length & (info->alignment - 1u)) != 0)) {
      return false;
    }
    sum += segment->length;
  }
  return sum == length;
}

static inline bool ssn_offload_check_buffers(const struct ssn_offload_device_info* info,
                                             const struct ssn_offload_buffer* buffers, uint32_t count,
                                             uint32_t length) {
  uint32_t i;
  if (buffers == NULL) {
    return false;
  }
  for (i = 0; i < count; ++i) {
    if (!ssn_offload_check_buffer(info, &buffers[i], length)) {
      return false;
    }
  }
  return true;
}

static inline bool ssn_offload_check_tagging(const struct ssn_offload_device_info* info,
                                             const struct ssn_offload_tagging* tagging, uint32_t count) {
  uint32_t i;
  if (tagging == NULL) {
    return false;
  }
  for (i = 0; i < count; ++i) {
    const struct ssn_offload_tagging* const one = &tagging[i];
    if (one->key == NULL || one->mask == NULL || one->tag == NULL ||
        one->header_length > info->header_length_max || (one->header == NULL && one->header_length != 0)) {
      return false;
    }
  }
  return true;
}

/* `rows` and `columns` are those of job->matrix, in whatever form the driver keeps them; of no meaning where
 * that is NULL. SSN_OK, SSN_INVALID or SSN_UNSUPPORTED. */
static inline enum ssn_status ssn_offload_check_job(const struct ssn_offload_device_info* info,
                                                    const struct ssn_offload_job* job, uint32_t rows,
                                                    uint32_t columns) {
  const uint32_t operation = job->operation;
  const uint32_t inputs = job->input_count;
  const uint32_t outputs = job->output_count;
  if (!ssn_offload_is_in(operation, SSN_OFFLOAD_ALL)) {
    return SSN_INVALID;
  }
  if (!ssn_offload_is_in(operation, info->operations)) {
    return SSN_UNSUPPORTED;
  }
  if (ssn_offload_is_in(operation, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    rows = columns = 1;
  } else if (job->matrix == NULL) {
    return SSN_INVALID;
  }
  if (inputs != columns || outputs != rows || job->length < info->length_min ||
      job->length > info->length_max || job->length % info->length_multiple != 0 ||
      !ssn_offload_check_buffers(info, job->inputs, inputs, job->length) ||
      !ssn_offload_check_buffers(info, job->outputs, outputs, job->length)) {
    return SSN_INVALID;
  }
  if (ssn_offload_is_in(operation, SSN_OFFLOAD_PADS_OUTPUTS | SSN_OFFLOAD_PADS_INPUTS)) {
    const uint32_t pads = ssn_offload_is_in(operation, SSN_OFFLOAD_PADS_INPUTS) ? inputs : outputs;
    if (!ssn_offload_check_buffers(info, job->pads, pads, job->length)) {
      return SSN_INVALID;
    }
    if (ssn_offload_is_in(operation, SSN_OFFLOAD_WRITES_TAGS | SSN_OFFLOAD_CHECKS_TAGS) &&
        !ssn_offload_check_tagging(info, job->tagging, pads)) {
      return SSN_INVALID;
    }
  }
  return SSN_OK;
}

#ifdef __cplusplus
}
#endif

#endif
