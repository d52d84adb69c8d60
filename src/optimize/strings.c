/* Strings compared by way of numbers: exporters cast both sides of Equal to integers, because Equal had no strings
 * once. A constant side that is no number makes the cast fail in every run, so what is meant is the comparison of the
 * strings. */
#include <string.h>

#include "match.h"

static bool is_number(weft_string s) {
  size_t i = 0;
  while (i < s.size && strchr("+-.0123456789eE", s.data[i]) != NULL && s.data[i] != 0) {
    i++;
  }
  return s.size != 0 && i == s.size;
}

static bool has_word(const weft_graph *graph, int32_t v) {
  const weft_tensor *t = weft_match_constant(graph, v, WEFT_STRING);
  for (size_t i = 0; t != NULL && i < t->count; i++) {
    if (!is_number(((const weft_string *)t->data)[i])) {
      return true;
    }
  }
  return false;
}

/* The strings that v is cast from, or -1. */
static int32_t uncast(const weft_graph *graph, int32_t v) {
  const weft_node *cast = weft_match_producer(graph, v, "Cast");
  const int64_t to = cast != NULL ? weft_node_int(cast, "to", WEFT_UNDEFINED) : WEFT_UNDEFINED;
  bool fits = weft_type_is_valid(to) && weft_type_is_integer((weft_type)to) && weft_node_in(cast, 0) >= 0 &&
              weft_match_type(graph, cast->inputs[0]) == WEFT_STRING;
  return fits ? cast->inputs[0] : -1;
}

weft_status weft_pass_strings(weft_pass *pass, weft_graph *graph) {
  bool changed = false;
  for (size_t n = 0; n < graph->node_count; n++) {
    weft_node *node = &graph->nodes[n];
    if (!weft_node_is(node, "Equal") || node->input_count != 2) {
      continue;
    }
    int32_t a = uncast(graph, node->inputs[0]), b = uncast(graph, node->inputs[1]);
    if (a >= 0 && b >= 0 && (has_word(graph, a) || has_word(graph, b))) {
      node->inputs[0] = a;
      node->inputs[1] = b;
      changed = true;
    }
  }
  return changed ? weft_pass_dead(pass, graph) : WEFT_OK; /* the casts must not be run any more */
}
