/* Reading formulas (derive.h). They come from rules.c only, so mistakes in them are told, but not in words for users.
 */
#include "derive.h"

#include "upgrade.h"

#include <string.h>

#include "../base/text.h"

enum { STACK = 16, WORD = 96, LIST = 8 };

typedef struct machine {
  weft_term *t;
  int32_t stack[STACK];
  int depth;
} machine;

static weft_status fault(const weft_term *t, const char *word) {
  return weft_fail(t->model->cx, WEFT_UNSUPPORTED, "the formula for %s cannot be read at '%s'", t->node->op_type, word);
}

static weft_status keep(weft_term *t, const char *text, size_t size, const char **out) {
  void *block;
  WEFT_TRY(weft_arena_alloc(t->model->cx, &t->model->arena, size + 1, 1, &block));
  memcpy(block, text, size);
  ((char *)block)[size] = 0;
  *out = block;
  return WEFT_OK;
}

/* ---- nodes and constants ----------------------------------------------------------------------------------------- */
static weft_status add_node(weft_term *t, const char *op_type, int inputs, const int32_t *values, int outputs,
                            weft_node **out) {
  int32_t value;
  if (t->upgrade != NULL) {
    WEFT_TRY(weft_upgrade_before(t->upgrade, op_type, inputs, values, out, &value));
    WEFT_TRY(weft_node_resize(t->model, *out, inputs, outputs));
    for (int i = 1; i < outputs; i++) {
      WEFT_TRY(weft_graph_add_value(t->model, t->graph, "", &(*out)->outputs[i]));
    }
    return WEFT_OK;
  }
  if (t->graph->node_count >= t->max_nodes) {
    return weft_fail(t->model->cx, WEFT_LIMIT_EXCEEDED, "the derivatives take more than %u nodes", t->max_nodes);
  }
  WEFT_TRY(weft_graph_add_node(t->model, t->graph, t->name, "", op_type, inputs, outputs, out));
  memcpy((*out)->inputs, values, (size_t)inputs * sizeof *values);
  for (int i = 0; i < outputs; i++) {
    WEFT_TRY(weft_graph_add_value(t->model, t->graph, "", &(*out)->outputs[i]));
  }
  return WEFT_OK;
}

weft_status weft_term_list(weft_term *t, char letter, size_t count, const int64_t *values) {
  return weft_graph_add_numbers(t->model, t->graph, WEFT_INT64, 1, count, values, &t->registers[letter - 'a']);
}

/* ---- attributes of the node -------------------------------------------------------------------------------------- */
bool weft_term_is_string(const weft_term *t, const char *name, const char *value) {
  const weft_attribute *attribute = weft_node_attribute(t->node, name);
  return attribute != NULL && attribute->kind == WEFT_ATTRIBUTE_STRING && strcmp(attribute->s.data, value) == 0;
}

/* "name" or "name:number" after an @: the attribute's name in `name`; returns the text of the number, or NULL. */
static const char *split(const char *word, char name[WORD]) {
  const char *colon = strchr(word, ':');
  size_t size = colon != NULL ? (size_t)(colon - word) : strlen(word);
  memcpy(name, word, size);
  name[size] = 0;
  return colon != NULL ? colon + 1 : NULL;
}

static int64_t read_int(const weft_term *t, const char *word) {
  char name[WORD];
  if (*word != '@') {
    return weft_whole_read(word, NULL, false);
  }
  const char *fallback = split(word + 1, name);
  return weft_node_int(t->node, name, fallback != NULL ? weft_whole_read(fallback, NULL, false) : 0);
}

static int count(const char *digits) {
  return (int)weft_whole_read(digits, NULL, false);
}

static float read_real(const weft_term *t, const char *word) {
  char name[WORD];
  if (*word == '#') {
    return (float)t->node->input_count;
  }
  if (*word != '@') {
    return (float)weft_decimal_read(word, NULL, true);
  }
  const char *fallback = split(word + 1, name);
  return weft_node_float(t->node, name, fallback != NULL ? (float)weft_decimal_read(fallback, NULL, true) : 0);
}

/* An attribute of the node, of a kind that holds nothing but numbers and text, for another node. */
static weft_status copy_attribute(weft_term *t, const weft_attribute *from, const char *name, weft_node *to) {
  weft_attribute *copy, value = *from;
  if (value.kind != WEFT_ATTRIBUTE_INT && value.kind != WEFT_ATTRIBUTE_INTS && value.kind != WEFT_ATTRIBUTE_FLOAT &&
      value.kind != WEFT_ATTRIBUTE_FLOATS && value.kind != WEFT_ATTRIBUTE_STRING) {
    return weft_term_unknown(t, "");
  }
  WEFT_TRY(weft_node_add_attribute(t->model, to, name, &copy));
  value.name = copy->name;
  *copy = value;
  return WEFT_OK;
}

/* One "name=value" of a formula. */
static weft_status set_attribute(weft_term *t, weft_node *node, const char *begin, size_t size) {
  char word[WORD], own[WORD];
  const char *name, *text;
  if (size >= WORD) {
    return fault(t, begin);
  }
  memcpy(word, begin, size);
  word[size] = 0;
  char *value = strchr(word, '=');
  if (value == NULL) {
    return fault(t, word);
  }
  *value++ = 0;
  WEFT_TRY(keep(t, word, strlen(word), &name));
  if (*value == '\'') {
    WEFT_TRY(keep(t, value + 1, strlen(value) - 2, &text));
    return weft_node_set_string(t->model, node, name, text);
  }
  if (*value == '@' && strchr(value, ':') == NULL) {
    (void)split(value + 1, own);
    const weft_attribute *attribute = weft_node_attribute(t->node, own);
    return attribute == NULL ? WEFT_OK : copy_attribute(t, attribute, name, node);
  }
  return weft_node_set_int(t->model, node, name, read_int(t, value));
}

weft_status weft_term_again(weft_term *t, const int32_t *inputs, weft_node **out) {
  const weft_node *node = t->node;
  WEFT_TRY(add_node(t, node->op_type, node->input_count, inputs, node->output_count, out));
  for (size_t i = 0; i < node->attribute_count; i++) {
    WEFT_TRY(copy_attribute(t, &node->attributes[i], node->attributes[i].name, *out));
  }
  return WEFT_OK;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */
static weft_status push(machine *m, int32_t value, const char *word) {
  if (m->depth == STACK || value < 0) {
    return fault(m->t, word);
  }
  m->stack[m->depth++] = value;
  return WEFT_OK;
}

/* The topmost `inputs` values give way to one of the operator's outputs. */
static weft_status operate(machine *m, const char *op_type, int inputs, int output, const char *word,
                           weft_node **made) {
  if (m->depth < inputs) {
    return fault(m->t, word);
  }
  m->depth -= inputs;
  WEFT_TRY(add_node(m->t, op_type, inputs, m->stack + m->depth, output + 1, made));
  return push(m, (*made)->outputs[output], word);
}

static weft_status push_number(machine *m, const char *word) {
  weft_node *made;
  int32_t scalar;
  float number = read_real(m->t, word);
  WEFT_TRY(weft_graph_add_numbers(m->t->model, m->t->graph, WEFT_FLOAT, 0, 1, &number, &scalar));
  WEFT_TRY(push(m, scalar, word));
  if (m->t->like < 0) {
    return WEFT_OK;
  }
  WEFT_TRY(push(m, m->t->like, word));
  return operate(m, "CastLike", 2, 0, word, &made);
}

static weft_status push_list(machine *m, const char *word) {
  int64_t values[LIST];
  size_t count = 0;
  int32_t list;
  for (const char *at = word + 1; *at != 0 && *at != ']'; count++) {
    char entry[WORD];
    size_t size = strcspn(at, ",]");
    if (count == LIST) {
      return fault(m->t, word);
    }
    memcpy(entry, at, size);
    entry[size] = 0;
    values[count] = read_int(m->t, entry);
    at += size + (at[size] == ',');
  }
  WEFT_TRY(weft_graph_add_numbers(m->t->model, m->t->graph, WEFT_INT64, 1, count, values, &list));
  return push(m, list, word);
}

/* Name, Name/inputs, Name/inputs.output, and attributes in braces behind each. */
static weft_status call(machine *m, const char *word) {
  const char *name, *attributes = strchr(word, '{');
  size_t size = strcspn(word, "/{");
  weft_node *node;
  WEFT_TRY(keep(m->t, word, size, &name));
  const char *output = word[size] == '/' ? word + size + 1 + strspn(word + size + 1, "0123456789") : "";
  WEFT_TRY(operate(m, name, word[size] == '/' ? count(word + size + 1) : 1, *output == '.' ? count(output + 1) : 0,
                   word, &node));
  while (attributes != NULL && (*attributes == '{' || *attributes == ',')) {
    const char *begin = attributes + 1, *text = strchr(begin, '\'');
    size = strcspn(begin, ",}");
    if (text != NULL && text < begin + size) { /* commas within texts do not end them */
      size = (size_t)(strchr(text + 1, '\'') + 1 - begin);
    }
    WEFT_TRY(set_attribute(m->t, node, begin, size));
    attributes = begin + size;
  }
  return WEFT_OK;
}

static weft_status take_word(machine *m, const char *word) {
  static const char signs[] = "+-*/^";
  static const char *const operators[] = {"Add", "Sub", "Mul", "Div", "Pow"};
  const char *sign = word[1] == 0 ? strchr(signs, word[0]) : NULL;
  weft_node *made;
  if (sign != NULL) {
    return operate(m, operators[sign - signs], 2, 0, word, &made);
  }
  if (word[0] >= 'A' && word[0] <= 'Z') {
    return call(m, word);
  }
  if (word[0] == '[') {
    return push_list(m, word);
  }
  if (word[0] < 'a' || word[0] > 'z') {
    return push_number(m, word);
  }
  int32_t *letter = &m->t->registers[word[0] - 'a'];
  if (word[1] != '=') {
    return push(m, *letter, word);
  }
  if (m->depth == 0) {
    return fault(m->t, word);
  }
  *letter = m->stack[--m->depth];
  return WEFT_OK;
}

weft_status weft_term_derive(weft_term *t, const char *formula, int32_t *out) {
  machine m = {.t = t};
  if (formula == NULL) {
    *out = -1;
    return WEFT_OK;
  }
  while (*formula != 0) {
    char word[WORD];
    size_t size = strcspn(formula, " ");
    if (size >= WORD) {
      return fault(t, formula);
    }
    memcpy(word, formula, size);
    word[size] = 0;
    WEFT_TRY(take_word(&m, word));
    formula += size + (formula[size] == ' ');
  }
  if (m.depth != 1) {
    return fault(t, "its end");
  }
  *out = m.stack[0];
  return WEFT_OK;
}

weft_status weft_term_let(weft_term *t, char letter, const char *formula) {
  return weft_term_derive(t, formula, &t->registers[letter - 'a']);
}

weft_status weft_term_sum_to(weft_term *t, int32_t term, int32_t like, int32_t *out) {
  weft_term fit = *t; /* with letters of its own */
  weft_term_set(&fit, 'f', term);
  weft_term_set(&fit, 'l', like);
  WEFT_TRY(weft_term_let(&fit, 's', "l Shape"));
  WEFT_TRY(weft_term_let(&fit, 'e', "f Shape"));
  WEFT_TRY(weft_term_let(&fit, 'p', "[1] e Shape s Shape - Expand/2 s Concat/2{axis=0} e Equal/2 Not NonZero"));
  return weft_term_derive(&fit, "f p [0] Squeeze/2 ReduceSum/2{noop_with_empty_axes=1} s Reshape/2", out);
}

void weft_term_begin(weft_term *t, const weft_node *node, int input, int output, int32_t dy) {
  t->node = node;
  t->input = input;
  t->output = output;
  memset(t->registers, 0xff, sizeof t->registers);
  for (int i = 0; i < 3 && i < node->input_count; i++) {
    t->registers[i] = node->inputs[i];
  }
  weft_term_set(t, 'x', node->inputs[input]);
  weft_term_set(t, 'y', node->outputs[output]);
  weft_term_set(t, 'd', dy);
  t->like = dy;
  weft_term_set(t, 'i', node->output_count > 1 ? node->outputs[1] : -1);
}

void weft_term_begin_forward(weft_term *t, const weft_node *node) {
  t->node = node;
  memset(t->registers, 0xff, sizeof t->registers);
  for (int i = 0; i < 8 && i < node->input_count; i++) {
    t->registers[i] = node->inputs[i];
  }
  t->like = node->input_count > 0 ? node->inputs[0] : -1;
}

void weft_term_begin_upgrade(weft_term *t, weft_upgrade *u) {
  *t = (weft_term){.model = u->model, .graph = u->graph, .name = u->node->name, .upgrade = u};
  weft_term_begin_forward(t, u->node);
}
