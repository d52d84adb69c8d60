/*
 * A profile: what an engine recorded while it ran, added up for people. It knows nothing of engines: it is made of the
 * entries they give, each an interval that lies inside its parent, whole runs being the roots.
 */
import { typeNumbered } from './types.js';

/**
 * @typedef {{node: string, op: string, parent: number, type: number, dims: number[], begin: number, end: number,
 *   operations: number, bytes: number}} Entry times in milliseconds; parent -1: a run
 * @typedef {{operations: number, bytes: number}} Limits per millisecond
 * @typedef {{entries: Entry[], dropped: number, limits: Limits}} Recorded
 * @typedef {{calls: number, time: number, operations: number, bytes: number}} Sum
 */

const NODES_SHOWN = 20;

/** @param {Sum} sum @param {number} total @param {Limits} limits */
function rates({ time, operations, bytes }, total, limits) {
  const least = Math.max(operations / limits.operations, bytes / limits.bytes);
  return {
    share: total > 0 ? time / total : 0,
    gflops: time > 0 ? operations / time / 1e6 : 0,
    gbps: time > 0 ? bytes / time / 1e6 : 0,
    limit: time > 0 ? least / time : 0,
  };
}

/** Adds an entry to the sum of its key. @template T @param {Map<any, T & Sum>} sums @param {any} key @param {T} facts @param {Entry} entry @param {number} time */
function add(sums, key, facts, { operations, bytes }, time) {
  const sum = sums.get(key) ?? { ...facts, calls: 0, time: 0, operations: 0, bytes: 0 };
  sums.set(key, sum);
  sum.calls++;
  sum.time += time;
  sum.operations += operations;
  sum.bytes += bytes;
}

/** @param {(string | number)[][]} rows the first one has the heads; text goes left, numbers right */
function printTable(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => String(row[i]).length)));
  const print = (/** @type {string | number} */ cell, /** @type {number} */ i) =>
    i === 0 || i === rows[0].length - 1 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]);
  return rows.map((row) => row.map(print).join('  ').trimEnd()).join('\n');
}

export class Profile {
  #entries;

  /** @param {Recorded} recorded */
  constructor({ entries, dropped, limits }) {
    this.#entries = entries;
    this.dropped = dropped;
    this.limits = { gflops: limits.operations / 1e6, gbps: limits.bytes / 1e6 };
    const inside = new Float64Array(entries.length);
    for (const { parent, begin, end } of entries) if (parent >= 0) inside[parent] += end - begin;
    const runs = entries.filter(({ parent }) => parent < 0);
    this.runs = runs.length;
    /** Milliseconds of all runs. */
    this.total = runs.reduce((sum, { begin, end }) => sum + end - begin, 0);
    const operators = new Map();
    const nodes = new Map();
    entries.forEach((entry, i) => {
      if (entry.parent < 0) return;
      const time = entry.end - entry.begin - inside[i];
      const { node, op, dims } = entry;
      add(operators, op, { op }, entry, time);
      add(nodes, `${node}\n${op}`, { node, op, type: typeNumbered(entry.type)?.name, dims }, entry, time);
    });
    const list = (/** @type {Map<string, any>} */ sums) =>
      [...sums.values()].map((sum) => ({ ...sum, ...rates(sum, this.total, limits) })).sort((a, b) => b.time - a.time);
    this.operators = list(operators);
    this.nodes = list(nodes);
  }

  toString() {
    const each = (/** @type {number} */ sum) => sum / (this.runs || 1);
    /** @param {any} row */
    const cells = (row) => [
      Math.round(each(row.calls)), each(row.time).toFixed(4), (100 * row.share).toFixed(1), row.gflops.toFixed(2), row.gbps.toFixed(2),
      (100 * row.limit).toFixed(0),
    ];
    const heads = ['calls', 'ms', '%', 'GFLOP/s', 'GB/s', 'limit %'];
    const operators = this.operators.map((row) => [row.op, ...cells(row), '']);
    const nodes = this.nodes.slice(0, NODES_SHOWN).map((row) => [row.op, ...cells(row), `[${row.dims}] ${row.node}`]);
    const more = this.nodes.length - nodes.length;
    return [
      `${this.runs} runs of ${each(this.total).toFixed(3)} ms. Limits: ${this.limits.gflops.toFixed(1)} GFLOP/s, ${this.limits.gbps.toFixed(1)} GB/s.`,
      '', printTable([['operator', ...heads, ''], ...operators]),
      '', printTable([['node', ...heads, 'output, name'], ...nodes]),
      ...(more > 0 ? [`... and ${more} more nodes`] : []),
      ...(this.dropped > 0 ? [`${this.dropped} calls more were not recorded`] : []),
    ].join('\n');
  }

  /** For the tracing tabs of browsers' developer tools, chrome://tracing and Perfetto: to be written as JSON. */
  toTrace() {
    const origin = this.#entries[0]?.begin ?? 0;
    const traceEvents = this.#entries.map(({ node, op, parent, type, dims, begin, end, operations, bytes }) => ({
      ph: 'X', pid: 1, tid: 1, cat: 'weft', name: parent < 0 ? 'run' : op, ts: (begin - origin) * 1e3, dur: (end - begin) * 1e3,
      ...(parent >= 0 && { args: { node, type: typeNumbered(type)?.name, dims, operations, bytes } }),
    }));
    return { traceEvents, displayTimeUnit: 'ms' };
  }
}
