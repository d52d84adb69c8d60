/* The way from a decoded file to a graph that optimize/ and session/ take over, step by step. */
#include "load.h"

#include "build.h"
#include "gradient.h"
#include "resolve.h"
#include "upgrade.h"
#include "warn.h"

weft_status weft_model_load(weft_context *cx, weft_onnx_model *onnx, const weft_options *options, weft_model **out) {
  weft_model *model;
  *out = NULL;
  WEFT_TRY(weft_graph_build(cx, onnx, options, &model));
  model->customs = onnx->customs;
  onnx->customs = NULL;
  weft_status status = weft_graph_upgrade(model);
  if (status == WEFT_OK) {
    status = weft_model_differentiate(model, options);
  }
  if (status == WEFT_OK) {
    status = weft_graph_resolve(model);
  }
  if (status == WEFT_OK) {
    status = weft_model_review(model);
  }
  if (status != WEFT_OK) {
    weft_model_destroy(model);
    return status;
  }
  cx->node = NULL;
  *out = model;
  return WEFT_OK;
}
