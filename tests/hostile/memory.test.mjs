/*
 * Memory that does not suffice, from a few bytes to nearly enough: a model is refused or runs as it should, and whatever was
 * begun is given back, which the sanitizers see.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadCases } from '../onnx/cases.mjs';
import { check, hosts } from '../tools/hosts.mjs';

const cases = loadCases();
/** Every sixteenth operator test, and small networks. */
const chosen = [...cases.node.filter((_, i) => i % 16 === 0), ...cases['pytorch-operator'], ...cases.simple];
const budgets = Array.from({ length: 40 }, (_, i) => Math.round(256 * 1.45 ** i));

for (const name of ['native, under ASan and UBSan', 'weft.simd.wasm']) {
  test(`too little memory in ${name}`, { skip: hosts[name].missing, timeout: 600_000 }, async (t) => {
    const enough = new Map((await check(hosts[name], chosen)).map(({ id, failure }) => [id, failure]));
    let refused = 0;
    for (const maxMemory of hosts[name].sanitized ? budgets : budgets.filter((_, i) => i % 8 === 0)) {
      for (const { id, failure } of await check(hosts[name], chosen, { maxMemory })) {
        if (failure === enough.get(id)) continue;
        assert.match(failure ?? 'it ran', /max_memory/, `${id} with ${maxMemory} bytes`);
        refused++;
      }
    }
    t.diagnostic(`${refused} times the memory did not suffice`);
  });
}
