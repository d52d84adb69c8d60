/* numpy's .npy files: a magic number, a header that is a Python dictionary, then the elements. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row {
  weft_type type;
  const char *code; /* as in numpy's descr, without the byte order */
} row;

/* The first row of a type is what it is written as. */
static const row rows[] = {
    {WEFT_FLOAT, "f4"},          {WEFT_DOUBLE, "f8"},      {WEFT_FLOAT16, "f2"},        {WEFT_INT8, "i1"},
    {WEFT_INT16, "i2"},          {WEFT_INT32, "i4"},       {WEFT_INT64, "i8"},          {WEFT_UINT8, "u1"},
    {WEFT_UINT16, "u2"},         {WEFT_UINT32, "u4"},      {WEFT_UINT64, "u8"},         {WEFT_BOOL, "b1"},
    {WEFT_COMPLEX64, "c8"},      {WEFT_COMPLEX128, "c16"}, {WEFT_BFLOAT16, "V2"},       {WEFT_FLOAT8E4M3FN, "V1"},
    {WEFT_FLOAT8E4M3FNUZ, "V1"}, {WEFT_FLOAT8E5M2, "V1"},  {WEFT_FLOAT8E5M2FNUZ, "V1"}, {WEFT_FLOAT8E8M0, "V1"},
    {WEFT_FLOAT4E2M1, "V1"},     {WEFT_INT4, "i1"},        {WEFT_UINT4, "u1"},          {WEFT_INT2, "i1"},
    {WEFT_UINT2, "u1"},          {WEFT_FLOAT6E2M3, "V1"},  {WEFT_FLOAT6E3M2, "V1"},
};

enum { ROW_COUNT = sizeof rows / sizeof *rows, MAGIC = 6, TEXT_LIMIT = 1 << 20 };

static bool fail_npy(weft_cli *cli, const char *path, const char *what) {
  return weft_cli_fail(cli, WEFT_INVALID_ARGUMENT, "the numpy file '%s' %s", path, what);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */
typedef struct header {
  weft_type type;   /* WEFT_STRING for U and S */
  char text;        /* 'U', 'S', or 0 */
  size_t text_size; /* characters of each string */
  weft_shape shape;
  const char *data;
  size_t size;
} header;

static bool parse_type(weft_cli *cli, const char *path, const char *descr, weft_type wanted, header *out) {
  descr += strspn(descr, " ");
  if (*descr != '\'' || descr[1] == '>') {
    return fail_npy(cli, path, *descr == '\'' ? "is big-endian, which is not read" : "has records, which are not read");
  }
  descr += 2;
  size_t n = strcspn(descr, "'");
  if (*descr == 'U' || *descr == 'S') {
    out->type = WEFT_STRING;
    out->text = *descr;
    uint64_t size = (uint64_t)weft_whole_read(descr + 1, NULL, true);
    out->text_size = (size_t)size;
    return size <= TEXT_LIMIT || fail_npy(cli, path, "has too long strings");
  }
  for (size_t pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < ROW_COUNT; i++) {
      bool same = strlen(rows[i].code) == n && memcmp(rows[i].code, descr, n) == 0;
      if (same && (pass == 1 || rows[i].type == wanted)) {
        out->type = rows[i].type;
        return true;
      }
    }
  }
  return fail_npy(cli, path, "has a type that ONNX does not have");
}

static bool parse_shape(weft_cli *cli, const char *path, const char *text, weft_shape *out) {
  text = strchr(text, '(');
  for (text = text != NULL ? text + 1 : ")"; *text != ')';) {
    const char *end;
    uint64_t value = (uint64_t)weft_whole_read(text, &end, true);
    if (end == text || out->rank == WEFT_MAX_RANK || value > INT64_MAX) {
      return fail_npy(cli, path, "has a damaged or too long shape");
    }
    out->dims[out->rank++] = (int64_t)value;
    text = end + strspn(end, ", ");
  }
  return true;
}

static bool parse_header(weft_cli *cli, const char *path, weft_cli_bytes *file, weft_type wanted, header *out) {
  *out = (header){0};
  if (file->size < 12 || memcmp(file->data, "\x93NUMPY", MAGIC) != 0) {
    return fail_npy(cli, path, "does not begin as one");
  }
  const uint8_t *bytes = (const uint8_t *)file->data;
  bool wide = bytes[MAGIC] > 1;
  size_t at = wide ? 12 : 10, length = bytes[8] | (size_t)bytes[9] << 8;
  if (wide) {
    length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
  }
  if (length == 0 || length > file->size - at) {
    return fail_npy(cli, path, "is cut short in its header");
  }
  char *text = file->data + at;
  text[length - 1] = 0; /* a line feed */
  const char *descr = weft_cli_after(text, "'descr':"), *order = weft_cli_after(text, "'fortran_order':"),
             *shape = weft_cli_after(text, "'shape':");
  if (descr == NULL || order == NULL || shape == NULL) {
    return fail_npy(cli, path, "has a damaged header");
  }
  if (strncmp(order + strspn(order, " "), "True", 4) == 0) {
    return fail_npy(cli, path, "is in Fortran order: save numpy.ascontiguousarray of it");
  }
  out->data = text + length;
  out->size = file->size - at - length;
  return parse_type(cli, path, descr, wanted, out) && parse_shape(cli, path, shape, &out->shape);
}

static size_t put_utf8(uint32_t c, char *out) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const unsigned leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = n; i-- > 1; c >>= 6) {
    out[i] = (char)(0x80 | (c & 0x3f));
  }
  out[0] = (char)(leads[n] | (c & 0x1f));
  return n;
}

/* One string of `size` characters, zeros at its end not counted. */
static weft_status read_text(weft_cli *cli, weft_value *value, size_t i, const char *from, const header *h,
                             char *buffer) {
  size_t n = 0;
  for (size_t k = 0; k < h->text_size; k++) {
    uint32_t c = (uint8_t)from[k];
    if (h->text == 'U') {
      memcpy(&c, from + k * 4, 4);
    }
    if (h->text == 'U') {
      n += put_utf8(c, buffer + n);
    } else {
      buffer[n++] = from[k];
    }
  }
  while (n > 0 && buffer[n - 1] == 0) {
    n--;
  }
  return weft_value_set_string(value, i, buffer, n, &cli->error);
}

static bool read_texts(weft_cli *cli, const header *h, weft_value *value) {
  size_t step = h->text_size * (h->text == 'U' ? 4 : 1), count = weft_value_count(value);
  char *buffer = malloc(h->text_size * 4 + 1);
  bool good = buffer != NULL || weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for a string");
  for (size_t i = 0; good && i < count; i++) {
    good = read_text(cli, value, i, h->data + i * step, h, buffer) == WEFT_OK;
  }
  free(buffer);
  return good;
}

static bool read_elements(weft_cli *cli, const char *path, const header *h, weft_value **out) {
  size_t size = h->text != 0 ? h->text_size * (h->text == 'U' ? 4 : 1) : weft_type_size(h->type), count;
  weft_shape shape = h->shape;
  if (!weft_shape_count(&shape, WEFT_STRING, &count) || (size > 0 && count > h->size / size)) {
    return fail_npy(cli, path, "has fewer elements than its shape says");
  }
  if (weft_value_create_tensor(h->type, shape.rank, shape.dims, out, &cli->error) != WEFT_OK) {
    return false;
  }
  if (h->text != 0) {
    return read_texts(cli, h, *out);
  }
  memcpy(weft_value_data(*out), h->data, count * size);
  return true;
}

bool weft_cli_read_npy(weft_cli *cli, const char *path, weft_type wanted, weft_value **out) {
  weft_cli_bytes file;
  header h;
  *out = NULL;
  if (!weft_cli_read(cli, path, &file)) {
    return false;
  }
  bool good = parse_header(cli, path, &file, wanted, &h) && read_elements(cli, path, &h, out);
  free(file.data);
  if (!good) {
    weft_value_release(*out);
    *out = NULL;
  }
  return good;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */
/* The character at `*at`, which moves behind it; bytes that are no UTF-8 count as Latin-1. */
static uint32_t next_character(const char **at, const char *end) {
  const uint8_t *p = (const uint8_t *)*at;
  size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 1;
  static const unsigned masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  if (n == 1 || n > (size_t)(end - *at)) {
    *at += 1;
    return p[0];
  }
  uint32_t c = p[0] & masks[n];
  for (size_t i = 1; i < n; i++) {
    c = c << 6 | (p[i] & 0x3fu);
  }
  *at += n;
  return c;
}

static size_t count_characters(weft_string s) {
  size_t n = 0;
  for (const char *at = s.data; s.size > 0 && at < s.data + s.size; n++) {
    next_character(&at, s.data + s.size);
  }
  return n;
}

/* "(2, 3)", "(2,)" or "()". */
static void print_shape(const weft_shape *shape, char *out, size_t size) {
  size_t used = weft_print(out, size, "(");
  for (int i = 0; i < shape->rank && used + 24 < size; i++) {
    used += weft_print(out + used, size - used, i == 0 ? "%lld," : " %lld,", (long long)shape->dims[i]);
  }
  if (shape->rank > 1) {
    used--; /* the last comma */
  }
  weft_print(out + used, size - used, ")");
}

static bool write_file(weft_cli *cli, const char *path, const weft_tensor *tensor, const char *descr, const void *data,
                       size_t size) {
  char shape[WEFT_MAX_RANK * 24 + 8], head[WEFT_MAX_RANK * 24 + 256];
  print_shape(&tensor->shape, shape, sizeof shape);
  size_t used = 10 + weft_print(head + 10, sizeof head - 128, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                                descr, shape);
  size_t total = (used + 1 + 63) / 64 * 64;
  memcpy(head, "\x93NUMPY\x01\x00", 8);
  head[8] = (char)((total - 10) & 0xff);
  head[9] = (char)((total - 10) >> 8);
  memset(head + used, ' ', total - used);
  head[total - 1] = '\n';
  return weft_cli_write(cli, path, head, total, data, size);
}

static bool write_texts(weft_cli *cli, const char *path, const weft_tensor *tensor) {
  const weft_string *items = tensor->data;
  size_t longest = 1, bytes;
  char descr[32];
  for (size_t i = 0; i < tensor->count; i++) {
    size_t n = count_characters(items[i]);
    longest = n > longest ? n : longest;
  }
  uint32_t *all = weft_mul(tensor->count, longest, &bytes) && bytes < SIZE_MAX / 8 ? calloc(bytes + 1, 4) : NULL;
  if (all == NULL) {
    return weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory to write '%s'", path);
  }
  for (size_t i = 0; i < tensor->count; i++) {
    const char *at = items[i].data, *end = at + items[i].size;
    for (size_t k = 0; items[i].size > 0 && at < end; k++) {
      all[i * longest + k] = next_character(&at, end);
    }
  }
  weft_print(descr, sizeof descr, "<U%zu", longest);
  bool good = write_file(cli, path, tensor, descr, all, bytes * 4);
  free(all);
  return good;
}

bool weft_cli_write_npy(weft_cli *cli, const char *path, const weft_tensor *tensor) {
  size_t size = weft_type_size(tensor->type);
  char descr[8];
  if (tensor->type == WEFT_STRING) {
    return write_texts(cli, path, tensor);
  }
  for (size_t i = 0; i < ROW_COUNT; i++) {
    if (rows[i].type == tensor->type) {
      weft_print(descr, sizeof descr, "%c%s", size > 1 ? '<' : '|', rows[i].code);
    }
  }
  return write_file(cli, path, tensor, descr, tensor->data, tensor->count * size);
}
