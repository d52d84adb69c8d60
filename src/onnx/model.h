/* The decoded file, for graph/ to build from: protobuf-c's messages (the names of onnx.proto with the prefix Weft__)
 * and the elements that the wire walker kept apart. A string field the file leaves out is NULL. A message's tensor
 * becomes a weft_value only through weft_onnx_tensor, which checks it and, where the layout allows, hands the bytes
 * over without a copy. Everything here is gone once the graph is built. It must not know what a node means. */
#ifndef WEFT_ONNX_MODEL_H
#define WEFT_ONNX_MODEL_H

#include "../base/value.h"
#include "onnx.pb-c.h"

/* Elements kept out of the messages: large ones taken from the file as they arrived, and those that lie in another
 * file. */
typedef struct weft_onnx_payload {
  void *data;        /* a weft_alloc block, or NULL: external and not asked for yet, or handed over to `value` */
  size_t size;       /* bytes at `data` */
  uint32_t field;    /* the TensorProto field they come from: raw_data, float_data, ..., or external_data */
  weft_value *value; /* once weft_onnx_tensor made one */
  const char *path;  /* external: relative, checked, normalised */
  uint64_t offset;   /* external */
} weft_onnx_payload;

typedef struct weft_onnx_model {
  weft_context *cx;
  uint64_t max_elements;
  weft_arena arena;        /* holds `proto` and the paths */
  Weft__ModelProto *proto; /* has a graph */
  weft_onnx_payload *payloads;
  size_t payload_count, payload_capacity;
  struct weft_custom *customs; /* the caller's own operators, on their way to the graph */
} weft_onnx_model;

/* The tensor as a value with the memory layout of weft.h, of all 26 types, whichever field holds its elements. String
 * elements are put into `strings`, which the value then shares. A large tensor's bytes move into the value; asked for a
 * second time (a function called twice) the same tensor gives a view of the first value. */
weft_status weft_onnx_tensor(weft_onnx_model *model, const Weft__TensorProto *tensor, weft_strings *strings,
                             weft_value **out);

/* The tensor's type, shape and elements, checked, and the bytes they take as raw_data (0 for strings). */
weft_status weft_onnx_tensor_shape(weft_onnx_model *model, const Weft__TensorProto *tensor, weft_tensor *out,
                                   size_t *raw_bytes);

/* A sparse tensor, made dense. Its name is that of `sparse->values`. */
weft_status weft_onnx_sparse(weft_onnx_model *model, const Weft__SparseTensorProto *sparse, weft_strings *strings,
                             weft_value **out);

/* Frees messages and what is left of the payloads; values made of them live on. */
void weft_onnx_model_free(weft_onnx_model *model);

/* A value from the bytes of one file as ONNX's tests keep them (input_0.pb): a TensorProto, SequenceProto or MapProto
 * as `kind` says, or an OptionalProto around one. `name` (may be NULL) gets the name the file gives it, "" if none, cut
 * to `name_size`. */
weft_status weft_onnx_value_from_bytes(weft_context *cx, weft_kind kind, const void *bytes, size_t size, char *name,
                                       size_t name_size, weft_value **out);

#endif
