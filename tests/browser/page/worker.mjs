/* A session inside a worker. */
import { InferenceSession, Tensor } from '../dist/weft.mjs';

onmessage = async ({ data: { url, threads } }) => {
  try {
    const session = await InferenceSession.create(url, { threads });
    const { y } = await session.run({ x: new Tensor('float32', [1, 2]) });
    postMessage({ answer: [...y.data], threads: session.weft.threads });
  } catch (error) {
    postMessage({ error: `${error}` });
  }
};
