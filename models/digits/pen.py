"""Draws digits with a round pen, the way a finger draws them on a canvas.

The sample pictures come from here, so the project shows no one else's handwriting, and so does a part of the training: the
scanned digits are American hands, which draw the 1 as a bare line, and a network that saw only them takes a 1 with a flag for
a 7. A digit is a list of ways to draw it, a way is a list of strokes, and a stroke is a list of points in the unit square
(x to the right, y down) that a smooth curve passes through; a corner is where one stroke ends and the next begins. This file
knows nothing of networks.
"""
import numpy as np

SIDE = 28
FLAG, STEM, FOOT = [(.32, .22), (.56, .00)], [(.56, .00), (.53, .50), (.50, 1.0)], [(.28, 1.0), (.50, .99), (.74, 1.0)]
SEVEN = [[(.10, .04), (.50, .03), (.88, .02)], [(.88, .02), (.66, .46), (.44, 1.0)]]
BAR = [(.38, .52), (.60, .50), (.82, .50)]
WAYS = [
    [[[(.50, .00), (.22, .10), (.10, .50), (.22, .90), (.50, 1.0), (.78, .90), (.90, .50), (.78, .10), (.50, .00)]]],
    [[FLAG, STEM], [STEM], [FLAG, STEM, FOOT]],
    [[[(.12, .24), (.28, .04), (.60, .02), (.80, .22), (.68, .50), (.38, .76), (.10, .98)],
      [(.10, .98), (.50, .95), (.90, .97)]]],
    [[[(.14, .12), (.45, .00), (.78, .10), (.80, .32), (.42, .47)],
      [(.42, .47), (.80, .58), (.86, .82), (.50, 1.0), (.10, .90)]]],
    [[[(.36, .00), (.22, .32), (.10, .60)], [(.10, .60), (.50, .61), (.92, .58)], [(.70, .22), (.67, .60), (.62, 1.0)]]],
    [[[(.84, .02), (.50, .03), (.24, .04)], [(.24, .04), (.21, .24), (.18, .44)],
      [(.18, .44), (.50, .38), (.84, .56), (.80, .86), (.46, 1.0), (.10, .90)]]],
    [[[(.70, .00), (.38, .24), (.18, .60), (.26, .92), (.54, 1.0), (.80, .84), (.76, .60), (.50, .52), (.22, .68)]]],
    [SEVEN, SEVEN + [BAR]],
    [[[(.76, .14), (.50, .00), (.24, .14), (.32, .38), (.64, .58), (.80, .82), (.50, 1.0), (.22, .82), (.38, .56), (.68, .36),
       (.76, .14)]]],
    [[[(.78, .24), (.52, .02), (.22, .18), (.26, .42), (.52, .48), (.78, .24)], [(.78, .24), (.72, .60), (.62, 1.0)]]],
]


def curve(points, steps=16):
    """A Catmull-Rom spline through the points, ends doubled: [n, 2] -> [(n - 1) * steps + 1, 2]."""
    p = np.concatenate([points[:1], points, points[-1:]])
    t = np.arange(steps)[:, None] / steps
    spans = [.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t ** 2 + (3 * b - a - 3 * c + d) * t ** 3)
             for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:])]
    return np.concatenate(spans + [points[-1:]])


def draw(digit, rng=None):
    """One picture, float32 [28, 28], ink 1 on ground 0. With a generator the way varies and the hand shakes; without one it is
    the first way, in a steady hand."""
    strokes, size, radius, centre, matrix = WAYS[digit][0], 18.0, 1.3, SIDE / 2, np.diag([.75, 1])
    if rng is not None:
        strokes = WAYS[digit][rng.integers(len(WAYS[digit]))]
        size, radius = rng.uniform(15, 21), rng.uniform(.9, 1.8)
        centre = SIDE / 2 + rng.uniform(-2, 2, 2)
        angle, slant, narrow = rng.uniform(-.15, .15), rng.uniform(-.25, .15), rng.uniform(.6, 1)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn @ np.array([[narrow, -slant], [0, 1]])
    ink = np.zeros((SIDE, SIDE), np.float32)
    y, x = np.mgrid[:SIDE, :SIDE] + .5
    for stroke in strokes:
        points = np.array(stroke) - .5
        if rng is not None:
            points = points + rng.normal(0, .03, points.shape)
        path = centre + size * curve(points) @ matrix.T
        distance = np.hypot(x[..., None] - path[:, 0], y[..., None] - path[:, 1]).min(-1)
        ink = np.maximum(ink, np.clip(radius + .5 - distance, 0, 1))
    return ink.astype(np.float32)
