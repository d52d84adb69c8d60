/*
 * Builds the project and serves the live demo on this machine; PORT chooses another port than 8080.
 */
import { join } from 'node:path';
import { buildAll } from './build.mjs';
import { serve } from './serve.mjs';
import { root } from './setup/paths.mjs';
import { main } from './setup/run.mjs';

main(async () => {
  await buildAll();
  const folders = { '/': join(root, 'demo'), '/dist/': join(root, 'dist') };
  const { url } = await serve(folders, { port: Number(process.env.PORT ?? 8080) });
  console.log(`The demo is at ${url}/ (stop with Ctrl+C)`);
});
