/* Named values: what a session takes and gives, kept together so that they are freed together. */
#include "cli.h"

#include <stdlib.h>

bool weft_cli_new_named(weft_cli *cli, size_t count, weft_cli_named *out) {
  *out =
      (weft_cli_named){.names = calloc(count + 1, sizeof(char *)), .values = calloc(count + 1, sizeof(weft_value *))};
  if (out->names == NULL || out->values == NULL) {
    weft_cli_free_named(out);
    return weft_cli_fail(cli, WEFT_OUT_OF_MEMORY, "no memory for %zu names", count);
  }
  return true;
}

void weft_cli_free_named(weft_cli_named *named) {
  for (size_t i = 0; i < named->count; i++) {
    weft_value_release(named->values[i]);
  }
  free(named->names);
  free(named->values);
  *named = (weft_cli_named){0};
}

bool weft_cli_outputs(weft_cli *cli, weft_session *session, weft_cli_named *out) {
  size_t count = weft_session_output_count(session);
  if (!weft_cli_new_named(cli, count, out)) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    weft_info info;
    if (weft_session_output_info(session, i, &info, &cli->error) != WEFT_OK) {
      return false;
    }
    out->names[i] = info.name;
  }
  out->count = count;
  return true;
}
