/*
 * Runs every test:
 *
 *     npm test [-- <part of a file name>...]
 *
 * First the C unit tests under AddressSanitizer and UndefinedBehaviorSanitizer, then all of tests/ in Node.js' test
 * runner, whose summary comes last; after it, one sentence when C unit tests failed. The exit code is non-zero when
 * anything failed.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments } from './arguments.mjs';
import { buildAll, buildPreset } from './build.mjs';
import { setUp } from './setup.mjs';
import { nodeFlags, root } from './setup/paths.mjs';
import { main, run, step } from './setup/run.mjs';

function testFiles(filters) {
  return readdirSync(join(root, 'tests'), { recursive: true })
    .filter((name) => name.endsWith('.test.mjs'))
    .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)))
    .map((name) => join(root, 'tests', name))
    .sort();
}

async function unitTests() {
  try {
    await step('C unit tests under ASan and UBSan', async () => {
      await buildPreset('native-asan');
      const report = await run('ctest', ['--preset', 'native-asan', '-j2'], { cwd: root, label: 'ctest' });
      console.log(/^.*tests passed.*$/m.exec(report)?.[0] ?? report);
    });
    return true;
  } catch (error) {
    console.error(error.message);
    return false;
  }
}

main(async () => {
  const { positionals: filters } = readArguments(import.meta.url, { allowPositionals: true });
  await setUp('test');
  await buildAll();
  await step('C tests of kernels as WebAssembly, and their benchmark', () =>
    run('cmake', ['--build', '--preset', 'wasi', '--target', 'kernel_tests', 'bench_kernels'], { cwd: root, label: 'wasi' }));
  const passed = filters.length > 0 || (await unitTests());
  const files = testFiles(filters);
  if (files.length === 0) throw new Error(`No test file's name contains ${filters.join(' or ')}`);
  const node = spawnSync(process.execPath, [...nodeFlags, '--test', '--test-concurrency=2', ...files], { cwd: root, stdio: 'inherit' });
  if (!passed) console.error('C unit tests failed: see above, before the tests of Node.js');
  return passed && node.status === 0 ? 0 : 1;
});
