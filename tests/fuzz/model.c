/* Takes any bytes for a model: loads them in two pieces, makes a session, and runs it on zeros. Nothing may crash,
 * whatever the bytes are. A run that goes on too long is cancelled, as a host would do, so that an endless loop is no
 * finding; limits keep each input short. libFuzzer calls this, and mutations.c with models that it spoils. */
#include "weft.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { MAX_FEEDS = 16, MAX_DIM = 4 };

/* The session that the alarm's handler cancels; a handler has no argument. */
static weft_session *volatile running;

static void cancel_run(int number) {
  signal(number, cancel_run); /* in standard C a handler is gone when it has been called */
  if (running != NULL) {
    weft_session_cancel(running);
  }
}

/* The alarm comes again and again: a run may begin just after one. */
static void set_alarm(weft_session *session) {
  struct itimerval time = {{session != NULL, 0}, {session != NULL, 0}};
  running = session;
  signal(SIGALRM, cancel_run);
  setitimer(ITIMER_REAL, &time, NULL);
}

/* A value of zeros for an input; small where its shape is open. */
static weft_value *make_feed(const weft_info *info) {
  weft_value *value = NULL;
  int64_t dims[WEFT_MAX_RANK] = {0};
  int rank = info->rank < 0 ? 1 : info->rank;
  for (int i = 0; i < rank; i++) {
    dims[i] = info->dims[i] < 0 || info->rank < 0 ? MAX_DIM : info->dims[i];
  }
  if (info->kind == WEFT_KIND_SEQUENCE) {
    weft_value_create_sequence(info->type, 0, NULL, &value, NULL);
  } else if (info->kind == WEFT_KIND_NONE) {
    weft_value_create_none(&value, NULL);
  } else {
    int64_t count = 1;
    for (int i = 0; i < rank && count <= 1 << 20; i++) {
      count = dims[i] > 1 << 20 ? INT64_MAX : count * dims[i];
    }
    if (count <= 1 << 20) {
      weft_value_create_tensor(info->type, rank, dims, &value, NULL);
    }
  }
  return value;
}

static void run(weft_session *session) {
  const char *names[MAX_FEEDS], *outputs[MAX_FEEDS];
  weft_value *feeds[MAX_FEEDS], *results[MAX_FEEDS];
  weft_info info;
  size_t inputs = weft_session_input_count(session), wanted = weft_session_output_count(session), fed = 0;
  for (size_t i = 0; i < inputs && fed < MAX_FEEDS; i++) {
    if (weft_session_input_info(session, i, &info, NULL) == WEFT_OK) {
      names[fed] = info.name;
      feeds[fed] = make_feed(&info);
      fed += feeds[fed] != NULL;
    }
  }
  wanted = wanted < MAX_FEEDS ? wanted : MAX_FEEDS;
  for (size_t i = 0; i < wanted; i++) {
    weft_session_output_info(session, i, &info, NULL);
    outputs[i] = info.name;
  }
  set_alarm(session);
  for (int again = 0; again < 2; again++) { /* the second run uses the first one's plan */
    if (weft_session_run(session, fed, names, feeds, wanted, outputs, results, NULL) == WEFT_OK) {
      for (size_t i = 0; i < wanted; i++) {
        weft_value_release(results[i]);
      }
    }
  }
  set_alarm(NULL);
  for (size_t i = 0; i < fed; i++) {
    weft_value_release(feeds[i]);
  }
}

static weft_status load(const uint8_t *bytes, size_t size, weft_session **out) {
  const weft_options options = {.max_memory = 64u << 20, .max_elements = 1u << 22, .max_nodes = 10000};
  weft_loader *loader;
  weft_status status = weft_loader_create(&options, &loader, NULL);
  if (status != WEFT_OK) {
    return status;
  }
  size_t first = size / 3;
  status = weft_loader_push(loader, bytes, first, NULL);
  if (status == WEFT_OK) {
    status = weft_loader_push(loader, bytes + first, size - first, NULL);
  }
  if (status == WEFT_OK) {
    status = weft_loader_finish(loader, NULL);
  }
  for (size_t i = 0; status == WEFT_OK && i < weft_loader_external_count(loader); i++) {
    weft_external piece;
    status = weft_loader_external(loader, i, &piece, NULL);
    if (status == WEFT_OK) {
      memset(piece.data, 0, (size_t)piece.size);
    }
  }
  if (status != WEFT_OK) {
    weft_loader_destroy(loader);
    return status;
  }
  return weft_session_create(loader, out, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  weft_session *session;
  if (load(bytes, size, &session) == WEFT_OK) {
    run(session);
    weft_session_destroy(session);
  }
  return 0;
}
