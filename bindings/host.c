/* What a module asks of JavaScript. Its clock; and operators that are JavaScript functions: a C function pointer cannot
 * lead to one, so all of them go through one imported function, which finds the right one by its number: see
 * bindings/host.js and web/operators.js. And what only JavaScript asks of it. */
#include "base/value.h"
#include "kernels/typed.h"
#include "weft.h"

/* `outputs` are weft_value * to make, or with `infers` weft_info to fill. */
weft_status weft_host_run(void *number, size_t input_count, const weft_value *const *inputs, size_t output_count,
                          void *outputs, weft_custom_call *call, bool infers);
weft_status weft_host_add_operator(weft_loader *loader, const char *domain, const char *name, size_t number,
                                   bool infers, weft_error *error);

static weft_status run(void *number, size_t input_count, const weft_value *const *inputs, size_t output_count,
                       weft_value **outputs, weft_custom_call *call) {
  return weft_host_run(number, input_count, inputs, output_count, outputs, call, false);
}

static weft_status infer(void *number, size_t input_count, const weft_value *const *inputs, size_t output_count,
                         weft_info *outputs, weft_custom_call *call) {
  return weft_host_run(number, input_count, inputs, output_count, outputs, call, true);
}

weft_status weft_host_add_operator(weft_loader *loader, const char *domain, const char *name, size_t number,
                                   bool infers, weft_error *error) {
  weft_custom_op op = {.domain = domain, .name = name, .run = run, .user = (void *)number};
  op.infer = infers ? infer : NULL;
  return weft_loader_add_operator(loader, &op, error);
}

double weft_host_now(void *user);
void weft_host_profile(weft_session *session, bool on);
weft_status weft_host_measure(weft_session *session, weft_limits *out, weft_error *error);

static const weft_clock host_clock = {.now = weft_host_now};

void weft_host_profile(weft_session *session, bool on) {
  weft_session_profile(session, on ? &host_clock : NULL);
}

weft_status weft_host_measure(weft_session *session, weft_limits *out, weft_error *error) {
  return weft_session_measure(session, &host_clock, out, error);
}

/* Where a tensor's elements lie: the first, how many pieces of them, the bytes of a piece, and from one to the next. */
void weft_host_place(const weft_value *value, size_t place[4]);

void weft_host_place(const weft_value *value, size_t place[4]) {
  place[0] = (size_t)value->tensor.data;
  place[1] = weft_value_pieces(value);
  place[2] = weft_value_bytes(value) / place[1];
  place[3] = value->apart * weft_type_size(value->tensor.type);
}

/* Bytes of feeds that are to be 0 or 1. */
void weft_host_make_bools(size_t n, uint8_t *bytes);

void weft_host_make_bools(size_t n, uint8_t *bytes) {
  weft_typed_convert_of(WEFT_BOOL, WEFT_BOOL)(n, bytes, bytes);
}

/* That it is there tells JavaScript, which cannot ask a compiled module, of 64-bit addresses. */
#ifdef __wasm64__
void weft_host_wide(void);

void weft_host_wide(void) {}
#endif
