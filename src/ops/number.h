/* One number of any type, for operators that are not about speed: ones that look at a few elements, or compute in
 * double whatever the elements are. */
#ifndef WEFT_OPS_NUMBER_H
#define WEFT_OPS_NUMBER_H

#include "../base/value.h"

/* Element i of `data` as a double; 0 for types that are not numbers of WEFT_TYPES_NUMERIC or bool. */
double weft_number_at(weft_type type, const void *data, size_t i);
/* Stores a double: to nearest for floating types; for integers rounded to nearest, clamped to the type, NaN is 0. */
void weft_number_set(weft_type type, void *data, size_t i, double value);
/* How many numbers an element is, and of which type: a complex one is two. */
size_t weft_number_parts(weft_type type, weft_type *part);
/* A key that orders the elements of a type as numbers: a < b exactly when key(a) < key(b). Both zeros have one key, all
 * NaN have one, above infinity. */
uint64_t weft_number_key(weft_type type, const void *data, size_t i);

#endif
