/* Writes protobuf by hand for the tests of onnx/: a growing buffer and one function for each kind of field. */
#ifndef TESTS_ONNX_BYTES_H
#define TESTS_ONNX_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

typedef struct bytes {
  uint8_t *data;
  size_t size, room;
} bytes;

static inline void add(bytes *b, const void *data, size_t size) {
  if (b->size + size > b->room) {
    b->room = (b->size + size) * 2;
    b->data = realloc(b->data, b->room);
    CHECK(b->data != NULL);
  }
  if (size > 0) {
    memcpy(b->data + b->size, data, size);
  }
  b->size += size;
}

static inline void add_varint(bytes *b, uint64_t value) {
  uint8_t byte;
  for (; value > 0x7f; value >>= 7) {
    byte = (uint8_t)(value | 0x80);
    add(b, &byte, 1);
  }
  byte = (uint8_t)value;
  add(b, &byte, 1);
}

static inline void add_int(bytes *b, uint32_t id, uint64_t value) {
  add_varint(b, (uint64_t)id << 3);
  add_varint(b, value);
}

static inline void add_field(bytes *b, uint32_t id, const void *data, size_t size) {
  add_varint(b, (uint64_t)id << 3 | 2);
  add_varint(b, size);
  add(b, data, size);
}

static inline void add_text(bytes *b, uint32_t id, const char *text) {
  add_field(b, id, text, strlen(text));
}

/* Adds `inner` as a message and empties it. */
static inline void add_message(bytes *b, uint32_t id, bytes *inner) {
  add_field(b, id, inner->data, inner->size);
  free(inner->data);
  *inner = (bytes){0};
}

static inline void add_float(bytes *b, uint32_t id, float value) {
  add_varint(b, (uint64_t)id << 3 | 5);
  add(b, &value, 4);
}

static inline void clear(bytes *b) {
  free(b->data);
  *b = (bytes){0};
}

#endif
