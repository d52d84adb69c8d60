/** Emscripten's glue: made by the build, known to wasm.js alone. */
export default function createModule(options: object): Promise<unknown>;
