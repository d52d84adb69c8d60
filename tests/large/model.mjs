/*
 * A model of 6 GB with an answer that is known, its weights made as they are read: three square matrices whose rows have one
 * number each, so that their product moves and scales what it is given, and a table of bytes, larger than 2 GB, of which rows
 * are taken. All of them lie in one other file, where the matrices end beyond 3 GB and the table beyond 6.
 */
import { model, node, tensor, tensorType } from '../js/onnx.mjs';

const SIDE = 16384;
const MATRIX = 4 * SIDE * SIDE;
const MATRICES = 3;
const [ROWS, WIDTH] = [3 * 2 ** 20, 1024];
/** Only these rows of the table have something in them. */
const STEP = 4096;

export const location = 'weights.bin';
export const size = MATRICES * MATRIX + ROWS * WIDTH;

const at = (offset, length) => ({ external: { location, offset, length } });
const names = Array.from({ length: MATRICES }, (_, m) => `w${m}`);

export const bytes = model({
  nodes: [
    ...names.map((name, m) => node('MatMul', [m === 0 ? 'x' : `h${m}`, name], [m === MATRICES - 1 ? 'y' : `h${m + 1}`])),
    node('Gather', ['table', 'rows'], ['taken']),
  ],
  inputs: { x: tensorType('float32', ['M', SIDE]), rows: tensorType('int64', ['N']) },
  outputs: { y: tensorType('float32', ['M', SIDE]), taken: tensorType('uint8', ['N', WIDTH]) },
  initializers: [
    ...names.map((name, m) => tensor(name, 'float32', [SIDE, SIDE], at(m * MATRIX, MATRIX))),
    tensor('table', 'uint8', [ROWS, WIDTH], at(MATRICES * MATRIX, ROWS * WIDTH)),
  ],
});

const columnOf = (row) => (5 * row + 1) % SIDE;
/** No number of 16 bits, so that matrices stay as large as they are. */
const numberOf = (m, row) => Math.fround((1 + ((row + m) % 7)) / 3);

/** What is not zero in the file, in its order: [place, bytes]. */
export function* entries() {
  for (let m = 0; m < MATRICES; m++) {
    for (let row = 0; row < SIDE; row++) {
      yield [m * MATRIX + 4 * (row * SIDE + columnOf(row)), new Uint8Array(new Float32Array([numberOf(m, row)]).buffer)];
    }
  }
  for (let row = 0; row < ROWS; row += STEP) yield [MATRICES * MATRIX + row * WIDTH, new Uint8Array(new Uint32Array([row + 1]).buffer)];
}

/** The file in pieces of 1 MB, each valid until the next. */
export function* pieces() {
  const piece = new Uint8Array(2 ** 20);
  const all = entries();
  let next = all.next();
  for (let begin = 0; begin < size; begin += piece.length) {
    piece.fill(0);
    for (; !next.done && next.value[0] < begin + piece.length; next = all.next()) piece.set(next.value[1], next.value[0] - begin);
    yield piece;
  }
}

export const feeds = {
  x: { dims: [1, SIDE], data: Float32Array.from({ length: SIDE }, (_, i) => (i % 1000) / 8) },
  rows: { dims: [4], data: new BigInt64Array([0n, BigInt(STEP), BigInt(ROWS - STEP), BigInt(ROWS - 1)]) },
};

/** What is wrong with results, in words; '' if nothing is. */
export function judge(y, taken) {
  let expected = feeds.x.data;
  for (let m = 0; m < MATRICES; m++) {
    const next = new Float32Array(SIDE);
    expected.forEach((value, row) => (next[columnOf(row)] = value * numberOf(m, row)));
    expected = next;
  }
  const wrong = expected.findIndex((value, i) => value !== y[i]);
  if (wrong >= 0) return `y[${wrong}] is ${y[wrong]}, expected ${expected[wrong]}`;
  const numbers = new Uint32Array(taken.slice().buffer).filter((_, i) => i % (WIDTH / 4) === 0);
  const wanted = [1, STEP + 1, ROWS - STEP + 1, 0];
  return `${numbers}` === `${wanted}` ? '' : `the rows begin with ${numbers}, expected ${wanted}`;
}
