/*
 * Which operators Weft has, against those that the PyPI `onnx` package specifies: `npm run coverage:ops`. `--list` names
 * every operator, not only the missing ones. The exit code is non-zero when an operator is missing or implements an older
 * meaning than the package's newest.
 *
 * Two need no kernel: Constant becomes a value while the graph is built, and Gradient the nodes of the derivatives.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setUp } from './setup.mjs';
import { programs, root } from './setup/paths.mjs';
import { main, run } from './setup/run.mjs';

const schemas = `
import json, onnx.defs as d
newest = {}
for s in d.get_all_schemas():
    newest[s.domain, s.name] = s
print(json.dumps([[s.domain, s.name, s.since_version, s.deprecated] for s in newest.values()]))`;

const withoutKernel = new Set([':Constant', 'ai.onnx.preview.training:Gradient']);

/** The operators of ops.def: their version by domain and name. */
function readOwn() {
  const text = readFileSync(join(root, 'src/ops/ops.def'), 'utf8');
  const lines = text.matchAll(/^OP\("([^"]*)",\s*"([^"]*)",\s*(\d+)/gm);
  return new Map(Array.from(lines, ([, domain, name, version]) => [`${domain}:${name}`, Number(version)]));
}

const nameOf = (domain) => domain || 'ai.onnx';

/** How one specified operator is covered. */
function judge(own, { key, version }) {
  if (!own.has(key)) return withoutKernel.has(key) ? 'no kernel needed' : 'missing';
  return own.get(key) >= version ? 'covered' : 'older';
}

main(async () => {
  await setUp('test');
  const specified = JSON.parse(await run(programs.python, ['-c', schemas]))
    .filter(([, , , deprecated]) => !deprecated)
    .map(([domain, name, version]) => ({ domain, name, version, key: `${domain}:${name}` }));
  const own = readOwn();
  const domains = [...new Set(specified.map(({ domain }) => domain))].sort();
  let gaps = 0;
  for (const domain of domains) {
    const judged = specified.filter((op) => op.domain === domain).map((op) => ({ ...op, how: judge(own, op) }));
    const count = (how) => judged.filter((op) => op.how === how).length;
    gaps += count('missing') + count('older');
    const covered = judged.length - count('missing') - count('older');
    console.log(`${nameOf(domain)}: ${covered} of ${judged.length} operators, ${count('older')} of an older version`);
    const shown = judged.filter(({ how }) => process.argv.includes('--list') || how === 'missing' || how === 'older');
    for (const { name, version, how, key } of shown.sort((a, b) => a.name.localeCompare(b.name))) {
      console.log(`  ${name.padEnd(32)} ${String(version).padStart(3)}  ${how}${how === 'older' ? ` (${own.get(key)})` : ''}`);
    }
  }
  const known = new Set(specified.map(({ key }) => key));
  const beyond = [...own.keys()].filter((key) => !known.has(key));
  for (const domain of new Set(beyond.map((key) => key.split(':')[0]))) {
    const names = beyond.filter((key) => key.startsWith(`${domain}:`)).map((key) => key.split(':')[1]);
    console.log(`${nameOf(domain)}: ${names.length} beyond the specification: ${names.join(', ')}`);
  }
  return gaps > 0 ? 1 : 0;
});
