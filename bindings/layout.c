/* What JavaScript knows of the structs in weft.h: web/wasm.js reads and writes them in the module's memory, at these
 * places. A member that moves fails here, when the module is compiled. Nothing is in the way of a call: JavaScript uses
 * the functions of weft.h themselves. */
#include "weft.h"

#define AT(type, member, place)                                                                                        \
  _Static_assert(offsetof(type, member) == (place), "web/wasm.js has another place for it")

_Static_assert(sizeof(void *) == 4, "web/wasm.js knows 32-bit modules only");

AT(weft_error, message, 4);
AT(weft_error, node, 1028);
AT(weft_error, op, 1284);
_Static_assert(sizeof(weft_error) == 1412, "web/wasm.js has another size of weft_error");

AT(weft_options, max_memory, 0);
AT(weft_options, max_elements, 8);
AT(weft_options, max_nodes, 16);
AT(weft_options, max_depth, 20);
AT(weft_options, threads, 24);
AT(weft_options, optimize, 28);
AT(weft_options, deterministic, 32);
AT(weft_options, seed, 40);
_Static_assert(sizeof(weft_options) == 48, "web/wasm.js has another size of weft_options");

AT(weft_external, path, 0);
AT(weft_external, offset, 8);
AT(weft_external, size, 16);
AT(weft_external, data, 24);
_Static_assert(sizeof(weft_external) == 32, "web/wasm.js has another size of weft_external");

AT(weft_info, name, 0);
AT(weft_info, kind, 4);
AT(weft_info, type, 8);
AT(weft_info, key_type, 12);
AT(weft_info, optional, 16);
AT(weft_info, unread, 17);
AT(weft_info, rank, 20);
AT(weft_info, dims, 24);
AT(weft_info, symbols, 152);
_Static_assert(sizeof(weft_info) == 216, "web/wasm.js has another size of weft_info");

AT(weft_profile_entry, node, 0);
AT(weft_profile_entry, domain, 4);
AT(weft_profile_entry, op, 8);
AT(weft_profile_entry, parent, 12);
AT(weft_profile_entry, type, 16);
AT(weft_profile_entry, begin, 24);
AT(weft_profile_entry, end, 32);
AT(weft_profile_entry, operations, 40);
AT(weft_profile_entry, bytes, 48);
AT(weft_profile_entry, rank, 56);
AT(weft_profile_entry, dims, 64);
_Static_assert(sizeof(weft_profile_entry) == 192, "web/wasm.js has another size of weft_profile_entry");

AT(weft_limits, operations, 0);
AT(weft_limits, bytes, 8);
_Static_assert(sizeof(weft_limits) == 16, "web/wasm.js has another size of weft_limits");

AT(weft_custom_attribute, name, 0);
AT(weft_custom_attribute, type, 4);
AT(weft_custom_attribute, list, 8);
AT(weft_custom_attribute, count, 12);
AT(weft_custom_attribute, data, 16);
_Static_assert(sizeof(weft_custom_attribute) == 20, "web/wasm.js has another size of weft_custom_attribute");

AT(weft_string, data, 0);
AT(weft_string, size, 4);
_Static_assert(sizeof(weft_string) == 8, "web/values.js has another size of weft_string");
