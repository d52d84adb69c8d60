/* weft.h in a C++ program: a session that cannot be, and a tensor in a smart pointer. */
#include "weft.h"

#include <cstdio>
#include <memory>

int main() {
  const int64_t dims[] = {2, 3};
  weft_options options = {};
  weft_error error = {};
  weft_session *session = nullptr;
  weft_value *value = nullptr;
  const weft_status status = weft_session_create_from_bytes("no model", 8, &options, &session, &error);
  if (weft_value_create_tensor(WEFT_FLOAT, 2, dims, &value, &error) != WEFT_OK) {
    return 1;
  }
  const std::unique_ptr<weft_value, void (*)(weft_value *)> owned(value, weft_value_release);
  std::printf("%s %zu %s\n", weft_version(), weft_value_count(owned.get()), weft_status_name(status));
  return 0;
}
