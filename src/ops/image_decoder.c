/* ImageDecoder: refused. Hosts decode images better than a module that has to be downloaded first; the sentence says
 * what to do instead. */
#include "op.h"

weft_status weft_image_decoder_run(weft_op *op) {
  return weft_op_unsupported(op, "images are not decoded here: feed the model the decoded pixels as a tensor");
}
