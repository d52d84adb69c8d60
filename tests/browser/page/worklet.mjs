/* A session inside an audio worklet, which can load nothing by itself. */
import { InferenceSession, Tensor } from '../dist/weft.mjs';

async function double(model, wasm) {
  const session = await InferenceSession.create(model, { wasm });
  const { y } = await session.run({ x: new Tensor('float32', [1, 2]) });
  return [...y.data];
}

registerProcessor('doubling', class extends AudioWorkletProcessor {
  constructor({ processorOptions: { model, wasm } }) {
    super();
    double(model, wasm).then((answer) => this.port.postMessage(answer), (error) => this.port.postMessage(`${error}`));
  }

  process() {
    return true;
  }
});
