/* A C program that runs a model with Weft: reads a digit from a picture.
 *
 *     digit models/digits/digits.onnx models/digits/sample_7.npy
 *
 * CMakeLists.txt beside it builds it against an installed Weft. Handles are opaque, and every failure is a sentence in `error`. */
#include "weft.h"

#include <stdio.h>

enum { PIXELS = 28 * 28, NPY_HEADER = 128 };

/* The pixels of a .npy file with one float32 picture: they are the end of the file. */
static int read_picture(const char *path, float *pixels) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    return 0;
  }
  int good = fseek(file, NPY_HEADER, SEEK_SET) == 0 && fread(pixels, sizeof(float), PIXELS, file) == PIXELS;
  fclose(file);
  return good;
}

static void print_answer(const weft_value *output) {
  const float *probabilities = weft_value_data(output);
  size_t best = 0;
  for (size_t i = 1; i < weft_value_count(output); i++) {
    best = probabilities[i] > probabilities[best] ? i : best;
  }
  printf("This is a %zu (%.1f%%).\n", best, 100.0 * (double)probabilities[best]);
}

int main(int argc, char **argv) {
  static const int64_t shape[] = {1, 1, 28, 28};
  static const char *const input_names[] = {"image"}, *const output_names[] = {"probabilities"};
  weft_error error = {.message = "use: digit MODEL PICTURE.npy"};
  weft_session *session = NULL;
  weft_value *image = NULL, *output = NULL;
  bool good = argc == 3 && weft_session_create_from_file(argv[1], NULL, &session, &error) == WEFT_OK &&
              weft_value_create_tensor(WEFT_FLOAT, 4, shape, &image, &error) == WEFT_OK;
  if (good && !read_picture(argv[2], weft_value_data(image))) {
    snprintf(error.message, sizeof error.message, "cannot read a picture from %s", argv[2]);
    good = false;
  }
  if (good && weft_session_run(session, 1, input_names, &image, 1, output_names, &output, &error) == WEFT_OK) {
    print_answer(output);
  } else {
    fprintf(stderr, "%s\n", error.message);
    good = false;
  }
  weft_value_release(output);
  weft_value_release(image);
  weft_session_destroy(session);
  return good ? 0 : 1;
}
