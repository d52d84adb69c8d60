/* ImageDecoder (https://onnx.ai/onnx/operators/onnx__ImageDecoder.html) by way of ImageMagick's MagickCore, versions 6
 * and 7, in builds with WEFT_IMAGE_DECODER. It wraps the format's own well-kept libraries, libjpeg-turbo among them,
 * whose "fancy" upsampling the specification asks for. The format is told from the first bytes here, so that only the
 * decoders of the formats that the specification names ever see a model's bytes. */
#include <string.h>

#if __has_include(<MagickCore/MagickCore.h>)
#include <MagickCore/MagickCore.h>
#else
#include <magick/MagickCore.h>
#endif

#include "op.h"

typedef enum pixel_format { PIXELS_RGB, PIXELS_BGR, PIXELS_GRAYSCALE } pixel_format;

/* MagickCore's name of the format that the bytes begin as, or NULL. */
static const char *format_of(const uint8_t *bytes, size_t size) {
  static const struct {
    const char *name, *magic;
    size_t length, at;
  } formats[] = {{"BMP", "BM", 2, 0},
                 {"JPEG", "\xff\xd8\xff", 3, 0},
                 {"JP2", "\0\0\0\x0cjP  \r\n\x87\n", 12, 0},
                 {"J2K", "\xff\x4f\xff\x51", 4, 0},
                 {"TIFF", "II*\0", 4, 0},
                 {"TIFF", "MM\0*", 4, 0},
                 {"PNG", "\x89PNG\r\n\x1a\n", 8, 0},
                 {"WEBP", "WEBP", 4, 8}};
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    size_t at = formats[i].at, length = formats[i].length;
    if (size >= at + length && memcmp(bytes + at, formats[i].magic, length) == 0) {
      return formats[i].name;
    }
  }
  return size >= 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' ? "PNM" : NULL;
}

static weft_status read_pixel_format(weft_op *op, pixel_format *out) {
  static const char *const names[] = {[PIXELS_RGB] = "RGB", [PIXELS_BGR] = "BGR", [PIXELS_GRAYSCALE] = "Grayscale"};
  const char *name = weft_op_attr_string(op, "pixel_format", "RGB");
  for (int i = 0; i < 3; i++) {
    if (strcmp(name, names[i]) == 0) {
      *out = (pixel_format)i;
      return WEFT_OK;
    }
  }
  return weft_op_fail(op, "attribute pixel_format: expected RGB, BGR or Grayscale, found '%s'", name);
}

/* The luma of ITU-R BT.601, in units of 1/65536. */
static uint8_t luma(const uint8_t *rgb) {
  return (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

/* The decoded image's pixels into output 0, which is made here. */
static weft_status take_pixels(weft_op *op, const Image *image, pixel_format format, ExceptionInfo *exception) {
  bool gray = format == PIXELS_GRAYSCALE;
  size_t columns = image->columns, rows = image->rows;
  weft_shape shape = {3, {(int64_t)rows, (int64_t)columns, gray ? 1 : 3}};
  WEFT_TRY(weft_op_allocate(op, 0, WEFT_UINT8, &shape));
  uint8_t *out = weft_op_out(op, 0)->data;
  void *line = NULL;
  if (gray) {
    WEFT_TRY(weft_op_scratch(op, columns * 3, &line));
  }
  for (size_t y = 0; y < rows; y++) {
    uint8_t *to = gray ? line : out + y * columns * 3;
    const char *map = format == PIXELS_BGR ? "BGR" : "RGB";
    if (!ExportImagePixels(image, 0, (ssize_t)y, columns, 1, map, CharPixel, to, exception)) {
      return weft_op_run_fail(op, "input encoded_stream: row %zu of the image cannot be read", y);
    }
    for (size_t x = 0; gray && x < columns; x++) {
      out[y * columns + x] = luma(to + 3 * x);
    }
  }
  return WEFT_OK;
}

/* What MagickCore makes of the bytes (NULL if it cannot); `pinged` only the size. */
static Image *read_image(const weft_tensor *in, const char *format, bool pinged, ExceptionInfo *exception) {
  ImageInfo *info = AcquireImageInfo();
  (void)CopyMagickString(info->magick, format, sizeof info->magick);
  Image *image = (pinged ? PingBlob : BlobToImage)(info, in->data, in->count, exception);
  (void)DestroyImageInfo(info);
  return image;
}

/* "If it can't decode for any reason it will return an empty matrix." */
static weft_status put_nothing(weft_op *op, pixel_format format) {
  weft_shape shape = {3, {0, 0, format == PIXELS_GRAYSCALE ? 1 : 3}};
  return weft_op_allocate(op, 0, WEFT_UINT8, &shape);
}

/* A small file may hold a huge image, so what it takes is asked for before it is decoded. */
static weft_status check_size(weft_op *op, const Image *image) {
  uint64_t bytes = (uint64_t)image->columns * image->rows;
  if (image->columns > INT32_MAX || image->rows > INT32_MAX || bytes > SIZE_MAX / 64) {
    return weft_op_run_fail(op, "input encoded_stream: an image of %zu x %zu pixels is too large", image->columns,
                            image->rows);
  }
  void *room;
  return weft_op_scratch(op, (size_t)bytes * sizeof(Quantum) * 4, &room);
}

static weft_status decode(weft_op *op, const char *format, pixel_format pixels, ExceptionInfo *exception) {
  const weft_tensor *in = weft_op_in(op, 0);
  Image *image = read_image(in, format, true, exception);
  if (image != NULL) {
    weft_status status = check_size(op, image);
    (void)DestroyImageList(image);
    WEFT_TRY(status);
    image = read_image(in, format, false, exception);
  }
  if (image == NULL) {
    return put_nothing(op, pixels);
  }
  bool corrupt = exception->severity == CorruptImageWarning || exception->severity >= ErrorException;
  weft_status status = corrupt ? put_nothing(op, pixels) : take_pixels(op, image, pixels, exception);
  (void)DestroyImageList(image);
  return status;
}

weft_status weft_image_decoder_run(weft_op *op) {
  WEFT_TRY(weft_op_expect_inputs(op, 1, 1));
  WEFT_TRY(weft_op_expect_type(op, 0, "encoded_stream", WEFT_TYPE_BIT(WEFT_UINT8)));
  WEFT_TRY(weft_op_expect_rank(op, 0, "encoded_stream", 1, 1));
  pixel_format pixels = PIXELS_RGB;
  WEFT_TRY(read_pixel_format(op, &pixels));
  const char *format = format_of(weft_op_in(op, 0)->data, weft_op_in(op, 0)->count);
  if (format == NULL) {
    return put_nothing(op, pixels);
  }
  if (!IsMagickCoreInstantiated()) {
    MagickCoreGenesis(NULL, MagickFalse);
  }
  ExceptionInfo *exception = AcquireExceptionInfo();
  weft_status status = decode(op, format, pixels, exception);
  (void)DestroyExceptionInfo(exception);
  return status;
}
