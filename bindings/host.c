/* What a module asks of JavaScript. Its clock; and operators that are JavaScript functions: a C function pointer cannot lead
 * to one, so all of them go through one imported function, which finds the right one by its number: see bindings/host.js
 * and web/operators.js. */
#include "weft.h"

weft_status weft_host_run(void *number, size_t input_count, const weft_value *const *inputs, size_t output_count,
                          weft_value **outputs, weft_custom_call *call);
weft_status weft_host_add_operator(weft_loader *loader, const char *domain, const char *name, size_t number,
                                   weft_error *error);

weft_status weft_host_add_operator(weft_loader *loader, const char *domain, const char *name, size_t number,
                                   weft_error *error) {
  weft_custom_op op = {.domain = domain, .name = name, .run = weft_host_run, .user = (void *)number};
  return weft_loader_add_operator(loader, &op, error);
}

double weft_host_now(void *user);
void weft_host_profile(weft_session *session, bool on);
weft_status weft_host_measure(weft_session *session, weft_limits *out, weft_error *error);

static const weft_clock host_clock = {.now = weft_host_now};

void weft_host_profile(weft_session *session, bool on) { weft_session_profile(session, on ? &host_clock : NULL); }

weft_status weft_host_measure(weft_session *session, weft_limits *out, weft_error *error) {
  return weft_session_measure(session, &host_clock, out, error);
}
