/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A key driver as somebody outside Shareline would write it: C11, nothing but the public headers. Its "keys" are
 * a counter, so that a test sees what was delivered. Build: cc -std=c11 -shared -fPIC -I include example_driver.c
 *
 * Tests compile it with SSN_EXAMPLE_BREAKS set to a number, and get a driver that breaks that rule.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ssn/key_device.h"

#ifndef SSN_EXAMPLE_BREAKS
#define SSN_EXAMPLE_BREAKS 0
#endif

enum { breaks_nothing, breaks_abi, breaks_completeness, breaks_stream_head, breaks_device };

struct ssn_key_device {
  uint8_t start;
  ssn_key_send_to_peer send;
  void* send_context;
  char last_peer[SSN_PEER_NAME_MAX + 1];
};

struct example_stream {
  struct ssn_key_stream head;
  uint8_t start;
};

extern const struct ssn_key_driver example_driver;

static void say(struct ssn_error* error, const char* what, const char* why, const char* where) {
  snprintf(error->what, sizeof error->what, "%s", what);
  snprintf(error->why, sizeof error->why, "%s", why);
  snprintf(error->where, sizeof error->where, "%s", where);
  snprintf(error->fix, sizeof error->fix, "read example_driver.c");
}

static enum ssn_status example_open(const struct ssn_key_device_config* config, struct ssn_key_device** device,
                                    struct ssn_error* error) {
  if (config->abi != SSN_KEY_DEVICE_ABI) {
    say(error, "cannot open the example", "the interface has another version", "");
    return SSN_INVALID;
  }
  struct ssn_key_device* made = calloc(1, sizeof *made);
  if (made == NULL) {
    say(error, "cannot open the example", "no memory", "");
    return SSN_EXHAUSTED;
  }
  for (size_t i = 0; i < config->setting_count; ++i) {
    if (strcmp(config->settings[i].name, "start") != 0) {
      say(error, "cannot open the example", "there is no such setting", config->settings[i].name);
      free(made);
      return SSN_INVALID;
    }
    made->start = (uint8_t)atoi(config->settings[i].value);
  }
  made->send = config->send_to_peer;
  made->send_context = config->send_context;
  if (SSN_EXAMPLE_BREAKS == breaks_device) {
    free(made);
    made = NULL;
  }
  *device = made;
  return SSN_OK;
}

static void example_close(struct ssn_key_device* device) { free(device); }

static void example_describe(struct ssn_key_device* device, struct ssn_key_device_info* info) {
  (void)device;
  memset(info, 0, sizeof *info);
  info->protection = SSN_PROTECTION_EMULATED;
  info->numa_node = -1;
  info->streams_max = 16;
  info->delivers_random = false;
  info->ring_bytes_min = 4096;
  info->ring_bytes_max = 1 << 20;
  snprintf(info->identity, sizeof info->identity, "example 1.0");
}

static enum ssn_status example_stream_open(struct ssn_key_device* device,
                                           const struct ssn_key_stream_request* request,
                                           struct ssn_key_stream** stream, struct ssn_error* error) {
  if (strcmp(request->peer, "nobody") == 0) {
    say(error, "cannot open a stream of the example", "there is no such peer", request->peer);
    return SSN_NOT_FOUND;
  }
  struct example_stream* made = calloc(1, sizeof *made);
  if (made == NULL) {
    say(error, "cannot open a stream of the example", "no memory", "");
    return SSN_EXHAUSTED;
  }
  made->head.driver = &example_driver;
  made->head.ring = request->memory.base;
  made->head.ring_bytes = request->memory.bytes;
  made->head.role = request->role;
  made->start = device->start;
  if (SSN_EXAMPLE_BREAKS == breaks_stream_head) {
    made->head.ring_bytes *= 2;
  }
  *stream = &made->head;
  return SSN_OK;
}

static void example_stream_close(struct ssn_key_stream* stream) { free(stream); }

static enum ssn_status example_peer_message(struct ssn_key_device* device, const char* peer,
                                            const uint8_t* message, size_t length) {
  /* Answers, as a driver may. */
  snprintf(device->last_peer, sizeof device->last_peer, "%s", peer);
  return device->send == NULL ? SSN_UNAVAILABLE : device->send(device->send_context, peer, message, length);
}

static enum ssn_status example_poll(struct ssn_key_stream* head) {
  struct example_stream* const stream = (struct example_stream*)head;
  uint64_t room = head->ring_bytes - (head->end - head->released);
  if (room > 1024) {
    room = 1024;
  }
  for (uint64_t i = 0; i < room; ++i) {
    head->ring[(head->end + i) & (head->ring_bytes - 1)] = (uint8_t)(stream->start + head->end + i);
  }
  head->end += room;
  return room == 0 ? SSN_AGAIN : SSN_OK;
}

static void example_release(struct ssn_key_stream* stream, uint64_t offset) { stream->released = offset; }

static void example_read_statistics(const struct ssn_key_stream* stream,
                                    struct ssn_key_stream_statistics* statistics) {
  memset(statistics, 0, sizeof *statistics);
  statistics->delivered = stream->end;
  statistics->level = UINT64_MAX;
}

const struct ssn_key_driver example_driver = {
    .abi = SSN_KEY_DEVICE_ABI + (SSN_EXAMPLE_BREAKS == breaks_abi ? 1000 : 0),
    .name = "example",
    .description = "a counter; shows how a driver is written",
    .open = example_open,
    .close = example_close,
    .describe = example_describe,
    .stream_open = example_stream_open,
    .stream_close = example_stream_close,
    .peer_message = example_peer_message,
    .poll = SSN_EXAMPLE_BREAKS == breaks_completeness ? NULL : example_poll,
    .release = example_release,
    .read_statistics = example_read_statistics,
};

const struct ssn_key_driver* ssn_get_key_driver(void);
const struct ssn_key_driver* ssn_get_key_driver(void) { return &example_driver; }
