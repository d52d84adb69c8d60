/*
 * The words after a script's name. `--help` prints the script's opening comment, which is where its use is written; a word
 * that is not understood is one line that says so. Nothing here knows what the words mean.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** The text of the comment that a script begins with. @param {string} path */
function openingComment(path) {
  const comment = /\/\*\n([^]*?)\*\//.exec(readFileSync(path, 'utf8'));
  return comment ? comment[1].replace(/^ \* ?/gm, '').trimEnd() : '';
}

/**
 * What util.parseArgs makes of the command line. Ends the process after `--help` (code 0) and where a word is not
 * understood (code 2).
 * @param {string} script its import.meta.url
 * @param {import('node:util').ParseArgsConfig} [config] of parseArgs; none: no options
 */
export function readArguments(script, config = {}) {
  const path = fileURLToPath(script);
  try {
    const read = parseArgs({ ...config, options: { ...config.options, help: { type: 'boolean' } } });
    if (!read.values.help) return read;
    console.log(openingComment(path));
    process.exit(0);
  } catch (error) {
    console.error(`${basename(path)}: ${error.message.split('. ')[0]}. --help tells what there is`);
    process.exit(2);
  }
}
