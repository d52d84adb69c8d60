/* Floats to bytes and back, and sums of integer products (integer.h) to floats or bytes, with bias, scale and rounding in
 * one pass. */

typedef struct quantizer {
  real divisor, low, high; /* of x / scale, zero point not yet added */
  v128_t offset;
} quantizer;

/* Adding 1.5 * 2^23 rounds half to even and leaves the integer in the low bits. NaN becomes the lowest number, as in
 * the portable kernel. */
INLINE v128_t quantize_vector(const quantizer *q, real x, const bool divide) {
  real v = divide ? r_div(x, q->divisor) : x;
  v = wasm_f32x4_pmin(q->high, wasm_f32x4_pmax(q->low, v));
  return wasm_i32x4_add(r_add(v, R_CONST(0x1.8p23f)), q->offset);
}

INLINE void quantize_row(const quantizer *q, size_t n, const float *x, bool is_signed, uint8_t *to, const bool divide) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v128_t v[4];
    for (size_t j = 0; j < 4; j++) {
      v[j] = quantize_vector(q, load(x + i + j * LANES), divide);
    }
    v128_t a = wasm_i16x8_narrow_i32x4(v[0], v[1]), b = wasm_i16x8_narrow_i32x4(v[2], v[3]);
    wasm_v128_store(to + i, is_signed ? wasm_i8x16_narrow_i16x8(a, b) : wasm_u8x16_narrow_i16x8(a, b));
  }
  for (; i < n; i++) {
    to[i] = (uint8_t)wasm_i32x4_extract_lane(quantize_vector(q, load_splat(x + i), divide), 0);
  }
}

INLINE quantizer quantizer_of(float scale, const weft_bytes *bytes) {
  return (quantizer){.divisor = r_set(scale),
                     .low = r_set((float)(bytes->least - bytes->zero)),
                     .high = r_set((float)(bytes->greatest - bytes->zero)),
                     .offset = wasm_i32x4_splat(bytes->zero - 0x4b400000)};
}

static void quantize_i8(size_t n, const float *x, float scale, int32_t zero, bool is_signed, void *y) {
  const weft_bytes bytes = weft_all_bytes(zero, is_signed);
  const quantizer q = quantizer_of(scale, &bytes);
  if (scale == 1.0f) {
    quantize_row(&q, n, x, is_signed, y, false);
  } else {
    quantize_row(&q, n, x, is_signed, y, true);
  }
}

/* The numbers of a weft_rescale, in vectors where they are the same for all elements: a constant of callers. */
typedef struct rescaler {
  const int32_t *biases;
  const float *scales, *addeds;
  v128_t bias;
  real scale, added;
} rescaler;

INLINE rescaler rescaler_of(const weft_rescale *r, size_t i, const bool walks, const bool has_bias,
                            const bool has_added) {
  const size_t at = walks ? i : 0;
  rescaler v = {.scale = load_splat(r->scale + at)};
  v.bias = has_bias ? wasm_v128_load32_splat(r->bias + i * r->bias_step) : wasm_i32x4_splat(0);
  v.added = has_added ? load_splat(r->added + at) : r_set(0.0f);
  v.biases = r->bias;
  v.scales = r->scale;
  v.addeds = r->added;
  return v;
}

INLINE real rescale(const rescaler *r, v128_t sum, const bool has_bias, const bool has_added) {
  if (has_bias) sum = wasm_i32x4_add(sum, r->bias);
  real y = r_mul(b_to_real(sum), r->scale);
  return has_added ? r_add(y, r->added) : y;
}

/* Elements i to i + 3 before rounding. A bias that does not walk with scales that do, or the other way round, is rare
 * and goes element by element. */
INLINE real rescale_vector(rescaler *r, const int32_t *sums, size_t i, const bool walks, const bool has_bias,
                           const bool has_added) {
  if (walks) {
    r->scale = load(r->scales + i);
    if (has_bias) r->bias = wasm_v128_load(r->biases + i);
    if (has_added) r->added = load(r->addeds + i);
  }
  return rescale(r, wasm_v128_load(sums + i), has_bias, has_added);
}

INLINE real rescale_one(const weft_rescale *r, const int32_t *sums, size_t i) {
  const bool walks = r->scale_step != 0, has_bias = r->bias != NULL, has_added = r->added != NULL;
  const rescaler v = rescaler_of(r, i, walks, has_bias, has_added);
  return rescale(&v, wasm_v128_load32_splat(sums + i), has_bias, has_added);
}

/* How many elements go in parts of that size: all, the last part overlapping the one before, or none. */
INLINE size_t rescaled_at_once(const weft_rescale *r, size_t n, size_t part) {
  bool is_even = r->bias == NULL || (r->bias_step != 0) == (r->scale_step != 0);
  return is_even && n >= part ? n : 0;
}

/* Where the part that begins at i or later begins. */
INLINE size_t part_at(size_t i, size_t n, size_t part) {
  return i + part <= n ? i : n - part;
}

INLINE void rescale_row(size_t n, const int32_t *sums, const weft_rescale *r, float *y, const bool walks,
                        const bool has_bias, const bool has_added) {
  rescaler v = rescaler_of(r, 0, walks, has_bias, has_added);
  for (size_t i = 0; i < n; i += LANES) {
    const size_t at = part_at(i, n, LANES);
    store(y + at, rescale_vector(&v, sums, at, walks, has_bias, has_added));
  }
}

static void sums_to_f32(size_t n, const int32_t *sums, const weft_rescale *r, float *y) {
  size_t whole = rescaled_at_once(r, n, LANES);
  if (whole == 0) {
    /* nothing to do by vectors */
  } else if (r->scale_step == 0) {
    rescale_row(whole, sums, r, y, false, r->bias != NULL, r->added != NULL);
  } else if (r->bias == NULL && r->added != NULL) {
    rescale_row(whole, sums, r, y, true, false, true);
  } else {
    rescale_row(whole, sums, r, y, true, r->bias != NULL, r->added != NULL);
  }
  for (size_t i = whole; i < n; i++) {
    y[i] = wasm_f32x4_extract_lane(rescale_one(r, sums, i), 0);
  }
}

INLINE void requantize_row(size_t n, const int32_t *sums, const weft_rescale *r, const quantizer *q, bool is_signed,
                           uint8_t *y, const bool walks, const bool has_bias, const bool has_added) {
  rescaler v = rescaler_of(r, 0, walks, has_bias, has_added);
  const quantizer own = *q;
  for (size_t i = 0; i < n; i += 16) {
    const size_t at = part_at(i, n, 16);
    v128_t x[4];
    for (size_t j = 0; j < 4; j++) {
      x[j] = quantize_vector(&own, rescale_vector(&v, sums, at + j * LANES, walks, has_bias, has_added), false);
    }
    v128_t a = wasm_i16x8_narrow_i32x4(x[0], x[1]), b = wasm_i16x8_narrow_i32x4(x[2], x[3]);
    wasm_v128_store(y + at, is_signed ? wasm_i8x16_narrow_i16x8(a, b) : wasm_u8x16_narrow_i16x8(a, b));
  }
}

static void sums_to_i8(size_t n, const int32_t *sums, const weft_rescale *r, const weft_bytes *bytes, void *y) {
  const quantizer q = quantizer_of(1.0f, bytes);
  const bool is_signed = bytes->is_signed;
  size_t whole = rescaled_at_once(r, n, 16);
  if (whole == 0) {
    /* nothing to do by vectors */
  } else if (r->scale_step == 0 && r->added == NULL && r->bias != NULL) {
    requantize_row(whole, sums, r, &q, is_signed, y, false, true, false);
  } else if (r->scale_step == 0 && r->added != NULL && r->bias == NULL) {
    requantize_row(whole, sums, r, &q, is_signed, y, false, false, true);
  } else {
    requantize_row(whole, sums, r, &q, is_signed, y, r->scale_step != 0, r->bias != NULL, r->added != NULL);
  }
  for (size_t i = whole; i < n; i++) {
    ((uint8_t *)y)[i] = (uint8_t)wasm_i32x4_extract_lane(quantize_vector(&q, rescale_one(r, sums, i), false), 0);
  }
}

static void dequantize_i8(size_t n, const void *x, float scale, int32_t zero, bool is_signed, float *y) {
  const v128_t zeros = wasm_i16x8_splat((int16_t)zero);
  const real factor = r_set(scale);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    v128_t v = wasm_i16x8_sub(widen_bytes((const uint8_t *)x + i, is_signed), zeros);
    store(y + i, r_mul(b_to_real(wasm_i32x4_extend_low_i16x8(v)), factor));
    store(y + i + LANES, r_mul(b_to_real(wasm_i32x4_extend_high_i16x8(v)), factor));
  }
  for (; i < n; i++) {
    y[i] = (float)(byte_at(x, i, is_signed) - zero) * scale;
  }
}
