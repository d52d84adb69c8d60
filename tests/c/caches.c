/* Caches that grow where they lie: what a step gives is what it gives for a copy of its cache, whoever else still has the
 * cache, and however it is read and fed. */
#include "base/value.h"
#include "model_bytes.h"
#include "weft.h"

enum { BATCH = 2, HEADS = 3, SIZE = 4, MOST = 3 };

/* Who adds the rows: a Concat, or an attention of which each has its own way. FED: it learns the number of rows from an
 * input's elements, so that shapes are known only while it runs. */
typedef enum form { CONCAT, OWN, MULTI, GROUP, GROUP_FED, FORMS } form;
static form now_form;
static bool in_branch; /* of an If, as in decoders of which one file is for the first step and for those after it */
static bool keeps; /* GROUP, MULTI: the cache stays as long as it is, with the last rows, or new ones in its midst */

static const int64_t past_dims[] = {BATCH, HEADS, 0, SIZE}, new_dims[] = {BATCH, HEADS, -1, SIZE};

static weft_session *load(bytes m, const weft_options *options) {
  weft_error error = {0};
  weft_session *session;
  if (weft_session_create_from_bytes(m.data, m.size, options, &session, &error) != WEFT_OK) {
    fprintf(stderr, "%s\n", error.message);
    exit(1);
  }
  clear(&m);
  return session;
}

static void join(bytes *g, const char *inputs, const char *output, int64_t axis) {
  bytes concat = node("Concat", inputs, output);
  with_int(&concat, "axis", axis);
  graph_node(g, concat);
}

static void shape_of(bytes *g, const char *input, const char *output) {
  bytes shape = node("Shape", input, output);
  with_int(&shape, "start", 2);
  with_int(&shape, "end", 3);
  graph_node(g, shape);
}

static void turn(bytes *g, const char *input, const char *output, const int64_t *order) {
  bytes transpose = node("Transpose", input, output), perm = attribute("perm", ATTRIBUTE_INTS);
  for (int i = 0; i < 4; i++) {
    add_int(&perm, 8, (uint64_t)order[i]);
  }
  add_message(&transpose, NODE_ATTRIBUTE, &perm);
  graph_node(g, transpose);
}

static void concat_attention(bytes *g, int64_t axis) {
  bytes softmax = node("Softmax", "scores", "weights");
  join(g, "past_key x", "key", axis);
  join(g, "past_value x", "value", axis);
  turn(g, "key", "turned", (int64_t[]){0, 1, 3, 2});
  graph_node(g, node("MatMul", "x turned", "scores"));
  with_int(&softmax, "axis", -1);
  graph_node(g, softmax);
  graph_node(g, node("MatMul", "weights value", "y"));
}

/* All heads of a row side by side are queries, keys and values. */
static void put_heads_last(bytes *g) {
  turn(g, "x", "by_row", (int64_t[]){0, 2, 1, 3});
  graph_tensor(g, "flat", WEFT_INT64, 8, 1, (int64_t[]){3}, (int64_t[]){0, 0, HEADS * SIZE});
  graph_node(g, node("Reshape", "by_row flat", "rows"));
}

static void own_attention(bytes *g) {
  bytes own = node("Attention", "rows rows rows _ past_key past_value", "y key value");
  put_heads_last(g);
  with_int(&own, "q_num_heads", HEADS);
  with_int(&own, "kv_num_heads", HEADS);
  graph_node(g, own);
}

static void multi_attention(bytes *g) {
  enum { ROOM = 16 };
  int32_t beams[BATCH * ROOM];
  for (int i = 0; i < BATCH * ROOM; i++) {
    beams[i] = i / 3 % BATCH;
  }
  graph_tensor(g, "before", WEFT_INT32, 4, 1, (int64_t[]){1}, (int32_t[]){5});
  graph_tensor(g, "beams", WEFT_INT32, 4, 3, (int64_t[]){1, BATCH, ROOM}, beams);
  bytes multi =
      node("com.microsoft:MultiHeadAttention",
           keeps ? "rows rows rows _ _ _ past_key past_value before beams" : "rows rows rows _ _ _ past_key past_value",
           "y key value");
  put_heads_last(g);
  with_int(&multi, "num_heads", HEADS);
  graph_node(g, multi);
}

/* Two query heads for a key head, turned by their positions. `less` rows of each sequence do not count, and in all
 * there are `more`. */
static void group_attention(bytes *g, int type) {
  enum { PLACES = 4100 };
  static float angles[PLACES * SIZE / 2];
  static uint16_t halves[PLACES * SIZE / 2];
  bytes sum = node("Cast", "sum", "total"), group;
  put_heads_last(g);
  join(g, "rows rows", "queries", 2);
  shape_of(g, "past_key", "before");
  shape_of(g, "x", "fresh");
  graph_tensor(g, "one", WEFT_INT32, 4, 1, (int64_t[]){1}, (int32_t[]){1});
  graph_node(g, node("Add", "before fresh", now_form == GROUP ? "sum" : "known"));
  if (now_form == GROUP_FED) {
    graph_node(g, node("Add", "known more", "sum"));
  }
  with_int(&sum, "to", WEFT_INT32);
  graph_node(g, sum);
  graph_node(g, node("Sub", "total one", "last"));
  graph_node(g, node("Sub", "last less", "lengths"));
  for (int i = 0; i < PLACES * SIZE / 2; i++) {
    angles[i] = (float)(i % 17) / 17;
    halves[i] = weft_float_to_float16(angles[i]);
  }
  graph_tensor(g, "angles", type, type == WEFT_FLOAT ? 4 : 2, 2, (int64_t[]){PLACES, SIZE / 2},
               type == WEFT_FLOAT ? (void *)angles : halves);
  group = node("com.microsoft:GroupQueryAttention", "queries rows rows past_key past_value lengths total angles angles",
               "y key value");
  with_int(&group, "num_heads", 2 * HEADS);
  with_int(&group, "kv_num_heads", HEADS);
  with_int(&group, "do_rotary", 1);
  if (keeps) {
    with_int(&group, "sliding_window_cache", 1);
    with_int(&group, "local_window_size", 3);
  }
  graph_node(g, group);
}

static void attention(bytes *g, int type, int64_t axis) {
  if (now_form == CONCAT) {
    concat_attention(g, axis);
  } else if (now_form == OWN) {
    own_attention(g);
  } else if (now_form == MULTI) {
    multi_attention(g);
  } else {
    group_attention(g, type);
  }
}

static void with_branch(bytes *choice, const char *name, bytes *branch) {
  static const char *const outputs[] = {"y", "key", "value"};
  add_text(branch, GRAPH_NAME, name);
  for (int i = 0; i < MOST; i++) {
    graph_output(branch, outputs[i]);
  }
  with_graph(choice, name, branch);
}

/* The same in an If: where there is no past, what is new is all. */
static void branches(bytes *g, int type, int64_t axis) {
  bytes choice = node("If", "use_past", "y key value"), with = {0}, without = {0};
  graph_typed_value(g, GRAPH_INPUT, "use_past", WEFT_BOOL, 0, NULL);
  graph_tensor(g, "use_past", WEFT_BOOL, 1, 0, NULL, (uint8_t[]){1});
  attention(&with, type, axis);
  graph_node(&without, node("Identity", "x", "y"));
  graph_node(&without, node("Identity", "x", "key"));
  graph_node(&without, node("Identity", "x", "value"));
  with_branch(&choice, "then_branch", &with);
  with_branch(&choice, "else_branch", &without);
  graph_node(g, choice);
}

/* Attention over two caches, of which `reader` reads the keys as well. */
static weft_session *decoder(const weft_options *options, int type, int64_t axis, const char *reader) {
  bytes g = {0}, domain = opset("com.microsoft", 1);
  add_text(&g, GRAPH_NAME, "main");
  graph_typed_value(&g, GRAPH_INPUT, "past_key", type, 4, past_dims);
  graph_typed_value(&g, GRAPH_INPUT, "past_value", type, 4, past_dims);
  graph_typed_value(&g, GRAPH_INPUT, "x", type, 4, new_dims);
  graph_typed_value(&g, GRAPH_INPUT, "less", WEFT_INT32, 1, (int64_t[]){BATCH});
  graph_tensor(&g, "less", WEFT_INT32, 4, 1, (int64_t[]){BATCH}, (int32_t[BATCH]){0});
  graph_typed_value(&g, GRAPH_INPUT, "more", WEFT_INT64, 1, (int64_t[]){1});
  graph_tensor(&g, "more", WEFT_INT64, 8, 1, (int64_t[]){1}, (int64_t[]){0});
  if (in_branch) {
    branches(&g, type, axis);
  } else {
    attention(&g, type, axis);
  }
  if (reader != NULL) {
    graph_node(&g, node(reader, "key", "read"));
    graph_output(&g, "read");
  }
  graph_output(&g, "y");
  graph_output(&g, "key");
  graph_output(&g, "value");
  bytes m = model(23, &g);
  add_message(&m, 8, &domain);
  return load(m, options);
}

static weft_value *make(int type, int64_t rows, float first) {
  const int64_t dims[] = {BATCH, HEADS, rows, SIZE};
  weft_value *value;
  CHECK(weft_value_create_tensor((weft_type)type, 4, dims, &value, NULL) == WEFT_OK);
  for (size_t i = 0; i < weft_value_count(value); i++) {
    const float item = first + (float)((i * 7) % 11) / 8;
    if (type == WEFT_FLOAT) {
      ((float *)weft_value_data(value))[i] = item;
    } else {
      ((uint16_t *)weft_value_data(value))[i] = weft_float_to_float16(item);
    }
  }
  return value;
}

/* Elements one after another, in a value of their own; the value itself stays as it is. */
static weft_value *copy_of(const weft_value *value) {
  weft_value *copy;
  CHECK(weft_value_create_tensor(weft_value_type(value), weft_value_rank(value), weft_value_dims(value), &copy, NULL) ==
        WEFT_OK);
  const size_t pieces = weft_value_pieces(value), size = weft_value_bytes(value) / pieces;
  for (size_t i = 0; i < pieces; i++) {
    memcpy((char *)weft_value_data(copy) + i * size,
           (const char *)value->tensor.data + i * value->apart * weft_type_size(weft_value_type(value)), size);
  }
  return copy;
}

static void expect_same(const weft_value *a, const weft_value *b) {
  weft_value *x = copy_of(a), *y = copy_of(b);
  CHECK(weft_value_bytes(x) == weft_value_bytes(y));
  CHECK(memcmp(weft_value_data(x), weft_value_data(y), weft_value_bytes(x)) == 0);
  weft_value_release(x);
  weft_value_release(y);
}

static void release(weft_value **values) {
  for (int i = 0; i < MOST; i++) {
    weft_value_release(values[i]);
    values[i] = NULL;
  }
}

/* Fed after the others where it is not NULL: as group_attention says. */
static weft_value *less, *more;

/* y, key, value of a step. */
static void run(weft_session *session, weft_value *key, weft_value *value, weft_value *x, weft_value **out) {
  weft_error error = {0};
  weft_value *feeds[] = {key, value, x, less, more};
  const size_t count = less == NULL ? 3 : more == NULL ? 4 : 5;
  if (weft_session_run(session, count, (const char *[]){"past_key", "past_value", "x", "less", "more"}, feeds, MOST,
                       (const char *[]){"y", "key", "value"}, out, &error) != WEFT_OK) {
    fprintf(stderr, "%s\n", error.message);
    exit(1);
  }
}

/* The same, and the same again with copies of the caches, from which nothing can grow. */
static void step(weft_session *session, weft_value *key, weft_value *value, int64_t rows, float first,
                 weft_value **out) {
  weft_value *expected[MOST], *x = make((int)weft_value_type(key), rows, first);
  weft_value *copies[] = {copy_of(key), copy_of(value)};
  run(session, key, value, x, out);
  run(session, copies[0], copies[1], x, expected);
  for (int i = 0; i < MOST; i++) {
    expect_same(out[i], expected[i]);
  }
  release(expected);
  weft_value_release(copies[0]);
  weft_value_release(copies[1]);
  weft_value_release(x);
}

static bool shares(const weft_value *a, const weft_value *b) {
  return a->tensor.data == b->tensor.data;
}

static void test_grows(int type) {
  for (int64_t axis = -2; axis <= 2; axis += 4) {
    weft_session *session = decoder(NULL, type, axis, NULL);
    weft_value *past[MOST] = {NULL, make(type, 3, 1), make(type, 3, 2)}, *now[MOST];
    int shared = 0;
    for (int i = 0; i < 60; i++) {
      step(session, past[1], past[2], i % 7 == 3 ? 5 : 1, (float)i, now);
      shared += shares(past[1], now[1]) && shares(past[2], now[2]);
      release(past);
      memcpy(past, now, sizeof past);
    }
    /* A graph as small as Concat's stays in 16 bits, and its products read what is dense. */
    CHECK((type != WEFT_FLOAT && now_form == CONCAT) || (shared > 45 && shared < 59));
    release(past);
    weft_session_destroy(session);
  }
}

/* What it was stays as it was, and may itself be continued, in memory of its own. */
static void test_branches(void) {
  weft_session *session = decoder(NULL, WEFT_FLOAT, 2, NULL);
  weft_value *first[MOST] = {NULL, make(WEFT_FLOAT, 3, 1), make(WEFT_FLOAT, 3, 2)}, *kept[4][MOST], *other[MOST];
  step(session, first[1], first[2], 1, 0, kept[0]);
  for (int i = 1; i < 4; i++) {
    step(session, kept[i - 1][1], kept[i - 1][2], 1, (float)i, kept[i]);
  }
  CHECK(!shares(kept[0][1], kept[1][1]) && shares(kept[1][1], kept[2][1]) && shares(kept[1][1], kept[3][1]));
  weft_value *before = copy_of(kept[3][1]), *shorter = copy_of(kept[1][1]);
  step(session, kept[1][1], kept[1][2], 2, 9, other);
  CHECK(!shares(kept[1][1], other[1]));
  expect_same(kept[3][1], before);
  expect_same(kept[1][1], shorter);
  release(kept[3]);
  release(other);
  for (int i = 0; i < 3; i++) {
    release(kept[i]);
  }
  weft_value_release(before);
  weft_value_release(shorter);
  release(first);
  weft_session_destroy(session);
}

/* weft_value_data gives them as they are declared, and what is written there is nobody else's. */
static void test_is_read_whole(void) {
  weft_session *session = decoder(NULL, WEFT_FLOAT, 2, NULL);
  weft_value *a[MOST], *b[MOST], *c[MOST], *first[MOST] = {NULL, make(WEFT_FLOAT, 3, 1), make(WEFT_FLOAT, 3, 2)};
  step(session, first[1], first[2], 1, 0, a);
  step(session, a[1], a[2], 1, 1, b);
  step(session, b[1], b[2], 1, 2, c);
  CHECK(shares(b[1], c[1]) && weft_value_pieces(b[1]) == BATCH * HEADS);
  weft_value *list, *expected = copy_of(b[1]), *next = copy_of(c[1]);
  CHECK(weft_value_create_sequence(WEFT_FLOAT, 1, &b[1], &list, NULL) == WEFT_OK);
  CHECK(weft_value_pieces(weft_value_item(list, 0)) == 1);
  CHECK(memcmp(weft_value_data(b[1]), weft_value_data(expected), weft_value_bytes(expected)) == 0);
  CHECK(weft_value_pieces(b[1]) == 1);
  memset(weft_value_data(b[1]), 0, weft_value_bytes(b[1]));
  expect_same(c[1], next);
  expect_same(weft_value_item(list, 0), expected);
  release(b);
  weft_session_destroy(session);
  expect_same(c[1], next); /* also when its session is gone */
  weft_value_release(list);
  weft_value_release(expected);
  weft_value_release(next);
  release(a);
  release(c);
  release(first);
}

/* Other sessions, and inputs that other nodes read, get copies. */
static void test_is_fed_elsewhere(void) {
  weft_session *session = decoder(NULL, WEFT_FLOAT, 2, NULL), *other = decoder(NULL, WEFT_FLOAT, 2, NULL);
  weft_session *reading = decoder(NULL, WEFT_FLOAT, 2, "Neg"), *asking = decoder(NULL, WEFT_FLOAT, 2, "Shape");
  weft_value *a[MOST], *b[MOST], *c[MOST], *first[MOST] = {NULL, make(WEFT_FLOAT, 3, 1), make(WEFT_FLOAT, 3, 2)};
  step(session, first[1], first[2], 1, 0, a);
  step(session, a[1], a[2], 1, 1, b);
  CHECK(b[1]->apart != 0);
  weft_session *const sessions[] = {other, reading, asking, session};
  for (int i = 0; i < 4; i++) {
    step(sessions[i], b[1], b[2], 1, 2, c);
    CHECK(shares(b[1], c[1]) == (i == 3));
    weft_value *again[MOST];
    step(sessions[i], c[1], c[2], 1, 3, again);
    CHECK((again[1]->apart != 0) == (i != 1));
    release(again);
    release(c);
  }
  step(session, b[1], b[1], 1, 2, c); /* one for both */
  CHECK(!shares(c[1], c[2]));
  release(a);
  release(b);
  release(c);
  release(first);
  weft_session_destroy(session);
  weft_session_destroy(other);
  weft_session_destroy(reading);
  weft_session_destroy(asking);
}

/* A step that fails leaves the cache that it was fed: the next grows from it, or copies it. */
static void test_outlives_failures(void) {
  weft_session *session = decoder(NULL, WEFT_FLOAT, 2, NULL);
  weft_value *a[MOST], *b[MOST], *c[MOST], *first[MOST] = {NULL, make(WEFT_FLOAT, 3, 1), make(WEFT_FLOAT, 3, 2)};
  step(session, first[1], first[2], 1, 0, a);
  step(session, a[1], a[2], 1, 1, b);
  weft_value *before = copy_of(b[1]), *x = make(WEFT_FLOAT, 1, 3);
  weft_value *const wrong[] = {a[2], first[2]}; /* values of other lengths than the keys: their product fails */
  for (int i = 0; i < 2; i++) {
    weft_value *feeds[] = {b[1], wrong[i], x}, *out[MOST] = {NULL};
    weft_error error = {0};
    CHECK(weft_session_run(session, 3, (const char *[]){"past_key", "past_value", "x"}, feeds, MOST,
                           (const char *[]){"y", "key", "value"}, out, &error) != WEFT_OK);
    expect_same(b[1], before);
    step(session, b[1], b[2], 1, 4, c);
    expect_same(b[1], before);
    release(c);
  }
  weft_value_release(before);
  weft_value_release(x);
  release(a);
  release(b);
  release(first);
  weft_session_destroy(session);
}

/* An output under two names: what is written to one is not in the other. */
static void test_two_names(void) {
  weft_session *session = decoder(NULL, WEFT_FLOAT, 2, "Identity");
  weft_value *past[MOST] = {NULL, make(WEFT_FLOAT, 3, 1), make(WEFT_FLOAT, 3, 2)}, *out[MOST];
  weft_value *x = make(WEFT_FLOAT, 1, 3);
  for (int i = 0; i < 3; i++) {
    weft_value *feeds[] = {past[1], past[2], x};
    CHECK(weft_session_run(session, 3, (const char *[]){"past_key", "past_value", "x"}, feeds, MOST,
                           (const char *[]){"read", "key", "value"}, out, NULL) == WEFT_OK);
    expect_same(out[0], out[1]);
    weft_value *expected = copy_of(out[0]);
    memset(weft_value_data(out[1]), 0, weft_value_bytes(out[1]));
    expect_same(out[0], expected);
    weft_value_release(out[1]);
    out[1] = expected;
    release(past);
    memcpy(past, (weft_value *[]){NULL, out[0], out[2]}, sizeof past);
    weft_value_release(out[1]);
  }
  release(past);
  weft_value_release(x);
  weft_session_destroy(session);
}

/* Many beams of one past, that go on in turns, some of them given up on the way. */
static void test_beams(void) {
  enum { BEAMS = 4, STEPS = 40 };
  weft_session *session = decoder(NULL, WEFT_FLOAT, 2, NULL);
  weft_value *first[MOST] = {NULL, make(WEFT_FLOAT, 3, 1), make(WEFT_FLOAT, 3, 2)}, *beams[BEAMS][MOST], *now[MOST];
  uint32_t random = 1;
  for (int i = 0; i < BEAMS; i++) {
    step(session, first[1], first[2], 1 + i, (float)i, beams[i]);
  }
  for (int i = 0; i < STEPS; i++) {
    random = random * 1664525u + 1013904223u;
    const int from = (int)(random >> 30), to = (int)(random >> 28 & 3);
    weft_value *others[BEAMS];
    for (int b = 0; b < BEAMS; b++) {
      others[b] = copy_of(beams[b][1]);
    }
    step(session, beams[from][1], beams[from][2], 1 + (int64_t)(random >> 20 & 1), (float)i, now);
    for (int b = 0; b < BEAMS; b++) {
      expect_same(beams[b][1], others[b]);
      weft_value_release(others[b]);
    }
    release(beams[to]);
    memcpy(beams[to], now, sizeof now);
  }
  for (int i = 0; i < BEAMS; i++) {
    release(beams[i]);
  }
  release(first);
  weft_session_destroy(session);
}

/* Sequences whose past is shorter than the cache has rows, steps taken back, and rows that are left for later: what
 * counts is what each sequence has, and what the caller still holds stays as it is. */
static void test_lengths(int type) {
  enum { POOL = 5, STEPS = 300, START = 6 };
  weft_session *session = decoder(NULL, type, 2, NULL);
  weft_value *pool[POOL][MOST] = {0}, *before[POOL][MOST], *now[MOST];
  int32_t *gone;
  int64_t *further = NULL;
  uint32_t random = 3;
  int shared = 0;
  CHECK(weft_value_create_tensor(WEFT_INT32, 1, (int64_t[]){BATCH}, &less, NULL) == WEFT_OK);
  gone = weft_value_data(less);
  if (now_form == GROUP_FED) {
    CHECK(weft_value_create_tensor(WEFT_INT64, 1, (int64_t[]){1}, &more, NULL) == WEFT_OK);
    further = weft_value_data(more);
  }
  for (int i = 0; i < POOL; i++) {
    pool[i][1] = make(type, START, (float)i);
    pool[i][2] = make(type, START, (float)-i);
  }
  for (int i = 0; i < STEPS; i++) {
    random = random * 1664525u + 1013904223u;
    const int from = (int)(random >> 28) % POOL, to = (int)(random >> 24 & 15) % POOL, what = (int)(random >> 20 & 7);
    const int32_t some = 1 + (int32_t)(random >> 16 & 3);
    gone[0] = what == 1 || what == 2 || what == 4 ? some : 0;
    gone[1] = what == 0 || what == 2 || what == 4 ? some : 0;
    if (further != NULL) {
      *further = what == 3 ? -some : what == 4 ? some : 0;
    }
    for (int b = 0; b < POOL; b++) {
      before[b][1] = copy_of(pool[b][1]);
      before[b][2] = copy_of(pool[b][2]);
    }
    step(session, pool[from][1], pool[from][2], 1 + (int64_t)(random >> 14 & 1), (float)i, now);
    shared += shares(pool[from][1], now[1]);
    CHECK(what > 2 || !shares(pool[from][1], now[1]));
    for (int b = 0; b < POOL; b++) {
      for (int k = 1; k < MOST; k++) {
        expect_same(pool[b][k], before[b][k]);
        weft_value_release(before[b][k]);
      }
    }
    release(pool[to]);
    memcpy(pool[to], now, sizeof now);
  }
  CHECK(shared > STEPS / 10);
  for (int i = 0; i < POOL; i++) {
    release(pool[i]);
  }
  weft_value_release(less);
  weft_value_release(more);
  less = more = NULL;
  weft_session_destroy(session);
}

/* A cache that keeps its length never grows, and may be fed what grew elsewhere. */
static void test_keeps(int type) {
  weft_session *growing = decoder(NULL, type, 2, NULL);
  keeps = true;
  weft_session *keeping = decoder(NULL, type, 2, NULL);
  keeps = false;
  weft_value *past[MOST] = {NULL, make(type, 5, 1), make(type, 5, 2)}, *now[MOST];
  for (int i = 0; i < 8; i++) {
    weft_value *before[] = {copy_of(past[1]), copy_of(past[2])};
    step(i < 3 ? growing : keeping, past[1], past[2], 1, (float)i, now);
    CHECK(weft_value_dims(now[1])[2] == (i < 3 ? 6 + i : 8) && (now[1]->apart != 0) == (i == 1 || i == 2));
    for (int k = 0; k < 2; k++) {
      expect_same(past[1 + k], before[k]);
      weft_value_release(before[k]);
    }
    release(past);
    memcpy(past, now, sizeof past);
  }
  release(past);
  weft_session_destroy(growing);
  weft_session_destroy(keeping);
}

/* Room for rows to come is no reason to fail. */
static void test_needs_no_spare(void) {
  enum { ROWS = 4000, CACHE = BATCH * HEADS * SIZE * (ROWS + 2) * 4 };
  weft_options options = {.max_memory =
                              4 * CACHE + CACHE / 3 + (now_form != CONCAT ? 65536 : 0) + (in_branch ? 49152 : 0)};
  weft_session *session = decoder(&options, WEFT_FLOAT, 2, NULL);
  weft_value *first[MOST] = {NULL, make(WEFT_FLOAT, ROWS, 1), make(WEFT_FLOAT, ROWS, 2)}, *a[MOST], *b[MOST];
  weft_value *x = make(WEFT_FLOAT, 1, 3);
  run(session, first[1], first[2], x, a);
  run(session, a[1], a[2], x, b);
  CHECK(weft_value_dims(b[1])[2] == ROWS + 2);
  weft_value_release(x);
  release(a);
  release(b);
  release(first);
  weft_session_destroy(session);
}

static void test_form(void) {
  test_grows(WEFT_FLOAT);
  test_grows(WEFT_FLOAT16);
  test_branches();
  test_is_read_whole();
  test_is_fed_elsewhere();
  test_outlives_failures();
  test_two_names();
  test_beams();
  test_needs_no_spare();
  if (now_form >= GROUP) {
    test_lengths(WEFT_FLOAT);
    test_lengths(WEFT_FLOAT16);
  }
  if (now_form >= MULTI) {
    test_keeps(WEFT_FLOAT);
    test_keeps(WEFT_FLOAT16);
  }
}

int main(void) {
  for (now_form = CONCAT; now_form < FORMS; now_form++) {
    for (int i = 0; i < 2; i++) {
      in_branch = i != 0;
      test_form();
    }
  }
  return 0;
}
