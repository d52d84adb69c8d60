#!/usr/bin/env python3
"""ml.py OUT_DIR: writes small models of ai.onnx.ml's operators and of those for text, where the words of the specification
decide between readings, in the same layout as generate.py's cases (kind `ml`). Needs onnx and numpy."""
import json
import pathlib
import sys

import numpy as np
from onnx import AttributeProto, MapProto, SequenceProto, TensorProto, helper, numpy_helper

cases = []
STRINGS_TO_FLOATS = helper.make_sequence_type_proto(
    helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, None)))
NUMBERS_TO_FLOATS = helper.make_sequence_type_proto(
    helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)))


def texts(*values):
    return np.array(values, object)


def tensor(array, name=""):
    if array.dtype == object:
        return helper.make_tensor(name, TensorProto.STRING, array.shape, [s.encode() for s in array.ravel()])
    return numpy_helper.from_array(array, name)


def empty(name, kind):
    """A list attribute that is there and holds nothing, as exporters write it."""
    return AttributeProto(name=name, type=kind)


def map_proto(entries, kind):
    keys = list(entries)
    proto = MapProto(key_type=TensorProto.STRING if isinstance(keys[0], str) else TensorProto.INT64)
    if isinstance(keys[0], str):
        proto.string_keys.extend(k.encode() for k in keys)
    else:
        proto.keys.extend(keys)
    proto.values.elem_type = SequenceProto.TENSOR
    proto.values.tensor_values.extend(tensor(np.array(v, kind)) for v in entries.values())
    return proto


def proto_of(value, kind):
    if isinstance(value, dict):
        return map_proto(value, kind)
    if isinstance(value, list):
        return SequenceProto(elem_type=SequenceProto.MAP, map_values=[map_proto(v, kind) for v in value])
    return tensor(value)


def info(name, value, kind):
    if isinstance(value, dict):
        key = TensorProto.STRING if isinstance(next(iter(value)), str) else TensorProto.INT64
        element = TensorProto.STRING if kind is object else helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        return helper.make_value_info(name, helper.make_map_type_proto(key, helper.make_tensor_type_proto(element, None)))
    if isinstance(value, list):
        return helper.make_value_info(name, STRINGS_TO_FLOATS if isinstance(next(iter(value[0])), str) else NUMBERS_TO_FLOATS)
    kind = TensorProto.STRING if value.dtype == object else helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(name, kind, value.shape)


def case(name, op, inputs, output, kind=np.float32, domain="ai.onnx.ml", **attributes):
    """kind: the element type of a map's values."""
    cases.append((name, op, inputs, output, kind, domain, attributes))


def write(folder, name, op, inputs, output, kind, domain, attributes):
    data = folder / name / "test_data_set_0"
    data.mkdir(parents=True)
    names = [f"i{k}" for k in range(len(inputs))]
    node = helper.make_node(op, names, ["o"], domain=domain)
    node.attribute.extend(v if isinstance(v, AttributeProto) else helper.make_attribute(k, v) for k, v in attributes.items())
    graph = helper.make_graph([node], "ml",
                              [info(n, v, kind) for n, v in zip(names, inputs)], [info("o", output, kind)])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 4), helper.make_opsetid("com.microsoft", 1)]
    (folder / name / "data.json").write_text(json.dumps({"rtol": 1e-5, "atol": 1e-6}))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    (folder / name / "model.onnx").write_bytes(model.SerializeToString())
    for k, value in enumerate(inputs):
        (data / f"input_{k}.pb").write_bytes(proto_of(value, kind).SerializeToString())
    (data / "output_0.pb").write_bytes(proto_of(output, kind).SerializeToString())


def lookups():
    nan = float("nan")
    case("label_encoder_repeated_key", "LabelEncoder", [texts("a", "b", "q")], np.array([3, 2, -1]),
         keys_strings=["a", "b", "a"], values_int64s=[1, 2, 3])
    case("label_encoder_nan_and_zeros", "LabelEncoder", [np.array([np.nan, 0, -0.0, 1], np.float32)],
         texts("nan", "zero", "zero", "_Unused"), keys_floats=[nan, -0.0], values_strings=["nan", "zero"])
    case("label_encoder_large", "LabelEncoder", [np.array([2**53, 2**53 + 1])], np.array([7, 8], np.int64),
         keys_int64s=[2**53 + 1, 2**53], values_int64s=[8, 7])
    case("one_hot_cut_to_integers", "OneHotEncoder", [np.array([1.7, -1.6, np.nan], np.float32)],
         np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32), cats_int64s=[2, 1, -1])


    # Keys side by side, far apart, and both: whatever share of their range they are looked for in.
    generator = np.random.default_rng(5)
    for name, keys in {"dense": generator.permutation(300) - 150, "far": generator.integers(-2**63, 2**63, 300),
                       "uneven": np.r_[generator.permutation(40), 2**62, -2**63, 2**63 - 1], "one": np.array([7]),
                       "repeated": generator.integers(-9, 9, 50)}.items():
        values = {int(k): i for i, k in enumerate(keys)}
        asked = np.r_[keys, keys[:20] + 1, -2**63, 2**63 - 1, 0]
        case(f"label_encoder_{name}", "LabelEncoder", [asked], np.array([values.get(int(k), -1) for k in asked]),
             keys_int64s=keys.tolist(), values_int64s=list(range(len(keys))))
    floats = np.r_[generator.standard_normal(100), np.inf, -np.inf, np.nan].astype(np.float32)
    asked = np.r_[floats, np.float32(0), floats[:9] * 2].astype(np.float32)
    case("label_encoder_floats", "LabelEncoder", [asked], np.r_[np.arange(len(floats)), np.full(10, -1)],
         keys_floats=floats.tolist(), values_int64s=list(range(len(floats))))


def features():
    one, two = np.array([1, 2], np.float32), np.array([3, 4, 5], np.float32)
    case("feature_vectorizer_lists", "FeatureVectorizer", [one, two], np.array([[1, 2, 3, 4, 5]], np.float32),
         inputdimensions=[2, 3])
    case("feature_vectorizer_rows", "FeatureVectorizer", [one.reshape(1, 2), two], np.array([[1, 2, 3, 4, 5]], np.float32),
         inputdimensions=[2, 3])
    case("feature_vectorizer_empty_list", "FeatureVectorizer", [one, two], np.array([[1, 2, 3, 4, 5]], np.float32),
         inputdimensions=empty("inputdimensions", AttributeProto.INTS))
    large = 2**53 + 1
    case("imputer_large", "Imputer", [np.array([[large, large - 1]])], np.array([[2**62 + 1, large - 1]]),
         imputed_value_int64s=[2**62 + 1], replaced_value_int64=large)


def scores():
    """A quantile is that of a probability; what is none has none."""
    inf, nan = np.inf, np.nan
    for name, asked, expected in (("ends", [0, 1, 0.5], [-inf, inf, 0]), ("beside", [-0.5, 1.5, nan], [nan, nan, nan])):
        case(f"probit_{name}", "LinearRegressor", [np.array(asked, np.float32).reshape(3, 1)],
             np.array(expected, np.float32).reshape(3, 1), coefficients=[1.0], post_transform="PROBIT")


def maps():
    numbers = {3: 1.5, 0: -2.75, 1: 1234567.0}
    case("cast_map_to_strings", "CastMap", [numbers], texts("-2.75", "1234567", "1.5").reshape(1, 3), cast_to="TO_STRING")
    case("cast_map_to_int64", "CastMap", [numbers], np.array([[-2, 1234567, 0, 1, 0]]), cast_to="TO_INT64", map_form="SPARSE",
         max_map=5)
    case("cast_map_from_strings", "CastMap", [{2: "1e3", 1: "-2.5", 0: " 7"}], np.array([[7, -2.5, 1000]], np.float32),
         kind=object)
    case("cast_map_strings", "CastMap", [{2: "é", 0: "b"}], texts("b", "", "é").reshape(1, 3), kind=object,
         cast_to="TO_STRING", map_form="SPARSE", max_map=3)
    case("dict_vectorizer_unknown_key", "DictVectorizer", [{"z": 1.5, "q": 3.0}], np.array([[0, 1.5]], np.float32),
         string_vocabulary=["a", "z"])
    case("dict_vectorizer_integers", "DictVectorizer", [{7: 1.5, -2: 3.0}], np.array([[3, 1.5, 0]], np.float32),
         int64_vocabulary=[-2, 7, 8])
    rows = [{"z": 1.0, "a": 2.0}, {"a": 4.0, "z": 3.0}]
    case("zip_map_in_any_order", "ZipMap", [np.array([[2, 1], [4, 3]], np.float32)], rows, classlabels_strings=["a", "z"])
    case("zip_map_empty_list", "ZipMap", [np.array([[2, 1], [4, 3]], np.float32)], [{7: 2.0, -8: 1.0}, {7: 4.0, -8: 3.0}],
         classlabels_int64s=[7, -8], classlabels_strings=empty("classlabels_strings", AttributeProto.STRINGS))


def text():
    words = ["Straße", "ÀÉ", "ÿĐ", "Ƀɐ", "Ⱥⱥ", "ΐΣς", "ЯяЁ", "ԱԲ", "ᏸᎠ", "Ǆǆǅ", "ὈᾈῬ", "Ⓐⓐ", "Ꞌꟈ", "𐐀𐓐𞤀", "K"]
    simple = [w if len(w.upper()) == len(w) else None for w in words]
    upper = [w.upper() if s else None for w, s in zip(words, simple)]
    kept = [k for k, u in enumerate(upper) if u]
    case("upper_case", "StringNormalizer", [texts(*(words[k] for k in kept))], texts(*(upper[k] for k in kept)), domain="",
         case_change_action="UPPER", is_case_sensitive=1)
    lower = [w.replace("Σ", "σ").lower() for w in words]
    case("lower_case", "StringNormalizer", [texts(*words)], texts(*lower), domain="", case_change_action="LOWER",
         is_case_sensitive=1)
    case("stopwords_of_any_case", "StringNormalizer", [texts("ÉTÉ", "Ⱥ", "x")], texts("x"), domain="", stopwords=["été", "ⱥ"])
    case("tfidf_empty_weights", "TfIdfVectorizer", [np.array([1, 2, 1])], np.array([2, 1, 0], np.float32), domain="", mode="TFIDF",
         min_gram_length=1, max_gram_length=1, max_skip_count=0, ngram_counts=[0], ngram_indexes=[0, 1, 2], pool_int64s=[1, 2, 3],
         weights=empty("weights", AttributeProto.FLOATS))

    generator = np.random.default_rng(6)
    starts, grams, pool = [], [], []
    for n, count in enumerate([8, 40, 0, 30], 1):  # the second time a sequence occurs nothing finds it
        starts.append(len(pool))
        rows = [tuple(generator.integers(0, 12, n).tolist()) for _ in range(count)]
        pool += [item for row in rows for item in row]
        grams += rows
    columns, weights = generator.permutation(len(grams)), generator.integers(1, 9, len(grams)).astype(np.float32)
    given = generator.integers(0, 14, (3, 60))
    for mode in ("TF", "IDF", "TFIDF"):
        expected = np.zeros((3, len(grams)), np.float32)
        for row, items in enumerate(given.tolist()):
            for n in range(1, 5):
                for step in range(1, 2 if n == 1 else 4):
                    for i in range(60 - (n - 1) * step):
                        gram = tuple(items[i:i + (n - 1) * step + 1:step])
                        if gram in grams:
                            expected[row, columns[grams.index(gram)]] += 1
        expected = np.minimum(expected, 1) if mode == "IDF" else expected
        scale = np.ones(len(grams), np.float32)
        scale[columns] = weights if mode != "TF" else 1
        both = dict(domain="", mode=mode, min_gram_length=1, max_gram_length=4, max_skip_count=2, ngram_counts=starts,
                    ngram_indexes=columns.tolist(), weights=weights.tolist())
        case(f"tfidf_numbers_{mode}", "TfIdfVectorizer", [given], expected * scale, pool_int64s=pool, **both)
        case(f"tfidf_int32_{mode}", "TfIdfVectorizer", [given.astype(np.int32)], expected * scale, pool_int64s=pool, **both)
        case(f"tfidf_words_{mode}", "TfIdfVectorizer", [np.array([[f"w{x}" for x in row] for row in given], object)],
             expected * scale, pool_strings=[f"w{x}" for x in pool], **both)

    def tokens(name, given, expected, **attributes):
        case(f"tokens_{name}", "Tokenizer", [texts(*given)], texts(*np.ravel(expected)).reshape(np.shape(expected)),
             domain="com.microsoft", pad_value="#", **{"mark": 0, "mincharnum": 1, **attributes})

    tokens("characters", ["aé", "日"], [["a", "é"], ["日", "#"]], separators=[""])
    tokens("first_separator_first", ["a b c"], [["a ", " c"]], separators=["b", "a b"])
    tokens("both_separators", ["a,b c", ""], [["a", "b", "c"], ["#", "#", "#"]], separators=[" ", ","])
    tokens("marks", ["a b"], [["\x02", "a", "b", "\x03"]], separators=[" "], mark=1)
    tokens("none_no_marks", ["?", ""], np.empty((2, 0)), tokenexp="[a-z]+", mark=1)
    tokens("no_text", [], np.empty((0,)), separators=[" "])


def trees():
    """Rows and trees are walked side by side, in any number."""
    draw = np.random.default_rng(21)
    TREES, INNER, SIZE, TARGETS, COLUMNS = 11, 7, 15, 3, 5
    thresholds = draw.integers(-2, 3, (TREES, INNER)).astype(np.float32)
    tested = draw.integers(0, COLUMNS, (TREES, INNER))
    weighed = draw.standard_normal((TREES, SIZE)).astype(np.float32)
    modes = np.array(["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_EQ"])[draw.integers(0, 4, (TREES, INNER))]
    missing = draw.integers(0, 2, (TREES, INNER))
    holds = {"BRANCH_LEQ": np.less_equal, "BRANCH_LT": np.less, "BRANCH_GTE": np.greater_equal, "BRANCH_EQ": np.equal}

    def leaf_of(t, row):
        node = 0
        while node < INNER:
            x = row[tested[t, node]]
            node = 2 * node + (1 if holds[modes[t, node]](x, thresholds[t, node]) or (x != x and missing[t, node]) else 2)
        return node

    def full(values, leaf):
        return np.concatenate([values, np.full((TREES, SIZE - INNER), leaf)], 1).ravel().tolist()

    forest = {
        "nodes_treeids": np.repeat(range(TREES), SIZE).tolist(), "nodes_nodeids": list(range(SIZE)) * TREES,
        "nodes_modes": full(modes, "LEAF"), "nodes_values": full(thresholds, 0), "nodes_featureids": full(tested, 0),
        "nodes_missing_value_tracks_true": full(missing, 0),
        "nodes_truenodeids": full(np.tile(range(1, 2 * INNER, 2), (TREES, 1)), 0),
        "nodes_falsenodeids": full(np.tile(range(2, SIZE, 2), (TREES, 1)), 0),
        "target_treeids": np.repeat(range(TREES), SIZE - INNER).tolist(), "target_nodeids": list(range(INNER, SIZE)) * TREES,
        "target_ids": [(t + n) % TARGETS for t in range(TREES) for n in range(INNER, SIZE)],
        "target_weights": weighed[:, INNER:].ravel().tolist(), "n_targets": TARGETS, "base_values": [0.5, -0.25, 1.0]}
    for rows, dtype in [(r, np.float32) for r in (1, 2, 3, 5, 8, 21, 300)] + [(13, np.float64), (9, np.int64)]:
        x = draw.integers(-3, 4, (rows, COLUMNS)).astype(dtype)
        if dtype != np.int64:
            x[rows // 2, ::2] = np.nan
            x[rows - 1, 1] = -np.inf
        for how, function in {"SUM": np.add, "AVERAGE": np.add, "MIN": np.minimum, "MAX": np.maximum}.items():
            y, seen = np.zeros((rows, TARGETS), np.float32), np.zeros((rows, TARGETS), bool)
            for r, t in np.ndindex(rows, TREES):
                leaf = leaf_of(t, x[r])
                k = (t + leaf) % TARGETS
                y[r, k] = function(y[r, k], weighed[t, leaf]) if seen[r, k] else weighed[t, leaf]
                seen[r, k] = True
            y = y / np.float32(TREES if how == "AVERAGE" else 1) + np.array(forest["base_values"], np.float32)
            case(f"trees_{rows}_{how.lower()}_{dtype.__name__}", "TreeEnsembleRegressor", [x], y, aggregate_function=how,
                 **forest)


    leaf = {"nodes_treeids": [0] * 3, "nodes_nodeids": [0, 1, 2], "nodes_featureids": [0] * 3, "nodes_truenodeids": [1, 0, 0],
            "nodes_falsenodeids": [2, 0, 0], "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_values": [0.5, 0.0, 0.0],
            "target_treeids": [0] * 6, "target_nodeids": [1, 1, 1, 2, 2, 2], "target_ids": [0] * 6}
    case("trees_repeated_weights", "TreeEnsembleRegressor", [np.array([[0], [1]], np.float32)], np.array([[3], [5]], np.float32),
         n_targets=1, target_weights=[3.0, 4.0, 3.0, 5.0, 5.0, 6.0], **leaf)
    three = leaf | {"nodes_truenodeids": [1, 0, 0], "classlabels_int64s": [7, 8, 9], "class_treeids": [0] * 3,
                    "class_nodeids": [1, 1, 2], "class_ids": [1, 2, 2], "class_weights": [-0.5, -0.25, -2.0]}
    for name in [n for n in three if n.startswith("target_")]:
        del three[name]
    case("trees_class_without_score", "TreeEnsembleClassifier", [np.array([[0], [1]], np.float32)], np.array([9, 9]), **three)
    case("trees_class_of_base_values", "TreeEnsembleClassifier", [np.array([[0], [1]], np.float32)], np.array([7, 9]),
         base_values=[-0.5, -0.75, -0.5], **(three | {"class_weights": [-0.5, -0.25, -2.0], "class_ids": [1, 2, 0]}))


def main():
    for group in (lookups, features, scores, maps, text, trees):
        group()
    for arguments in cases:
        write(pathlib.Path(sys.argv[1]) / "ml", *arguments)


if __name__ == "__main__":
    main()
