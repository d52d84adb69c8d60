/* Weft: runs any ONNX model. The one public header.
 *
 * Handles are opaque, there are no globals and nothing aborts: every call that can fail returns a weft_status and, when
 * `error` is not NULL, fills it with one sentence that names the node, operator and tensor, what was expected and what
 * was found. A session stays usable after any error. Sizes are in bytes unless a name says otherwise; shapes are arrays
 * of int64_t, outermost dimension first; tensors are dense, row-major, little-endian.
 *
 * What is passed in stays the caller's and is read during the call only, unless it says otherwise. `options` may be
 * NULL, and so may what is destroyed or released. Values do not need the session that made them: they may outlive it,
 * and be fed to another. Threads may use sessions of their own at once; a session, its loader and the values it made or
 * is fed are not locked, and belong to one thread at a time. */
#ifndef WEFT_H
#define WEFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_VERSION "0.1.0"
#define WEFT_MAX_RANK 16

typedef enum weft_status {
  WEFT_OK = 0,
  WEFT_INVALID_ARGUMENT, /* a call, feed or option is wrong */
  WEFT_INVALID_MODEL,    /* the bytes or the graph break the format or an operator's specification */
  WEFT_UNSUPPORTED,      /* valid, but this build cannot run it */
  WEFT_OUT_OF_MEMORY,    /* the host or the session's budget has no room */
  WEFT_LIMIT_EXCEEDED,   /* beyond one of weft_options' limits */
  WEFT_IO,               /* a file could not be read */
  WEFT_CANCELLED,        /* weft_session_cancel was called */
  WEFT_RUN_FAILED,       /* a value met while running is out of its operator's range (an index, a division) */
  WEFT_INTERNAL,         /* a defect in Weft: please report it */
  WEFT_DEFERRED          /* inside Weft only: a shape that depends on values not yet known */
} weft_status;

/* What went wrong. `node`, `op` are empty when the failure belongs to no node. All strings are zero-terminated UTF-8. */
typedef struct weft_error {
  weft_status code;
  char message[1024];
  char node[256];
  char op[128];
} weft_error;

/* Element types, numbered as TensorProto.DataType. Types below 8 bits are stored one element to a byte. */
typedef enum weft_type {
  WEFT_UNDEFINED = 0,
  WEFT_FLOAT = 1,
  WEFT_UINT8 = 2,
  WEFT_INT8 = 3,
  WEFT_UINT16 = 4,
  WEFT_INT16 = 5,
  WEFT_INT32 = 6,
  WEFT_INT64 = 7,
  WEFT_STRING = 8, /* elements are weft_string */
  WEFT_BOOL = 9,   /* one byte, 0 or 1 */
  WEFT_FLOAT16 = 10,
  WEFT_DOUBLE = 11,
  WEFT_UINT32 = 12,
  WEFT_UINT64 = 13,
  WEFT_COMPLEX64 = 14, /* real, imaginary */
  WEFT_COMPLEX128 = 15,
  WEFT_BFLOAT16 = 16,
  WEFT_FLOAT8E4M3FN = 17,
  WEFT_FLOAT8E4M3FNUZ = 18,
  WEFT_FLOAT8E5M2 = 19,
  WEFT_FLOAT8E5M2FNUZ = 20,
  WEFT_UINT4 = 21,
  WEFT_INT4 = 22,
  WEFT_FLOAT4E2M1 = 23,
  WEFT_FLOAT8E8M0 = 24,
  WEFT_UINT2 = 25,
  WEFT_INT2 = 26,
  WEFT_FLOAT6E2M3 = 27,
  WEFT_FLOAT6E3M2 = 28,
  WEFT_TYPE_COUNT
} weft_type;

/* An element of a string tensor: `size` bytes at `data`, not zero-terminated, owned by the tensor's value. */
typedef struct weft_string {
  const char *data;
  size_t size;
} weft_string;

typedef enum weft_kind {
  WEFT_KIND_NONE = 0, /* an absent optional */
  WEFT_KIND_TENSOR,
  WEFT_KIND_SEQUENCE,
  WEFT_KIND_MAP
} weft_kind;

typedef enum weft_optimize { WEFT_OPTIMIZE_ALL = 0, WEFT_OPTIMIZE_NONE = 1 } weft_optimize;

/* Zero-initialise for the defaults: a zero limit means the generous default named beside it. */
typedef struct weft_options {
  size_t max_memory;     /* bytes the session may hold at once; default: as much as the host gives */
  uint64_t max_elements; /* of one tensor; default 2^40 */
  uint32_t max_nodes;    /* after inlining; default 1,000,000 */
  uint32_t max_depth;    /* nesting of subgraphs and functions; default 32 */
  uint32_t threads;      /* default 1; ignored by builds without threads */
  weft_optimize optimize;
  bool deterministic; /* no relaxed instructions: the same bits on every host, with and without SIMD */
  uint64_t seed; /* of random operators that have none of their own; 0: another one for each session, from the host, or
                  * with `deterministic` always the same */
} weft_options;

typedef struct weft_loader weft_loader;   /* takes a model's bytes, in pieces */
typedef struct weft_session weft_session; /* a model ready to run */
typedef struct weft_value weft_value;     /* a tensor, sequence, map or absent optional, reference-counted */

/* A piece of an initializer that lies in another file: read `size` bytes from `offset` of `path` (relative to the model,
 * already checked to stay below its folder) into `data`. A size of UINT64_MAX is never returned: the tensor's is known.
 * */
typedef struct weft_external {
  const char *path;
  uint64_t offset;
  uint64_t size;
  void *data;
} weft_external;

const char *weft_version(void);

/* A dimension of -1 is unknown until a run; its symbol, if it has one, is in `symbols` (NULL entries otherwise). For a
 * sequence, map or optional `type` is that of the innermost tensor; `key_type` is a map's. Strings live as long as the
 * session. A graph input that has an initializer is `optional`: a run may leave it out. An input is `unread` when
 * nothing that runs takes it: its feed has to have its type and shape, but its elements need not be written. */
typedef struct weft_info {
  const char *name;
  weft_kind kind;
  weft_type type;
  weft_type key_type;
  bool optional;
  bool unread;
  int rank; /* -1: unknown */
  int64_t dims[WEFT_MAX_RANK];
  const char *symbols[WEFT_MAX_RANK];
} weft_info;

/* ---- loading ----------------------------------------------------------------------------------------------------- */
/* A loader takes the file in pieces of any size, in order; weights go straight into their final place. After finish, the
 * external pieces must be filled; then a session is made of it. The loader stays the caller's until weft_session_create,
 * which consumes it (also when it fails). */
weft_status weft_loader_create(const weft_options *options, weft_loader **out, weft_error *error);
/* A hint, before the first push: the bytes the file has. With it a large tensor gets its memory at once; without, its
 * memory grows as its bytes arrive, so that a lie about a length costs nothing. */
void weft_loader_expect(weft_loader *loader, uint64_t total);
weft_status weft_loader_push(weft_loader *loader, const void *bytes, size_t size, weft_error *error);
weft_status weft_loader_finish(weft_loader *loader, weft_error *error);
size_t weft_loader_external_count(const weft_loader *loader);
weft_status weft_loader_external(weft_loader *loader, size_t index, weft_external *out, weft_error *error);
void weft_loader_destroy(weft_loader *loader);

/* ---- operators of your own --------------------------------------------------------------------------------------- */
/* `run` is called for every node of the operator, on the thread that runs the session. Inputs are borrowed, NULL where
 * absent; `outputs` begins as NULLs and takes new references of weft_value_create_*, also when run fails; what the node
 * does not use may be left NULL. A status other than WEFT_OK ends the run; weft_custom_fail gives it a sentence. */
typedef struct weft_custom_call weft_custom_call; /* one call of run or infer: not valid after it */
typedef struct weft_custom_op {
  const char *domain, *name;
  weft_status (*run)(void *user, size_t input_count, const weft_value *const *inputs, size_t output_count,
                     weft_value **outputs, weft_custom_call *call);
  void *user;
  /* NULL, or tells the outputs' types and shapes from the inputs', whose data may be NULL: not known yet. Called while
   * runs are planned, and so not for every run. `outputs` begins with ranks of -1, which stand for not known; type,
   * rank and dims are read. What it tells lets memory be planned ahead, and run must then make exactly that. */
  weft_status (*infer)(void *user, size_t input_count, const weft_value *const *inputs, size_t output_count,
                       weft_info *outputs, weft_custom_call *call);
} weft_custom_op;

/* Before finish. The operator is taken instead of what Weft has under that name, except in ONNX's default domain, whose
 * operators stay what they are; of two registrations the later one is taken. `op` is copied, `user` must outlive the
 * session. */
weft_status weft_loader_add_operator(weft_loader *loader, const weft_custom_op *op, weft_error *error);

/* An attribute of the node as the model has it, or `fallback` (NULL with count 0) where there is none of that kind. */
int64_t weft_custom_int(const weft_custom_call *call, const char *name, int64_t fallback);
float weft_custom_float(const weft_custom_call *call, const char *name, float fallback);
const char *weft_custom_string(const weft_custom_call *call, const char *name, const char *fallback);
const int64_t *weft_custom_ints(const weft_custom_call *call, const char *name, size_t *count);
const float *weft_custom_floats(const weft_custom_call *call, const char *name, size_t *count);
const weft_value *weft_custom_tensor(const weft_custom_call *call, const char *name);

/* `data` is an array of int64_t (WEFT_INT64), float (WEFT_FLOAT), weft_string (WEFT_STRING) or const weft_value *
 * (WEFT_UNDEFINED: tensors), with one entry unless `list`. */
typedef struct weft_custom_attribute {
  const char *name;
  weft_type type;
  bool list;
  size_t count;
  const void *data;
} weft_custom_attribute;

size_t weft_custom_attribute_count(const weft_custom_call *call);
/* False for graphs and types, which are not shown. */
bool weft_custom_attribute_at(const weft_custom_call *call, size_t index, weft_custom_attribute *out);
/* Keeps the sentence for the error, and returns WEFT_RUN_FAILED for run to return. */
weft_status weft_custom_fail(weft_custom_call *call, const char *sentence);

weft_status weft_session_create(weft_loader *loader, weft_session **out, weft_error *error);
/* The whole way for a model in memory (external data is refused: use a loader) or in a file (external data is read
 * beside it; "-" is standard input, in the current folder). */
weft_status weft_session_create_from_bytes(const void *bytes, size_t size, const weft_options *options,
                                           weft_session **out, weft_error *error);
weft_status weft_session_create_from_file(const char *path, const weft_options *options, weft_session **out,
                                          weft_error *error);
void weft_session_destroy(weft_session *session);

/* ---- what a session takes and gives ------------------------------------------------------------------------------ */
size_t weft_session_input_count(const weft_session *session);
size_t weft_session_output_count(const weft_session *session);
weft_status weft_session_input_info(const weft_session *session, size_t index, weft_info *out, weft_error *error);
weft_status weft_session_output_info(const weft_session *session, size_t index, weft_info *out, weft_error *error);

/* What the caller should hear about a model that runs all the same, each one sentence: nodes in training mode, operators
 * that are none of ONNX. NULL beyond the last; the text lives as long as the session. */
size_t weft_session_warning_count(const weft_session *session);
const char *weft_session_warning(const weft_session *session, size_t index);

/* ---- running ----------------------------------------------------------------------------------------------------- */
/* Feeds are borrowed for the call. `outputs` receives one new reference per requested name; on failure all are NULL. A
 * session runs once at a time: a call from another thread, or from an operator of the caller's, is refused meanwhile. */
weft_status weft_session_run(weft_session *session, size_t feed_count, const char *const *feed_names,
                             weft_value *const *feeds, size_t output_count, const char *const *output_names,
                             weft_value **outputs, weft_error *error);
/* May be called from another thread: the run in progress ends soon with WEFT_CANCELLED. */
void weft_session_cancel(weft_session *session);
/* The same for a thread that shares the memory but cannot call: it writes 1 here. */
volatile int32_t *weft_session_cancel_flag(weft_session *session);
/* Bytes held now and at most since the session was begun. */
void weft_session_memory(const weft_session *session, size_t *used, size_t *peak);

/* ---- where the time goes ----------------------------------------------------------------------------------------- */
/* The host's clock: milliseconds since any moment, never backwards. */
typedef struct weft_clock {
  double (*now)(void *user);
  void *user;
} weft_clock;

#define WEFT_PROFILE_ROOT UINT32_MAX

/* One interval: a whole run (`node` and the others are ""), or one call of a node's operator inside it. Strings live as
 * long as the session. `operations` are additions and multiplications as the operator's definition has them, whatever the
 * kernel does instead; 0 where they are not counted. `bytes` are those of the inputs that are read and of the outputs. */
typedef struct weft_profile_entry {
  const char *node, *domain, *op;
  uint32_t parent;   /* the entry inside which it lies: a run or a node with subgraphs; WEFT_PROFILE_ROOT for a run */
  weft_type type;    /* of the first output; WEFT_UNDEFINED where that is no tensor */
  double begin, end; /* milliseconds */
  double operations, bytes;
  int rank;
  int64_t dims[WEFT_MAX_RANK];
} weft_profile_entry;

/* From now on every run is recorded; what was recorded before is dropped. NULL ends recording and keeps the entries.
 * Without memory for an entry, or beyond a quarter of a million, entries are counted and otherwise left out. */
void weft_session_profile(weft_session *session, const weft_clock *clock);
size_t weft_session_profile_count(const weft_session *session);
size_t weft_session_profile_dropped(const weft_session *session);
/* False beyond the last. Entries come in the order of their beginnings. */
bool weft_session_profile_at(const weft_session *session, size_t index, weft_profile_entry *out);

/* What this machine, module and number of threads can do at best, per millisecond: floating-point additions and
 * multiplications in pairs that no memory holds up, and bytes read from memory that no cache holds. */
typedef struct weft_limits {
  double operations, bytes;
} weft_limits;

/* Takes about a quarter of a second and, while it lasts, 32 MB of the session's memory. */
weft_status weft_session_measure(weft_session *session, const weft_clock *clock, weft_limits *out, weft_error *error);

/* ---- values ------------------------------------------------------------------------------------------------------ */
/* A tensor with zeroed (strings: empty) elements. weft_value_data of it may be written before it is fed. */
weft_status weft_value_create_tensor(weft_type type, int rank, const int64_t *dims, weft_value **out,
                                     weft_error *error);
/* Takes its own reference to every item, which must be of `type`, unless that is WEFT_UNDEFINED; a NULL list with count
 * 0 is an empty sequence of `type` tensors. */
weft_status weft_value_create_sequence(weft_type type, size_t count, weft_value *const *items, weft_value **out,
                                       weft_error *error);
/* `keys` is a rank-1 int64 or string tensor, `values` a tensor of as many elements or a sequence. */
weft_status weft_value_create_map(weft_value *keys, weft_value *values, weft_value **out, weft_error *error);
weft_status weft_value_create_none(weft_value **out, weft_error *error);
/* Copies the bytes. */
weft_status weft_value_set_string(weft_value *value, size_t index, const char *data, size_t size, weft_error *error);

weft_kind weft_value_kind(const weft_value *value);
weft_type weft_value_type(const weft_value *value);
int weft_value_rank(const weft_value *value);
const int64_t *weft_value_dims(const weft_value *value);
size_t weft_value_count(const weft_value *value); /* elements of a tensor, items of a sequence, entries of a map */
size_t weft_value_bytes(const weft_value *value);
/* A cache that grew where it lies is made dense by the first call; NULL: there is no memory for that. */
void *weft_value_data(const weft_value *value);
weft_value *weft_value_item(const weft_value *value, size_t index); /* of a sequence; map: 0 keys, 1 values; borrowed */
void weft_value_retain(weft_value *value);
void weft_value_release(weft_value *value);

const char *weft_type_name(weft_type type);
const char *weft_status_name(weft_status status);

#ifdef __cplusplus
}
#endif
#endif
