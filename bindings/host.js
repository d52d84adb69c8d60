/* What modules import of the package, which web/wasm.js gives when it starts the glue, and the host's clock. */
addToLibrary({
  weft_host_now: () => (globalThis.performance ?? Date).now(),
  weft_host_run: (number, inputCount, inputs, outputCount, outputs, call, infers) =>
    Module['runOperator'](number, inputCount, inputs, outputCount, outputs, call, infers),
});
