/* Files, as plain C and POSIX have them: the same calls natively and in WASI. */
#define _XOPEN_SOURCE 700

#include "../src/onnx/loader.h"
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool weft_cli_fail(weft_cli *cli, weft_status code, const char *format, ...) {
  char text[sizeof cli->error.message]; /* the old sentence may be part of the new one */
  va_list args;
  va_start(args, format);
  weft_vprint(text, sizeof text, format, args);
  va_end(args);
  weft_fail(&cli->cx, code, "%s", text);
  return false;
}

bool weft_cli_exists(const char *path) {
  struct stat status;
  return stat(path, &status) == 0;
}

static bool read_open(weft_cli *cli, FILE *file, const char *path, weft_cli_bytes *out) {
  size_t room = 0;
  for (;;) {
    if (room - out->size < 2) {
      size_t wanted = room == 0 ? 1 << 16 : room * 2;
      char *grown = realloc(out->data, wanted);
      if (grown == NULL) {
        return weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for the file '%s'", path);
      }
      out->data = grown;
      room = wanted;
    }
    size_t n = fread(out->data + out->size, 1, room - out->size - 1, file);
    out->size += n;
    out->data[out->size] = 0;
    if (n == 0) {
      return ferror(file) == 0 || weft_cli_fail(cli, WEFT_IO, "cannot read '%s': %s", path, weft_file_reason(errno));
    }
  }
}

const char *weft_cli_after(const char *text, const char *word) {
  const size_t length = strlen(word);
  for (; *text != 0; text++) {
    if (strncmp(text, word, length) == 0) return text + length;
  }
  return NULL;
}

bool weft_cli_read(weft_cli *cli, const char *path, weft_cli_bytes *out) {
  *out = (weft_cli_bytes){0};
  FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (file == NULL) {
    return weft_cli_fail(cli, WEFT_IO, "cannot open '%s': %s", path, weft_file_reason(errno));
  }
  bool good = read_open(cli, file, path, out);
  if (file != stdin) { /* which adapters to components forbid to close */
    fclose(file);
  }
  if (!good) {
    free(out->data);
    *out = (weft_cli_bytes){0};
  }
  return good;
}

bool weft_cli_write(weft_cli *cli, const char *path, const void *head, size_t head_size, const void *data,
                    size_t size) {
  char *part;
  if (!weft_cli_print(cli, &part, "%s.part", path)) {
    return false;
  }
  remove(part); /* and never write through a link that lies there */
  int opened = open(part, O_WRONLY | O_CREAT | O_EXCL, 0666);
  FILE *file = opened < 0 ? NULL : fdopen(opened, "wb");
  bool good = file != NULL && fwrite(head, 1, head_size, file) == head_size && fwrite(data, 1, size, file) == size;
  if (file != NULL) {
    good &= fclose(file) == 0;
  } else if (opened >= 0) {
    close(opened);
  }
  good = good && rename(part, path) == 0;
  if (!good) {
    weft_cli_fail(cli, WEFT_IO, "cannot write '%s': %s", path, weft_file_reason(errno));
    remove(part);
  }
  free(part);
  return good;
}

static bool is_folder(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* From the whole path backwards, since in WASI a folder may be at hand whose parent is not. */
static bool make_folder(char *path) {
  if (is_folder(path) || mkdir(path, 0777) == 0) {
    return true;
  }
  char *slash = strrchr(path, '/');
  if (errno != ENOENT || slash == NULL || slash == path) {
    return false;
  }
  *slash = 0;
  bool good = make_folder(path);
  *slash = '/';
  return good && (is_folder(path) || mkdir(path, 0777) == 0);
}

bool weft_cli_make_folder(weft_cli *cli, const char *path) {
  char *copy;
  if (!weft_cli_print(cli, &copy, "%s", path)) {
    return false;
  }
  bool good = make_folder(copy) ||
              weft_cli_fail(cli, WEFT_IO, "cannot make the folder '%s': %s", path, weft_file_reason(errno));
  free(copy);
  return good;
}
