/* The wire walker. protobuf-c copies every field, recurses without a limit and needs the whole file at once. So a push
 * parser goes first: a state machine with an explicit stack, fed pieces of any size. It copies the file into a skeleton
 * for protobuf-c, except
 *
 *   fields that onnx.proto does not name (documentation, metadata, unknown ones), which are dropped, and
 *   large elements of tensors, which go straight into a block of their own: the skeleton keeps the block's number
 *   (TensorProto.payload). So weights are written once, aligned, and can be freed one by one.
 *
 * It is driven by protobuf-c's descriptors, so it needs no table of its own. Because lengths inside the skeleton differ
 * from the file's, each is written as a varint padded to five bytes and patched when the message ends. Runs of numbers
 * that the file writes one field each are joined into a packed field, since protobuf-c spends forty bytes on each field
 * it meets.
 *
 * Whatever the bytes are, work is linear in them, memory is bounded by what has arrived, and protobuf-c sees at most
 * MAX_MESSAGES levels and no message field that it would have to merge (merging is quadratic). It must not know what
 * any field means. */
#include "walker.h"

#include <inttypes.h>
#include <string.h>

enum {
  MAX_MESSAGES = 512,    /* levels; protobuf-c recurses once a level, with some 500 bytes of stack */
  PAYLOAD_MIN = 256,     /* smaller elements stay in the message */
  FIRST_BLOCK = 1 << 20, /* of a payload whose length cannot be trusted yet */
  LENGTH_BYTES = 5,      /* of a padded length */
  WIRE_VARINT = 0,
  WIRE_FIXED64 = 1,
  WIRE_LENGTH = 2,
  WIRE_FIXED32 = 5
};

typedef enum state {
  STATE_TAG,    /* in a field's number and wire type */
  STATE_VARINT, /* in a number */
  STATE_LENGTH, /* in a length */
  STATE_COPY,   /* `left` bytes go to the skeleton */
  STATE_SKIP,   /* `left` bytes are dropped */
  STATE_PAYLOAD /* `left` bytes go to the payload */
} state;

/* A message that has begun and not ended. */
typedef struct frame {
  const ProtobufCMessageDescriptor *message;
  uint64_t end;                        /* file offset behind it; UINT64_MAX for the file itself */
  size_t length_at;                    /* its length in the skeleton */
  uint64_t seen;                       /* message fields met that may occur once, by their index in the descriptor */
  const ProtobufCFieldDescriptor *run; /* numbers being joined into a packed field, or NULL */
  size_t run_at;                       /* that field's length in the skeleton */
  bool has_payload;
} frame;

struct weft_walker {
  weft_onnx_model *model;
  weft_walker_limits limits;
  uint64_t total;  /* what the host said the file has; 0: unknown */
  uint64_t offset; /* bytes taken */
  state state;
  uint64_t field_at; /* where the field at work began */
  uint64_t number;   /* the varint at work */
  unsigned shift;
  const ProtobufCFieldDescriptor *field; /* at work; NULL: dropped */
  uint64_t left;
  weft_onnx_payload *payload;
  size_t payload_room;
  uint32_t node_count, graph_depth;
  size_t depth;
  frame frames[MAX_MESSAGES];
  uint8_t *skeleton;
  size_t size, capacity;
};

/* ---- what fields are --------------------------------------------------------------------------------------------- */
static bool is_number(const ProtobufCFieldDescriptor *field) {
  return field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_BYTES &&
         field->type != PROTOBUF_C_TYPE_MESSAGE;
}

static unsigned wire_type_of(const ProtobufCFieldDescriptor *field) {
  switch (field->type) {
  case PROTOBUF_C_TYPE_FLOAT:
  case PROTOBUF_C_TYPE_FIXED32:
  case PROTOBUF_C_TYPE_SFIXED32:
    return WIRE_FIXED32;
  case PROTOBUF_C_TYPE_DOUBLE:
  case PROTOBUF_C_TYPE_FIXED64:
  case PROTOBUF_C_TYPE_SFIXED64:
    return WIRE_FIXED64;
  case PROTOBUF_C_TYPE_STRING:
  case PROTOBUF_C_TYPE_BYTES:
  case PROTOBUF_C_TYPE_MESSAGE:
    return WIRE_LENGTH;
  default:
    return WIRE_VARINT;
  }
}

/* raw_data and the packed lists of typed elements; not dims, which shape checks need at hand. */
static bool holds_elements(const frame *top, const ProtobufCFieldDescriptor *field) {
  return top->message == &weft__tensor_proto__descriptor &&
         (field->type == PROTOBUF_C_TYPE_BYTES ? field->label != PROTOBUF_C_LABEL_REPEATED
                                               : (field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0);
}

/* TensorProto.payload, which is Weft's own: fields are sorted by number, and it has the largest. */
static const ProtobufCFieldDescriptor *payload_field(void) {
  const ProtobufCMessageDescriptor *tensor = &weft__tensor_proto__descriptor;
  return &tensor->fields[tensor->n_fields - 1];
}

static frame *top_of(weft_walker *w) {
  return &w->frames[w->depth - 1];
}

/* ---- failures name the field and where it begins ----------------------------------------------------------------- */
/* A model's graph comes after a few numbers and names only: what breaks the format before it is no model at all. */
static const char *doubt(const weft_walker *w) {
  bool model = w->frames[0].message == &weft__model_proto__descriptor && w->frames[0].seen == 0;
  return model ? "this is not an ONNX model: " : "";
}

static weft_status fail(weft_context *cx, weft_walker *w, weft_status code, const char *what) {
  const char *message = top_of(w)->message->short_name;
  if (w->field != NULL) {
    return weft_fail(cx, code, "%s%s.%s at byte %" PRIu64 " of the file %s", doubt(w), message, w->field->name,
                     w->field_at, what);
  }
  return weft_fail(cx, code, "%sthe field of %s at byte %" PRIu64 " of the file %s", doubt(w), message, w->field_at,
                   what);
}

static weft_status fail_invalid(weft_context *cx, weft_walker *w, const char *what) {
  return fail(cx, w, WEFT_INVALID_MODEL, what);
}

/* ---- writing the skeleton ---------------------------------------------------------------------------------------- */
static weft_status put(weft_context *cx, weft_walker *w, const void *bytes, size_t size) {
  if (size > (size_t)INT32_MAX - w->size) {
    return fail(cx, w, WEFT_LIMIT_EXCEEDED, "brings what the model holds besides large tensors to more than 2 GB");
  }
  void *items = w->skeleton;
  weft_status status = weft_grow(cx, &items, &w->capacity, w->size + size, 1);
  w->skeleton = items;
  WEFT_TRY(status);
  memcpy(w->skeleton + w->size, bytes, size);
  w->size += size;
  return WEFT_OK;
}

static weft_status put_varint(weft_context *cx, weft_walker *w, uint64_t value) {
  uint8_t bytes[10];
  size_t n = 0;
  for (; value > 0x7f; value >>= 7) {
    bytes[n++] = (uint8_t)(value | 0x80);
  }
  bytes[n++] = (uint8_t)value;
  return put(cx, w, bytes, n);
}

static weft_status put_tag(weft_context *cx, weft_walker *w, uint32_t id, unsigned wire) {
  return put_varint(cx, w, (uint64_t)id << 3 | wire);
}

/* A field whose length comes later, by patch_length. */
static weft_status put_open_field(weft_context *cx, weft_walker *w, uint32_t id, size_t *length_at) {
  static const uint8_t blank[LENGTH_BYTES];
  WEFT_TRY(put_tag(cx, w, id, WIRE_LENGTH));
  *length_at = w->size;
  return put(cx, w, blank, sizeof blank);
}

static void patch_length(weft_walker *w, size_t length_at) {
  size_t length = w->size - length_at - LENGTH_BYTES;
  for (size_t i = 0; i < LENGTH_BYTES; i++, length >>= 7) {
    w->skeleton[length_at + i] = (uint8_t)((length & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
  }
}

static void close_run(weft_walker *w, frame *top) {
  if (top->run != NULL) {
    patch_length(w, top->run_at);
    top->run = NULL;
  }
}

/* The tag before a number: its own, or for a repeated field that of a packed run. */
static weft_status begin_number(weft_context *cx, weft_walker *w) {
  frame *top = top_of(w);
  if (top->run == w->field) {
    return WEFT_OK;
  }
  close_run(w, top);
  if (w->field->label != PROTOBUF_C_LABEL_REPEATED) {
    return put_tag(cx, w, w->field->id, wire_type_of(w->field));
  }
  WEFT_TRY(put_open_field(cx, w, w->field->id, &top->run_at));
  top->run = w->field;
  return WEFT_OK;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */
static weft_status count_message(weft_context *cx, weft_walker *w, const ProtobufCMessageDescriptor *message) {
  if (w->depth == MAX_MESSAGES) {
    return fail(cx, w, WEFT_LIMIT_EXCEEDED, "nests messages more than 512 deep");
  }
  if (message == &weft__node_proto__descriptor && w->node_count++ == w->limits.max_nodes) {
    return weft_fail(cx, WEFT_LIMIT_EXCEEDED, "the model has more than %" PRIu32 " nodes (max_nodes)",
                     w->limits.max_nodes);
  }
  if (message == &weft__graph_proto__descriptor && w->graph_depth++ > w->limits.max_depth) {
    return weft_fail(cx, WEFT_LIMIT_EXCEEDED,
                     "subgraphs are nested more than %" PRIu32 " deep (max_depth) at byte %" PRIu64,
                     w->limits.max_depth, w->field_at);
  }
  return WEFT_OK;
}

static weft_status begin_message(weft_context *cx, weft_walker *w, uint64_t size) {
  frame *top = top_of(w);
  const ProtobufCFieldDescriptor *field = w->field;
  if (field->label != PROTOBUF_C_LABEL_REPEATED) {
    uint64_t bit = (uint64_t)1 << (field - top->message->fields);
    if ((top->seen & bit) != 0) {
      return fail_invalid(cx, w, "is there a second time");
    }
    top->seen |= bit;
  }
  close_run(w, top);
  WEFT_TRY(count_message(cx, w, field->descriptor));
  frame *inner = &w->frames[w->depth];
  *inner = (frame){.message = field->descriptor, .end = w->offset + size};
  WEFT_TRY(put_open_field(cx, w, field->id, &inner->length_at));
  w->depth++;
  w->field = NULL;
  return WEFT_OK;
}

/* Ends the field at work, and the messages that end with it. */
static void end_field(weft_walker *w) {
  w->state = STATE_TAG;
  w->field = NULL;
  while (w->offset == top_of(w)->end) {
    frame *top = top_of(w);
    close_run(w, top);
    patch_length(w, top->length_at);
    w->graph_depth -= top->message == &weft__graph_proto__descriptor;
    w->depth--;
  }
}

/* ---- payloads ---------------------------------------------------------------------------------------------------- */
static weft_status begin_payload(weft_context *cx, weft_walker *w, uint64_t size) {
  frame *top = top_of(w);
  weft_onnx_model *model = w->model;
  if (top->has_payload) {
    return fail_invalid(cx, w, "gives elements of the tensor a second time");
  }
  if (size > SIZE_MAX / 2 || model->payload_count == UINT32_MAX) {
    return fail(cx, w, WEFT_LIMIT_EXCEEDED, "is larger than this machine can address");
  }
  top->has_payload = true;
  close_run(w, top);
  WEFT_TRY(put_tag(cx, w, payload_field()->id, WIRE_VARINT));
  WEFT_TRY(put_varint(cx, w, model->payload_count));
  void *items = model->payloads;
  weft_status status =
      weft_grow(cx, &items, &model->payload_capacity, model->payload_count + 1, sizeof *model->payloads);
  model->payloads = items;
  WEFT_TRY(status);
  w->payload = &model->payloads[model->payload_count++];
  *w->payload = (weft_onnx_payload){.field = w->field->id};
  bool trusted = size <= FIRST_BLOCK || (w->total >= w->offset && size <= w->total - w->offset);
  w->payload_room = trusted ? (size_t)size : (size_t)FIRST_BLOCK;
  return weft_alloc(cx, w->payload_room, &w->payload->data);
}

static weft_status put_payload(weft_context *cx, weft_walker *w, const uint8_t *bytes, size_t size) {
  weft_onnx_payload *payload = w->payload;
  size_t need = payload->size + size;
  if (need > w->payload_room) {
    size_t all = payload->size + (size_t)w->left;
    size_t room = need < all / 2 ? need * 2 : all;
    void *grown;
    WEFT_TRY(weft_alloc(cx, room, &grown));
    memcpy(grown, payload->data, payload->size);
    weft_free(payload->data);
    payload->data = grown;
    w->payload_room = room;
  }
  memcpy((uint8_t *)payload->data + payload->size, bytes, size);
  payload->size = need;
  return WEFT_OK;
}

/* ---- the states -------------------------------------------------------------------------------------------------- */
/* Takes one byte of a varint; `done` when it was the last. */
static weft_status take_varint(weft_context *cx, weft_walker *w, uint8_t byte, bool *done) {
  if (w->offset == top_of(w)->end) {
    return fail_invalid(cx, w, "is cut off by the end of its message");
  }
  w->offset++;
  if (w->shift == 63 && byte > 1) {
    return fail_invalid(cx, w, "holds a number of more than 64 bits");
  }
  w->number |= (uint64_t)(byte & 0x7f) << w->shift;
  w->shift += 7;
  *done = (byte & 0x80) == 0;
  return WEFT_OK;
}

static void expect_bytes(weft_walker *w, state state, uint64_t count) {
  w->state = state;
  w->left = count;
  if (count == 0) {
    end_field(w);
  }
}

static weft_status end_tag(weft_context *cx, weft_walker *w) {
  frame *top = top_of(w);
  unsigned wire = (unsigned)(w->number & 7);
  uint64_t id = w->number >> 3;
  if (id == 0 || id > 0x1fffffff) {
    return fail_invalid(cx, w, "has a number outside 1 to 536870911");
  }
  const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(top->message, (unsigned)id);
  w->field = field == payload_field() ? NULL : field; /* not for files to set */
  bool packed =
      w->field != NULL && field->label == PROTOBUF_C_LABEL_REPEATED && is_number(field) && wire == WIRE_LENGTH;
  if (w->field != NULL && !packed && wire != wire_type_of(field)) {
    return fail_invalid(cx, w, "has the wrong wire type");
  }
  switch (wire) {
  case WIRE_VARINT:
    w->state = STATE_VARINT;
    return WEFT_OK;
  case WIRE_LENGTH:
    w->state = STATE_LENGTH;
    return WEFT_OK;
  case WIRE_FIXED32:
  case WIRE_FIXED64: {
    unsigned size = wire == WIRE_FIXED32 ? 4 : 8;
    if (size > top->end - w->offset) {
      return fail_invalid(cx, w, "is cut off by the end of its message");
    }
    expect_bytes(w, w->field == NULL ? STATE_SKIP : STATE_COPY, size);
    return w->field == NULL ? WEFT_OK : begin_number(cx, w);
  }
  default:
    return fail_invalid(cx, w, "has a wire type that ONNX does not use");
  }
}

static weft_status end_varint(weft_context *cx, weft_walker *w) {
  if (w->field != NULL) {
    WEFT_TRY(begin_number(cx, w));
    WEFT_TRY(put_varint(cx, w, w->number));
  }
  end_field(w);
  return WEFT_OK;
}

static weft_status end_length(weft_context *cx, weft_walker *w) {
  frame *top = top_of(w);
  uint64_t size = w->number;
  if (size > top->end - w->offset) {
    return fail_invalid(cx, w, "claims to be longer than the message it is in");
  }
  if (w->field == NULL) {
    expect_bytes(w, STATE_SKIP, size);
  } else if (w->field->type == PROTOBUF_C_TYPE_MESSAGE) {
    WEFT_TRY(begin_message(cx, w, size));
    end_field(w);
  } else if (size >= PAYLOAD_MIN && holds_elements(top, w->field)) {
    WEFT_TRY(begin_payload(cx, w, size));
    expect_bytes(w, STATE_PAYLOAD, size);
  } else {
    close_run(w, top);
    WEFT_TRY(put_tag(cx, w, w->field->id, WIRE_LENGTH));
    WEFT_TRY(put_varint(cx, w, size));
    expect_bytes(w, STATE_COPY, size);
  }
  return WEFT_OK;
}

static weft_status take_byte(weft_context *cx, weft_walker *w, uint8_t byte) {
  if (w->state == STATE_TAG && w->shift == 0) {
    w->field_at = w->offset;
  }
  bool done = false;
  WEFT_TRY(take_varint(cx, w, byte, &done));
  if (!done) {
    return WEFT_OK;
  }
  state at = w->state;
  weft_status status = at == STATE_TAG ? end_tag(cx, w) : at == STATE_VARINT ? end_varint(cx, w) : end_length(cx, w);
  w->shift = 0;
  w->number = 0;
  return status;
}

/* As many of the next `size` bytes as belong to the field at work. */
static weft_status take_bytes(weft_context *cx, weft_walker *w, const uint8_t *bytes, size_t size, size_t *taken) {
  size_t n = size < w->left ? size : (size_t)w->left;
  if (w->state == STATE_PAYLOAD) {
    WEFT_TRY(put_payload(cx, w, bytes, n));
  } else if (w->state == STATE_COPY) {
    if (w->field->type == PROTOBUF_C_TYPE_STRING && memchr(bytes, 0, n) != NULL) {
      return fail_invalid(cx, w, "is a text with a zero byte in it");
    }
    WEFT_TRY(put(cx, w, bytes, n));
  }
  w->offset += n;
  w->left -= n;
  if (w->left == 0) {
    end_field(w);
  }
  *taken = n;
  return WEFT_OK;
}

/* ---- the walker -------------------------------------------------------------------------------------------------- */
weft_status weft_walker_create(weft_context *cx, const ProtobufCMessageDescriptor *root, weft_walker_limits limits,
                               weft_onnx_model *model, weft_walker **out) {
  void *block;
  *out = NULL;
  WEFT_TRY(weft_alloc_zeroed(cx, 1, sizeof(weft_walker), &block));
  weft_walker *w = block;
  w->model = model;
  w->limits = limits;
  w->frames[0] = (frame){.message = root, .end = UINT64_MAX};
  w->depth = 1;
  *out = w;
  return WEFT_OK;
}

void weft_walker_expect(weft_walker *w, uint64_t total) {
  w->total = total;
}

weft_status weft_walker_push(weft_context *cx, weft_walker *w, const void *bytes, size_t size) {
  const uint8_t *at = bytes;
  while (size > 0) {
    size_t taken = 1;
    if (w->state <= STATE_LENGTH) {
      WEFT_TRY(take_byte(cx, w, *at));
    } else {
      WEFT_TRY(take_bytes(cx, w, at, size, &taken));
    }
    at += taken;
    size -= taken;
  }
  return WEFT_OK;
}

/* protobuf-c's messages live in the model's arena: freeing them one by one is never needed. */
typedef struct decoder {
  weft_context *cx;
  weft_arena *arena;
  weft_status status;
} decoder;

static void *decoder_alloc(void *state, size_t size) {
  decoder *d = state;
  void *block;
  weft_status status = weft_arena_alloc(d->cx, d->arena, size, 1, &block);
  if (status != WEFT_OK) {
    d->status = status;
  }
  return block;
}

static void decoder_free(void *state, void *block) {
  (void)state;
  (void)block;
}

weft_status weft_walker_finish(weft_context *cx, weft_walker *w, ProtobufCMessage **out) {
  *out = NULL;
  if (w->depth > 1 || w->state != STATE_TAG || w->shift > 0) {
    frame *top = top_of(w);
    return weft_fail(cx, WEFT_INVALID_MODEL,
                     "the file ends after %" PRIu64 " bytes inside %s%s%s: the rest of it is missing", w->offset,
                     top->message->short_name, w->field != NULL ? "." : "", w->field != NULL ? w->field->name : "");
  }
  close_run(w, top_of(w));
  decoder d = {.cx = cx, .arena = &w->model->arena};
  ProtobufCAllocator allocator = {.alloc = decoder_alloc, .free = decoder_free, .allocator_data = &d};
  *out = protobuf_c_message_unpack(w->frames[0].message, &allocator, w->size, w->skeleton);
  weft_free(w->skeleton);
  w->skeleton = NULL;
  w->size = w->capacity = 0;
  if (*out == NULL) {
    return d.status != WEFT_OK ? d.status
                               : weft_fail(cx, WEFT_INVALID_MODEL, "a packed list of numbers in the file is damaged");
  }
  return WEFT_OK;
}

void weft_walker_free(weft_walker *w) {
  if (w != NULL) {
    weft_free(w->skeleton);
    weft_free(w);
  }
}
