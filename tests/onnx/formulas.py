#!/usr/bin/env python3
"""formulas.py OUT_DIR: writes small models of those operators of com.microsoft that become a few of ONNX's own at load, in the same
layout as generate.py's cases (kind `formulas`). The expected outputs are computed here with numpy from the words of those operators'
documentation. Needs onnx and numpy."""
import pathlib
import sys

import numpy as np

import microsoft
from microsoft import attend, case, f32, heads, i8, merged, one, random, silu, softmax, u8

microsoft.cases.clear()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rms(x, epsilon=1e-5):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon)


def floats(*arrays):
    return [a.astype(np.float32) for a in arrays]


# ---- sums and products -----------------------------------------------------------------------------------------------------------
scores = f32(2, 3, 4, 5)
for name, bias, inner in (("rows", f32(2, 1, 4, 5), 1), ("all", f32(4, 5), 0)):
    total = scores + bias
    case(f"bias_softmax_{name}", "BiasSoftmax", [scores, bias], floats(softmax(total, -1)), axis=3, is_inner_broadcast=inner)
case("bias_softmax_matrix", "BiasSoftmax", [scores, f32(2, 3, 4, 5)], [], axis=2, is_inner_broadcast=0)
microsoft.cases[-1][3].append(softmax((scores + microsoft.cases[-1][2][1]).reshape(6, 20), -1).reshape(scores.shape))
a, b = f32(3, 4, 2), f32(4, 2)
u, v = a[..., 0] + 1j * a[..., 1], b[..., 0] + 1j * b[..., 1]
for name, product in (("ComplexMul", u * v), ("ComplexMulConj", u * v.conj())):
    case(name, name, [a, b], floats(np.stack([product.real, product.imag], -1)))
signal = f32(2, 6, 8)
for axes in (1, 2):
    spectrum = np.fft.rfftn(signal, axes=range(3 - axes, 3))
    parts = floats(np.stack([spectrum.real, spectrum.imag], -1))
    case(f"rfft_{axes}", "Rfft", [signal], parts, signal_ndim=axes, onesided=1, normalized=0)
    case(f"irfft_{axes}", "Irfft", parts, [signal], signal_ndim=axes, onesided=1, normalized=0)
case("reduce_sum_integer", "ReduceSumInteger", [i8(3, 4, 5)], [], axes=[0, 2], keepdims=0)
microsoft.cases[-1][3].append(microsoft.cases[-1][2][0].sum((0, 2), dtype=np.int32))
case("reduce_sum_integer_unsigned", "ReduceSumInteger", [u8(3, 4)], [], axes=[1], keepdims=1)
microsoft.cases[-1][3].append(microsoft.cases[-1][2][0].sum(1, dtype=np.uint32, keepdims=True))
plain, odd, huge = f32(3), one([1, np.nan]), one([[np.inf]], np.float64)
for name, inputs, extra, answer in (
        ("finite", [plain], {}, True), ("nan", [plain, odd], {}, False), ("infinite", [huge, plain], {}, False),
        ("only_infinite", [plain, odd], {"isinf_only": 1}, True), ("only_nan", [huge], {"isnan_only": 1}, True), ("both_nan", [odd, huge], {"isnan_only": 1}, False)):
    case(f"all_finite_{name}", "IsAllFinite", inputs, [one(answer, bool)], **extra)
case("sample", "SampleOp", [plain], [plain])
case("bitmask_dropout", "BitmaskDropout", [plain, one(0.5)], [plain])
case("bitmask_bias_dropout", "BitmaskBiasDropout", [scores[0], scores[1, 0, 0], scores[1]], [scores[0] + scores[1, 0, 0] + scores[1]])

# ---- padding ------------------------------------------------------------------------------------------------------------------------
counts = one([2, 0, 3], np.int32)
batch = f32(3, 4, 5)
real = np.arange(4) < counts[:, None]
offsets = np.concatenate([np.flatnonzero(real), np.flatnonzero(~real)]).astype(np.int32).reshape(3, 4)
tokens = batch[real]
restored = np.where(real[..., None], batch, 0)
sums = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
case("remove_padding", "RemovePadding", [batch, counts], [tokens, offsets, sums, one([3], np.int32)])
case("restore_padding", "RestorePadding", [tokens, offsets], [restored])
counts = one([3, 1], np.int32)
real = np.arange(3) < counts[:, None]
offsets = np.concatenate([np.flatnonzero(real), np.flatnonzero(~real)]).astype(np.int32).reshape(2, 3)
sums = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
hidden = np.where(real, 0, -1e30)[:, None, None]
q, k, v, bias, extra = f32(2, 3, 8), f32(2, 3, 8), f32(2, 3, 12), f32(28), f32(1, 2, 3, 3)
parts = [heads(part + b, 2) for part, b in zip((q, k, v), np.split(bias, [8, 16]))]
y = merged(attend(*parts, None, hidden + extra))
case("packed_multi_head", "PackedMultiHeadAttention", [q[real], k[real], v[real], bias, offsets, sums, extra], [y[real]], num_heads=2)
both = f32(2, 3, 2, 3, 4)
y = merged(attend(*both.transpose(3, 0, 2, 1, 4), None, hidden))
case("packed_multi_head_joined", "PackedMultiHeadAttention", [both[real], None, None, None, offsets, sums], [y[real]], num_heads=2)
x, weights, bias = f32(2, 3, 6), f32(6, 24), f32(24)
parts = [heads(part, 2) for part in np.split(x @ weights + bias, 3, -1)]
y = merged(attend(*parts, None, hidden + extra))
case("packed_attention", "PackedAttention", [x[real], weights, bias, offsets, sums, extra], [y[real]], (1, 2), num_heads=2)

# ---- places ----------------------------------------------------------------------------------------------------------------------------
def bucket(distance, count, most, both_ways):
    """T5's: of a key's place less a query's."""
    base = 0
    if both_ways:
        count //= 2
        base = count if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = count // 2
    if distance < exact:
        return base + distance
    return base + min(exact + int(np.log(distance / exact) / np.log(most / exact) * (count - exact)), count - 1)


for both_ways in (0, 1):
    table = f32(16, 2)
    chosen = np.array([[bucket(j - i, 16, 20, both_ways) for j in range(30)] for i in range(30)])
    places = table.reshape(2, 16)[:, chosen][None]  # by columns, whatever its shape
    case(f"relative_bias_{both_ways}", "RelativePositionBias", [table, one(30, np.int64), one(30, np.int64)], [places], (1, 2), max_distance=20, is_bidirectional=both_ways)
query, query_bias, weight, gate_bias, eco, relative = f32(2, 3, 8), f32(8), f32(4, 6), f32(6), f32(1, 2, 1, 1), f32(1, 2, 3, 3)


def gated(x):
    layer = (x + query_bias).reshape(2, 3, 2, 4).transpose(0, 2, 1, 3)
    gates = sigmoid((layer @ weight + gate_bias).reshape(2, 2, 3, 2, 3).sum(-1))
    return ((gates[..., :1] * (gates[..., 1:] * eco - 1) + 2) * relative).astype(np.float32)


case("gated_bias", "GatedRelativePositionBias", [query, query_bias, relative, weight, gate_bias, eco], [gated(query)], num_heads=2)
case("gated_bias_packed", "GatedRelativePositionBias", [query[real], query_bias, relative, weight, gate_bias, eco, offsets], [gated(np.where(real[..., None], query, 0))], num_heads=2)
turn, q, q_rot, k, k_rot = f32(2, 3, 4), *(f32(2, 2, 3, 4).astype(np.float16) for _ in range(4))
cosine, sine = (f(turn).astype(np.float16)[:, None] for f in (np.cos, np.sin))
case("gemma_rotary", "GemmaRotaryEmbedding", [turn, q, q_rot, k, k_rot], [q * cosine + q_rot * sine, k * cosine + k_rot * sine])

# ---- words of letters ---------------------------------------------------------------------------------------------------------------------
words = one([[3, 1, 2, 4, 0, 0], [5, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]], np.int32)
filters, filter_bias, letters = f32(5, 1, 3, 4), f32(5), f32(7, 4)
vectors = np.zeros((4, 5), np.float32)
for i, word in enumerate(words):
    length = max(np.count_nonzero(word), 3) if word.any() else 0
    windows = [np.tanh((letters[word[j:j + 3]] * filters[:, 0]).sum((1, 2)) + filter_bias) for j in range(length - 2)]
    vectors[i] = np.max(windows, 0) if windows else 0
case("word_vectors", "WordConvEmbedding", [words, filters, filter_bias, letters], [vectors], (1, 2, 3), embedding_size=5, conv_window_size=3, char_embedding_size=4)

# ---- gates and branches ---------------------------------------------------------------------------------------------------------------------
x, y, gate, other = f32(2, 3, 4), f32(2, 3, 4), f32(2, 3, 1), one(1.5)
case("gated_add", "GatedAdd", [x, y, gate], [x + y * gate])
case("scaled_silu", "ScaledSiLU", [x], [silu(x * 2)], alpha=2.0)
case("scaled_silu_input", "ScaledSiLU", [x, other], [silu(x * 1.5)], alpha=2.0)
case("swiglu_plain", "SwiGLU", [x, y], floats(silu(x) * y))
low, high = np.minimum(x, 0.5), np.clip(y, -0.5, 0.5)
for name, inputs in (("clamped", [x, y]), ("clamped_halves", [np.concatenate([x, y], -1)])):
    case(f"swiglu_{name}", "SwiGLU", inputs, floats(low * sigmoid(1.702 * low) * (high + 1)), activation_alpha=1.702, activation_beta=1.0, limit=0.5)
streams, scale = f32(2, 3, 4), f32(12)
for name, given, extra in (("grouped", streams, {}), ("flat", streams.reshape(2, 12), {"num_branches": 3})):
    shape = given.shape
    case(f"branch_norm_{name}", "BranchwiseRMSNorm", [given], floats(rms(streams, 1e-3).reshape(shape)), epsilon=1e-3, **extra)
    case(f"branch_norm_{name}_scaled", "BranchwiseRMSNorm", [given, scale], floats((rms(streams, 1e-3) * scale.reshape(3, 4)).reshape(shape)), epsilon=1e-3, **extra)
    case(f"branch_norm_{name}_shared", "BranchwiseRMSNorm", [given, scale[:4]], floats((rms(streams, 1e-3) * scale[:4]).reshape(shape)), epsilon=1e-3, **extra)
    for kind, mix in (("branch", f32(2, 3)), ("column", f32(2, 3, 1)), ("each", f32(2, 3, 4))):
        wide = mix.reshape(2, 3, -1)
        case(f"pre_mix_{name}_{kind}", "HyperConnectionPreMix", [given, mix], floats(0.5 * (streams * wide).sum(1)), reduction_scale=0.5, **extra)
        block, matrix = f32(2, 4), f32(2, 3, 3)
        added = wide * block[:, None]
        case(f"post_mix_{name}_{kind}", "HyperConnectionPostMix", [given, block, mix], floats((streams + added).reshape(shape)), **extra)
        case(f"post_mix_{name}_{kind}_mixed", "HyperConnectionPostMix", [given, block, mix, matrix], floats((matrix.transpose(0, 2, 1) @ streams + added).reshape(shape)), **extra)
key, query, value, scales = f32(2, 3, 2, 4), f32(2, 3, 2, 4), f32(2, 3, 4), [f32(2, 4) for _ in range(3)]
dot = (rms(key) * scales[0] * rms(query) * scales[1]).sum(-1, keepdims=True) / 2
out = sigmoid(np.sign(dot) * np.sqrt(np.maximum(abs(dot), 1e-6))) * value[:, :, None]
case("engram_gate", "EngramGate", [key, query, value, *scales], floats(out, rms(out) * scales[2]))
case("engram_gate_alone", "EngramGate", [key, query, value, *scales[:2]], floats(out))

# ---- the router of groups of experts ------------------------------------------------------------------------------------------------
logits, offset = f32(4, 3, 8), f32(8)
scores = sigmoid(logits.reshape(-1, 8))
for name, groups, kept, summed, chosen in (("one", 1, 1, 2, 2), ("four", 4, 2, 2, 3), ("clamped", 2, 1, 5, 4), ("single", 4, 3, 1, 2)):
    routed = np.full_like(scores, -50)
    for row, (s, u) in enumerate(zip(scores, scores + offset)):
        sums = [np.sort(g)[::-1][:summed].sum() for g in np.split(u, groups)]
        allowed = np.isin(np.arange(8) // (8 // groups), np.argsort(sums)[::-1][:kept])
        best = np.argsort(np.where(allowed, u, -np.inf))[::-1][:chosen]
        routed[row, best] = np.log(s[best])
    case(f"group_router_{name}", "MoEGroupRouter", [logits, offset], [routed], n_group=groups, topk_group=kept, group_topk=summed, top_k=chosen, router_sentinel=-50.0)
activations, projection = f32(4, 256), f32(8, 256)
scores = sigmoid(activations @ projection.T)
case("group_router_projected", "MoEGroupRouter", [activations, offset, projection], floats(scores + offset, scores), top_k=2)
microsoft.cases[-1][3].insert(0, None)

# ---- a state that decays --------------------------------------------------------------------------------------------------------------
def delta_net(q, k, v, decay, beta, state, rule):
    """q, k, v: [batch, steps, heads, size], decay: [batch, steps, heads, 1 or size], state: [batch, heads, size of v, size of k]"""
    share, outs, state = v.shape[2] // q.shape[2], [], state.copy()
    q, k = q.repeat(share, 2), k.repeat(share, 2)
    for s in range(q.shape[1]):
        if "gated" in rule:
            state *= np.exp(decay[:, s])[:, :, None]
        delta = v[:, s] - (np.einsum("bhvk,bhk->bhv", state, k[:, s]) if "delta" in rule else 0)
        state += np.einsum("bhv,bhk->bhvk", delta * beta[:, s, :, None] if "delta" in rule else delta, k[:, s])
        outs.append(np.einsum("bhvk,bhk->bhv", state, q[:, s]) / np.sqrt(q.shape[-1]))
    return np.stack(outs, 1), state


def unit(x):
    return x / np.sqrt((x * x).sum(-1, keepdims=True) + 1e-12)


q, k, v, state = f32(2, 3, 2, 5), f32(2, 3, 2, 5), f32(2, 3, 4, 6), f32(2, 4, 6, 5)
decay, decays, beta, rates, bias, biases = -abs(f32(2, 3, 4)), f32(2, 3, 4, 5), f32(2, 3, 4), f32(4), f32(4), f32(4, 5)
tokens = [x.reshape(6, *x.shape[2:]) for x in (q, k, v)]
flat = lambda x: x.reshape(6, *x.shape[2:])
joined = np.concatenate([x.reshape(6, -1) for x in tokens], 1)
for rule in ("linear", "gated", "delta", "gated_delta"):
    y, last = delta_net(unit(q), unit(k), v, decay[..., None], beta, state, rule)
    case(f"delta_net_{rule}", "GatedDeltaNet", [*tokens, None, flat(decay), flat(beta), state], floats(flat(y), last), update_rule=rule, qk_l2_norm=1)
case("delta_net_joined", "GatedDeltaNet", [joined, None, None, None, flat(decay), flat(beta), state], floats(flat(y), last), qk_l2_norm=1)
case("delta_net_sequences", "GatedDeltaNet", [q, k, v, None, decay, beta, state], floats(y, last), qk_l2_norm=1)
y, last = delta_net(unit(q), unit(k), v, decay[..., None], beta, 0 * state, rule)
case("delta_net_begin", "GatedDeltaNet", [q, k, v, None, decay, beta], floats(y, last), qk_l2_norm=1)
y, last = delta_net(unit(q), unit(k), v, (-np.exp(rates) * np.log1p(np.exp(decay + bias)))[..., None], sigmoid(beta), state, rule)
case("delta_net_softplus", "GatedDeltaNet", [*tokens, None, flat(decay), flat(beta), state, rates, bias], floats(flat(y), last),
     gate_activation="softplus", beta_activation="sigmoid", qk_l2_norm=1)
y, last = delta_net(unit(q), unit(k), v, -3 * sigmoid(np.exp(rates)[:, None] * (decays + biases)), sigmoid(beta), state, rule)
case("delta_net_bounded", "GatedDeltaNet", [*tokens, None, flat(decays), flat(beta), state, rates, biases], floats(flat(y), last),
     gate_activation="kda", beta_activation="sigmoid", gate_lower_bound=-3.0, qk_l2_norm=1)

starts, lengths = one([0, 2, 3, 8], np.int32), (2, 1, 5)
tokens, rates3 = [f32(8, 2, 4), f32(8, 2, 4), f32(8, 4, 3)], f32(8, 4)
beta3, state3 = sigmoid(f32(8, 4)).astype(np.float32), f32(3, 4, 3, 4)
parts = [delta_net(unit(a[None, i:j]), unit(b[None, i:j]), c[None, i:j], (-np.exp(rates) * np.log1p(np.exp(d[None, i:j] + bias)))[..., None], e[None, i:j], s[None], "gated_delta")
         for (a, b, c), d, e, s, i, j in ((tokens, rates3, beta3, s, i, j) for s, i, j in zip(state3, starts[:-1], starts[1:]))]
case("delta_net_ragged", "GatedDeltaNet", [*tokens, starts, rates3, beta3, state3, rates, bias], floats(np.concatenate([y[0] for y, _ in parts]), np.concatenate([s for _, s in parts])), gate_activation="softplus", qk_l2_norm=1)
case("delta_net_ragged_joined", "GatedDeltaNet", [np.concatenate([a.reshape(8, -1) for a in tokens], 1), None, None, *microsoft.cases[-1][2][3:]], microsoft.cases[-1][3], gate_activation="softplus", qk_l2_norm=1)


# ---- numbers of groups of words ------------------------------------------------------------------------------------------------------------------------
def ngram_hashes(ids, factors, sizes, past, most, count, fill, end=None, segments=None, offsets=None, old=0):
    """`old`: so many of the segments are the past's."""
    history = np.concatenate([np.full((len(ids), most - 1), fill, ids.dtype) if past is None else past, ids], 1)
    hashes = np.zeros((*ids.shape, (most - 1) * count), ids.dtype)
    for b, t in np.ndindex(ids.shape):
        mixed, broken = ids[b, t] * factors[0], False
        for k in range(1, most):
            word = history[b, most - 1 + t - k]
            broken = broken or word == end or (segments is not None and old + t - k >= 0 and segments[b, old + t - k] != segments[b, old + t - k + 1])
            mixed ^= (fill if broken else word) * factors[k]
            hashes[b, t, (k - 1) * count:k * count] = mixed % sizes[(k - 1) * count:k * count]
    return [hashes + (0 if offsets is None else offsets), history[:, ids.shape[1]:]]


with np.errstate(over="ignore"):
    for kind in (np.int32, np.int64):
        ids, factors, sizes = random.integers(0, 6, (2, 7)).astype(kind), one([7, -1234567, 2**31 - 5, 11], kind), one([5, 7, 11, 13, 17, 19], kind)
        past, segments, end, offsets = one([[2, 3, 1], [0, 5, 4]], kind), one([[0, 0, 1, 1, 1, 2, 2], [0] * 7], np.int32), one(3, kind), np.arange(6, dtype=kind) * 100
        attributes = {"max_ngram_size": 4, "n_head_per_ngram": 2, "pad_id": 9}
        for name, inputs, extra, answer in (
                ("plain", [], {}, (None, 4, 2, kind(9))), ("past", [past], {}, (past, 4, 2, kind(9))), ("end", [None, None, end], {}, (None, 4, 2, kind(3))),
                ("ends", [past, offsets, end], {"reset_on_eos": 1}, (past, 4, 2, kind(3), 3, None, offsets)),
                ("segments", [past, None, None, segments], {}, (past, 4, 2, kind(9), None, segments)), ("all", [None, offsets, end, segments], {"reset_on_eos": 1}, (None, 4, 2, kind(3), 3, segments, offsets))):
            case(f"ngram_{name}_{np.dtype(kind)}", "NGramHashMapping", [ids, factors, sizes, *inputs], ngram_hashes(ids, factors, sizes, *answer), **attributes, **extra)
        # Texts of 3, 1 and 4 words, one behind the other; the last goes on in the segment that its past ends in.
        words, bounds = ids.reshape(-1)[:8], one([0, 3, 4, 8], np.int32)
        pasts, segments, old = one([[2, 3, 1], [0, 5, 4], [1, 1, 2]], kind), one([0, 0, 1, 7, 5, 5, 5, 6], np.int32), one([[9, 0, 0], [7, 7, 7], [5, 5, 5]], np.int32)
        for name, inputs, extra, fill in (("plain", [], {}, kind(9)), ("past", [pasts, offsets], {}, kind(9)), ("all", [pasts, offsets, end, segments, old], {"reset_on_eos": 1}, end)):
            texts = []
            for i, j, k in zip(range(3), bounds, bounds[1:]):
                past = pasts[i:i + 1] if inputs else None
                marks = np.concatenate([old[i], segments[j:k]])[None] if len(inputs) > 2 else None
                texts.append(ngram_hashes(words[None, j:k], factors, sizes, past, 4, 2, fill, end if len(inputs) > 2 else None, marks, offsets if inputs else None, 3 if marks is not None else 0))
            answer = [np.concatenate([t[0][0] for t in texts]), np.concatenate([t[1] for t in texts])]
            if len(inputs) > 2:
                answer.append(np.stack([np.concatenate([old[i], segments[j:k]])[-3:] for i, j, k in zip(range(3), bounds, bounds[1:])]))
            case(f"ngram_packed_{name}_{np.dtype(kind)}", "VarlenNGramHashMapping", [words, factors, sizes, bounds, *inputs], answer, **attributes, **extra)

# ---- convolutions over texts of any lengths -------------------------------------------------------------------------------------------------------
x, taps, shift, states = f32(8, 3), f32(3, 1, 3), f32(3), f32(3, 3, 4)
lines = [np.concatenate([s.T, x[i:j]]) for s, i, j in zip(states, (0, 3, 4), (3, 4, 8))]
y = np.concatenate([sum(line[2 * k:len(line) - 4 + 2 * k] * taps[:, 0, k] for k in range(3)) for line in lines])
ends = np.stack([line[-4:].T for line in lines])
case("causal_conv_packed", "VarlenCausalConvWithState", [x, taps, bounds, None, states], floats(y, ends), dilation=2)
case("causal_conv_packed_silu", "VarlenCausalConvWithState", [x, taps, bounds, shift, states], floats(silu(y + shift), ends), dilation=2, activation="silu")

# ---- blocks of keys that a head does not see -----------------------------------------------------------------------------------------------------
block, room = 16, 48
layouts = one([[[1, 0, 0], [1, 1, 0], [0, 1, 1]], [[1, 0, 0], [0, 1, 0], [1, 0, 1]]], np.int32)
row_index = one([[0, *np.cumsum(layout.sum(1))] for layout in layouts], np.int32)
columns = [np.nonzero(layout)[1] for layout in layouts]
column_index = one([np.pad(c, (0, max(map(len, columns)) - len(c)), constant_values=-1) for c in columns], np.int32)
for name, rows, before in (("prompt", 40, 0), ("token", 1, 36)):
    q, k, v = f32(1, rows, 64), f32(1, rows, 32), f32(1, rows, 32)
    past = np.zeros((2, 1, 2, room, 16), np.float32)
    past[:, :, :, :before] = f32(2, 1, 2, before, 16)
    total = before + rows
    held = past.copy()
    held[:, :, :, before:total] = np.stack([heads(k, 2), heads(v, 2)])
    seen = np.kron(layouts, np.ones((block, block), int))[:, before:total, :total]
    seen = np.tile(seen, (2, 1, 1)) * (np.arange(total) <= np.arange(before, total)[:, None])
    mask = np.where(seen, 0, -1e30)[None]
    kk, vv = held[:, :, :, :total].repeat(2, 2)
    y = merged(attend(heads(q, 4), kk, vv, None, mask))
    case(f"sparse_attention_{name}", "SparseAttention", [q, k, v, *past, row_index, column_index, one([total], np.int32), one([total], np.int32)], [y, *held], (5, 6), num_heads=4, kv_num_heads=2, sparse_block_size=block)
past, x, weights, bias = f32(2, 2, 2, 5, 4), f32(2, 1, 6), f32(6, 24), f32(24)
q, k, v = (heads(part, 2) for part in np.split(x @ weights + bias, 3, -1))
held = past.copy()
held[:, :, :, 3:4] = np.stack([k, v])
y = merged(attend(q, held[0][:, :, :4], held[1][:, :, :4], None, 0))
case("decoder_masked", "DecoderMaskedSelfAttention", [x, weights, bias, None, past, None, one([3], np.int32)], [y, held], (1, 2), num_heads=2, past_present_share_buffer=1)

if __name__ == "__main__":
    for arguments in microsoft.cases:
        name, *rest = arguments
        microsoft.write(pathlib.Path(sys.argv[1]) / "formulas" / name, *rest)
    print(f"{len(microsoft.cases)} cases")
