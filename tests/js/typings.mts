/* Uses all that onnxruntime-common's typings have for users, as programs do; package.test.mjs compiles it. */
import * as ort from 'onnx-weft';
import { env, InferenceSession, Tensor } from 'onnx-weft';

/** Every type by its name. */
export type Names = [
  ort.Env,
  ort.TypedTensor<'int4'>,
  ort.TensorConstructor,
  ort.TensorFactory,
  ort.InferenceSessionFactory,
  ort.OnnxValue,
  ort.OnnxValueDataLocation,
  ort.NonTensorType,
  ort.ImageFormat,
  ort.ImageTensorLayout,
  ort.CpuPinnedConstructorParameters,
  ort.OptionsFormat,
  ort.OptionsTensorFormat,
  ort.OptionsTensorDataType,
  ort.OptionsTensorLayout,
  ort.OptionsDimensions,
  ort.OptionResizedDimensions,
  ort.OptionsNormalizationParameters,
  ort.TensorFromImageDataOptions,
  ort.TensorFromUrlOptions,
  ort.TensorFromImageElementOptions,
  ort.TensorFromImageBitmapOptions,
  ort.TensorFromTextureOptions<'float32'>,
  ort.TensorFromGpuBufferOptions<'float32'>,
  ort.TensorFromMLTensorOptions<'float32'>,
  ort.TensorToDataUrlOptions,
  ort.TensorToImageDataOptions,
  ort.ConversionUtils,
  ort.FileUrlOrPath,
  ort.FileBlob,
  ort.FileData,
  ort.FileType,
  ort.ExternalDataFileDescription,
  ort.ExternalDataFileType,
  ort.OnnxModelOptions,
  Tensor.DataTypeMap,
  Tensor.ElementTypeMap,
  Tensor.DataType,
  Tensor.ElementType,
  Tensor.CpuPinnedDataTypes,
  Tensor.TextureType,
  Tensor.TextureDataTypes,
  Tensor.GpuBufferType,
  Tensor.GpuBufferDataTypes,
  Tensor.MLTensorType,
  Tensor.MLTensorDataTypes,
  Tensor.DataLocation,
  Tensor.Type,
  ort.Env.WasmPathPrefix,
  ort.Env.WasmFilePaths,
  ort.Env.WasmPrefixOrFilePaths,
  ort.Env.WebAssemblyFlags,
  ort.Env.WebGLFlags,
  ort.Env.WebGpuFlags,
  ort.Env.WebGpuProfilingData,
  InferenceSession.OnnxValueMapType,
  InferenceSession.NullableOnnxValueMapType,
  InferenceSession.FeedsType,
  InferenceSession.FetchesType,
  InferenceSession.ReturnType,
  InferenceSession.SessionOptions,
  InferenceSession.RunOptions,
  InferenceSession.ExecutionProviderConfig,
  InferenceSession.ExecutionProviderName,
  InferenceSession.ExecutionProviderOption,
  InferenceSession.ExecutionProviderOptionMap,
  InferenceSession.CpuExecutionProviderOption,
  InferenceSession.WebAssemblyExecutionProviderOption,
  InferenceSession.WebGLExecutionProviderOption,
  InferenceSession.WebGpuExecutionProviderOption,
  InferenceSession.WebNNExecutionProviderOption,
  InferenceSession.WebNNContextOptions,
  InferenceSession.ValueMetadata,
  InferenceSession.TensorValueMetadata,
  InferenceSession.NonTensorValueMetadata,
];

export async function sessions(signal?: AbortSignal, onProgress?: () => void) {
  const options: InferenceSession.SessionOptions = {
    executionProviders: ['wasm', { name: 'webgpu', preferredLayout: 'NHWC' }, { name: 'webnn', deviceType: 'npu' }],
    intraOpNumThreads: 2,
    interOpNumThreads: 1,
    freeDimensionOverrides: { batch: 1 },
    graphOptimizationLevel: 'all',
    enableCpuMemArena: true,
    enableMemPattern: true,
    executionMode: 'sequential',
    optimizedModelFilePath: 'x',
    enableProfiling: false,
    profileFilePrefix: 'p',
    logId: 'x',
    logSeverityLevel: 2,
    logVerbosityLevel: 0,
    preferredOutputLocation: { y: 'gpu-buffer' },
    enableGraphCapture: false,
    extra: { session: { set_denormal_as_zero: '1', disable_prepacking: '1' } },
    externalData: [
      'a',
      { path: 'a', data: 'https://a' },
      { path: 'b', data: new Uint8Array() },
      { path: 'b', data: new Blob() },
    ],
    signal,
    onProgress,
    cache: undefined,
  };
  options.executionMode = 'parallel';
  options.preferredOutputLocation = 'cpu';
  const buffer = new ArrayBuffer(1);
  await InferenceSession.create(buffer);
  await InferenceSession.create(new SharedArrayBuffer(1), options);
  await InferenceSession.create(buffer, 0);
  await InferenceSession.create(buffer, 0, undefined, options);
  await InferenceSession.create(new Uint8Array(buffer), options);
  await InferenceSession.create(await (await fetch('x')).arrayBuffer());
  const factory: ort.InferenceSessionFactory = InferenceSession;
  const session: InferenceSession = await factory.create('m.onnx', options);

  const feeds: Record<string, Tensor> = {};
  feeds[session.inputNames[0]!] = new Tensor('float32', new Float32Array(4), [2, 2]);
  await session.run(feeds, { tag: 't', terminate: false, logSeverityLevel: 0, extra: {}, signal });
  await session.run(feeds, ['y'] as const, {});
  await session.run(feeds, { y: new Tensor(new Float32Array(4)), z: null }, {});
  const results: Readonly<Record<string, Tensor>> = await session.run(feeds);
  const map: InferenceSession.OnnxValueMapType = results;
  const value: ort.OnnxValue = map['y']!;
  console.log(value.dims, Object.values(map).map((tensor) => tensor.data), session.weft.defaults.length);
  const y = results[session.outputNames[0]!]!;
  for (const [name, { dims, data }] of Object.entries(results)) console.log(name, dims.length, data.length);
  console.log(
    Math.max(...(y.data as Float32Array)),
    Array.from(y.data as BigInt64Array, Number),
    y.size,
    y.reshape([-1]).type,
  );
  if (y.location === 'gpu-buffer') console.log(y.gpuBuffer.size);
  if (y.location === 'ml-tensor') y.mlTensor.destroy();
  const [meta] = session.inputMetadata;
  if (meta?.isTensor)
    for (const size of meta.shape) console.log(typeof size === 'string' ? size.length : size + 1, meta.type);
  session.startProfiling();
  session.endProfiling();
  await session.release();
}

export async function tensors(
  element: HTMLImageElement,
  bitmap: ImageBitmap,
  pixels: ImageData,
  texture: WebGLTexture,
) {
  const strings: ort.TypedTensor<'string'> = new Tensor('string', ['a'], [1]);
  const bools: ort.TypedTensor<'bool'>[] = [
    new Tensor('bool', [true]),
    new Tensor('bool', new Uint8Array(1)),
    new Tensor([true]),
  ];
  const clamped: ort.TypedTensor<'uint8'>[] = [
    new Tensor('uint8', new Uint8ClampedArray(1)),
    new Tensor(new Uint8ClampedArray(1)),
  ];
  const longs: ort.TypedTensor<'int64'>[] = [
    new Tensor('int64', [1n]),
    new Tensor('int64', [1], []),
    new Tensor(new BigInt64Array(1)),
  ];
  const halves: ort.TypedTensor<'float16'>[] = [new Tensor('float16', new Uint16Array(1)), new Tensor('float16', [1])];
  const small: ort.TypedTensor<'int4'> = new Tensor('int4', new Int8Array(1));
  const type: Tensor.Type = 'float32' as Tensor.Type;
  const data: Tensor.DataType = new Float32Array(1) as Tensor.DataType;
  const any: Tensor[] = [
    new Tensor(type, data, [1]),
    new Tensor(data, [1]),
    new Tensor(type, [1]),
    strings,
    small,
    ...bools,
  ];
  const [floats, bits]: [Float32Array, BigInt64Array] = [new Tensor(new Float32Array(1)).data, longs[0]!.data];
  const bits16 = halves[0]!.data as Uint16Array;
  Tensor.fromPinnedBuffer('float32', floats, [1]).dispose();

  const from: ort.TensorFromImageDataOptions = {
    resizedWidth: 2,
    resizedHeight: 2,
    tensorFormat: 'RGB',
    tensorLayout: 'NCHW',
    dataType: 'float32',
    norm: { bias: [1, 2, 3], mean: 255 },
  };
  const to: ort.TensorToDataUrlOptions = { tensorLayout: 'NCHW', format: 'RGB', norm: { mean: 1 } };
  await Tensor.fromImage(element, from);
  await Tensor.fromImage('x.png', { ...from, height: 3, width: 3 });
  await Tensor.fromImage(bitmap, from);
  const image: ort.TypedTensor<'float32'> | ort.TypedTensor<'uint8'> = await Tensor.fromImage(pixels);
  console.log(
    image.toDataURL(to).length,
    image.toImageData(to).width,
    bits,
    bits16,
    any,
    clamped,
    await image.getData(true),
  );

  const dims = [1];
  Tensor.fromTexture(texture, { width: 1, height: 1, format: 'RGB' });
  Tensor.fromGpuBuffer(any[0]!.gpuBuffer, { dataType: 'float32', dims, download: async () => floats, dispose() {} });
  Tensor.fromMLTensor(any[0]!.mlTensor, { dataType: 'float32', dims });
}

export async function settings() {
  env.logLevel = 'verbose';
  env.debug = env.trace = true;
  Object.assign(env.wasm, { numThreads: 4, simd: 'fixed' } satisfies ort.Env.WebAssemblyFlags);
  env.wasm.trace = env.wasm.proxy = true;
  env.wasm.initTimeout = 10;
  env.wasm.wasmPaths = { wasm: '/a.wasm', mjs: new URL('https://x') };
  env.wasm.wasmBinary = new Uint8Array(1);
  env.webgl.contextId = 'webgl2';
  env.webgl.pack = env.webgl.async = true;
  env.webgl.textureCacheMode = 'full';
  env.webgpu.profiling = { mode: 'default', ondata: ({ kernelName }) => console.log(kernelName) };
  env.webgpu.powerPreference = 'high-performance';
  env['custom'] = 1;
  console.log(env.versions.common, env.versions.web, await env.webgpu.device, env.webgpu.adapter);
}
