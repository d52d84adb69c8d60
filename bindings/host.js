/* The one function that modules import of the package: web/wasm.js gives it when it starts the glue. */
addToLibrary({
  weft_host_run: (number, inputCount, inputs, outputCount, outputs, call) =>
    Module['runOperator'](number, inputCount, inputs, outputCount, outputs, call),
});
