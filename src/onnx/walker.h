/* The wire walker: reads a protobuf file as it arrives and rewrites it into a small skeleton that protobuf-c can decode
 * safely and cheaply. See walker.c. */
#ifndef WEFT_ONNX_WALKER_H
#define WEFT_ONNX_WALKER_H

#include "model.h"

typedef struct weft_walker weft_walker;

typedef struct weft_walker_limits {
  uint32_t max_nodes;
  uint32_t max_depth; /* of subgraphs inside each other */
} weft_walker_limits;

/* `root` is the message the file holds. Large elements of tensors become payloads of `model`, which the walker borrows.
 */
weft_status weft_walker_create(weft_context *cx, const ProtobufCMessageDescriptor *root, weft_walker_limits limits,
                               weft_onnx_model *model, weft_walker **out);
/* How many bytes the file has in all. */
void weft_walker_expect(weft_walker *walker, uint64_t total);
weft_status weft_walker_push(weft_context *cx, weft_walker *walker, const void *bytes, size_t size);
/* After the last byte: decodes into the model's arena. The skeleton is gone afterwards. */
weft_status weft_walker_finish(weft_context *cx, weft_walker *walker, ProtobufCMessage **out);
void weft_walker_free(weft_walker *walker);

#endif
