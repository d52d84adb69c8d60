/*
 * Silero's voice activity models as speech recognisers run them: piece by piece, the state of one run fed to the next, and the
 * sampling rate choosing a branch of the graph. expected.json holds onnxruntime 1.32's answers for the same signal.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { inToolchain, root } from '../../tools/setup/paths.mjs';

/** Something like a voice: a tone whose pitch wavers, with overtones, that stops for 0.4 of every second. */
function voice(count, rate) {
  return Float32Array.from({ length: count }, (_, i) => {
    const time = i / rate;
    const pitch = 120 + 30 * Math.sin(4 * Math.PI * time);
    let sum = 0;
    for (let k = 1; k <= 12; k++) sum += Math.sin(2 * Math.PI * pitch * k * time) / k;
    return 0.15 * (time % 1 < 0.6 ? 1 : 0.02) * sum;
  });
}

const zeros = (dims) => new Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);
const twoStates = () => ({ h: zeros([2, 1, 64]), c: zeros([2, 1, 64]) });
const oneState = () => ({ state: zeros([2, 1, 128]) });

/** The oldest of the models is sensitive: a millionth more volume moves onnxruntime's own answers by half of this. */
const tolerance = 1e-3;

/** The rows of expected.json: which model, its sampling rate, the samples of a piece, and its first state. */
const rows = {
  silero_vad_legacy: { file: 'silero_vad_legacy', rate: 16000, size: 1536, begin: twoStates },
  silero_vad_v5: { file: 'silero_vad_v5', rate: 16000, size: 512, begin: oneState },
  silero_vad_v6: { file: 'silero_vad_v6', rate: 16000, size: 512, begin: oneState },
  'silero_vad_v5@8000': { file: 'silero_vad_v5', rate: 8000, size: 256, begin: oneState },
};
const answers = JSON.parse(readFileSync(join(root, 'tests/vad/expected.json'), 'utf8'));

for (const [name, { file, rate, size, begin }] of Object.entries(rows)) {
  test(`${name}: ${answers[name].length} pieces`, async () => {
    const session = await InferenceSession.create(inToolchain('vad', `${file}.onnx`));
    const sound = voice(size * answers[name].length, rate);
    const sr = new Tensor('int64', [BigInt(rate)], []);
    const [probability, ...states] = session.outputNames;
    let state = begin();
    for (const [k, expected] of answers[name].entries()) {
      const input = new Tensor('float32', sound.subarray(k * size, (k + 1) * size), [1, size]);
      const outputs = await session.run({ input, sr, ...state });
      const found = outputs[probability].data[0];
      assert.ok(Math.abs(found - expected) < tolerance, `piece ${k}: ${found}, expected ${expected}`);
      state = Object.fromEntries(Object.keys(state).map((input, i) => [input, outputs[states[i]]]));
    }
    await session.release();
  });
}
