/*
 * What Weft covers of ONNX, operator by version by type by test:
 *
 *     npm run coverage:ops [-- --host NAME]
 *
 * Runs the onnx package's cases, our own and the corpus, where it is there, in one host (natively under sanitizers unless
 * another of tests/tools/hosts.mjs is named), holds ops.def against what the package specifies, and writes
 *
 *     docs/operators.md        a row for each version of each operator
 *     build/operators.csv      a row for each version, type and test
 *
 * Fails when an operator is missing or implements an older meaning than the newest. Two operators need no kernel: Constant becomes a value
 * while the graph is built, and Gradient the nodes of the derivatives.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { readArguments } from './arguments.mjs';
import { buildAll, buildPreset } from './build.mjs';
import { setUp } from './setup.mjs';
import { programs, root } from './setup/paths.mjs';
import { main, step } from './setup/run.mjs';

const withoutKernel = new Set([':Constant', 'ai.onnx.preview.training:Gradient']);
const { values: args } = readArguments(import.meta.url, { options: { host: { type: 'string', default: 'native, under ASan and UBSan' } } });

/** The operators of ops.def: the version whose meaning they have, by domain and name. */
function readOwn() {
  const text = readFileSync(join(root, 'src/ops/ops.def'), 'utf8');
  const lines = text.matchAll(/^OP\("([^"]*)",\s*"([^"]*)",\s*(\d+)/gm);
  return new Map(Array.from(lines, ([, domain, name, version]) => [`${domain}:${name}`, Number(version)]));
}

/** Every case with its verdict: {id, folder, failure, reason}. */
async function runCases() {
  const { check, hosts } = await import('../tests/tools/hosts.mjs');
  const onnx = await import('../tests/onnx/cases.mjs');
  const corpus = await import('../tests/corpus/cases.mjs');
  const host = hosts[args.host];
  if (!host) throw new Error(`There is no host "${args.host}"; there are ${Object.keys(hosts).join('; ')}`);
  if (host.missing) throw new Error(`${args.host}: ${host.missing}`);
  const known = JSON.parse(readFileSync(join(root, 'tests/corpus/known.json'), 'utf8'));
  const single = Object.values({ ...onnx.loadCases(), ...onnx.loadMadeCases() }).flat();
  const models = corpus.listCases().map(({ rtol, atol, expected, ...one }) => ({
    ...one,
    id: `corpus/${one.id}`,
    settings: [`rtol=${rtol}`, `atol=${atol}`, ...expected.map((prefix) => `expected=${prefix}`)],
  }));
  const cases = [...single, ...models];
  const results = await check(host, cases);
  return results.map(({ id, failure }, i) => ({
    id,
    folder: cases[i].folder,
    failure,
    reason: failure && (onnx.reasonFor(id, failure, host) ?? known[id.replace('corpus/', '')]),
  }));
}

function describe(results) {
  const input = JSON.stringify(Object.fromEntries(results.map(({ id, folder }) => [id, folder])));
  const { status, stdout, stderr } = spawnSync(programs.python, [join(root, 'tests/onnx/operators.py')], { input, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(stderr.trim().split('\n').slice(-4).join('\n'));
  return JSON.parse(stdout);
}

const nameOf = (domain) => domain || 'ai.onnx';
const keyOf = (domain, name, version) => `${domain}:${name}:${version}`;

/** Tests by operator and version: key -> [{id, type, failure}]. */
function testsByOperator(used, results) {
  const tests = new Map();
  for (const { id, failure, reason } of results) {
    for (const [domain, name, version, type] of used[id]) {
      const key = keyOf(domain, name, version);
      if (!tests.has(key)) tests.set(key, []);
      tests.get(key).push({ id, type, failure, reason });
    }
  }
  return tests;
}

/** How an operator of the specification is covered. */
function statusOf(own, { domain, name, newest, deprecated }) {
  const version = own.get(`${domain}:${name}`);
  if (version === undefined) return deprecated || withoutKernel.has(`${domain}:${name}`) ? 'rewritten at load' : 'missing';
  return version >= newest ? '' : `has the meaning of version ${version}`;
}

/** Each version of each operator, specified ones first: {domain, name, version, newest, deprecated, types}. */
function listVersions(specified, own) {
  const newest = new Map();
  for (const [domain, name, version] of specified) {
    newest.set(`${domain}:${name}`, Math.max(version, newest.get(`${domain}:${name}`) ?? 0));
  }
  const rows = specified.map(([domain, name, version, deprecated, types]) => ({ domain, name, version, deprecated, types, newest: newest.get(`${domain}:${name}`) }));
  for (const [key, version] of own) {
    const [domain, name] = key.split(':');
    if (!newest.has(key) && domain !== 'weft') rows.push({ domain, name, version, newest: version, deprecated: false, types: [] });
  }
  return rows.sort((a, b) => nameOf(a.domain).localeCompare(nameOf(b.domain)) || a.name.localeCompare(b.name) || a.version - b.version);
}

/** Types of the specification, those that a passing test has met in bold; others of a test after them. */
function typesCell(types, tests) {
  const met = new Set(tests.filter(({ failure }) => !failure).map(({ type }) => type).filter(Boolean));
  const all = types.length > 0 ? types : [...met].sort();
  return all.map((type) => (met.has(type) ? `**${type}**` : type)).join(' ');
}

function noteOf(row, tests, status) {
  const reasons = [...new Set(tests.filter(({ failure }) => failure).map(({ id, failure, reason }) => `${id}: ${reason ?? failure}`))];
  return [status, ...reasons].filter(Boolean).join('; ').replaceAll('|', '\\|');
}

function writeTable(rows, tests, own) {
  const lines = [
    '# Operators',
    '',
    `Written by \`npm run coverage:ops\` from \`src/ops/ops.def\` and the results of the tests (host: ${args.host}). A row is a version of an`,
    "operator as ONNX specifies it; older versions are rewritten to the newest one's meaning at load. Types are those of the first",
    'input (or output) that may have several; those that a passing test has met under this very version are bold. Tests are counted',
    'under the version in force in their model; `build/operators.csv` names them, one a line.',
  ];
  let domain;
  for (const row of rows) {
    if (row.domain !== domain) {
      domain = row.domain;
      lines.push('', `## ${nameOf(domain)}`, '', '| operator | version | tests passed | types | remarks |', '|---|---|---|---|---|');
    }
    const own_tests = tests.get(keyOf(row.domain, row.name, row.version)) ?? [];
    const ids = new Set(own_tests.map(({ id }) => id));
    const failed = new Set(own_tests.filter(({ failure }) => failure).map(({ id }) => id));
    const count = ids.size > 0 ? `${ids.size - failed.size} of ${ids.size}` : '';
    lines.push(`| ${row.name} | ${row.version} | ${count} | ${typesCell(row.types, own_tests)} | ${noteOf(row, own_tests, statusOf(own, row))} |`);
  }
  writeFileSync(join(root, 'docs/operators.md'), `${lines.join('\n')}\n`);
}

function writeTests(tests) {
  const quote = (text) => `"${String(text ?? '').replaceAll('"', '""')}"`;
  const lines = ['domain,operator,version,type,test,result,why'];
  for (const [key, list] of [...tests].sort(([a], [b]) => a.localeCompare(b))) {
    const [domain, name, version] = key.split(':');
    for (const { id, type, failure, reason } of list) {
      lines.push([nameOf(domain), name, version, type ?? '', id, failure ? 'failed' : 'passed', failure ? quote(reason ?? failure) : ''].join(','));
    }
  }
  mkdirSync(join(root, 'build'), { recursive: true });
  writeFileSync(join(root, 'build/operators.csv'), `${lines.join('\n')}\n`);
}

main(async () => {
  await setUp('test');
  await buildAll();
  await buildPreset('native-asan');
  const results = await step('Cases', runCases);
  const { specified, used } = describe(results);
  const own = readOwn();
  const tests = testsByOperator(used, results);
  const rows = listVersions(specified, own);
  writeTable(rows, tests, own);
  writeTests(tests);
  const newest = rows.filter((row) => row.version === row.newest);
  const gaps = newest.filter((row) => /^(missing|has the)/.test(statusOf(own, row)));
  for (const domain of new Set(newest.map((row) => row.domain))) {
    const inDomain = newest.filter((row) => row.domain === domain);
    const tested = rows.filter((row) => row.domain === domain && tests.has(keyOf(domain, row.name, row.version))).length;
    const versions = rows.filter((row) => row.domain === domain).length;
    const missing = inDomain.filter((row) => gaps.includes(row)).length;
    console.log(`${nameOf(domain)}: ${inDomain.length - missing} of ${inDomain.length} operators; ${tested} of ${versions} versions are met by a test`);
  }
  for (const row of gaps) console.log(`  ${nameOf(row.domain)} ${row.name} ${row.newest}: ${statusOf(own, row)}`);
  const failed = results.filter(({ failure }) => failure);
  console.log(`${results.length - failed.length} of ${results.length} cases pass in ${args.host}; the table is docs/operators.md, all tests are in build/operators.csv`);
  return gaps.length > 0 ? 1 : 0;
});
