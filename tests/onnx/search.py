#!/usr/bin/env python3
"""search.py OUT_DIR: writes small models of com.microsoft's GreedySearch, BeamSearch and WhisperBeamSearch around a decoder of one layer,
alone or with an encoder, in the same layout as generate.py's cases (kind `search`). The expected texts are found here with numpy, from the whole text at every step and with
plain lists, by the words of those operators' documentation. Needs onnx and numpy."""
import json
import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WORDS, SIZE, END, PADDING = 12, 6, 1, 0
TRANSLATE, TRANSCRIBE, SPEAK, NO_TIMES, TIMES = 3, 4, 5, 6, 7  # Whisper's
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


def scores_of(text, mask, begin):
    """Of the next word. Words of the beginning see each other, later ones what lies before them: so it is with a cache. Padding
    of the beginning has no place of its own, whatever the mask says."""
    words = np.array([word != PADDING or i >= begin for i, word in enumerate(text)])
    place = np.where(words, np.cumsum(words) - 1, 0)
    h = embedding[text] + places[place]
    s = h @ h[-1] + (np.array(mask) - 1) * 1e4
    w = np.exp(s - s.max())
    return (w / w.sum() @ h + h[-1]) @ head


# ---- decoders with an encoder -----------------------------------------------------------------------------------------------------
START, SOURCE = 2, 8  # the first word; words that an encoder's text is of
source = random.standard_normal((SOURCE, SIZE)).astype(np.float32)


def attend(q, k, v, bias, out):
    """Nodes: queries [rows][words][SIZE] over keys and values [rows][1][words][SIZE], a bias on the scores or none."""
    node = helper.make_node
    bias_nodes = [node("Add", [f"{out}_s", bias], [f"{out}_b"])] if bias else [node("Identity", [f"{out}_s"], [f"{out}_b"])]
    return [node("Squeeze", [k, "axis1"], [f"{out}_k"]), node("Squeeze", [v, "axis1"], [f"{out}_v"]), node("Transpose", [f"{out}_k"], [f"{out}_t"], perm=[0, 2, 1]),
            node("MatMul", [q, f"{out}_t"], [f"{out}_s"]), *bias_nodes, node("Softmax", [f"{out}_b"], [f"{out}_w"], axis=-1), node("MatMul", [f"{out}_w", f"{out}_v"], [out])]


def keep(h, key, value):
    """Nodes: what a layer keeps of h: it, and a half of it."""
    node = helper.make_node
    return [node("Unsqueeze", [h, "axis1"], [key]), node("Mul", [key, "half"], [value])]


def masked(speech):
    """Nodes: the bias of the encoder's mask."""
    node = helper.make_node
    return [] if speech else [node("Cast", ["encoder_attention_mask"], ["m"], to=1), node("Sub", ["m", "first"], ["m1"]), node("Mul", ["m1", "much"], ["m2"]), node("Unsqueeze", ["m2", "axis1"], ["m3"])]


def constants(words=False):
    constant = lambda name, value: numpy_helper.from_array(np.array(value), name)
    return [constant("axis1", [1]), constant("half", np.float32(0.5)), constant("first", np.float32(1)), constant("much", np.float32(1e4)), constant("last", [-1]),
            constant("source", source), constant("embedding", embedding), constant("head", head)]


def infos(names, kind, *shape):
    return [helper.make_tensor_value_info(n, kind, list(shape)) for n in names]


def finish(speech):
    """Nodes: from h, its attention to itself and to the encoder, to the scores."""
    node = helper.make_node
    return attend("h", "present_key_cross_0", "present_value_cross_0", None if speech else "m3", "z") + [
        node("Add", ["y", "z"], ["yz"]), node("Add", ["yz", "h"], ["yzh"]), node("MatMul", ["yzh", "head"], ["logits"])]


def encoder(speech, begins):
    """With the decoder's first turn, or only what the decoder sees."""
    node, floats, ints32 = helper.make_node, TensorProto.FLOAT, TensorProto.INT32
    nodes = [node("Transpose", ["encoder_input_ids"], ["e"], perm=[0, 2, 1]) if speech else node("Gather", ["source", "encoder_input_ids"], ["e"])]
    nodes += masked(speech) * begins + keep("e", "present_key_cross_0", "present_value_cross_0")
    inputs = infos(["encoder_input_ids"], floats if speech else ints32, "batch", *([SIZE] if speech else []), "length")
    inputs += [] if speech else infos(["encoder_attention_mask"], ints32, "batch", "length")
    cross = infos(["present_key_cross_0", "present_value_cross_0"], floats, "batch", 1, "length", SIZE)
    if not begins:
        return helper.make_graph(nodes, "encoder", inputs, cross, constants())
    nodes += [node("Gather", ["embedding", "decoder_input_ids"], ["h"]), *keep("h", "present_key_self_0", "present_value_self_0"),
              node("MatMul", ["h", "head"], ["any"]), node("Shape", ["decoder_input_ids"], ["n2"], start=1), node("Concat", ["n2", "n2"], ["nn"], axis=0),
              node("Expand", ["much", "nn"], ["full"]), node("Trilu", ["full", "one"], ["upper"]), node("Neg", ["upper"], ["causal"])]
    nodes += attend("h", "present_key_self_0", "present_value_self_0", "causal", "y") + finish(speech) + [node("Identity", ["e"], ["encoder_hidden_states"])]
    inputs += infos(["decoder_input_ids"], ints32, "batch", "begin")
    outputs = infos(["logits"], floats, "batch", "begin", WORDS) + infos(["encoder_hidden_states"], floats, "batch", "length", SIZE)
    outputs += infos(["present_key_self_0", "present_value_self_0"], floats, "batch", 1, "begin", SIZE) + cross
    return helper.make_graph(nodes, "encoder", inputs, outputs, constants() + [numpy_helper.from_array(np.array(1), "one")])


def answering_decoder(speech, hidden, whole):
    """`hidden`: it takes the encoder's states though it has what layers keep; `whole`: the whole text, of which it needs the last word."""
    node, floats, ints32 = helper.make_node, TensorProto.FLOAT, TensorProto.INT32
    nodes = [node("Gather", ["input_ids", "last"], ["word"], axis=1) if whole else node("Identity", ["input_ids"], ["word"]), node("Gather", ["embedding", "word"], ["h"])]
    nodes += masked(speech) + keep("h", "new_key", "new_value")
    nodes += [node("Concat", [f"past_{n}_self_0", f"new_{n}"], [f"present_{n}_self_0"], axis=2) for n in ("key", "value")]
    nodes += [node("Identity", [f"past_{n}_cross_0"], [f"present_{n}_cross_0"]) for n in ("key", "value")]
    nodes += attend("h", "present_key_self_0", "present_value_self_0", None, "y") + finish(speech)
    inputs = infos(["input_ids"], ints32, "rows", "written" if whole else 1) + ([] if speech else infos(["encoder_attention_mask"], ints32, "rows", "length"))
    inputs += infos(["encoder_hidden_states"], floats, "rows", "length", SIZE) if hidden else []
    inputs += infos(["past_key_self_0", "past_value_self_0"], floats, "rows", 1, "past", SIZE) + infos(["past_key_cross_0", "past_value_cross_0"], floats, "rows", 1, "length", SIZE)
    outputs = infos(["logits"], floats, "rows", 1, WORDS) + infos(["present_key_self_0", "present_value_self_0"], floats, "rows", 1, "all", SIZE)
    return helper.make_graph(nodes, "decoder", inputs, outputs, constants())


def answer_scores(seen, mask, text):
    """Of the next word after `text`, where the encoder saw the rows `seen`."""
    h = embedding[text]

    def attended(k, s):
        w = np.exp(s - s.max())
        return w / w.sum() @ k * 0.5

    return (attended(h, h @ h[-1]) + attended(seen, seen @ h[-1] + (np.array(mask) - 1) * 1e4) + h[-1]) @ head


# ---- the search -------------------------------------------------------------------------------------------------------------------
def timed(scores, text):
    """Whisper's rules of times, which are the words from TIMES on."""
    begin = next((i + 1 for i, word in enumerate(text) if word >= TIMES), len(text))
    scores[[NO_TIMES, SPEAK]] = LOWEST
    if len(text) > begin:
        scores[[START, TRANSLATE, TRANSCRIBE]] = LOWEST
    else:
        scores[TIMES + 51:] = LOWEST
    last, before = text[-1] >= TIMES, len(text) <= begin or text[-2] >= TIMES
    if last and before:
        scores[TIMES:] = LOWEST
    elif last:
        scores[:END] = LOWEST
    times = [word for word in text if word >= TIMES]
    if times:
        scores[TIMES:times[-1] + (0 if last and not before else 1)] = LOWEST
    possible = scores[TIMES:][scores[TIMES:] > LOWEST]
    if len(possible) and np.log(np.exp(possible).sum()) > scores[:TIMES].max():
        scores[:TIMES] = LOWEST
    return scores


def changed(scores, text, begin, batch, minimum=0, repetition=1.0, vocabulary=None, prefix=None, ngram=0, temperature=1, times=False, forced=None):
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
    with np.errstate(over="ignore"):
        scores = scores / np.float32(temperature)
    scores = timed(scores, text) if times else scores
    if forced is not None and len(text) - begin < forced.shape[1] and forced[batch][:len(text) - begin + 1].min() >= 0:
        scores[:] = LOWEST
        scores[forced[batch][len(text) - begin]] = 0
    return scores


def padded(text, length):
    return text + [PADDING] * (length - len(text))


def alone(mask, begin):
    return lambda b, text: scores_of(text, np.append(mask[b], np.ones(len(text) - begin, int)), begin)


def greedy(ids, score, most, words=WORDS, wanted=0, **settings):
    texts, done = [list(map(int, row)) for row in ids], [False] * len(ids)
    while len(texts[0]) < most and not all(done):
        for b, text in enumerate(texts):
            word = int((changed(score(b, text)[:words], text, ids.shape[1], b, **settings) + np.broadcast_to(wanted, (2, words))[b]).argmax())
            done[b] = done[b] or word == END
            text.append(PADDING if done[b] else word)
    return ints(*(padded(text, most) for text in texts))


def beams(ids, score, most, count, returned, penalty=1.0, early=0, words=WORDS, **settings):
    found, values = [], []
    turns, early_end = np.zeros((most - ids.shape[1], len(ids), count, words), np.float32), False
    for b, row in enumerate(ids):
        begin, ended = len(row), []
        live = [(0.0 if k == 0 else -1e9, list(map(int, row))) for k in range(count)]
        length, done = begin, False
        while length < most and not done:
            choices = []
            for k, (total, text) in enumerate(live):
                s = score(b, text)[:words].astype(np.float64)
                s = s - s.max() - np.log(np.exp(s - s.max()).sum())
                s = changed(s, text, begin, b, **settings).astype(np.float64) + total
                turns[length - begin, b, k] = s
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
        early_end = early_end or done
        if not done:
            ended += [(total / length**penalty, text) for total, text in live]
        ended = sorted(ended, key=lambda e: -e[0])[:returned]
        found.append([padded(text, most) for _, text in ended])
        values.append([value for value, _ in ended])
    return ints(*found), np.array(values, np.float32), None if early_end else turns


# ---- the cases --------------------------------------------------------------------------------------------------------------------
def write(folder, op, inputs, outputs, attributes, graphs=None):
    info = lambda name, array: helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
    made = [f"o{k}" if a is not None else "" for k, a in enumerate(outputs)]
    attributes = {"eos_token_id": END, "pad_token_id": PADDING, "model_type": 0} | (graphs or {"decoder": decoder()}) | attributes
    node = helper.make_node(op, names, made, domain="com.microsoft", name=f"the_{op}", **attributes)
    fed = {n: a for n, a in zip(names, inputs) if a is not None}
    graph = helper.make_graph([node], "search", [info(n, a) for n, a in fed.items()], [info(f"o{k}", a) for k, a in enumerate(outputs) if a is not None])
    outputs = [a for a in outputs if a is not None]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=8)
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    (folder / "data.json").write_text(json.dumps({"rtol": 1e-4, "atol": 1e-5}))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    for stem, arrays in (("input", fed.values()), ("output", outputs)):
        for i, a in enumerate(arrays):
            (data / f"{stem}_{i}.pb").write_bytes(numpy_helper.from_array(a, f"{stem}{i}").SerializeToString())


def answers(out):
    """Encoders and decoders, in the forms that exporters write."""
    ids, start = ints([3, 4, 5, 0], [0, 7, 2, 6]), ints([START], [START])
    given = ints([1, 1, 1, 0], [1, 1, 1, 1])
    seen = source[ids]
    for name, begins, hidden, whole, mask, own in (
            ("cross", False, False, False, None, {}), ("cross_whole", False, False, True, None, {"ngram": 2}), ("begun", True, False, False, None, {"repetition": 1.5}),
            ("begun_hidden", True, True, False, given, {"minimum": 6}), ("begun_whole", True, True, True, given, {"words": 9}), ("cross_prefix", False, False, False, given, {"prefix": random.integers(0, 4, (2, WORDS)).clip(0, 1).astype(np.int32)})):
        counts = given if mask is not None else ints([1, 1, 1, 1], [0, 1, 1, 1])
        score = lambda b, text: answer_scores(seen[b], counts[b], text)
        graphs = {"encoder": encoder(False, begins), "decoder": answering_decoder(False, hidden, whole), "model_type": 1, "decoder_start_token_id": START}
        attributes = {name: own[key] for name, key in (("no_repeat_ngram_size", "ngram"), ("vocab_size", "words")) if key in own}
        options = [ints(own.get("minimum", 0)), np.array([own["repetition"]], np.float32) if "repetition" in own else None, None, own.get("prefix"), mask]
        write(out / f"greedy_{name}", "GreedySearch", [ids, ints(9), *options], [greedy(start, score, 9, **own)], attributes, graphs)
        for count, returned, penalty, early in ((1, 1, 1.0, 0), (3, 2, 1.0, 0), (4, 3, 2.0, 1)):
            inputs = [ids, ints(9), options[0], ints(count), ints(returned), np.array([penalty], np.float32), *options[1:]]
            write(out / f"beams_{name}_{count}_{early}", "BeamSearch", inputs, beams(start, score, 9, count, returned, penalty, early, **own)[:2 if early else 3], attributes | {"early_stopping": early}, graphs)


def speech(out):
    """Whisper: what was heard is [batch][SIZE][time]."""
    heard = random.standard_normal((2, SIZE, 7)).astype(np.float32)
    prompt, forced = ints([START, 4, 5], [START, 7, 3]), ints([6, 10], [8, -1])
    score = lambda b, text: answer_scores(heard[b].T, np.ones(7), text)
    graphs = {"encoder": encoder(True, True), "decoder_start_token_id": START, "translate_token_id": TRANSLATE, "transcribe_token_id": TRANSCRIBE, "start_of_lm_token_id": SPEAK,
              "no_timestamps_token_id": NO_TIMES, "beginning_timestamp_token_id": TIMES, "no_speech_token_id": 4, "model_type": 2}
    for name, words, own in (("start", None, {}), ("prompt", prompt, {}), ("times", prompt, {"times": True}), ("times_start", None, {"times": True, "minimum": 8}), ("temperature", prompt, {"temperature": 1.6}),
                             ("forced", prompt, {"forced": forced}), ("all", prompt, {"times": True, "temperature": 0.7, "repetition": 1.2, "ngram": 3, "minimum": 6})):
        first = words if words is not None else prompt[:, :1]
        options = [ints(own.get("minimum", 0)), np.array([own["repetition"]], np.float32) if "repetition" in own else None, None, None, None]
        behind = [words, ints(1) if "times" in own else None, None, own.get("forced"), np.array([own["temperature"]], np.float32) if "temperature" in own else None]
        logits = np.stack([score(b, list(first[b])) for b in range(2)])
        silence = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))[:, 4].astype(np.float32)
        for count, returned, early in ((1, 1, 0), (4, 3, 1)):
            inputs = [heard, ints(11), options[0], ints(count), ints(returned), np.array([1.0], np.float32), *options[1:], *behind]
            results = [*beams(first, score, 11, count, returned, 1.0, early, **own)[:2], None, None, silence]
            attributes = {"early_stopping": early} | ({"no_repeat_ngram_size": own["ngram"]} if "ngram" in own else {})
            if name == "times":  # a word beyond all words changes nothing
                write(out / f"speech_beyond_{count}", "WhisperBeamSearch", inputs, results, attributes, graphs | {"decoder": answering_decoder(True, count == 1, False), "start_of_lm_token_id": 2**63 - 1})
            write(out / f"speech_{name}_{count}", "WhisperBeamSearch", inputs, results, attributes, graphs | {"decoder": answering_decoder(True, count == 1, False)})


def main(out):
    ids = ints([3, 4, 5], [0, 7, 2])
    seen = (ids != PADDING).astype(np.int32)
    given = ints([1, 0, 1], [0, 1, 1])
    vocabulary, prefix = (random.integers(0, 4, shape).clip(0, 1).astype(np.int32) for shape in (WORDS, (2, WORDS)))
    settings = {"plain": {}, "minimum": {"minimum": 8}, "repetition": {"repetition": 1.7}, "vocabulary": {"vocabulary": vocabulary},
                "prefix": {"prefix": prefix}, "ngrams": {"ngram": 2}, "mask": {}, "words": {"words": 9}, "all": {"minimum": 6, "repetition": 1.3, "vocabulary": vocabulary, "ngram": 2}}
    for name, own in settings.items():
        mask = given if name == "mask" else seen
        options = [ints(own.get("minimum", 0)), np.array([own["repetition"]], np.float32) if "repetition" in own else None,
                   own.get("vocabulary"), own.get("prefix"), given if name == "mask" else None]
        attributes = {name: own[key] for name, key in (("no_repeat_ngram_size", "ngram"), ("vocab_size", "words")) if key in own}
        write(out / f"greedy_{name}", "GreedySearch", [ids, ints(10), *options], [greedy(ids, alone(mask, 3), 10, **own)], attributes)
        presence = random.integers(0, 2, (2, own.get("words", WORDS))).astype(np.int32)
        write(out / f"sampling_{name}", "Sampling", [ids, ints(10), *options, presence, ints(7)], [greedy(ids, alone(mask, 3), 10, wanted=-2 * 0.7 * presence, **own)],
              attributes | {"top_p": 0.01, "min_tokens_to_keep": 1, "temperature": 0.7, "presence_penalty": 2.0})
        for count, returned, penalty, early in ((1, 1, 1.0, 0), (3, 2, 1.0, 0), (4, 4, 0.6, 1), (4, 3, 2.0, 0)):
            inputs = [ids, ints(10), options[0], ints(count), ints(returned), np.array([penalty], np.float32), *options[1:]]
            texts, values, _ = beams(ids, alone(mask, 3), 10, count, returned, penalty, early, **own)
            write(out / f"beams_{name}_{count}_{early}_{penalty}", "BeamSearch", inputs, [texts, values], attributes | {"early_stopping": early})


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1]) / "search"
    main(folder)
    answers(folder)
    speech(folder)
