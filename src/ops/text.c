/* Text in UTF-8. Case mappings come from one table, read forwards for lower case and backwards for upper case: runs of
 * Unicode's pairs lie at a constant distance, or side by side. */
#include "text.h"

#include <stdbool.h>

uint32_t weft_text_next(const char *text, size_t size, size_t *at) {
  const unsigned char *s = (const unsigned char *)text + *at;
  size_t left = size - *at, length = s[0] < 0x80   ? 1
                                     : s[0] < 0xc2 ? 0
                                     : s[0] < 0xe0 ? 2
                                     : s[0] < 0xf0 ? 3
                                     : s[0] < 0xf5 ? 4
                                                   : 0;
  uint32_t c = length == 2 ? s[0] & 0x1fu : length == 3 ? s[0] & 0x0fu : length == 4 ? s[0] & 0x07u : s[0];
  if (length > left) {
    length = 0;
  }
  for (size_t i = 1; i < length; i++) {
    if ((s[i] & 0xc0) != 0x80) {
      length = 0;
      break;
    }
    c = c << 6 | (s[i] & 0x3fu);
  }
  *at += length == 0 ? 1 : length;
  return length == 0 ? s[0] : c;
}

size_t weft_text_put(uint32_t c, char *out) {
  unsigned char *s = (unsigned char *)out;
  if (c < 0x80) {
    s[0] = (unsigned char)c;
    return 1;
  }
  size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i > 0; i--) {
    s[i] = (unsigned char)(0x80 | (c & 0x3f));
    c >>= 6;
  }
  s[0] = (unsigned char)((length == 2 ? 0xc0 : length == 3 ? 0xe0 : 0xf0) | c);
  return length;
}

enum { BOTH, LOWER, UPPER }; /* the ways in which a row is read */

/* `count` letters first, first + step, ..: their counterparts lie `distance` behind. BOTH: capitals and small letters;
 * LOWER: letters that only have a small one; UPPER: letters that only have a capital. */
typedef struct case_row {
  uint32_t first;
  uint16_t count;
  uint8_t step, way;
  int32_t distance;
} case_row;

/* The simple mappings of Unicode 14. */
static const case_row case_rows[] = {
    {0x41, 26, 1, BOTH, 32},      {0xc0, 23, 1, BOTH, 32},      {0xd8, 7, 1, BOTH, 32},
    {0x100, 24, 2, BOTH, 1},      {0x130, 1, 1, LOWER, -199},   {0x132, 3, 2, BOTH, 1},
    {0x139, 8, 2, BOTH, 1},       {0x14a, 23, 2, BOTH, 1},      {0x178, 1, 1, BOTH, -121},
    {0x179, 3, 2, BOTH, 1},       {0x181, 1, 1, BOTH, 210},     {0x182, 2, 2, BOTH, 1},
    {0x186, 1, 1, BOTH, 206},     {0x187, 1, 1, BOTH, 1},       {0x189, 2, 1, BOTH, 205},
    {0x18b, 1, 1, BOTH, 1},       {0x18e, 1, 1, BOTH, 79},      {0x18f, 1, 1, BOTH, 202},
    {0x190, 1, 1, BOTH, 203},     {0x191, 1, 1, BOTH, 1},       {0x193, 1, 1, BOTH, 205},
    {0x194, 1, 1, BOTH, 207},     {0x196, 1, 1, BOTH, 211},     {0x197, 1, 1, BOTH, 209},
    {0x198, 1, 1, BOTH, 1},       {0x19c, 1, 1, BOTH, 211},     {0x19d, 1, 1, BOTH, 213},
    {0x19f, 1, 1, BOTH, 214},     {0x1a0, 3, 2, BOTH, 1},       {0x1a6, 1, 1, BOTH, 218},
    {0x1a7, 1, 1, BOTH, 1},       {0x1a9, 1, 1, BOTH, 218},     {0x1ac, 1, 1, BOTH, 1},
    {0x1ae, 1, 1, BOTH, 218},     {0x1af, 1, 1, BOTH, 1},       {0x1b1, 2, 1, BOTH, 217},
    {0x1b3, 2, 2, BOTH, 1},       {0x1b7, 1, 1, BOTH, 219},     {0x1b8, 1, 1, BOTH, 1},
    {0x1bc, 1, 1, BOTH, 1},       {0x1c4, 1, 1, BOTH, 2},       {0x1c5, 1, 1, LOWER, 1},
    {0x1c7, 1, 1, BOTH, 2},       {0x1c8, 1, 1, LOWER, 1},      {0x1ca, 1, 1, BOTH, 2},
    {0x1cb, 1, 1, LOWER, 1},      {0x1cd, 8, 2, BOTH, 1},       {0x1de, 9, 2, BOTH, 1},
    {0x1f1, 1, 1, BOTH, 2},       {0x1f2, 1, 1, LOWER, 1},      {0x1f4, 1, 1, BOTH, 1},
    {0x1f6, 1, 1, BOTH, -97},     {0x1f7, 1, 1, BOTH, -56},     {0x1f8, 20, 2, BOTH, 1},
    {0x220, 1, 1, BOTH, -130},    {0x222, 9, 2, BOTH, 1},       {0x23a, 1, 1, BOTH, 10795},
    {0x23b, 1, 1, BOTH, 1},       {0x23d, 1, 1, BOTH, -163},    {0x23e, 1, 1, BOTH, 10792},
    {0x241, 1, 1, BOTH, 1},       {0x243, 1, 1, BOTH, -195},    {0x244, 1, 1, BOTH, 69},
    {0x245, 1, 1, BOTH, 71},      {0x246, 5, 2, BOTH, 1},       {0x370, 2, 2, BOTH, 1},
    {0x376, 1, 1, BOTH, 1},       {0x37f, 1, 1, BOTH, 116},     {0x386, 1, 1, BOTH, 38},
    {0x388, 3, 1, BOTH, 37},      {0x38c, 1, 1, BOTH, 64},      {0x38e, 2, 1, BOTH, 63},
    {0x391, 17, 1, BOTH, 32},     {0x3a3, 9, 1, BOTH, 32},      {0x3cf, 1, 1, BOTH, 8},
    {0x3d8, 12, 2, BOTH, 1},      {0x3f4, 1, 1, LOWER, -60},    {0x3f7, 1, 1, BOTH, 1},
    {0x3f9, 1, 1, BOTH, -7},      {0x3fa, 1, 1, BOTH, 1},       {0x3fd, 3, 1, BOTH, -130},
    {0x400, 16, 1, BOTH, 80},     {0x410, 32, 1, BOTH, 32},     {0x460, 17, 2, BOTH, 1},
    {0x48a, 27, 2, BOTH, 1},      {0x4c0, 1, 1, BOTH, 15},      {0x4c1, 7, 2, BOTH, 1},
    {0x4d0, 48, 2, BOTH, 1},      {0x531, 38, 1, BOTH, 48},     {0x10a0, 38, 1, BOTH, 7264},
    {0x10c7, 1, 1, BOTH, 7264},   {0x10cd, 1, 1, BOTH, 7264},   {0x13a0, 80, 1, BOTH, 38864},
    {0x13f0, 6, 1, BOTH, 8},      {0x1c90, 43, 1, BOTH, -3008}, {0x1cbd, 3, 1, BOTH, -3008},
    {0x1e00, 75, 2, BOTH, 1},     {0x1e9e, 1, 1, LOWER, -7615}, {0x1ea0, 48, 2, BOTH, 1},
    {0x1f08, 8, 1, BOTH, -8},     {0x1f18, 6, 1, BOTH, -8},     {0x1f28, 8, 1, BOTH, -8},
    {0x1f38, 8, 1, BOTH, -8},     {0x1f48, 6, 1, BOTH, -8},     {0x1f59, 4, 2, BOTH, -8},
    {0x1f68, 8, 1, BOTH, -8},     {0x1f88, 8, 1, BOTH, -8},     {0x1f98, 8, 1, BOTH, -8},
    {0x1fa8, 8, 1, BOTH, -8},     {0x1fb8, 2, 1, BOTH, -8},     {0x1fba, 2, 1, BOTH, -74},
    {0x1fbc, 1, 1, BOTH, -9},     {0x1fc8, 4, 1, BOTH, -86},    {0x1fcc, 1, 1, BOTH, -9},
    {0x1fd8, 2, 1, BOTH, -8},     {0x1fda, 2, 1, BOTH, -100},   {0x1fe8, 2, 1, BOTH, -8},
    {0x1fea, 2, 1, BOTH, -112},   {0x1fec, 1, 1, BOTH, -7},     {0x1ff8, 2, 1, BOTH, -128},
    {0x1ffa, 2, 1, BOTH, -126},   {0x1ffc, 1, 1, BOTH, -9},     {0x2126, 1, 1, LOWER, -7517},
    {0x212a, 1, 1, LOWER, -8383}, {0x212b, 1, 1, LOWER, -8262}, {0x2132, 1, 1, BOTH, 28},
    {0x2160, 16, 1, BOTH, 16},    {0x2183, 1, 1, BOTH, 1},      {0x24b6, 26, 1, BOTH, 26},
    {0x2c00, 48, 1, BOTH, 48},    {0x2c60, 1, 1, BOTH, 1},      {0x2c62, 1, 1, BOTH, -10743},
    {0x2c63, 1, 1, BOTH, -3814},  {0x2c64, 1, 1, BOTH, -10727}, {0x2c67, 3, 2, BOTH, 1},
    {0x2c6d, 1, 1, BOTH, -10780}, {0x2c6e, 1, 1, BOTH, -10749}, {0x2c6f, 1, 1, BOTH, -10783},
    {0x2c70, 1, 1, BOTH, -10782}, {0x2c72, 1, 1, BOTH, 1},      {0x2c75, 1, 1, BOTH, 1},
    {0x2c7e, 2, 1, BOTH, -10815}, {0x2c80, 50, 2, BOTH, 1},     {0x2ceb, 2, 2, BOTH, 1},
    {0x2cf2, 1, 1, BOTH, 1},      {0xa640, 23, 2, BOTH, 1},     {0xa680, 14, 2, BOTH, 1},
    {0xa722, 7, 2, BOTH, 1},      {0xa732, 31, 2, BOTH, 1},     {0xa779, 2, 2, BOTH, 1},
    {0xa77d, 1, 1, BOTH, -35332}, {0xa77e, 5, 2, BOTH, 1},      {0xa78b, 1, 1, BOTH, 1},
    {0xa78d, 1, 1, BOTH, -42280}, {0xa790, 2, 2, BOTH, 1},      {0xa796, 10, 2, BOTH, 1},
    {0xa7aa, 1, 1, BOTH, -42308}, {0xa7ab, 1, 1, BOTH, -42319}, {0xa7ac, 1, 1, BOTH, -42315},
    {0xa7ad, 1, 1, BOTH, -42305}, {0xa7ae, 1, 1, BOTH, -42308}, {0xa7b0, 1, 1, BOTH, -42258},
    {0xa7b1, 1, 1, BOTH, -42282}, {0xa7b2, 1, 1, BOTH, -42261}, {0xa7b3, 1, 1, BOTH, 928},
    {0xa7b4, 8, 2, BOTH, 1},      {0xa7c4, 1, 1, BOTH, -48},    {0xa7c5, 1, 1, BOTH, -42307},
    {0xa7c6, 1, 1, BOTH, -35384}, {0xa7c7, 2, 2, BOTH, 1},      {0xa7d0, 1, 1, BOTH, 1},
    {0xa7d6, 2, 2, BOTH, 1},      {0xa7f5, 1, 1, BOTH, 1},      {0xff21, 26, 1, BOTH, 32},
    {0x10400, 40, 1, BOTH, 40},   {0x104b0, 36, 1, BOTH, 40},   {0x10570, 11, 1, BOTH, 39},
    {0x1057c, 15, 1, BOTH, 39},   {0x1058c, 7, 1, BOTH, 39},    {0x10594, 2, 1, BOTH, 39},
    {0x10c80, 51, 1, BOTH, 64},   {0x118a0, 32, 1, BOTH, 32},   {0x16e40, 32, 1, BOTH, 32},
    {0x1e900, 34, 1, BOTH, 34},   {0xb5, 1, 1, UPPER, 743},     {0x131, 1, 1, UPPER, -232},
    {0x17f, 1, 1, UPPER, -300},   {0x1c5, 1, 1, UPPER, -1},     {0x1c8, 1, 1, UPPER, -1},
    {0x1cb, 1, 1, UPPER, -1},     {0x1f2, 1, 1, UPPER, -1},     {0x345, 1, 1, UPPER, 84},
    {0x3c2, 1, 1, UPPER, -31},    {0x3d0, 1, 1, UPPER, -62},    {0x3d1, 1, 1, UPPER, -57},
    {0x3d5, 1, 1, UPPER, -47},    {0x3d6, 1, 1, UPPER, -54},    {0x3f0, 1, 1, UPPER, -86},
    {0x3f1, 1, 1, UPPER, -80},    {0x3f5, 1, 1, UPPER, -96},    {0x1c80, 1, 1, UPPER, -6254},
    {0x1c81, 1, 1, UPPER, -6253}, {0x1c82, 1, 1, UPPER, -6244}, {0x1c83, 2, 1, UPPER, -6242},
    {0x1c85, 1, 1, UPPER, -6243}, {0x1c86, 1, 1, UPPER, -6236}, {0x1c87, 1, 1, UPPER, -6181},
    {0x1c88, 1, 1, UPPER, 35266}, {0x1e9b, 1, 1, UPPER, -59},   {0x1fbe, 1, 1, UPPER, -7205},
};

enum { ROW_COUNT = sizeof case_rows / sizeof *case_rows };

/* Whether c is one of the letters that begin at `first`. */
static bool has(const case_row *row, int64_t c, int64_t first) {
  int64_t place = c - first;
  return place >= 0 && place < (int64_t)row->count * row->step && place % row->step == 0;
}

/* The counterpart of c by rows of this way; rows for both are read backwards where `back` is set. */
static uint32_t map(uint32_t c, uint8_t way, bool back) {
  for (int i = 0; i < ROW_COUNT; i++) {
    const case_row *row = &case_rows[i];
    if (row->way == BOTH && back) {
      if (has(row, c, (int64_t)row->first + row->distance)) {
        return (uint32_t)((int64_t)c - row->distance);
      }
    } else if ((row->way == BOTH || row->way == way) && has(row, c, row->first)) {
      return (uint32_t)((int64_t)c + row->distance);
    }
  }
  return c;
}

uint32_t weft_text_lower(uint32_t c) {
  return map(c, LOWER, false);
}

uint32_t weft_text_upper(uint32_t c) {
  return map(c, UPPER, true);
}
