/* Operators that the caller brings: what their functions are given, what may be returned, and what is told of mistakes.
 * */
#include "model_bytes.h"
#include "weft.h"

static const int64_t two[] = {2};

/* ---- functions --------------------------------------------------------------------------------------------- */
/* y = x * factor + offsets[0] + bias, where the bias may be absent. */
static weft_status scale(void *user, size_t input_count, const weft_value *const *inputs, size_t output_count,
                         weft_value **outputs, weft_custom_call *call) {
  const float *x = weft_value_data(inputs[0]);
  const float *bias = input_count > 1 && inputs[1] != NULL ? weft_value_data(inputs[1]) : NULL;
  size_t count;
  const int64_t *offsets = weft_custom_ints(call, "offsets", &count);
  CHECK(output_count == 1 && weft_custom_string(call, "none", NULL) == NULL &&
        weft_custom_tensor(call, "none") == NULL);
  ++*(int *)user;
  weft_status status = weft_value_create_tensor(WEFT_FLOAT, 1, two, &outputs[0], NULL);
  for (int i = 0; i < 2 && status == WEFT_OK; i++) {
    float *y = weft_value_data(outputs[0]);
    y[i] = x[i] * weft_custom_float(call, "factor", 1) + (count > 0 ? (float)offsets[0] : 0) + (bias ? bias[i] : 0);
  }
  return status;
}

static weft_status refuse(void *user, size_t input_count, const weft_value *const *inputs, size_t output_count,
                          weft_value **outputs, weft_custom_call *call) {
  (void)user, (void)input_count, (void)inputs, (void)output_count;
  CHECK(weft_value_create_none(&outputs[0], NULL) == WEFT_OK);
  return weft_custom_fail(call, "the moon is full");
}

static weft_status nothing(void *user, size_t input_count, const weft_value *const *inputs, size_t output_count,
                           weft_value **outputs, weft_custom_call *call) {
  (void)user, (void)input_count, (void)inputs, (void)output_count, (void)outputs, (void)call;
  return WEFT_OK;
}

/* Gives its input back, which then must be the caller's alone. */
static weft_status same(void *user, size_t input_count, const weft_value *const *inputs, size_t output_count,
                        weft_value **outputs, weft_custom_call *call) {
  (void)user, (void)input_count, (void)output_count, (void)call;
  outputs[0] = (weft_value *)(uintptr_t)inputs[0];
  weft_value_retain(outputs[0]);
  return WEFT_OK;
}

/* Runs its own session. */
static weft_status again(void *user, size_t input_count, const weft_value *const *inputs, size_t output_count,
                         weft_value **outputs, weft_custom_call *call) {
  (void)input_count, (void)output_count;
  weft_error error = {0};
  weft_value *x = (weft_value *)(uintptr_t)inputs[0];
  CHECK(weft_session_run(*(weft_session **)user, 1, (const char *[]){"x"}, &x, 1, (const char *[]){"y"}, outputs,
                         &error) == WEFT_INVALID_ARGUMENT);
  return weft_custom_fail(call, error.message);
}

static weft_status word(void *user, size_t input_count, const weft_value *const *inputs, size_t output_count,
                        weft_value **outputs, weft_custom_call *call) {
  (void)user, (void)input_count, (void)inputs, (void)output_count, (void)call;
  weft_status status = weft_value_create_tensor(WEFT_STRING, 1, (int64_t[]){1}, &outputs[0], NULL);
  return status == WEFT_OK ? weft_value_set_string(outputs[0], 0, "hello", 5, NULL) : status;
}

static weft_status tell(void *user, size_t input_count, const weft_value *const *inputs, size_t output_count,
                        weft_info *outputs, weft_custom_call *call) {
  const int64_t *dims = user;
  CHECK(input_count == 1 && output_count == 1 && weft_value_rank(inputs[0]) == 1 && weft_value_dims(inputs[0])[0] == 2);
  CHECK(outputs[0].rank == -1 && weft_custom_int(call, "none", 7) == 7);
  if (dims[0] == 99) return weft_custom_fail(call, "no way to tell");
  outputs[0].type = (weft_type)dims[0];
  outputs[0].rank = (int)dims[1];
  outputs[0].dims[0] = dims[2];
  return WEFT_OK;
}

/* ---- running them ------------------------------------------------------------------------------------------- */
static bytes begin(void) {
  bytes g = {0};
  add_text(&g, GRAPH_NAME, "main");
  graph_value(&g, GRAPH_INPUT, "x", 1, two);
  graph_output(&g, "y");
  return g;
}

/* Empties `g`. */
static weft_session *load(bytes *g, const weft_custom_op *op, weft_error *error) {
  bytes m = model(18, g);
  weft_loader *loader;
  weft_session *session;
  CHECK(weft_loader_create(NULL, &loader, error) == WEFT_OK);
  CHECK(weft_loader_add_operator(loader, op, error) == WEFT_OK);
  CHECK(weft_loader_push(loader, m.data, m.size, error) == WEFT_OK);
  CHECK(weft_loader_finish(loader, error) == WEFT_OK);
  CHECK(weft_session_create(loader, &session, error) == WEFT_OK);
  clear(&m);
  return session;
}

static weft_status run(weft_session *session, weft_value **y, weft_error *error) {
  weft_value *x;
  CHECK(weft_value_create_tensor(WEFT_FLOAT, 1, two, &x, NULL) == WEFT_OK);
  memcpy(weft_value_data(x), (float[]){1, -2}, 2 * sizeof(float));
  weft_status status = weft_session_run(session, 1, (const char *[]){"x"}, &x, 1, (const char *[]){"y"}, y, error);
  weft_value_release(x);
  return status;
}

static void test_function(void) {
  int calls = 0;
  weft_error error = {0};
  bytes g = begin(), n = node("f:Scale", "n _", "m"), last = node("f:Scale", "m x", "s");
  with_float(&n, "factor", 3);
  graph_node(&g, node("Neg", "x", "n"));
  graph_node(&g, n);
  graph_node(&g, last);
  graph_node(&g, node("Abs", "s", "y"));
  weft_session *session = load(&g, &(weft_custom_op){"f", "Scale", scale, &calls, NULL}, &error);
  CHECK(calls == 0);
  for (int round = 1; round <= 2; round++) {
    weft_value *y;
    CHECK(run(session, &y, &error) == WEFT_OK && calls == 2 * round);
    const float *data = weft_value_data(y); /* -3 + 1, 6 - 2 */
    CHECK(data[0] == 2 && data[1] == 4);
    weft_value_release(y);
  }
  weft_session_destroy(session);
}

static void expect_failure(weft_custom_op op, const char *sentence) {
  weft_error error = {0};
  weft_value *y;
  bytes g = begin();
  graph_node(&g, node("f:Odd", "x", "y"));
  weft_session *session = load(&g, &op, &error);
  CHECK(run(session, &y, &error) == WEFT_RUN_FAILED && y == NULL);
  CHECK(strstr(error.message, sentence) != NULL && strcmp(error.op, "Odd") == 0 && error.node[0] != 0);
  weft_session_destroy(session);
}

static void test_run_in_run(void) {
  weft_error error = {0};
  weft_value *y;
  weft_session *session = NULL;
  bytes g = begin();
  graph_node(&g, node("f:Again", "x", "y"));
  session = load(&g, &(weft_custom_op){"f", "Again", again, &session, NULL}, &error);
  for (int round = 0; round < 2; round++) {
    CHECK(run(session, &y, &error) == WEFT_RUN_FAILED);
    CHECK(strstr(error.message, "(Again): the session is running: its next run has to wait for that") != NULL);
  }
  weft_session_destroy(session);
}

/* An input given back, and strings that outlive the value they came in. */
static void test_results(void) {
  weft_error error = {0};
  weft_value *y;
  bytes g = begin();
  graph_node(&g, node("Neg", "x", "n"));
  graph_node(&g, node("f:Same", "n", "s"));
  graph_node(&g, node("Neg", "s", "y"));
  weft_session *session = load(&g, &(weft_custom_op){"f", "Same", same, NULL, NULL}, &error);
  CHECK(run(session, &y, &error) == WEFT_OK && ((const float *)weft_value_data(y))[1] == -2);
  weft_value_release(y);
  weft_session_destroy(session);

  g = begin();
  graph_node(&g, node("f:Word", "x", "w"));
  bytes concat = node("Concat", "w w", "y");
  with_int(&concat, "axis", 0);
  graph_node(&g, concat);
  session = load(&g, &(weft_custom_op){"f", "Word", word, NULL, NULL}, &error);
  CHECK(run(session, &y, &error) == WEFT_OK);
  weft_session_destroy(session);
  const weft_string *words = weft_value_data(y);
  CHECK(weft_value_count(y) == 2 && words[1].size == 5 && memcmp(words[1].data, "hello", 5) == 0);
  weft_value_release(y);
}

/* f:Same, which tells type and shape ahead, between two others; what its function returns must be that. */
static void test_telling(void) {
  static const struct {
    int64_t told[3];
    const char *sentence;
  } cases[] = {
      {{WEFT_FLOAT, 1, 2}, NULL},
      {{WEFT_UNDEFINED, -1, 0}, NULL},
      {{WEFT_FLOAT, 1, 3}, "told float32 [3] ahead and made float32 [2]"},
      {{WEFT_DOUBLE, 1, 2}, "told float64 [2] ahead and made float32 [2]"},
      {{WEFT_FLOAT, 1, -2}, "negative"},
      {{WEFT_FLOAT, 99, 2}, "told 99 dimensions"},
      {{77, 1, 2}, "77 is not an element type"},
      {{99, 1, 2}, "no way to tell"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t told[3];
    weft_error error = {0};
    weft_value *y = NULL;
    weft_loader *loader;
    weft_session *session = NULL;
    memcpy(told, cases[i].told, sizeof told);
    bytes g = begin();
    graph_node(&g, node("Neg", "x", "n"));
    graph_node(&g, node("f:Same", "n", "s"));
    graph_node(&g, node("Identity", "s", "y"));
    bytes m = model(18, &g);
    const weft_custom_op op = {"f", "Same", same, told, tell};
    CHECK(weft_loader_create(NULL, &loader, &error) == WEFT_OK);
    CHECK(weft_loader_add_operator(loader, &op, &error) == WEFT_OK);
    CHECK(weft_loader_push(loader, m.data, m.size, &error) == WEFT_OK && weft_loader_finish(loader, &error) == WEFT_OK);
    weft_status status = weft_session_create(loader, &session, &error);
    for (int round = 0; round < 2 && status == WEFT_OK; round++) {
      status = run(session, &y, &error);
      CHECK(status != WEFT_OK || ((const float *)weft_value_data(y))[1] == 2);
      weft_value_release(y);
    }
    CHECK((status == WEFT_OK) == (cases[i].sentence == NULL));
    CHECK(status == WEFT_OK || (strstr(error.message, cases[i].sentence) != NULL && strcmp(error.op, "Same") == 0));
    weft_session_destroy(session);
    clear(&m);
  }
}

static void test_registration(void) {
  weft_error error = {0};
  weft_loader *loader;
  CHECK(weft_loader_create(NULL, &loader, &error) == WEFT_OK);
  CHECK(weft_loader_add_operator(loader, &(weft_custom_op){"ai.onnx", "Add", same, NULL, NULL}, &error) ==
        WEFT_INVALID_ARGUMENT);
  CHECK(weft_loader_add_operator(loader, &(weft_custom_op){"f", "", same, NULL, NULL}, &error) ==
        WEFT_INVALID_ARGUMENT);
  CHECK(weft_loader_add_operator(loader, &(weft_custom_op){"f", "Same", NULL, NULL, NULL}, &error) ==
        WEFT_INVALID_ARGUMENT);
  CHECK(weft_loader_add_operator(loader, &(weft_custom_op){NULL, "Unheard", same, NULL, NULL}, &error) == WEFT_OK);
  weft_loader_destroy(loader);
}

int main(void) {
  test_function();
  expect_failure((weft_custom_op){"f", "Odd", refuse, NULL, NULL}, "the moon is full");
  expect_failure((weft_custom_op){"f", "Odd", nothing, NULL, NULL}, "made no output 0");
  test_run_in_run();
  test_results();
  test_telling();
  test_registration();
  return 0;
}
