/*
 * Browsers that playwright cannot drive as Debian ships them, by WebDriver's commands: Firefox by Marionette, where they are JSON
 * on a socket of the browser's own, and WebKit by WebKitWebDriver, where they are requests over HTTP. Nothing but Node.js is
 * needed. A page has the few functions of playwright's that the tests use, with the same names and meanings.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const programs = {
  firefox: '/usr/bin/firefox-esr',
  webkit: '/usr/bin/WebKitWebDriver',
  display: '/usr/bin/Xvfb',
};
export const missingFirefox = existsSync(programs.firefox) ? false : 'Firefox is not installed';
export const missingWebKit = existsSync(programs.webkit) && existsSync(programs.display) ? false : 'WebKitWebDriver or Xvfb is not installed';

/** How long a command may take, in ms: a test's own limit comes first. */
const patience = 600_000;
const element = 'element-6066-11e4-a52e-4f735466cecf';

/** What `ask` says, asked until it says something. */
async function until(ask, what, tries = 600) {
  for (; tries > 0; tries--) {
    const answer = await Promise.resolve().then(ask).catch(() => undefined);
    if (answer) return answer;
    await wait(50);
  }
  throw new Error(`${what} was waited for in vain`);
}

/** A program of its own group, which `stop` ends with all that it started. */
function start(program, args, env = {}) {
  const child = spawn(program, args, { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, 'SIGKILL');
    await once(child, 'close');
  };
  process.once('exit', () => child.exitCode === null && child.signalCode === null && process.kill(-child.pid, 'SIGKILL'));
  return { child, stop };
}

/** One tab. @param {(name: string, parameters: object) => Promise<any>} command */
function pageOf(command, handle) {
  /** The tab that this page is becomes the one that commands are for. */
  const here = async (name, parameters) => {
    await command('switch', { handle });
    return command(name, parameters);
  };
  /** The function is in a script of its own, as playwright has it: it sees the page's names. */
  const script = (body) => `const done = arguments[arguments.length - 1];
    Promise.resolve().then(() => (${body})(arguments[0])).then((value) => done({ value }), (error) => done({ error: String(error) + '\\n' + error.stack }));`;
  const page = {
    goto: (url) => here('navigate', { url }),
    close: () => here('close', {}),
    async evaluate(body, argument = null) {
      const { value, error } = await here('script', { script: script(body), args: [argument] });
      if (error !== undefined) throw new Error(error);
      return value;
    },
    waitForFunction: (expression) => until(() => page.evaluate(`() => Boolean(${expression})`), expression),
    async setInputFiles(selector, path) {
      const found = await here('find', { using: 'css selector', value: selector });
      await here('keys', { id: (found.value ?? found)[element], text: path });
    },
  };
  return page;
}

/** A browser whose commands are these. @param {() => Promise<void>} close */
async function browserOf(command, name, close) {
  const first = await command('current', {});
  return {
    name,
    async newPage() {
      await command('switch', { handle: first }); // the one before may have been closed
      const { handle } = await command('open', { type: 'tab' });
      return pageOf(command, handle);
    },
    close,
  };
}

/** What Firefox is told: nothing of its own goes over the network, and no first-run pages. */
const preferences = {
  'marionette.port': 0,
  'app.update.auto': false,
  'browser.aboutwelcome.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'browser.startup.page': 0,
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'remote.prefs.recommended': true,
  'toolkit.telemetry.reportingpolicy.firstRun': false,
};

/** Marionette: each message is its length, a colon and JSON; a command [0, id, name, parameters], an answer [1, id, error, result]. */
function marionette(socket) {
  const waiting = new Map();
  let received = Buffer.alloc(0);
  let last = 0;
  const failAll = () => {
    for (const { reject } of waiting.values()) reject(new Error('Firefox has ended'));
    waiting.clear();
  };
  socket.on('error', failAll).on('close', failAll).on('data', (piece) => {
    received = Buffer.concat([received, piece]);
    for (;;) {
      const colon = received.indexOf(':');
      const end = colon + 1 + Number(received.subarray(0, colon));
      if (colon < 0 || received.length < end) return;
      const message = JSON.parse(received.subarray(colon + 1, end));
      received = received.subarray(end);
      if (!Array.isArray(message)) continue; // the greeting
      const [, id, error, result] = message;
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      if (error) reject(new Error(`${error.error}: ${error.message}`));
      else resolve(result);
    }
  });
  return (name, parameters) => new Promise((resolve, reject) => {
    const text = JSON.stringify([0, ++last, name, parameters]);
    waiting.set(last, { resolve, reject });
    socket.write(`${Buffer.byteLength(text)}:${text}`);
  });
}

const marionetteCommands = {
  switch: (send, { handle }) => send('WebDriver:SwitchToWindow', { handle, focus: true }),
  current: async (send) => (await send('WebDriver:GetWindowHandle', {})).value,
  open: (send, { type }) => send('WebDriver:NewWindow', { type }),
  navigate: (send, parameters) => send('WebDriver:Navigate', parameters),
  close: (send) => send('WebDriver:CloseWindow', {}),
  script: async (send, parameters) => (await send('WebDriver:ExecuteAsyncScript', { ...parameters, sandbox: null })).value,
  find: (send, parameters) => send('WebDriver:FindElement', parameters),
  keys: (send, parameters) => send('WebDriver:ElementSendKeys', parameters),
};

export async function launchFirefox() {
  const profile = mkdtempSync(join(tmpdir(), 'weft-firefox-'));
  writeFileSync(join(profile, 'user.js'), Object.entries(preferences).map(([key, value]) => `user_pref('${key}', ${JSON.stringify(value)});\n`).join(''));
  const { stop } = start(programs.firefox, ['--headless', '--no-remote', '--marionette', '--profile', profile], { HOME: profile });
  const close = async () => {
    await stop();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const port = await until(() => Number(readFileSync(join(profile, 'MarionetteActivePort'), 'utf8')), 'Firefox');
    const send = marionette(connect(port, '127.0.0.1'));
    const session = await send('WebDriver:NewSession', { capabilities: { alwaysMatch: { timeouts: { script: patience } } } });
    const { browserName, browserVersion } = session.capabilities;
    return await browserOf((name, parameters) => marionetteCommands[name](send, parameters), `${browserName} ${browserVersion}`, close);
  } catch (error) {
    await close();
    throw error;
  }
}

const restCommands = {
  switch: ['window', ({ handle }) => ({ handle })],
  open: ['window/new', ({ type }) => ({ type })],
  navigate: ['url', (parameters) => parameters],
  script: ['execute/async', (parameters) => parameters],
  find: ['element', (parameters) => parameters],
};

async function freePort() {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address();
  await once(server.close(), 'close');
  return port;
}

async function request(url, method, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body), signal: AbortSignal.timeout(patience) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
}

/** A display for a browser that needs one; it says its number on the pipe. */
async function startDisplay() {
  const display = start(programs.display, ['-displayfd', '3', '-screen', '0', '1200x1000x24', '-nolisten', 'tcp']);
  const [number] = await once(display.child.stdio[3], 'data');
  return { ...display, name: `:${String(number).trim()}` };
}

export async function launchWebKit() {
  const display = await startDisplay();
  const home = mkdtempSync(join(tmpdir(), 'weft-webkit-'));
  const port = await freePort();
  // Safari has SharedArrayBuffer in isolated pages. WebKitGTK has it when it is told to.
  const driver = start(programs.webkit, [`--port=${port}`], { DISPLAY: display.name, HOME: home, GDK_BACKEND: 'x11', JSC_useSharedArrayBuffer: '1' });
  const close = async () => {
    await driver.stop();
    await display.stop();
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const base = `http://127.0.0.1:${port}`;
    await until(() => request(`${base}/status`, 'GET'), 'WebKitWebDriver');
    const { sessionId, capabilities } = await request(`${base}/session`, 'POST', { capabilities: { alwaysMatch: { timeouts: { script: patience } } } });
    const session = `${base}/session/${sessionId}`;
    const command = (name, parameters) => {
      if (name === 'current') return request(`${session}/window`, 'GET');
      if (name === 'close') return request(`${session}/window`, 'DELETE');
      if (name === 'keys') return request(`${session}/element/${parameters.id}/value`, 'POST', { text: parameters.text });
      const [path, body] = restCommands[name];
      return request(`${session}/${path}`, 'POST', body(parameters));
    };
    return await browserOf(command, `${capabilities.browserName} ${capabilities.browserVersion}`, async () => {
      await request(session, 'DELETE').catch(() => {});
      await close();
    });
  } catch (error) {
    await close();
    throw error;
  }
}
