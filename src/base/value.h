/* Values: what flows along a graph's edges. A tensor is a type, a shape and a pointer; a value adds ownership and the
 * non-tensor kinds. While a graph is planned a tensor may have its type and shape but no data (data == NULL, and count
 * may be anything): "shape known, content not". This header must not know nodes or operators. */
#ifndef WEFT_BASE_VALUE_H
#define WEFT_BASE_VALUE_H

#include "memory.h"

typedef struct weft_shape {
  int rank;
  int64_t dims[WEFT_MAX_RANK];
} weft_shape;

typedef struct weft_tensor {
  weft_type type;
  weft_shape shape;
  size_t count; /* product of dims */
  void *data; /* NULL while only the shape is known; never NULL for a tensor that can be read (also when count is 0) */
} weft_tensor;

/* Bytes of strings, freed together when the last value that refers to them goes: elements can then be moved as plain
 * memory by every data-movement operator, like numbers. */
typedef struct weft_strings {
  uint32_t refs;
  weft_arena arena;
} weft_strings;

typedef enum weft_storage {
  WEFT_STORAGE_NONE = 0, /* no data, or the plan's arena: not freed by the value */
  WEFT_STORAGE_OWNED,    /* one weft_alloc block */
  WEFT_STORAGE_BEHIND,   /* little, in the value's own block */
  WEFT_STORAGE_SHARED    /* a part of `owner`'s data */
} weft_storage;

struct weft_value {
  uint32_t refs;
  weft_kind kind;
  weft_tensor tensor; /* kind TENSOR; for SEQUENCE only `type` (of its tensors) */
  weft_storage storage;
  weft_value *owner;     /* STORAGE_SHARED; or who has a constant's elements in another type (optimize/halves.c) */
  weft_strings *strings; /* keeps a string tensor's bytes alive; NULL: they live elsewhere, longer */
  weft_value **items;    /* SEQUENCE; MAP: keys, values */
  size_t item_count;
  size_t apart;  /* elements between heads, of rows that lie in a block with room for more (weft_value_grow); else 0 */
  size_t filled; /* of such a block, which is its rows' owner: elements of a head that are taken */
  const weft_context *result_of; /* whose run has given it to its caller */
  uint32_t owners;               /* of a constant: values of graphs that have it */
  uint32_t readers;              /* how many could read it in the form that was last offered */
  uint32_t dropped;              /* how many need it no more */
  uint32_t prepared;             /* the last node that makes something of it (session/prepare.c), or 0 */
  uint8_t offered;
  bool spent;   /* whoever has the one reference lets go of it when the graph it is fed to has run */
  uint8_t form; /* of a constant's elements: not 0 where its readers have replaced them (weft_op_agree) */
};

/* ---- element types ----------------------------------------------------------------------------------------------- */
/* Bytes of one element in memory (types below 8 bits: 1; string: sizeof(weft_string)); 0 for an invalid type. */
size_t weft_type_size(weft_type type);
/* Bits of one element in a file: 6 for float6, 4 for int4, uint4, float4e2m1, 2 for int2, uint2, else 8 x size; 0 for
 * strings. */
unsigned weft_type_bits(weft_type type);
bool weft_type_is_valid(int64_t type);
bool weft_type_is_float(weft_type type);   /* all floating types, 4 to 64 bits; not complex */
bool weft_type_is_half(weft_type type);    /* float16 or bfloat16, which products and caches take beside floats */
bool weft_type_is_integer(weft_type type); /* signed and unsigned, all widths; not bool */
bool weft_type_is_signed(weft_type type);

/* Sets of types as bit masks, for checks: WEFT_TYPES_FLOAT | WEFT_TYPE_BIT(WEFT_INT64). */
#define WEFT_TYPE_BIT(type) (1u << (unsigned)(type))
#define WEFT_TYPES_ANY 0x1ffffffeu
#define WEFT_TYPES_FLOAT                                                                                               \
  (WEFT_TYPE_BIT(WEFT_FLOAT) | WEFT_TYPE_BIT(WEFT_DOUBLE) | WEFT_TYPE_BIT(WEFT_FLOAT16) | WEFT_TYPE_BIT(WEFT_BFLOAT16))
#define WEFT_TYPES_INTEGER                                                                                             \
  (WEFT_TYPE_BIT(WEFT_INT8) | WEFT_TYPE_BIT(WEFT_UINT8) | WEFT_TYPE_BIT(WEFT_INT16) | WEFT_TYPE_BIT(WEFT_UINT16) |     \
   WEFT_TYPE_BIT(WEFT_INT32) | WEFT_TYPE_BIT(WEFT_UINT32) | WEFT_TYPE_BIT(WEFT_INT64) | WEFT_TYPE_BIT(WEFT_UINT64))
#define WEFT_TYPES_FLOAT8                                                                                              \
  (WEFT_TYPE_BIT(WEFT_FLOAT8E4M3FN) | WEFT_TYPE_BIT(WEFT_FLOAT8E4M3FNUZ) | WEFT_TYPE_BIT(WEFT_FLOAT8E5M2) |            \
   WEFT_TYPE_BIT(WEFT_FLOAT8E5M2FNUZ))
#define WEFT_TYPES_NUMERIC (WEFT_TYPES_FLOAT | WEFT_TYPES_INTEGER)
#define WEFT_TYPES_COMPLEX (WEFT_TYPE_BIT(WEFT_COMPLEX64) | WEFT_TYPE_BIT(WEFT_COMPLEX128))
#define WEFT_TYPES_INDEX (WEFT_TYPE_BIT(WEFT_INT32) | WEFT_TYPE_BIT(WEFT_INT64))

/* ---- shapes ------------------------------------------------------------------------------------------------------ */
/* The product of all dims; false when a dim is negative or the product (or the bytes of `type`) overflows. */
bool weft_shape_count(const weft_shape *shape, weft_type type, size_t *count);
bool weft_shape_equal(const weft_shape *a, const weft_shape *b);
/* The product of dims[begin..end). Call only for shapes that weft_shape_count accepted. */
size_t weft_shape_product(const weft_shape *shape, int begin, int end);
/* The index along each of the dimensions, none of which is 0, of element number `n`. */
void weft_position(size_t n, int rank, const int64_t *dims, int64_t *position);
/* "[2,3,224]" for messages; writes at most `size` bytes, returns `text`. 96 bytes are enough for most. */
const char *weft_shape_print(const weft_shape *shape, char *text, size_t size);
/* Multidirectional broadcasting as in numpy; false when the shapes do not go together. */
bool weft_shape_broadcast(const weft_shape *a, const weft_shape *b, weft_shape *out);

/* ---- making and keeping values ----------------------------------------------------------------------------------- */
/* A tensor value without data (type WEFT_UNDEFINED, rank 0). */
weft_status weft_value_new(weft_context *cx, weft_kind kind, weft_value **out);
/* A tensor that owns uninitialised (strings: zeroed) memory. */
weft_status weft_value_new_tensor(weft_context *cx, weft_type type, const weft_shape *shape, weft_value **out);
/* Gives `value`, whose type, shape and count are set, memory of its own. */
weft_status weft_value_allocate(weft_context *cx, weft_value *value);
/* A value that shows `owner`'s data, which may be NULL, under another shape of as many elements. */
weft_status weft_value_view(weft_context *cx, weft_value *owner, const weft_shape *shape, weft_value **out);
/* A deep copy that owns all it shows (strings included). */
weft_status weft_value_copy(weft_context *cx, const weft_value *value, weft_value **out);
/* A reference that stays valid when the run's memory is reused: the value itself if it owns its memory, else a copy. The
 * bytes of strings are not copied: they live as long as the run, and elements are moved on to values that outlive this
 * one. */
weft_status weft_value_keep(weft_context *cx, weft_value *value, weft_value **out);
/* Makes what *value refers to the holder's alone, and dense: it, or an item of it, that something else refers to or shows
 * as well becomes a copy. */
weft_status weft_value_separate(weft_context *cx, weft_value **value);
/* Gives `out`, whose type and shape are set, the block of `from`, with its elements in front and room for more than are
 * missing. `from` shows it from then on. */
weft_status weft_value_continue(weft_context *cx, weft_value *from, weft_value *out);
/* Gives `out`, whose type and shape, [batch, heads, rows, size], are set and not empty, memory that begins with the
 * rows of `past`, of which there are no more. They lie in one block if that has room for the others and nothing else
 * has taken it; otherwise `out` has a block of its own, with room to spare if there is memory for it, and nothing in
 * it. */
weft_status weft_value_grow(weft_context *cx, weft_value *past, weft_value *out);
/* The tensor that has a tensor's elements: itself, or the block that its heads lie apart in, whose dimension 2 is the
 * rows from one to the next. */
const weft_tensor *weft_value_block(const weft_value *value);
/* How many pieces of a tensor lie apart: 1 of all but those. */
size_t weft_value_pieces(const weft_value *value);
/* A new reference to a value, or to a copy where its elements lie apart. */
weft_status weft_value_dense(weft_context *cx, weft_value *value, weft_value **out);
/* A sequence with room for `count` items, all NULL; the caller fills `items` with references it owns. */
weft_status weft_value_new_sequence(weft_context *cx, weft_type type, size_t count, weft_value **out);
/* Drops data and ownership, keeps the value itself and its type and shape. */
void weft_value_clear(weft_value *value);

weft_status weft_strings_create(weft_context *cx, weft_strings **out);
void weft_strings_release(weft_strings *strings);
/* Copies `size` bytes into the pool. */
weft_status weft_strings_add(weft_context *cx, weft_strings *strings, const char *data, size_t size, weft_string *out);

/* ---- numbers ----------------------------------------------------------------------------------------------------- */
float weft_float16_to_float(uint16_t bits);
uint16_t weft_float_to_float16(float value); /* to nearest, ties to even */
float weft_bfloat16_to_float(uint16_t bits);
uint16_t weft_float_to_bfloat16(float value);

#endif
