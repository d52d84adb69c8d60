/* Text in UTF-8. Case mappings come from one table of ranges, read forwards for lower case and backwards for upper
 * case: nearly all of Unicode's pairs lie at a constant distance, or side by side. */
#include "text.h"

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

/* Capitals first, first + step, .. last; their small letters lie `distance` behind. */
typedef struct case_range {
  uint32_t first, last;
  int32_t distance;
  uint32_t step;
} case_range;

static const case_range case_ranges[] = {
    {0x41, 0x5a, 32, 1},     {0xc0, 0xd6, 32, 1},     {0xd8, 0xde, 32, 1},       {0x100, 0x12e, 1, 2},
    {0x132, 0x136, 1, 2},    {0x139, 0x147, 1, 2},    {0x14a, 0x176, 1, 2},      {0x178, 0x178, -121, 1},
    {0x179, 0x17d, 1, 2},    {0x182, 0x184, 1, 2},    {0x1a0, 0x1a4, 1, 2},      {0x1cd, 0x1db, 1, 2},
    {0x1de, 0x1ee, 1, 2},    {0x1f8, 0x21e, 1, 2},    {0x222, 0x232, 1, 2},      {0x246, 0x24e, 1, 2},
    {0x370, 0x372, 1, 2},    {0x386, 0x386, 38, 1},   {0x388, 0x38a, 37, 1},     {0x38c, 0x38c, 64, 1},
    {0x38e, 0x38f, 63, 1},   {0x391, 0x3a1, 32, 1},   {0x3a3, 0x3ab, 32, 1},     {0x3d8, 0x3ee, 1, 2},
    {0x400, 0x40f, 80, 1},   {0x410, 0x42f, 32, 1},   {0x460, 0x480, 1, 2},      {0x48a, 0x4be, 1, 2},
    {0x4c1, 0x4cd, 1, 2},    {0x4d0, 0x52e, 1, 2},    {0x531, 0x556, 48, 1},     {0x10a0, 0x10c5, 7264, 1},
    {0x1e00, 0x1e94, 1, 2},  {0x1ea0, 0x1efe, 1, 2},  {0x1f08, 0x1f0f, -8, 1},   {0x1f18, 0x1f1d, -8, 1},
    {0x1f28, 0x1f2f, -8, 1}, {0x1f38, 0x1f3f, -8, 1}, {0x1f48, 0x1f4d, -8, 1},   {0x1f59, 0x1f5f, -8, 2},
    {0x1f68, 0x1f6f, -8, 1}, {0x2160, 0x216f, 16, 1}, {0x24b6, 0x24cf, 26, 1},   {0x2c00, 0x2c2f, 48, 1},
    {0x2c80, 0x2ce2, 1, 2},  {0xa640, 0xa66c, 1, 2},  {0xa680, 0xa69a, 1, 2},    {0xa722, 0xa72e, 1, 2},
    {0xa732, 0xa76e, 1, 2},  {0xff21, 0xff3a, 32, 1}, {0x10400, 0x10427, 40, 1},
};

enum { RANGE_COUNT = sizeof case_ranges / sizeof *case_ranges };

uint32_t weft_text_lower(uint32_t c) {
  if (c == 0x130) { /* the dotted I */
    return 'i';
  }
  if (c == 0x1e9e) { /* sharp s: the small one's capital is two letters */
    return 0xdf;
  }
  for (int i = 0; i < RANGE_COUNT; i++) {
    const case_range *r = &case_ranges[i];
    if (c >= r->first && c <= r->last && (c - r->first) % r->step == 0) {
      return (uint32_t)((int32_t)c + r->distance);
    }
  }
  return c;
}

uint32_t weft_text_upper(uint32_t c) {
  switch (c) { /* small letters that share another's capital */
  case 0xb5:
    return 0x39c;
  case 0x131:
    return 'I';
  case 0x17f:
    return 'S';
  case 0x3c2:
    return 0x3a3;
  default:
    break;
  }
  for (int i = 0; i < RANGE_COUNT; i++) {
    const case_range *r = &case_ranges[i];
    int64_t capital = (int64_t)c - r->distance;
    if (capital >= r->first && capital <= r->last && ((uint32_t)capital - r->first) % r->step == 0) {
      return (uint32_t)capital;
    }
  }
  return c;
}
