/*
 * protobuf-c's runtime as source: one C file and its header, compiled into every wasm module. Native builds use the
 * system's library instead.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { privateRoot } from './apt.mjs';
import { protobufC } from './pins.mjs';
import { checkSha256, isDone, place, scratch, setDone } from './paths.mjs';
import { run, step } from './run.mjs';

export async function setUpProtobufC() {
  const { suite, version, sha256 } = protobufC;
  const pin = JSON.stringify(protobufC);
  if (isDone('protobuf-c', pin)) return;
  await step(`protobuf-c ${version}, source: decodes ONNX files in the wasm modules`, async () => {
    const options = await privateRoot('deb-src', suite);
    const folder = scratch('protobuf-c');
    const source = ['source', '--download-only', '--only-source', 'protobuf-c'];
    await run('apt-get', [...options, ...source], { cwd: folder, label: 'download' });
    const name = readdirSync(folder).find((file) => file.includes('.orig.tar'));
    checkSha256(join(folder, name), sha256, `protobuf-c ${version}`);
    mkdirSync(join(folder, 'out'));
    await run('tar', ['-xf', join(folder, name), '-C', join(folder, 'out'), '--strip-components=1']);
    place(join(folder, 'out'), 'protobuf-c');
    rmSync(folder, { recursive: true });
    setDone('protobuf-c', pin);
  });
}
