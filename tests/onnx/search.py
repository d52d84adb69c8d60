#!/usr/bin/env python3
"""search.py OUT_DIR: writes small models of com.microsoft's GreedySearch and BeamSearch around a decoder of one layer, in the same
layout as generate.py's cases (kind `search`). The expected texts are found here with numpy, from the whole text at every step and with
plain lists, by the words of those operators' documentation. Needs onnx and numpy."""
import json
import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WORDS, SIZE, END, PADDING = 12, 6, 1, 0
random = np.random.default_rng(3)
embedding, places, head = (random.standard_normal(shape).astype(np.float32) for shape in ((WORDS, SIZE), (16, SIZE), (SIZE, WORDS)))
head *= 2
LOWEST = np.finfo(np.float32).min


def ints(*values):
    return np.array(values, np.int32)


# ---- the decoder ------------------------------------------------------------------------------------------------------------------
def decoder():
    node, constant = helper.make_node, lambda name, value: numpy_helper.from_array(np.array(value), name)
    nodes = [
        node("Gather", ["embedding", "input_ids"], ["e"]), node("Gather", ["places", "position_ids"], ["p"]), node("Add", ["e", "p"], ["h"]),
        node("Unsqueeze", ["h", "axes01"], ["h5"]), node("Unsqueeze", ["h5", "axis2"], ["h6"]), node("Squeeze", ["h6", "axis0"], ["one"]),
        node("Unsqueeze", ["one", "axis0"], ["new"]), node("Concat", ["new", "new"], ["both"], axis=0), node("Concat", ["past_0", "both"], ["present_0"], axis=3),
        node("Gather", ["present_0", "zero"], ["k4"], axis=0), node("Squeeze", ["k4", "axis1"], ["k"]), node("Transpose", ["k"], ["t"], perm=[0, 2, 1]),
        node("MatMul", ["h", "t"], ["s"]), node("Cast", ["attention_mask"], ["m"], to=1), node("Sub", ["m", "first"], ["m1"]), node("Mul", ["m1", "much"], ["m2"]),
        node("Unsqueeze", ["m2", "axis1"], ["m3"]), node("Add", ["s", "m3"], ["s1"]), node("Softmax", ["s1"], ["w"], axis=-1), node("MatMul", ["w", "k"], ["y"]),
        node("Add", ["y", "h"], ["y1"]), node("MatMul", ["y1", "head"], ["logits"])]
    constants = [constant("axes01", [0]), constant("axis0", [0]), constant("axis1", [1]), constant("axis2", [2]), constant("zero", 0),
                 constant("first", np.float32(1)), constant("much", np.float32(1e4)), constant("embedding", embedding), constant("places", places), constant("head", head)]
    info = helper.make_tensor_value_info
    inputs = [info(n, TensorProto.INT32, ["rows", s]) for n, s in (("input_ids", "new_words"), ("position_ids", "new_words"), ("attention_mask", "all_words"))]
    inputs.append(info("past_0", TensorProto.FLOAT, [2, "rows", 1, "past", SIZE]))
    outputs = [info("logits", TensorProto.FLOAT, ["rows", "new_words", WORDS]), info("present_0", TensorProto.FLOAT, [2, "rows", 1, "all", SIZE])]
    return helper.make_graph(nodes, "decoder", inputs, outputs, constants)


def scores_of(text, mask):
    """Of the next word. Words of the beginning see each other, later ones what lies before them: so it is with a cache."""
    place = np.where(mask, np.cumsum(mask) - 1, 0)
    h = embedding[text] + places[place]
    s = h @ h[-1] + (np.array(mask) - 1) * 1e4
    w = np.exp(s - s.max())
    return (w / w.sum() @ h + h[-1]) @ head


# ---- the search -------------------------------------------------------------------------------------------------------------------
def changed(scores, text, begin, batch, minimum=0, repetition=1.0, vocabulary=None, prefix=None, ngram=0):
    scores = scores.astype(np.float32)
    for word in set(text):
        scores[word] *= repetition if scores[word] < 0 else 1 / repetition
    for i in range(len(text) - ngram + 1 if ngram else 0):
        if text[i:i + ngram - 1] == text[len(text) - ngram + 1:]:
            scores[text[i + ngram - 1]] = LOWEST
    if vocabulary is not None:
        scores[vocabulary == 0] = LOWEST
    if prefix is not None and len(text) == begin:
        scores[prefix[batch] == 0] = LOWEST
    if len(text) < minimum:
        scores[END] = LOWEST
    return scores


def padded(text, length):
    return text + [PADDING] * (length - len(text))


def greedy(ids, mask, most, words=WORDS, wanted=0, **settings):
    texts, done = [list(map(int, row)) for row in ids], [False] * len(ids)
    while len(texts[0]) < most and not all(done):
        for b, text in enumerate(texts):
            seen = np.append(mask[b], np.ones(len(text) - len(mask[b]), int))
            word = int((changed(scores_of(text, seen)[:words], text, ids.shape[1], b, **settings) + np.broadcast_to(wanted, (2, words))[b]).argmax())
            done[b] = done[b] or word == END
            text.append(PADDING if done[b] else word)
    return ints(*(padded(text, most) for text in texts))


def beams(ids, mask, most, count, returned, penalty=1.0, early=0, words=WORDS, **settings):
    found, values = [], []
    for b, row in enumerate(ids):
        begin, ended = len(row), []
        live = [(0.0 if k == 0 else -1e9, list(map(int, row))) for k in range(count)]
        length, done = begin, False
        while length < most and not done:
            choices = []
            for k, (total, text) in enumerate(live):
                seen = np.append(mask[b], np.ones(len(text) - begin, int))
                s = scores_of(text, seen)[:words].astype(np.float64)
                s = s - s.max() - np.log(np.exp(s - s.max()).sum())
                s = changed(s, text, begin, b, **settings).astype(np.float64) + total
                choices += [(-v, k * WORDS + w, k, w) for w, v in enumerate(s)]
            choices.sort()
            going = []
            for rank, (value, _, k, word) in enumerate(choices[:2 * count]):
                if word != END:
                    going.append((-value, live[k][1] + [word]))
                elif rank < count:
                    ended.append((-value / length**penalty, live[k][1]))
                    ended = sorted(ended, key=lambda e: -e[0])[:count]
                if len(going) == count:
                    break
            done = len(ended) == count and bool(early or ended[-1][0] >= -choices[0][0] / length**penalty)
            live, length = going, length + 1
        if not done:
            ended += [(total / length**penalty, text) for total, text in live]
        ended = sorted(ended, key=lambda e: -e[0])[:returned]
        found.append([padded(text, most) for _, text in ended])
        values.append([value for value, _ in ended])
    return ints(*found), np.array(values, np.float32)


# ---- the cases --------------------------------------------------------------------------------------------------------------------
def write(folder, op, inputs, outputs, attributes):
    info = lambda name, array: helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
    node = helper.make_node(op, names, [f"o{k}" for k in range(len(outputs))], domain="com.microsoft", name=f"the_{op}",
                            decoder=decoder(), eos_token_id=END, pad_token_id=PADDING, model_type=0, **attributes)
    fed = {n: a for n, a in zip(names, inputs) if a is not None}
    graph = helper.make_graph([node], "search", [info(n, a) for n, a in fed.items()], [info(f"o{k}", a) for k, a in enumerate(outputs)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=8)
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    (folder / "data.json").write_text(json.dumps({"rtol": 1e-4, "atol": 1e-5}))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    for stem, arrays in (("input", fed.values()), ("output", outputs)):
        for i, a in enumerate(arrays):
            (data / f"{stem}_{i}.pb").write_bytes(numpy_helper.from_array(a, f"{stem}{i}").SerializeToString())


def main(out):
    ids = ints([3, 4, 5], [0, 7, 2])
    seen = (ids != PADDING).astype(np.int32)
    given = ints([1, 1, 1], [0, 1, 1])
    vocabulary, prefix = (random.integers(0, 4, shape).clip(0, 1).astype(np.int32) for shape in (WORDS, (2, WORDS)))
    settings = {"plain": {}, "minimum": {"minimum": 8}, "repetition": {"repetition": 1.7}, "vocabulary": {"vocabulary": vocabulary},
                "prefix": {"prefix": prefix}, "ngrams": {"ngram": 2}, "mask": {}, "words": {"words": 9}, "all": {"minimum": 6, "repetition": 1.3, "vocabulary": vocabulary, "ngram": 2}}
    for name, own in settings.items():
        mask = given if name == "mask" else seen
        options = [ints(own.get("minimum", 0)), np.array([own["repetition"]], np.float32) if "repetition" in own else None,
                   own.get("vocabulary"), own.get("prefix"), given if name == "mask" else None]
        attributes = {name: own[key] for name, key in (("no_repeat_ngram_size", "ngram"), ("vocab_size", "words")) if key in own}
        write(out / f"greedy_{name}", "GreedySearch", [ids, ints(10), *options], [greedy(ids, mask, 10, **own)], attributes)
        presence = random.integers(0, 2, (2, own.get("words", WORDS))).astype(np.int32)
        write(out / f"sampling_{name}", "Sampling", [ids, ints(10), *options, presence, ints(7)], [greedy(ids, mask, 10, wanted=-2 * 0.7 * presence, **own)],
              attributes | {"top_p": 0.01, "min_tokens_to_keep": 1, "temperature": 0.7, "presence_penalty": 2.0})
        for count, returned, penalty, early in ((1, 1, 1.0, 0), (3, 2, 1.0, 0), (4, 4, 0.6, 1), (4, 3, 2.0, 0)):
            inputs = [ids, ints(10), options[0], ints(count), ints(returned), np.array([penalty], np.float32), *options[1:]]
            texts, values = beams(ids, mask, 10, count, returned, penalty, early, **own)
            write(out / f"beams_{name}_{count}_{early}_{penalty}", "BeamSearch", inputs, [texts, values], attributes | {"early_stopping": early})


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) / "search")
