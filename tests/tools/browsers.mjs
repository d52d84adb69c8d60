/*
 * The browsers that tests run in where they are installed. `npm test` installs Chromium only; the others are Debian's packages
 * firefox-esr, and webkit2gtk-driver with xvfb.
 */
import { existsSync } from 'node:fs';
import { launchChromium } from '../../tools/chromium.mjs';
import { programs } from '../../tools/setup/paths.mjs';
import { launchFirefox, launchWebKit, missingFirefox, missingWebKit } from './webdriver.mjs';

/**
 * @typedef {object} Page of playwright's, or of webdriver.mjs
 * @property {(url: string) => Promise<unknown>} goto
 * @property {<A, R>(body: (argument: A) => R | Promise<R>, argument?: A) => Promise<R>} evaluate calls a function in the page
 * @property {(expression: string) => Promise<unknown>} waitForFunction
 * @property {(selector: string, path: string) => Promise<void>} setInputFiles
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Browser
 * @property {() => Promise<Page>} newPage
 * @property {() => Promise<void>} close
 */

/**
 * By name: how to start it, why it is not there, if it is not, and which SIMD it has.
 * @type {Record<string, {launch: () => Promise<Browser>, missing: string | false, simd: 'relaxed' | 'simd'}>}
 */
export const browsers = {
  Chromium: {
    launch: launchChromium,
    missing: existsSync(programs.chromium) ? false : 'Chromium is not installed',
    simd: 'relaxed',
  },
  Firefox: { launch: launchFirefox, missing: missingFirefox, simd: 'relaxed' },
  WebKit: { launch: launchWebKit, missing: missingWebKit, simd: 'simd' },
};
