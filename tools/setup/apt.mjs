/*
 * Debian's archive, in two ways. System packages are installed as root, or named in one line for whoever may. Everything
 * else is only downloaded: a private apt root inside the toolchain folder asks the mirror that the machine already uses
 * for another suite, so the machine's own apt is never changed and no privilege is needed.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inToolchain } from './paths.mjs';
import { run, step } from './run.mjs';
import { systemPackages } from './pins.mjs';

/** Installs the system packages that the given parts of set-up need and the machine lacks. */
export async function installSystemPackages(parts) {
  const missing = systemPackages.filter(({ part, file }) => parts.includes(part) && !existsSync(file));
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  const install = ['install', '-y', '--no-install-recommends', ...names];
  for (const { name, why } of missing) console.log(`${name}: ${why}`);
  if (process.getuid?.() !== 0) {
    throw new Error(`These system packages are missing. Please run, then start this again:\n\n  sudo apt-get ${install.join(' ')}\n`);
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await step(`Installing ${names.length} system packages with apt-get`, async () => {
    await run('apt-get', ['update'], { env, label: 'apt-get update' });
    await run('apt-get', install, { env, label: 'apt-get install' });
  });
  const absent = missing.find(({ file }) => !existsSync(file));
  if (absent) throw new Error(`apt-get installed ${absent.name}, but ${absent.file} is still missing`);
}

/** The archive that this machine's own apt takes its release from. */
async function mirror() {
  const release = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  const format = '$(REPO_URI) $(RELEASE) $(COMPONENT)';
  const targets = (await run('apt-get', ['indextargets', '--format', format, 'Identifier: Packages'])).split('\n');
  const own = targets.map((line) => line.split(' ')).find(([, name, part]) => name === release && part === 'main');
  if (!own) throw new Error(`apt's sources name no archive of the release "${release}" to take a mirror from`);
  return own[0];
}

/**
 * A private apt root for one suite of the machine's mirror; its index is fetched once, and again only with `fresh`.
 * @param {'deb' | 'deb-src'} kind
 * @param {string} suite
 * @returns {Promise<string[]>} the options that make apt-get use it
 */
export async function privateRoot(kind, suite) {
  const folder = inToolchain('apt', `${kind}-${suite}`);
  for (const part of ['lists/partial', 'archives/partial', 'parts']) mkdirSync(join(folder, part), { recursive: true });
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const signed = existsSync(key) ? `[signed-by=${key}] ` : '';
  writeFileSync(join(folder, 'sources.list'), `${kind} ${signed}${await mirror()} ${suite} main\n`);
  writeFileSync(join(folder, 'status'), '');
  const options = {
    'Dir::State': folder,
    'Dir::State::status': join(folder, 'status'),
    'Dir::Cache': folder,
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': join(folder, 'parts'),
    'Dir::Etc::preferencesparts': join(folder, 'parts'),
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
    'APT::Sandbox::User': '',
  };
  const args = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await run('apt-get', [...args, 'update'], { label: `index of ${suite}` });
  return args;
}
