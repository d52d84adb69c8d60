/* Reading a model and its external data from files. The model's path is the user's word and opened as it is; the paths
 * of external data come from the model and are not trusted: each part is opened without following symbolic links, below
 * a folder that is already open, so that nothing can be swapped in between. One exception, natively: caches keep a
 * model's files as links into one folder beside it, so a link may lead to the folder where the model's own file really
 * lies. WASI has no such thing as a real path, and its preopened folders bound everything anyway. Not in builds for
 * JavaScript. */
#define _XOPEN_SOURCE 700

#include "room.h"

#ifndef __EMSCRIPTEN__

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/text.h"

enum { PIECE = 1 << 16, PATH_BYTES = 4096 };

const char *weft_file_reason(int code) {
#ifdef __wasi__
  if (code == ENOTCAPABLE || code == EPERM) {
    return "the host gives no access to it (wasmtime: --dir=FOLDER)";
  }
#endif
  return strerror(code);
}

static weft_status fail_file(weft_loader *loader, const char *what, const char *path, int code) {
  return weft_fail(&loader->cx, WEFT_IO, "%s '%s': %s", what, path, weft_file_reason(code));
}

/* ---- the model --------------------------------------------------------------------------------------------------- */
static weft_status push_all(weft_loader *loader, int file, const char *path, uint8_t *buffer, weft_error *error) {
  for (;;) {
    ssize_t n = read(file, buffer, PIECE);
    if (n == 0) {
      return weft_loader_finish(loader, error);
    }
    if (n > 0) {
      WEFT_TRY(weft_loader_push(loader, buffer, (size_t)n, error));
    } else if (errno != EINTR) {
      return fail_file(loader, "cannot read", path, errno);
    }
  }
}

weft_status weft_loader_push_file(weft_loader *loader, const char *path, weft_error *error) {
  void *buffer;
  struct stat status;
  loader->cx.error = error != NULL ? error : &loader->ignored;
  int file = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return fail_file(loader, "cannot open", path, errno);
  }
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
    weft_loader_expect(loader, (uint64_t)status.st_size);
  }
  weft_status result = weft_alloc(&loader->cx, PIECE, &buffer);
  if (result == WEFT_OK) {
    result = push_all(loader, file, path, buffer, error);
    weft_free(buffer);
  }
  if (file != STDIN_FILENO) { /* which is the program's; adapters to components trap when it is closed */
    close(file);
  }
  return result;
}

/* ---- external data ----------------------------------------------------------------------------------------------- */
/* The folder part of `path` ("." if it has none); false when it does not fit. */
static bool folder_of(const char *path, char out[PATH_BYTES]) {
  const char *slash = strrchr(path, '/');
  size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
  if (n >= PATH_BYTES) {
    return false;
  }
  memcpy(out, n > 0 ? path : ".", n > 0 ? n : 1);
  out[n > 0 ? n : 1] = 0;
  return true;
}

/* Opens one part of a path that is no link. Node.js' WASI follows links although asked not to, so links are looked for
 * first. */
static int open_part(int folder, const char *part, int flags) {
  struct stat status;
  if (fstatat(folder, part, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return -1;
  }
  if (S_ISLNK(status.st_mode)) {
    errno = ELOOP;
    return -1;
  }
  return openat(folder, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | flags);
}

/* Opens `path`, which normalise() made, below `folder` without following any link; -1 and errno on failure. */
static int open_below(const char *folder, const char *path) {
  int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  char part[PATH_BYTES];
  while (at >= 0) {
    size_t n = strcspn(path, "/");
    if (n >= sizeof part) {
      close(at);
      errno = ENAMETOOLONG;
      return -1;
    }
    memcpy(part, path, n);
    part[n] = 0;
    bool last = path[n] == 0;
    int next = open_part(at, part, last ? 0 : O_DIRECTORY);
    int code = errno;
    close(at);
    errno = code;
    if (last) {
      return next;
    }
    at = next;
    path += n + 1;
  }
  return -1;
}

#ifdef __wasi__
static int open_linked(const char *model, const char *folder, const char *path) {
  (void)model;
  (void)folder;
  (void)path;
  errno = ELOOP;
  return -1;
}
#else
/* Opens what folder/path really is, if that lies below the folder where the model's file really is. */
static int open_linked(const char *model, const char *folder, const char *path) {
  char joined[PATH_BYTES], base[PATH_BYTES];
  int fd = -1;
  size_t n = weft_print(joined, sizeof joined, "%s/%s", folder, path);
  char *target = n > 0 && n < PATH_BYTES ? realpath(joined, NULL) : NULL;
  char *real_model = realpath(model, NULL);
  errno = ELOOP;
  if (target != NULL && real_model != NULL && folder_of(real_model, base)) {
    size_t length = strlen(base);
    if (strncmp(target, base, length) == 0 && target[length] == '/') {
      fd = open_below(base, target + length + 1);
    }
  }
  int code = errno;
  free(target);
  free(real_model);
  errno = code;
  return fd;
}
#endif

static weft_status open_external(weft_loader *loader, const char *model, const char *path, int *out) {
  char folder[PATH_BYTES];
  struct stat status;
  if (!folder_of(model, folder)) {
    return fail_file(loader, "cannot open", model, ENAMETOOLONG);
  }
  *out = open_below(folder, path);
  if (*out < 0 && (errno == ELOOP || errno == ENOTDIR || errno == EMLINK)) {
    *out = open_linked(model, folder, path);
  }
  if (*out < 0) {
    return errno == ELOOP
               ? weft_fail(&loader->cx, WEFT_IO, "the external data '%s' is a link out of the model's folder", path)
               : fail_file(loader, "cannot open the model's external data", path, errno);
  }
  if (fstat(*out, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(*out);
    *out = -1;
    return weft_fail(&loader->cx, WEFT_IO, "the model's external data '%s' is no regular file", path);
  }
  return WEFT_OK;
}

/* Before memory is taken: the file must have the bytes. */
static weft_status check_size(weft_loader *loader, int file, const weft_onnx_payload *payload) {
  struct stat status;
  if (fstat(file, &status) != 0) {
    return fail_file(loader, "cannot read", payload->path, errno);
  }
  uint64_t size = (uint64_t)status.st_size;
  if (payload->offset > size || payload->size > size - payload->offset) {
    return weft_fail(&loader->cx, WEFT_INVALID_MODEL,
                     "the model's external data '%s' has %llu bytes, too few for %zu bytes at offset %llu",
                     payload->path, (unsigned long long)size, payload->size, (unsigned long long)payload->offset);
  }
  return WEFT_OK;
}

static weft_status read_piece(weft_loader *loader, int file, const weft_external *piece) {
  uint64_t done = 0;
  while (done < piece->size) {
    uint64_t left = piece->size - done;
    size_t want = left < ((uint64_t)1 << 30) ? (size_t)left : (size_t)1 << 30;
    ssize_t n = pread(file, (char *)piece->data + done, want, (off_t)(piece->offset + done));
    if (n > 0) {
      done += (uint64_t)n;
    } else if (n == 0 || errno != EINTR) {
      return fail_file(loader, "cannot read the model's external data", piece->path, n == 0 ? EIO : errno);
    }
  }
  return WEFT_OK;
}

/* Pieces of one file mostly follow each other, so the last file stays open. */
weft_status weft_loader_read_external(weft_loader *loader, const char *model, weft_error *error) {
  int file = -1;
  const char *opened = "";
  weft_status status = WEFT_OK;
  for (size_t i = 0; status == WEFT_OK && i < weft_loader_external_count(loader); i++) {
    const weft_onnx_payload *payload = &loader->model.payloads[loader->external_first + i];
    weft_external piece;
    if (strcmp(opened, payload->path) != 0) {
      if (file >= 0) {
        close(file);
      }
      status = open_external(loader, model, payload->path, &file);
      opened = payload->path;
    }
    status = status == WEFT_OK ? check_size(loader, file, payload) : status;
    status = status == WEFT_OK ? weft_loader_external(loader, i, &piece, error) : status;
    status = status == WEFT_OK ? read_piece(loader, file, &piece) : status;
  }
  if (file >= 0) {
    close(file);
  }
  return status;
}

#endif
