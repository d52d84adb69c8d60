/* Convolution's own loops, portable: depthwise, and patches packed for a matrix product. */
#include "portable.h"

/* Whether position `at` (window start plus tap) lies inside [0, size). */
static bool inside(int64_t at, size_t size) {
  return at >= 0 && (uint64_t)at < size;
}

/* One element of the patch matrix: tap (i, j) of a channel at an output position. */
static float patch_element(const weft_patches *p, const float *channel, size_t i, size_t j, size_t position) {
  int64_t row = (int64_t)(position / p->ow * p->stride_h + i * p->dilation_h) - p->pad_top;
  int64_t column = (int64_t)(position % p->ow * p->stride_w + j * p->dilation_w) - p->pad_left;
  if (!inside(row, p->ih) || !inside(column, p->iw)) return 0.0f;
  return channel[(size_t)row * p->iw + (size_t)column];
}

void weft_portable_depthwise_sums(const weft_patches *p, const float *w, const float *bias, float *out, size_t oh) {
  const size_t taps = p->kh * p->kw, plane = oh * p->ow;
  for (size_t i = 0; i < p->channels * plane; i++) {
    const size_t c = i / plane;
    float sum = bias != NULL ? bias[c] : 0.0f;
    for (size_t t = 0; t < taps; t++) {
      sum += w[c * taps + t] * patch_element(p, p->in + c * p->ih * p->iw, t / p->kw, t % p->kw, i % plane);
    }
    out[i] = sum;
  }
}

void weft_portable_depthwise_f32(const weft_patches *p, const float *w, const float *bias, weft_activation activation,
                                 float lo, float hi, float *out, size_t oh) {
  weft_portable_depthwise_sums(p, w, bias, out, oh);
  weft_portable_activate_f32(p->channels * oh * p->ow, out, activation, lo, hi);
}

void weft_portable_conv_f32_pack(const weft_patches *patches, size_t begin, size_t end, float *out) {
  for (size_t position = begin; position < end; position += WEFT_GEMM_NR) {
    for (size_t c = 0; c < patches->channels; c++) {
      const float *channel = weft_patches_channel(patches, c);
      for (size_t i = 0; i < patches->kh; i++) {
        for (size_t j = 0; j < patches->kw; j++) {
          for (size_t lane = 0; lane < WEFT_GEMM_NR; lane++) {
            *out++ = position + lane < end ? patch_element(patches, channel, i, j, position + lane) : 0.0f;
          }
        }
      }
    }
  }
}

/* Packing patches is worth about 4 filters' products, 12 of few channels whose columns lie more than 2 apart. A tile that
 * reads them where they are takes a sixteenth longer, and columns beyond the row's end are made for nothing
 * (tests/bench/NOTES.md). */
bool weft_conv_is_direct(const weft_patches *p, size_t filters) {
  const size_t most = WEFT_CONV_BAND, taps = p->kh * p->kw;
  if (taps == 0 || taps > WEFT_CONV_TAPS || p->channels == 0 || p->channels > WEFT_GEMM_BLOCK_K / taps || filters < 4 ||
      p->ow < WEFT_GEMM_NR || p->ow > most || p->dilation_h > most || p->dilation_w > most) {
    return false;
  }
  const size_t over = (WEFT_GEMM_NR - p->ow % WEFT_GEMM_NR) % WEFT_GEMM_NR;
  const uint64_t rows = (uint64_t)p->channels * ((p->kh - 1) * p->dilation_h + 1);
  const size_t packing = p->stride_w <= 2 ? 4 : p->channels <= 4 && p->stride_w < p->kw ? 12 : 0;
  return filters * (p->ow + 16 * over) < 16 * packing * p->ow && rows * weft_conv_row_floats(p) <= most;
}

/* Panel by panel, each packed; the last one is of as many positions as the others, some of which are done again. */
void weft_portable_conv_f32(const weft_patches *p, size_t filters, const float *w, const weft_epilogue *epilogue,
                            size_t begin, size_t end, float *out, size_t oh, float *scratch) {
  const size_t k = p->channels * p->kh * p->kw, last = end * p->ow - WEFT_GEMM_NR;
  for (size_t next = begin * p->ow; next < end * p->ow; next += WEFT_GEMM_NR) {
    const size_t column = next < last ? next : last;
    weft_epilogue e = *epilogue;
    e.residual = e.residual != NULL ? e.residual + column : NULL;
    weft_portable_conv_f32_pack(p, column, column + WEFT_GEMM_NR, scratch);
    weft_portable_gemm_f32(filters, WEFT_GEMM_NR, k, w, k, scratch, k * WEFT_GEMM_NR, out + column, oh * p->ow, false,
                           &e);
  }
}
