/* Numbers from decimal text and back, exactly: all digits of a number are kept as one large integer, so that nothing is
 * rounded before the end. */
#include <math.h>
#include <string.h>

#include "convert.h"
#include "elementary.h"
#include "text.h"

/* 2600 bits: a double has at most 767 digits, and a text of 127 divided by its power of ten leaves at least 64 bits. */
enum { WORDS = 84, DIGITS = 784, MOST_READ = 127, FAR = 10000, BILLION = 1000000000 };
#define HALF ((uint64_t)1 << 63)

typedef struct large {
  size_t count; /* words without zeros at the high end */
  uint32_t words[WORDS];
} large;

static void multiply_add(large *n, uint32_t factor, uint32_t carry) {
  for (size_t i = 0; i < n->count; i++) {
    uint64_t word = (uint64_t)n->words[i] * factor + carry;
    n->words[i] = (uint32_t)word;
    carry = (uint32_t)(word >> 32);
  }
  if (carry != 0) {
    n->words[n->count++] = carry;
  }
}

/* Returns the remainder. */
static uint32_t divide(large *n, uint32_t divisor) {
  uint64_t left = 0;
  for (size_t i = n->count; i-- > 0;) {
    left = left << 32 | n->words[i];
    n->words[i] = (uint32_t)(left / divisor);
    left %= divisor;
  }
  while (n->count > 0 && n->words[n->count - 1] == 0) {
    n->count--;
  }
  return (uint32_t)left;
}

/* n times base^times, or divided by that; returns whether something remained. */
static bool scale(large *n, uint32_t base, int times, bool down) {
  bool more = false;
  while (times > 0) {
    uint32_t factor = base;
    for (times--; times > 0 && factor <= UINT32_MAX / base; times--) {
      factor *= base;
    }
    if (down) {
      more = divide(n, factor) != 0 || more;
    } else {
      multiply_add(n, factor, 0);
    }
  }
  return more;
}

static void shift_words(large *n, size_t by) {
  memmove(n->words + by, n->words, n->count * sizeof *n->words);
  memset(n->words, 0, by * sizeof *n->words);
  n->count += by;
}

static uint32_t word_at(const large *n, size_t from_top) {
  return from_top < n->count ? n->words[n->count - 1 - from_top] : 0;
}

/* The double of n / 2^shift, where `more` says that n is cut off; n is not 0. */
static double round_large(const large *n, int shift, bool more, bool to_odd) {
  int zeros = 0;
  while ((word_at(n, 0) << zeros & 0x80000000u) == 0) {
    zeros++;
  }
  const uint64_t third = (uint64_t)word_at(n, 2) << zeros;
  uint64_t top = (((uint64_t)word_at(n, 0) << 32 | word_at(n, 1)) << zeros) | third >> 32;
  more = more || (uint32_t)third != 0;
  for (size_t i = 3; i < n->count; i++) {
    more = more || word_at(n, i) != 0;
  }
  const int exponent = (int)n->count * 32 - zeros - 1 - shift; /* of the first bit */
  if (exponent > 1023) {
    return INFINITY;
  }
  const int cut = exponent < -1022 ? 11 - 1022 - exponent : 11;
  uint64_t kept = cut < 64 ? top >> cut : 0, rest = cut < 64 ? top << (64 - cut) : cut > 64 ? 1 : top;
  if (to_odd) {
    kept |= rest != 0 || more;
  } else {
    kept += rest > HALF || (rest == HALF && (more || (kept & 1) != 0));
  }
  return weft_double_of(exponent < -1022 ? kept : ((uint64_t)(exponent + 1022) << 52) + kept);
}

static const char *skip_sign(const char *text, bool *is_negative) {
  while (*text == ' ' || (*text >= '\t' && *text <= '\r')) {
    text++;
  }
  *is_negative = *text == '-';
  return text + (*text == '-' || *text == '+');
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int64_t weft_whole_read(const char *text, const char **end, bool is_unsigned) {
  bool is_negative;
  const char *at = skip_sign(text, &is_negative);
  const uint64_t most = is_negative ? (uint64_t)INT64_MAX + 1 : is_unsigned ? UINT64_MAX : INT64_MAX;
  uint64_t whole = 0;
  if (end != NULL) {
    *end = is_digit(*at) ? at + strspn(at, "0123456789") : text;
  }
  for (; is_digit(*at); at++) {
    const uint64_t digit = (uint64_t)(*at - '0');
    whole = whole > (most - digit) / 10 ? most : whole * 10 + digit;
  }
  return (int64_t)(is_negative ? 0 - whole : whole);
}

/* What follows the word, whatever its case, or NULL where `text` does not begin with it. */
static const char *skip_word(const char *text, const char *word) {
  for (; *word != 0; text++, word++) {
    if ((*text | 0x20) != *word) {
      return NULL;
    }
  }
  return text;
}

/* Infinity and NaN; *end is left alone where there is neither. */
static double read_special(const char *text, const char **end) {
  const char *infinite = skip_word(text, "inf"), *nan = skip_word(text, "nan");
  if (infinite == NULL && nan == NULL) {
    return 0;
  }
  const char *longer = infinite != NULL ? skip_word(infinite, "inity") : NULL;
  if (end != NULL) {
    *end = longer != NULL ? longer : infinite != NULL ? infinite : nan;
  }
  return nan != NULL ? NAN : INFINITY;
}

double weft_decimal_read(const char *text, const char **end, bool to_odd) {
  large n = {0};
  int exponent = 0, digits = 0, shift = 0;
  bool is_negative, any = false, point = false, more = false;
  const char *at = skip_sign(text, &is_negative), *begin = at;
  for (; is_digit(*at) || (*at == '.' && !point); at++) {
    if (*at == '.') {
      point = true;
      continue;
    }
    any = true;
    if (digits < MOST_READ) {
      multiply_add(&n, 10, (uint32_t)(*at - '0'));
      digits += n.count > 0;
      exponent -= point;
    } else {
      more = more || *at != '0';
      exponent += !point;
    }
  }
  if (end != NULL) {
    *end = any ? at : text;
  }
  if (any && (*at | 0x20) == 'e' && (is_digit(at[1]) || ((at[1] == '+' || at[1] == '-') && is_digit(at[2])))) {
    const int64_t by = weft_whole_read(at + 1, end, false);
    exponent += by > FAR ? FAR : by < -FAR ? -FAR : (int)by;
  }
  double value = any ? 0 : read_special(begin, end);
  if (n.count > 0 && digits + exponent > 310) {
    value = INFINITY;
  } else if (n.count > 0 && digits + exponent > -330) {
    if (exponent < 0) { /* a bit more than log2(10) for each, and 64 */
      const int words = (-exponent * 10 / 3 + 127) / 32;
      shift_words(&n, (size_t)words);
      shift = words * 32;
    }
    more = scale(&n, 10, exponent < 0 ? -exponent : exponent, exponent < 0) || more;
    value = round_large(&n, shift, more, to_odd);
  }
  return is_negative && (any || value != 0) ? -value : value;
}

/* All digits of a positive number, which is 0.DIGITS times ten to *point; returns how many. */
static size_t expand(double value, char digits[DIGITS], int *point) {
  const uint64_t bits = weft_double_bits(value);
  uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
  int exponent = (int)(bits >> 52 & 0x7ff);
  fraction |= exponent > 0 ? (uint64_t)1 << 52 : 0;
  exponent = (exponent > 0 ? exponent : 1) - 1075;
  for (; (fraction & 1) == 0; fraction >>= 1) {
    exponent++;
  }
  large n = {2, {(uint32_t)fraction, (uint32_t)(fraction >> 32)}};
  n.count -= n.words[1] == 0;
  *point = exponent < 0 ? exponent : 0; /* value = n / 10^-point, once n has its powers of five or two */
  scale(&n, exponent < 0 ? 5 : 2, exponent < 0 ? -exponent : exponent, false);
  char *first = digits + DIGITS;
  while (n.count > 0) {
    uint32_t nine = divide(&n, BILLION);
    for (int i = 0; i < 9; i++, nine /= 10) {
      *--first = (char)('0' + nine % 10);
    }
  }
  first += strspn(first, "0");
  const size_t count = (size_t)(digits + DIGITS - first);
  *point += (int)count;
  memmove(digits, first, count);
  return count;
}

/* The first digits of `all`, rounded to nearest, ties to even, without zeros at their end; *point is one more where they
 * were nines. Returns how many. */
static size_t round_digits(const char *all, size_t count, size_t most, char *out, int *point) {
  if (count <= most) {
    memcpy(out, all, count);
    return count;
  }
  memcpy(out, all, most);
  bool up = all[most] > '5' || (all[most] == '5' && (count > most + 1 || (out[most - 1] & 1) != 0));
  size_t i = most;
  for (; up && i > 0 && out[i - 1] == '9'; i--) {
    out[i - 1] = '0';
  }
  if (up && i == 0) {
    out[0] = '1';
    ++*point;
  } else if (up) {
    out[i - 1]++;
  }
  for (; most > 1 && out[most - 1] == '0'; most--) {
  }
  return most;
}

static bool reads_back(weft_type type, const char *text, double value) {
  uint64_t room = 0;
  double back = weft_decimal_read(text, NULL, type != WEFT_DOUBLE);
  weft_store_double(type, &back, 1, &room, 0, 1);
  weft_load_double(type, &room, 0, 1, 1, &back);
  return back == value;
}

size_t weft_decimal_print(char out[WEFT_DECIMAL_SIZE], weft_type type, double value, int most) {
  if (!isfinite(value)) {
    return weft_print(out, WEFT_DECIMAL_SIZE, "%s", isnan(value) ? "NaN" : value > 0 ? "INF" : "-INF");
  }
  const char *sign = signbit(value) ? "-" : "";
  if (value == 0) {
    return weft_print(out, WEFT_DECIMAL_SIZE, "%s0", sign);
  }
  char all[DIGITS], digits[20];
  int first, point;
  const size_t count = expand(fabs(value), all, &first);
  /* Digits that are enough are so with more. */
  size_t few = 1, enough = (size_t)most, n;
  while (few < enough) {
    const size_t half = (few + enough) / 2;
    point = first;
    n = round_digits(all, count, half, digits, &point);
    weft_print(out, WEFT_DECIMAL_SIZE, "%.*se%d", (int)n, digits, point - (int)n);
    if (reads_back(type, out, fabs(value))) {
      enough = half;
    } else {
      few = half + 1;
    }
  }
  point = first;
  n = round_digits(all, count, enough, digits, &point);
  if (point <= -4 || point > 16) {
    const int exponent = point - 1, size = exponent < 0 ? -exponent : exponent;
    return weft_print(out, WEFT_DECIMAL_SIZE, "%s%c%s%.*se%s%s%d", sign, digits[0], n > 1 ? "." : "", (int)n - 1,
                      digits + 1, exponent < 0 ? "-" : "+", size < 10 ? "0" : "", size);
  }
  if (point > (int)n) {
    point = first;
    n = round_digits(all, count, (size_t)first, digits, &point);
  }
  const char *zeros = "0000000000000000";
  const int length = (int)n;
  return point <= 0 ? weft_print(out, WEFT_DECIMAL_SIZE, "%s0.%.*s%.*s", sign, -point, zeros, length, digits)
         : point >= length
             ? weft_print(out, WEFT_DECIMAL_SIZE, "%s%.*s%.*s", sign, length, digits, point - length, zeros)
             : weft_print(out, WEFT_DECIMAL_SIZE, "%s%.*s.%.*s", sign, point, digits, length - point, digits + point);
}
