/*
 * A small static server for the demo and the browser tests. Its headers make a page cross-origin isolated, which is what
 * shared memory, and so the modules with threads, need.
 */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

const types = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'cross-origin',
};

const shared = { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' };

/** The file that a request's path means, or null. Folders are tried in order of the longest prefix. */
function find(folders, path) {
  const prefix = Object.keys(folders)
    .filter((name) => path.startsWith(name))
    .sort((a, b) => b.length - a.length)[0];
  if (prefix === undefined) return null;
  const inside = normalize(`/${path.slice(prefix.length)}`);
  const file = join(folders[prefix], inside.endsWith('/') ? `${inside}index.html` : inside);
  const status = statSync(file, { throwIfNoEntry: false });
  return status?.isFile() ? { file, size: status.size } : null;
}

/**
 * Serves folders on the loopback interface.
 * @param {Record<string, string>} folders the folder behind each path prefix, such as {'/': 'demo', '/dist/': 'dist'}
 * @param {{port?: number, isolated?: boolean, open?: boolean}} [options] port 0 takes any free one; `isolated: false` leaves
 *   the isolation headers out; `open` lets pages of other origins read the files, as a CDN does
 * @returns {Promise<{url: string, close: () => void}>}
 */
export function serve(folders, { port = 0, isolated = true, open = false } = {}) {
  const server = createServer((request, response) => {
    let found = null;
    try {
      found = find(folders, decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    } catch {
      // A path that is no path is not found.
    }
    if (!found) return response.writeHead(404).end('Not found\n');
    response.writeHead(200, {
      'Content-Type': types[extname(found.file)] ?? 'application/octet-stream',
      'Content-Length': found.size,
      'Cache-Control': 'no-cache',
      ...(isolated ? isolation : {}),
      ...(open ? shared : {}),
    });
    if (request.method === 'HEAD') return response.end();
    createReadStream(found.file).pipe(response);
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(port, '127.0.0.1', () => {
      resolve({ url: `http://localhost:${server.address().port}`, close: () => server.close() });
    });
  });
}
