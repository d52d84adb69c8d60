/*
 * The drawing area, and how a drawing becomes what the digit classifier was trained on: light ink on dark ground, 28 x 28,
 * the digit 20 pixels tall and its middle of mass in the centre, as in MNIST.
 */

const side = 28;
const tall = 20;

/** Where there is ink, or null. */
function inkBox({ data, width, height }) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[(y * width + x) * 4 + 3] > 16) {
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
    }
  }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** Draws the box of `source` into a small canvas with its middle at (x, y); the ink, row by row. */
function shrink(source, box, x, y) {
  const small = document.createElement('canvas');
  small.width = small.height = side;
  const context = small.getContext('2d', { willReadFrequently: true });
  const scale = tall / Math.max(box.width, box.height);
  context.imageSmoothingQuality = 'high';
  const [width, height] = [box.width * scale, box.height * scale];
  context.drawImage(source, box.left, box.top, box.width, box.height, x - width / 2, y - height / 2, width, height);
  const { data } = context.getImageData(0, 0, side, side);
  return Float32Array.from({ length: side * side }, (_, i) => data[i * 4 + 3] / 255);
}

function middleOfMass(ink) {
  let [sum, x, y] = [0, 0, 0];
  ink.forEach((value, i) => {
    sum += value;
    x += value * ((i % side) + 0.5);
    y += value * (Math.floor(i / side) + 0.5);
  });
  return sum > 0 ? { x: x / sum, y: y / sum } : { x: side / 2, y: side / 2 };
}

/** Paints 28 x 28 values in [0, 1] over a whole canvas. */
export function paintPicture(canvas, ink) {
  const small = document.createElement('canvas');
  small.width = small.height = side;
  const pixels = new ImageData(side, side);
  ink.forEach((value, i) => pixels.data.set([255, 255, 255, Math.round(value * 255)], i * 4));
  small.getContext('2d').putImageData(pixels, 0, 0);
  const context = canvas.getContext('2d');
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/**
 * Makes a canvas a drawing area.
 * @param {HTMLCanvasElement} canvas
 * @param {(ink: Float32Array) => void} changed called with 28 x 28 values in [0, 1] after each stroke's piece
 */
export function makePad(canvas, changed) {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  Object.assign(context, { lineWidth: 22, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' });
  let last = null;

  const position = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
  };
  const tell = () => {
    const box = inkBox(context.getImageData(0, 0, canvas.width, canvas.height));
    if (!box) return changed(new Float32Array(side * side));
    const centre = side / 2;
    const { x, y } = middleOfMass(shrink(canvas, box, centre, centre));
    changed(shrink(canvas, box, 2 * centre - x, 2 * centre - y));
  };

  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = position(event);
    draw(event);
  });
  canvas.addEventListener('pointermove', (event) => last && draw(event));
  for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => (last = null));

  function draw(event) {
    const next = position(event);
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...next);
    context.stroke();
    last = next;
    tell();
  }

  return {
    clear() {
      context.clearRect(0, 0, canvas.width, canvas.height);
      tell();
    },
    show(ink) {
      paintPicture(canvas, ink);
      changed(ink);
    },
  };
}
