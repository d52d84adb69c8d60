/*
 * Prints how large everything in dist/ is: as it lies there, and compressed as servers send it.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { root } from './setup/paths.mjs';

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(12);
const dist = join(root, 'dist');

console.log(`${'file'.padEnd(28)}${['raw', 'gzip', 'brotli'].map((title) => title.padStart(12)).join('')}`);
for (const name of readdirSync(dist).sort()) {
  const bytes = readFileSync(join(dist, name));
  const sizes = [bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length];
  console.log(`${name.padEnd(28)}${sizes.map(kilobytes).join('')}`);
}
