/* What the files of onnx/ share and no other room needs. */
#ifndef WEFT_ONNX_ROOM_H
#define WEFT_ONNX_ROOM_H

#include "loader.h"
#include "walker.h"

/* The field that marks a payload as external. */
enum { WEFT_ONNX_EXTERNAL_DATA = 13 };

/* Finds every tensor of the model whose elements lie in another file, checks where, and appends their payloads. */
weft_status weft_onnx_find_external(weft_onnx_model *model);

#endif
