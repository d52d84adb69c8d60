/* ImageDecoder (https://onnx.ai/onnx/operators/onnx__ImageDecoder.html) in builds without WEFT_IMAGE_DECODER: refused.
 * Hosts decode images better than a module that has to be downloaded first; the sentence says what to do instead.
 * image_decoder_magick.c is its twin in builds with decoders. */
#include "op.h"

weft_status weft_image_decoder_run(weft_op *op) {
  return weft_op_unsupported(
      op, "this build has no image decoders (CMake's option WEFT_IMAGE_DECODER brings them): feed the "
          "model the decoded pixels as a tensor");
}
