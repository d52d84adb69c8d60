/* How fast the kernels are, alone: prints GFLOP/s and GB/s of each table this build has. Not a test: nothing fails.
 * Cases run until they have taken a while, and the best of several rounds counts, because machines are shared. An
 * argument keeps to the cases whose name contains it. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "kernels/kernels.h"
#if defined(WEFT_SIMD)
#include "simd/tables.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct bench {
  const weft_kernels *kernels;
  const char *filter;
  size_t m, n, k;
  weft_patches patches;
  float *a, *b, *c, *packed;
  weft_epilogue epilogue;
  int which;
} bench;

typedef void (*bench_body)(bench *b);

/* Prints `work` (operations or bytes) per nanosecond. */
static void measure(bench *b, const char *name, bench_body body, double work, const char *unit) {
  if (b->filter != NULL && strstr(name, b->filter) == NULL) return;
  double start = now();
  size_t runs = 0;
  while (now() - start < 0.1) { /* engines compile hot code while it runs */
    body(b);
    runs++;
  }
  size_t batch = runs / 200 + 1; /* half a millisecond: short enough to fall between interruptions */
  double best = 1e30;
  for (int round = 0; round < 400; round++) {
    double begin = now();
    for (size_t i = 0; i < batch; i++) {
      body(b);
    }
    double spent = (now() - begin) / (double)batch;
    if (spent < best) best = spent;
  }
  printf("%-9s %-34s %9.2f %s\n", b->kernels->name, name, work / best * 1e-9, unit);
}

static void run_gemm(bench *b) {
  b->kernels->gemm_f32(b->m, b->n, b->k, b->a, b->k, b->packed, b->k * WEFT_GEMM_NR, b->c, b->n, false, &b->epilogue);
}

static void run_gemm_half(bench *b) {
  const weft_type type = b->which != 0 ? WEFT_BFLOAT16 : WEFT_FLOAT16;
  b->kernels->gemm_half(b->m, b->n, b->k, b->a, b->k, type, (const uint16_t *)(const void *)b->packed, b->c, b->n,
                        &b->epilogue);
}

static void run_pack(bench *b) {
  b->kernels->gemm_f32_pack(b->n, b->k, b->b, b->which != 0 ? b->k : b->n, b->which != 0, b->packed);
}

static void run_gemv(bench *b) {
  b->kernels->gemv_f32(b->n, b->k, b->a, b->b, b->which != 0 ? b->k : b->n, b->which != 0, b->c, &b->epilogue);
}

static void run_convolution(bench *b) {
  for (size_t begin = 0; begin < b->n; begin += 256) {
    size_t count = b->n - begin < 256 ? b->n - begin : 256;
    b->kernels->conv_f32_pack(&b->patches, begin, begin + count, b->packed);
    b->kernels->gemm_f32(b->m, count, b->k, b->a, b->k, b->packed, b->k * WEFT_GEMM_NR, b->c + begin, b->n, false,
                         &b->epilogue);
  }
}

static void run_conv_pack(bench *b) {
  for (size_t begin = 0; begin < b->n; begin += 256) {
    size_t count = b->n - begin < 256 ? b->n - begin : 256;
    b->kernels->conv_f32_pack(&b->patches, begin, begin + count, b->packed);
  }
}

static void run_depthwise(bench *b) {
  b->kernels->depthwise_f32(&b->patches, b->a, b->a, WEFT_ACT_CLIP, 0.0f, 6.0f, b->c, b->n / b->patches.ow);
}

static void run_unary(bench *b) {
  b->kernels->unary_f32[b->which](b->n, b->a, b->c);
}

static void run_binary(bench *b) {
  b->kernels->binary_f32[b->which](b->n, b->a, 1, b->b, 1, b->c);
}

static void run_sum(bench *b) {
  b->c[0] = b->kernels->sum_f32(b->n, b->a);
}

static void run_max(bench *b) {
  b->c[0] = b->kernels->max_f32(b->n, b->a);
}

static void run_dot(bench *b) {
  b->c[0] = b->kernels->dot_f32(b->n, b->a, b->b);
}

static void run_axpy(bench *b) {
  b->kernels->axpy_f32(b->n, 1e-9f, b->a, b->c);
}

static void run_softmax(bench *b) {
  b->kernels->softmax_f32(b->n, b->a, false, b->c);
}

static void run_layer_norm(bench *b) {
  b->kernels->layer_norm_f32(b->n, b->a, b->b, b->b, 1e-5f, false, b->c, NULL, NULL);
}

static void run_lstm_cell(bench *b) {
  b->kernels->lstm_f32(16, 64, b->a, 256, b->b, b->c, b->c + 1024, 64);
}

static void run_gru_cell(bench *b) {
  b->kernels->gru_f32(64, 16, b->a, 48, b->b, b->c, 16, b->c, 16);
}

static void run_transpose(bench *b) {
  b->kernels->transpose(b->m, b->n, 4, b->a, b->n, b->c, b->m);
}

static void run_half(bench *b) {
  (b->which != 0 ? b->kernels->bfloat16_to_f32 : b->kernels->float16_to_f32)(b->n, (const uint16_t *)(void *)b->packed,
                                                                             b->c);
}

static void run_to_half(bench *b) {
  b->kernels->f32_to_float16(b->n, b->a, (uint16_t *)(void *)b->c);
}

static void run_gemm_i8(bench *b) {
  const int32_t zero = 3;
  b->kernels->gemm_i8_pack_a(b->m, b->k, b->a, b->k, false, &zero, 0, b->b, false);
  b->kernels->gemm_i8(b->m, b->n, b->k, b->b, b->packed, 0, (int32_t *)(void *)b->c, b->n, false);
}

static weft_nbits few_bits(const bench *b) {
  weft_nbits w = {.bits = (unsigned)b->which, .n = b->n, .k = b->k, .block = 32, .blocks = b->k / 32};
  w.blob = 4 * w.bits;
  w.weights = (const uint8_t *)(const void *)b->b;
  w.scales = b->epilogue.row_bias;
  return w;
}

static void run_nbits_gemv(bench *b) {
  weft_nbits w = few_bits(b);
  b->kernels->nbits_prepare(&w, b->a, b->packed);
  b->kernels->nbits_gemv(&w, b->packed, 0, b->n, b->c);
}

static void run_nbits_expand(bench *b) {
  weft_nbits w = few_bits(b);
  b->kernels->nbits_expand(&w, 0, b->n, b->packed);
}

static void run_nbits_i8(bench *b) {
  weft_nbits w = few_bits(b);
  char *scratch = (char *)b->packed, *rows = scratch + weft_nbits_i8_scratch(&w);
  for (size_t i = 0; i < b->m; i++) {
    b->kernels->nbits_i8_pack_a(&w, b->a + i * b->k, rows + b->kernels->nbits_i8_a_size(&w, i));
  }
  b->kernels->nbits_i8(&w, b->m, rows, 0, b->n, b->c, b->n, scratch);
}

static void run_sums_i8(bench *b) {
  const weft_rescale r = {.bias = (const int32_t *)(const void *)b->b, .scale = b->a};
  const weft_bytes bytes = weft_all_bytes(3, false);
  b->kernels->sums_to_i8(b->n, (const int32_t *)(const void *)b->packed, &r, &bytes, b->c);
}

static void run_quantize(bench *b) {
  b->kernels->quantize_i8(b->n, b->a, 0.02f, 128, false, b->c);
}

static void bench_gemm(bench *b, size_t m, size_t n, size_t k) {
  char name[64];
  b->m = m;
  b->n = n;
  b->k = k;
  snprintf(name, sizeof name, "gemm %zux%zux%zu", m, n, k);
  measure(b, name, run_gemm, 2.0 * (double)m * (double)n * (double)k, "GFLOP/s");
}

static void bench_conv(bench *b, size_t out, size_t channels, size_t size, size_t kernel, size_t stride) {
  char name[64];
  size_t pad = kernel / 2, ow = (size + 2 * pad - kernel) / stride + 1;
  b->patches =
      (weft_patches){b->b, channels, size, size, kernel, kernel, stride, stride, 1, 1, (int64_t)pad, (int64_t)pad, ow};
  b->m = out;
  b->n = ow * ow;
  b->k = channels * kernel * kernel;
  double work = 2.0 * (double)b->m * (double)b->n * (double)b->k;
  snprintf(name, sizeof name, "conv %zux%zu /%zu %zu->%zu %zux%zu", kernel, kernel, stride, channels, out, size, size);
  measure(b, name, run_convolution, work, "GFLOP/s");
  strcat(name, " pack");
  measure(b, name, run_conv_pack, 4.0 * (double)b->n * (double)b->k, "GB/s");
}

static void bench_depthwise(bench *b, size_t channels, size_t size, size_t kernel, size_t stride) {
  char name[64];
  size_t pad = kernel / 2, ow = (size + 2 * pad - kernel) / stride + 1;
  b->patches =
      (weft_patches){b->b, channels, size, size, kernel, kernel, stride, stride, 1, 1, (int64_t)pad, (int64_t)pad, ow};
  b->n = ow * ow;
  snprintf(name, sizeof name, "depthwise %zux%zu /%zu %zu of %zux%zu", kernel, kernel, stride, channels, size, size);
  measure(b, name, run_depthwise, 2.0 * (double)(channels * b->n * kernel * kernel), "GFLOP/s");
}

static void bench_gemm_i8(bench *b, size_t m, size_t n, size_t k) {
  const int32_t zero = 0;
  char name[64];
  b->m = m;
  b->n = n;
  b->k = k;
  b->kernels->gemm_i8_pack_b(n, k, b->b, n, false, true, &zero, 0, b->packed, false);
  snprintf(name, sizeof name, "int8 gemm %zux%zux%zu", m, n, k);
  measure(b, name, run_gemm_i8, 2.0 * (double)m * (double)n * (double)k, "Gop/s");
}

static void bench_nbits(bench *b, size_t m, size_t n, size_t k, int bits) {
  char name[64];
  b->m = m;
  b->n = n;
  b->k = k;
  b->which = bits;
  double work = 2.0 * (double)n * (double)k;
  snprintf(name, sizeof name, "%d bits row %zux%zu", bits, n, k);
  measure(b, name, run_nbits_gemv, work, "Gop/s");
  snprintf(name, sizeof name, "%d bits expand %zux%zu", bits, n, k);
  measure(b, name, run_nbits_expand, work / 2.0, "G/s");
  if (bits != 4) return;
  snprintf(name, sizeof name, "4 bits with 8 1x%zux%zu", n, k);
  b->m = 1;
  measure(b, name, run_nbits_i8, work, "Gop/s");
  snprintf(name, sizeof name, "4 bits with 8 %zux%zux%zu", m, n, k);
  b->m = m;
  measure(b, name, run_nbits_i8, work * (double)m, "Gop/s");
}

static void bench_rows(bench *b) {
  static const struct {
    const char *name;
    int which;
  } unary[] = {{"exp", WEFT_UNARY_EXP},         {"log", WEFT_UNARY_LOG},   {"tanh", WEFT_UNARY_TANH},
               {"sigmoid", WEFT_UNARY_SIGMOID}, {"erf", WEFT_UNARY_ERF},   {"gelu", WEFT_UNARY_GELU},
               {"silu", WEFT_UNARY_SILU},       {"relu", WEFT_UNARY_RELU}, {"softplus", WEFT_UNARY_SOFTPLUS}};
  const size_t n = 4096;
  const double bytes = (double)n * sizeof(float);
  b->n = n;
  for (size_t i = 0; i < sizeof unary / sizeof *unary; i++) {
    b->which = unary[i].which;
    measure(b, unary[i].name, run_unary, 2.0 * bytes, "GB/s");
  }
  b->which = WEFT_BINARY_ADD;
  measure(b, "add", run_binary, 3.0 * bytes, "GB/s");
  b->which = WEFT_BINARY_MAX;
  measure(b, "maximum", run_binary, 3.0 * bytes, "GB/s");
  measure(b, "sum", run_sum, bytes, "GB/s");
  measure(b, "max", run_max, bytes, "GB/s");
  measure(b, "dot", run_dot, 2.0 * bytes, "GB/s");
  measure(b, "axpy", run_axpy, 3.0 * bytes, "GB/s");
  b->kernels->f32_to_float16(b->n, b->a, (uint16_t *)(void *)b->packed);
  for (b->which = 0; b->which < 2; b->which++) {
    measure(b, b->which != 0 ? "bfloat16 to float" : "float16 to float", run_half, 1.5 * bytes, "GB/s");
  }
  measure(b, "float to float16", run_to_half, 1.5 * bytes, "GB/s");
  measure(b, "quantize", run_quantize, 1.25 * bytes, "GB/s");
  measure(b, "sums to bytes", run_sums_i8, 1.25 * bytes, "GB/s");
  b->n = 768;
  measure(b, "softmax 768", run_softmax, 2.0 * 768 * sizeof(float), "GB/s");
  measure(b, "layer norm 768", run_layer_norm, 2.0 * 768 * sizeof(float), "GB/s");
  measure(b, "lstm cell 16x64", run_lstm_cell, 1024.0, "G/s");
  measure(b, "gru cell 64x16", run_gru_cell, 1024.0, "G/s");
  b->m = b->n = 512;
  measure(b, "transpose 512x512", run_transpose, 2.0 * 512 * 512 * sizeof(float), "GB/s");
}

static void bench_table(bench *b) {
  bench_gemm(b, 64, 64, 64);
  bench_gemm(b, 128, 128, 128);
  bench_gemm(b, 256, 256, 256);
  bench_gemm(b, 512, 512, 512);
  bench_gemm(b, 128, 1024, 256);
  bench_gemm(b, 1, 1024, 256);
  bench_gemm(b, 200, 1024, 128);
  bench_gemm(b, 200, 1024, 512);
  bench_gemm(b, 65, 48, 16);
  bench_gemm(b, 40, 4096, 8);
  bench_gemm(b, 2, 1024, 256);
  b->m = 1;
  b->n = 1024;
  b->k = 768;
  for (b->which = 0; b->which < 2; b->which++) {
    (b->which != 0 ? b->kernels->f32_to_bfloat16 : b->kernels->f32_to_float16)(b->n * b->k, b->b,
                                                                               (uint16_t *)(void *)b->packed);
    measure(b, b->which != 0 ? "bfloat16 gemm 1x1024x768" : "float16 gemm 1x1024x768", run_gemm_half, 2.0 * 1024 * 768,
            "GFLOP/s");
  }
  bench_gemm(b, 7, 768, 768);
  b->n = b->k = 512;
  for (b->which = 0; b->which < 2; b->which++) {
    measure(b, b->which != 0 ? "pack transposed 512x512" : "pack 512x512", run_pack, 2.0 * 512 * 512 * sizeof(float),
            "GB/s");
    measure(b, b->which != 0 ? "gemv transposed 512x512" : "gemv 512x512", run_gemv, 512 * 512 * sizeof(float), "GB/s");
  }
  bench_conv(b, 32, 3, 112, 3, 2);
  bench_conv(b, 64, 64, 56, 3, 1);
  bench_conv(b, 128, 128, 28, 3, 1);
  bench_conv(b, 256, 256, 14, 3, 1);
  bench_conv(b, 64, 3, 112, 7, 2);
  bench_conv(b, 96, 16, 112, 1, 1);
  bench_conv(b, 144, 24, 56, 1, 1);
  bench_conv(b, 24, 144, 56, 1, 1);
  bench_conv(b, 384, 64, 14, 1, 1);
  bench_conv(b, 960, 160, 7, 1, 1);
  bench_conv(b, 512, 2048, 7, 1, 1);
  bench_conv(b, 2048, 512, 7, 1, 1);
  bench_conv(b, 256, 1024, 14, 1, 1);
  bench_conv(b, 1024, 256, 14, 1, 1);
  bench_conv(b, 64, 256, 56, 1, 1);
  bench_conv(b, 256, 64, 56, 1, 1);
  bench_depthwise(b, 32, 112, 3, 1);
  bench_depthwise(b, 96, 112, 3, 2);
  bench_depthwise(b, 192, 28, 3, 1);
  bench_depthwise(b, 576, 14, 3, 1);
  bench_depthwise(b, 576, 14, 5, 1);
  bench_depthwise(b, 240, 28, 5, 2);
  bench_depthwise(b, 1152, 7, 5, 1);
  bench_depthwise(b, 960, 7, 3, 1);
  bench_gemm_i8(b, 128, 512, 512);
  bench_gemm_i8(b, 1, 512, 512);
  bench_nbits(b, 128, 1024, 768, 4);
  bench_nbits(b, 128, 1024, 768, 8);
  bench_rows(b);
}

static float *make(size_t count) {
  float *x = malloc(count * sizeof(float));
  for (size_t i = 0; x != NULL && i < count; i++) {
    x[i] = (float)((i * 7919) % 2003) / 1001.5f - 1.0f;
  }
  return x;
}

int main(int argc, char **argv) {
  bench b = {.filter = argc > 1 ? argv[1] : NULL};
  const size_t room = 5 << 18;
  b.a = make(room);
  b.b = make(room);
  b.c = make(room);
  b.packed = make(room);
  if (b.a == NULL || b.b == NULL || b.c == NULL || b.packed == NULL) return 1;
  b.epilogue = (weft_epilogue){.row_bias = b.b, .activation = WEFT_ACT_CLIP, .lo = -1e9f, .hi = 1e9f};
#if defined(WEFT_SIMD)
  b.kernels = &weft_kernels_simd;
  bench_table(&b);
#if defined(WEFT_RELAXED) || !defined(__wasm__)
  b.kernels = weft_kernels_probe_relaxed();
  if (b.kernels != NULL) bench_table(&b);
#endif
#else
  b.kernels = &weft_kernels_portable;
  bench_table(&b);
#endif
  free(b.a);
  free(b.b);
  free(b.c);
  free(b.packed);
  return 0;
}
