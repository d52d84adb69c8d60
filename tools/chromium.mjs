/* Debian's Chromium, driven by playwright: for the tests and the benchmark. */
import { programs } from './setup/paths.mjs';

/** A browser that asks nothing of the network, and runs as root too. */
export async function launchChromium() {
  const { chromium } = await import('playwright-core');
  return chromium.launch({
    executablePath: programs.chromium,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
}
