/* ImageDecoder in a build with decoders: what cannot be decoded gives an empty matrix, and nothing traps. Whole images
 * are among the cases of the onnx package. */
#include "model_bytes.h"
#include "weft.h"

static weft_session *load(const char *pixel_format) {
  weft_session *session;
  weft_error error = {0};
  bytes g = {0}, n = node("ImageDecoder", "x", "y");
  with_string(&n, "pixel_format", pixel_format);
  add_text(&g, GRAPH_NAME, "main");
  graph_node(&g, n);
  graph_typed_value(&g, GRAPH_INPUT, "x", WEFT_UINT8, 1, (int64_t[]){0});
  graph_output(&g, "y");
  bytes m = model(20, &g);
  CHECK(weft_session_create_from_bytes(m.data, m.size, NULL, &session, &error) == WEFT_OK);
  clear(&m);
  return session;
}

static weft_status decode(weft_session *session, const void *data, size_t size, weft_value **y, weft_error *error) {
  weft_value *x;
  CHECK(weft_value_create_tensor(WEFT_UINT8, 1, (int64_t[]){(int64_t)size}, &x, NULL) == WEFT_OK);
  memcpy(weft_value_data(x), data, size);
  weft_status status = weft_session_run(session, 1, (const char *[]){"x"}, &x, 1, (const char *[]){"y"}, y, error);
  weft_value_release(x);
  return status;
}

static void expect(const char *pixel_format, const void *data, size_t size, const int64_t dims[3],
                   const uint8_t *pixels) {
  weft_session *session = load(pixel_format);
  weft_error error = {0};
  weft_value *y;
  CHECK(decode(session, data, size, &y, &error) == WEFT_OK);
  CHECK(weft_value_rank(y) == 3 && memcmp(weft_value_dims(y), dims, 3 * sizeof *dims) == 0);
  CHECK(weft_value_count(y) == 0 || memcmp(weft_value_data(y), pixels, weft_value_count(y)) == 0);
  weft_value_release(y);
  weft_session_destroy(session);
}

/* A red and a blue-green pixel. */
static const char two_pixels[] = "P6 2 1 255\n\xff\x00\x00\x00\x80\xff";

static void test_formats(void) {
  const size_t size = sizeof two_pixels - 1;
  expect("RGB", two_pixels, size, (int64_t[]){1, 2, 3}, (uint8_t[]){255, 0, 0, 0, 128, 255});
  expect("BGR", two_pixels, size, (int64_t[]){1, 2, 3}, (uint8_t[]){0, 0, 255, 255, 128, 0});
  expect("Grayscale", two_pixels, size, (int64_t[]){1, 2, 1}, (uint8_t[]){76, 104});
  expect("RGB", "P2 1 1 255\n7\n", 13, (int64_t[]){1, 1, 3}, (uint8_t[]){7, 7, 7});
}

static void test_nothing_to_decode(void) {
  const int64_t none[] = {0, 0, 3}, gray_none[] = {0, 0, 1};
  expect("RGB", "", 0, none, NULL);
  expect("Grayscale", "GIF89a\1\0\1\0\0\0\0", 13, gray_none, NULL);
  expect("RGB", "\x89PNG\r\n\x1a\n", 8, none, NULL);
  expect("BGR", two_pixels, sizeof two_pixels - 4, none, NULL);
  expect("RGB", "\xff\xd8\xff\xe0rubbish", 11, none, NULL);
}

/* A few bytes that claim an image of 10^10 pixels. */
static void test_claims(void) {
  weft_session *session = load("RGB");
  weft_error error = {0};
  weft_value *y = NULL;
  weft_status status = decode(session, "P6 2000000000 2000000000 255\n.", 30, &y, &error);
  CHECK(status != WEFT_OK || weft_value_count(y) == 0);
  weft_value_release(y);
  weft_session_destroy(session);
}

static void test_pixel_format(void) {
  weft_session *session = load("RGBA");
  weft_error error = {0};
  weft_value *y;
  CHECK(decode(session, two_pixels, sizeof two_pixels - 1, &y, &error) == WEFT_INVALID_MODEL);
  CHECK(strstr(error.message, "expected RGB, BGR or Grayscale, found 'RGBA'") != NULL);
  weft_session_destroy(session);
}

int main(void) {
  test_formats();
  test_nothing_to_decode();
  test_claims();
  test_pixel_format();
  return 0;
}
