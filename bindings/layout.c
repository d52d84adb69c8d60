/* What JavaScript knows of the structs in weft.h: web/layout.js has their members and finds the places of these, with which
 * it reads and writes them in the module's memory. A member that moves fails here, when the module is compiled. Nothing is
 * in the way of a call: JavaScript uses the functions of weft.h themselves. */
#include "weft.h"

/* Places in modules of 32-bit and of 64-bit addresses. */
#define PLACE(narrow, wide) (sizeof(void *) == 4 ? (narrow) : (wide))
#define AT(type, member, narrow, wide)                                                                                 \
  _Static_assert(offsetof(type, member) == PLACE(narrow, wide), "web/layout.js has another place for it")
#define SIZE(type, narrow, wide)                                                                                       \
  _Static_assert(sizeof(type) == PLACE(narrow, wide), "web/layout.js has another size of it")

_Static_assert(sizeof(void *) == sizeof(size_t), "web/layout.js takes sizes for addresses");

AT(weft_error, message, 4, 4);
AT(weft_error, node, 1028, 1028);
AT(weft_error, op, 1284, 1284);
SIZE(weft_error, 1412, 1412);

AT(weft_options, max_memory, 0, 0);
AT(weft_options, max_elements, 8, 8);
AT(weft_options, max_nodes, 16, 16);
AT(weft_options, max_depth, 20, 20);
AT(weft_options, threads, 24, 24);
AT(weft_options, optimize, 28, 28);
AT(weft_options, deterministic, 32, 32);
AT(weft_options, seed, 40, 40);
SIZE(weft_options, 48, 48);

AT(weft_external, path, 0, 0);
AT(weft_external, offset, 8, 8);
AT(weft_external, size, 16, 16);
AT(weft_external, data, 24, 24);
SIZE(weft_external, 32, 32);

AT(weft_info, name, 0, 0);
AT(weft_info, kind, 4, 8);
AT(weft_info, type, 8, 12);
AT(weft_info, key_type, 12, 16);
AT(weft_info, optional, 16, 20);
AT(weft_info, unread, 17, 21);
AT(weft_info, rank, 20, 24);
AT(weft_info, dims, 24, 32);
AT(weft_info, symbols, 152, 160);
SIZE(weft_info, 216, 288);

AT(weft_profile_entry, node, 0, 0);
AT(weft_profile_entry, domain, 4, 8);
AT(weft_profile_entry, op, 8, 16);
AT(weft_profile_entry, parent, 12, 24);
AT(weft_profile_entry, type, 16, 28);
AT(weft_profile_entry, begin, 24, 32);
AT(weft_profile_entry, end, 32, 40);
AT(weft_profile_entry, operations, 40, 48);
AT(weft_profile_entry, bytes, 48, 56);
AT(weft_profile_entry, rank, 56, 64);
AT(weft_profile_entry, dims, 64, 72);
SIZE(weft_profile_entry, 192, 200);

AT(weft_limits, operations, 0, 0);
AT(weft_limits, bytes, 8, 8);
SIZE(weft_limits, 16, 16);

AT(weft_custom_attribute, name, 0, 0);
AT(weft_custom_attribute, type, 4, 8);
AT(weft_custom_attribute, list, 8, 12);
AT(weft_custom_attribute, count, 12, 16);
AT(weft_custom_attribute, data, 16, 24);
SIZE(weft_custom_attribute, 20, 32);

AT(weft_string, data, 0, 0);
AT(weft_string, size, 4, 8);
SIZE(weft_string, 8, 16);
