/// <reference lib="esnext.disposable" />
/*
 * The public face of onnx-weft: the API of onnxruntime-common, and what Weft adds to it. Written by hand; a test compiles
 * programs against it.
 */

/** The package's version. */
export declare const version: string;

/* What the host has: a program for Node.js that is compiled without the types of pages lacks some of these. */
type OfHost<Name extends string> = typeof globalThis extends { [key in Name]: { prototype: infer Instance } } ? Instance : never;
type WasmModule = typeof globalThis extends { WebAssembly: { Module: { prototype: infer Instance } } } ? Instance : never;
type Url = OfHost<'URL'>;

/* ---- errors ------------------------------------------------------------------------------------------------------------- */
/** What every call that fails throws or rejects with. The message is one sentence for people. */
export declare class WeftError extends Error {
  readonly code: WeftError.Code;
  /** The name of the model's node that failed, or ''. */
  readonly node: string;
  /** Its operator, or ''. */
  readonly op: string;
  constructor(code: WeftError.Code, message: string, details?: { node?: string; op?: string; cause?: unknown });
}
export declare namespace WeftError {
  type Code =
    | 'OK'
    | 'INVALID_ARGUMENT'
    | 'INVALID_MODEL'
    | 'UNSUPPORTED'
    | 'OUT_OF_MEMORY'
    | 'LIMIT_EXCEEDED'
    | 'IO'
    | 'CANCELLED'
    | 'RUN_FAILED'
    | 'INTERNAL';
}

/* ---- tensors ------------------------------------------------------------------------------------------------------------ */
type HalfArray = typeof globalThis extends { Float16Array: { prototype: infer T } } ? T : Uint16Array;

export declare namespace Tensor {
  /**
   * What `data` is. float16 is a Float16Array where the host has it, else the bits in a Uint16Array. Types below 8 bits
   * are packed, the first element in the lowest bits of a byte. Complex numbers take two items, real and imaginary.
   */
  interface DataTypeMap {
    float32: Float32Array;
    uint8: Uint8Array;
    int8: Int8Array;
    uint16: Uint16Array;
    int16: Int16Array;
    int32: Int32Array;
    int64: BigInt64Array;
    string: string[];
    bool: Uint8Array;
    float16: HalfArray | Uint16Array;
    float64: Float64Array;
    uint32: Uint32Array;
    uint64: BigUint64Array;
    complex64: Float32Array;
    complex128: Float64Array;
    bfloat16: Uint16Array;
    float8e4m3fn: Uint8Array;
    float8e4m3fnuz: Uint8Array;
    float8e5m2: Uint8Array;
    float8e5m2fnuz: Uint8Array;
    float8e8m0: Uint8Array;
    float4e2m1: Uint8Array;
    float6e2m3: Uint8Array;
    float6e3m2: Uint8Array;
    uint4: Uint8Array;
    int4: Int8Array;
    uint2: Uint8Array;
    int2: Int8Array;
  }
  interface ElementTypeMap {
    float32: number;
    uint8: number;
    int8: number;
    uint16: number;
    int16: number;
    int32: number;
    int64: bigint;
    string: string;
    bool: boolean;
    float16: number;
    float64: number;
    uint32: number;
    uint64: bigint;
    complex64: number;
    complex128: number;
    bfloat16: number;
    float8e4m3fn: number;
    float8e4m3fnuz: number;
    float8e5m2: number;
    float8e5m2fnuz: number;
    float8e8m0: number;
    float4e2m1: number;
    float6e2m3: number;
    float6e3m2: number;
    uint4: number;
    int4: number;
    uint2: number;
    int2: number;
  }
  type Type = keyof DataTypeMap;
  type DataType = DataTypeMap[Type];
  type ElementType = ElementTypeMap[Type];
  /** 'wasm': in the memory of the session that made it. The last three are onnxruntime's: no tensor is there. */
  type DataLocation = 'none' | 'cpu' | 'cpu-pinned' | 'wasm' | 'texture' | 'gpu-buffer' | 'ml-tensor';
  /** Types that are made of their bits only, not of an array of numbers. */
  type BitsOnly =
    | 'float8e4m3fn'
    | 'float8e4m3fnuz'
    | 'float8e5m2'
    | 'float8e5m2fnuz'
    | 'float8e8m0'
    | 'float6e2m3'
    | 'float6e3m2'
    | 'float4e2m1';

  /** Pixels of RGBA bytes, such as ImageData; a picture's URL or Blob; what a canvas draws. */
  type Image =
    | { readonly data: Uint8ClampedArray | Uint8Array; readonly width: number; readonly height: number }
    | string
    | Url
    | OfHost<'Blob'>
    | OfHost<'ImageBitmap'>
    | OfHost<'HTMLImageElement'>
    | OfHost<'HTMLCanvasElement'>
    | OfHost<'OffscreenCanvas'>
    | OfHost<'HTMLVideoElement'>
    | OfHost<'VideoFrame'>;

  interface ImageOptions {
    /** The tensor's channels; of toImageData and toDataURL. Default RGB. */
    format?: 'RGB' | 'RGBA' | 'BGR' | 'RBG';
    /** The tensor's channels; of fromImage. Default RGB. */
    tensorFormat?: 'RGB' | 'RGBA' | 'BGR' | 'RBG';
    tensorLayout?: 'NCHW' | 'NHWC';
    dataType?: 'float32' | 'uint8';
    resizedWidth?: number;
    resizedHeight?: number;
    /** An element is (pixel + bias) / mean. Default: mean 255 (uint8: 1), bias 0. */
    norm?: { mean?: number | readonly number[]; bias?: number | readonly number[] };
  }

  /* Names of onnxruntime's, some of them for what is never there. */
  type CpuPinnedDataTypes = Exclude<Type, 'string'>;
  type TextureType = OfHost<'WebGLTexture'>;
  type TextureDataTypes = 'float32';
  type GpuBufferType = typeof globalThis extends { GPUBuffer: { prototype: infer T } }
    ? T
    : { size: number; mapState: 'unmapped' | 'pending' | 'mapped' };
  type GpuBufferDataTypes = 'float32' | 'float16' | 'int32' | 'int64' | 'uint32' | 'uint8' | 'bool';
  type MLTensorType = typeof globalThis extends { MLTensor: { prototype: infer T } } ? T : { destroy(): void };
  type MLTensorDataTypes = GpuBufferDataTypes | 'int8' | 'uint64' | 'uint4' | 'int4';
}

export interface TypedTensor<T extends Tensor.Type> {
  readonly type: T;
  readonly dims: readonly number[];
  /** Throws where a session keeps it. */
  readonly data: Tensor.DataTypeMap[T];
  /** The number of elements. */
  readonly size: number;
  readonly location: Tensor.DataLocation;
  /** Throw: data is never there. */
  readonly texture: Tensor.TextureType;
  readonly gpuBuffer: Tensor.GpuBufferType;
  readonly mlTensor: Tensor.MLTensorType;
  /** The data; a copy of what a session keeps, or with `releaseData` all there is of it then. */
  getData(releaseData?: boolean): Promise<Tensor.DataTypeMap[T]>;
  /** The same data under other dims. */
  reshape(dims: readonly number[]): TypedTensor<T>;
  /** Lets go of the data, also of what a session keeps. */
  dispose(): void;
  toImageData(options?: Tensor.ImageOptions): OfHost<'ImageData'>;
  toDataURL(options?: Tensor.ImageOptions): string;
}

export interface Tensor extends TypedTensor<Tensor.Type> {
  reshape(dims: readonly number[]): Tensor;
}

export interface TensorFactory {
  fromImage(
    image: Tensor.Image,
    options?: Tensor.ImageOptions & OptionsDimensions,
  ): Promise<TypedTensor<'float32'> | TypedTensor<'uint8'>>;
  fromPinnedBuffer<T extends Exclude<Tensor.Type, 'string'>>(
    type: T,
    data: Tensor.DataTypeMap[T],
    dims?: readonly number[],
  ): TypedTensor<T>;
  /** Throw: data is never there. */
  fromTexture(texture: Tensor.TextureType, options: TensorFromTextureOptions): TypedTensor<'float32'>;
  fromGpuBuffer<T extends Tensor.GpuBufferDataTypes>(
    buffer: Tensor.GpuBufferType,
    options: TensorFromGpuBufferOptions<T>,
  ): TypedTensor<T>;
  fromMLTensor<T extends Tensor.MLTensorDataTypes>(
    tensor: Tensor.MLTensorType,
    options: TensorFromMLTensorOptions<T>,
  ): TypedTensor<T>;
}

export interface TensorConstructor extends TensorFactory {
  /** Without dims a tensor has one dimension. Numbers that would lose something as 64-bit integers are refused. */
  new (type: 'string', data: readonly string[], dims?: readonly number[]): TypedTensor<'string'>;
  new (type: 'bool', data: Uint8Array | readonly boolean[], dims?: readonly number[]): TypedTensor<'bool'>;
  new (type: 'uint8', data: Uint8ClampedArray, dims?: readonly number[]): TypedTensor<'uint8'>;
  new <T extends 'int64' | 'uint64'>(
    type: T,
    data: Tensor.DataTypeMap[T] | readonly bigint[] | readonly number[],
    dims?: readonly number[],
  ): TypedTensor<T>;
  new <T extends Tensor.BitsOnly>(type: T, data: Uint8Array, dims?: readonly number[]): TypedTensor<T>;
  new <T extends Exclude<Tensor.Type, 'string' | 'bool' | 'int64' | 'uint64' | Tensor.BitsOnly>>(
    type: T,
    data: Tensor.DataTypeMap[T] | readonly number[],
    dims?: readonly number[],
  ): TypedTensor<T>;
  new (data: Float32Array, dims?: readonly number[]): TypedTensor<'float32'>;
  new (data: Float64Array, dims?: readonly number[]): TypedTensor<'float64'>;
  new (data: Int8Array, dims?: readonly number[]): TypedTensor<'int8'>;
  new (data: Uint8Array | Uint8ClampedArray, dims?: readonly number[]): TypedTensor<'uint8'>;
  new (data: Int16Array, dims?: readonly number[]): TypedTensor<'int16'>;
  new (data: Uint16Array, dims?: readonly number[]): TypedTensor<'uint16'>;
  new (data: Int32Array, dims?: readonly number[]): TypedTensor<'int32'>;
  new (data: Uint32Array, dims?: readonly number[]): TypedTensor<'uint32'>;
  new (data: BigInt64Array, dims?: readonly number[]): TypedTensor<'int64'>;
  new (data: BigUint64Array, dims?: readonly number[]): TypedTensor<'uint64'>;
  new (data: readonly string[], dims?: readonly number[]): TypedTensor<'string'>;
  new (data: readonly boolean[], dims?: readonly number[]): TypedTensor<'bool'>;
  new (
    type: Tensor.Type,
    data: Tensor.DataType | readonly number[] | readonly string[] | readonly bigint[] | readonly boolean[],
    dims?: readonly number[],
  ): Tensor;
  new (data: Tensor.DataType, dims?: readonly number[]): Tensor;
  new <T extends Tensor.Type>(pinned: CpuPinnedConstructorParameters<T>): TypedTensor<T>;
}

export interface CpuPinnedConstructorParameters<T extends Tensor.Type = Tensor.CpuPinnedDataTypes> {
  readonly location: 'cpu-pinned';
  readonly type: T;
  readonly data: Tensor.DataTypeMap[T];
  readonly dims?: readonly number[];
}

export declare const Tensor: TensorConstructor;

/* ---- sessions ----------------------------------------------------------------------------------------------------------- */
/** What is fed. A sequence is an array, a map a Map (keys of int64 are bigints), an absent optional null. */
export type Value = Tensor | readonly Value[] | Map<string | bigint, string | number | bigint | Tensor> | null;
/** As onnxruntime has it. */
export type OnnxValue = Tensor;

export declare namespace InferenceSession {
  type FeedsType = { readonly [name: string]: Value };
  /** Names of outputs, or an object by output name: a tensor to be filled, or null. */
  type FetchesType = readonly string[] | { readonly [name: string]: Tensor | null };
  /** By output name. Models whose outputs are not all tensors need a look at what they are. */
  type ReturnType = { readonly [name: string]: Tensor };

  /** Where the model, or a file of it, is. */
  type Source = string | Url | ArrayBufferLike | ArrayBufferView | OfHost<'Blob'> | OfHost<'Response'> | OfHost<'ReadableStream'>;

  interface Progress {
    /** 'model' and 'external' while files are read, 'prepare' before and after the model is made ready. */
    readonly phase: 'model' | 'external' | 'prepare';
    readonly file: string;
    readonly loaded: number;
    /** Undefined where the size is not known beforehand. */
    readonly total: number | undefined;
  }

  interface SessionOptions {
    /** Files that hold weights of the model, by the path that it names. Others are looked for beside the model. */
    externalData?: readonly ({ path: string; data: Source } | string | Url)[];
    /** 'disabled': the graph is run as it is. All other levels mean the same. */
    graphOptimizationLevel?: 'disabled' | 'basic' | 'extended' | 'layout' | 'all';
    /** Threads of this session; default: env.wasm.numThreads. 0 lets the package choose. */
    threads?: number;
    intraOpNumThreads?: number;
    /** The session runs in a worker, so that this thread stays free; default: env.wasm.proxy. */
    worker?: boolean;
    /** No relaxed instructions: the same bits on every host and with any number of threads. */
    deterministic?: boolean;
    /** Of random operators without a seed of their own: without it they begin elsewhere in every session, unless it is `deterministic`. */
    seed?: number;
    /** Operators of your own, by 'domain:Name'. A session in a worker asks this thread for them. */
    operators?: { readonly [name: string]: Operator };
    /** A load or run beyond one of these ends with an error. */
    limits?: { maxMemory?: number; maxElements?: number; maxNodes?: number; maxDepth?: number };
    /** true: 64-bit addresses; false: never; left out: where the model needs them. Default: env.wasm.memory64. */
    memory64?: boolean;
    /** The WebAssembly module, its bytes or its URL, where the package's own choice cannot be loaded. */
    wasm?: WasmModule | ArrayBufferLike | ArrayBufferView | string | Url;
    /** Name of a cache of the host's (CacheStorage) in which files that have URLs are kept, and looked for before they are fetched. */
    cache?: string | undefined;
    signal?: OfHost<'AbortSignal'> | undefined;
    onProgress?: ((progress: Progress) => void) | undefined;
    /** As if startProfiling were called at once. */
    enableProfiling?: boolean;
    /** Where results are put. 'wasm': they stay where they are made, to be fed again without a copy. All else is 'cpu'. */
    preferredOutputLocation?: Tensor.DataLocation | { readonly [name: string]: Tensor.DataLocation };
    /** Sizes that inputMetadata and outputMetadata tell instead of the dimensions' names. A run may have others. */
    freeDimensionOverrides?: { readonly [name: string]: number };
    /** Accepted, without effect, and so are all others of onnxruntime's. */
    executionProviders?: readonly ExecutionProviderConfig[];
    interOpNumThreads?: number;
    executionMode?: 'sequential' | 'parallel';
    enableCpuMemArena?: boolean;
    enableMemPattern?: boolean;
    enableGraphCapture?: boolean;
    optimizedModelFilePath?: string;
    profileFilePrefix?: string;
    logId?: string;
    logSeverityLevel?: 0 | 1 | 2 | 3 | 4;
    logVerbosityLevel?: number;
    extra?: Record<string, unknown>;
    [option: string]: unknown;
  }

  /**
   * Runs one node: inputs are copies (null where absent), integers that a number cannot hold are bigints. Returns the first
   * output, or an array of all.
   */
  type RunOperator = (inputs: any[], attributes: { readonly [name: string]: any }) => Tensor | readonly unknown[];

  /** What is known of a tensor before it is there. */
  interface TensorInfo {
    readonly type: Tensor.Type;
    readonly dims: readonly number[];
  }

  /**
   * An operator may tell its outputs ahead, so that memory is planned for them: `infer` gets the inputs as far as they are known
   * (a Tensor, or only its type and dims) and returns the first output's type and dims, or an array of all; undefined where it
   * cannot tell. It is called while runs are planned, not for every run.
   */
  type Operator =
    | RunOperator
    | { run: RunOperator; infer?: (inputs: any[], attributes: { readonly [name: string]: any }) => TensorInfo | undefined | readonly (TensorInfo | undefined)[] };

  interface RunOptions {
    /**
     * Ends the wait for the session's turn. Of a session in a worker it also ends the run: at once for the caller, and soon
     * for the worker if it has threads. Without a worker a run that has begun keeps this thread busy to its end.
     */
    signal?: OfHost<'AbortSignal'> | undefined;
    /** Accepted, without effect. */
    logSeverityLevel?: 0 | 1 | 2 | 3 | 4;
    logVerbosityLevel?: number;
    terminate?: boolean;
    tag?: string;
    extra?: Record<string, unknown>;
    [option: string]: unknown;
  }

  /** Sums over all runs. Nodes with subgraphs count without what is inside: that has rows of its own. */
  interface ProfileRow {
    /** The operator, with its domain in front where that is not ONNX's own; 'weft:...' are fused from several nodes. */
    readonly op: string;
    readonly calls: number;
    /** Milliseconds. */
    readonly time: number;
    /** Of the time of all runs. */
    readonly share: number;
    /** Additions and multiplications by the operator's definition, 0 where they are not counted. */
    readonly operations: number;
    /** Of inputs that are read and of outputs. */
    readonly bytes: number;
    readonly gflops: number;
    readonly gbps: number;
    /** The greater of both rates as a share of its limit. Integer products may go beyond 1, and so may Winograd's algorithm. */
    readonly limit: number;
  }
  interface ProfileNode extends ProfileRow {
    readonly node: string;
    /** Of the first output. */
    readonly type: Tensor.Type | undefined;
    readonly dims: readonly number[];
  }
  interface Profile {
    readonly runs: number;
    /** Milliseconds of all runs, with planning and what else is outside nodes. */
    readonly total: number;
    /** What this machine can do at best with the session's module and threads: float32 multiply-adds, reading memory. */
    readonly limits: { readonly gflops: number; readonly gbps: number };
    /** Both begin with what took longest. */
    readonly operators: readonly ProfileRow[];
    readonly nodes: readonly ProfileNode[];
    /** Calls beyond the quarter of a million that are recorded. */
    readonly dropped: number;
    /** Tables for people. */
    toString(): string;
    /** Every call, in the format of browsers' developer tools and Perfetto: to be written as JSON. */
    toTrace(): { traceEvents: object[]; displayTimeUnit: 'ms' };
  }

  interface TensorValueMetadata {
    readonly name: string;
    readonly isTensor: true;
    readonly type: Tensor.Type;
    /** Sizes, or names of sizes that a run decides; '?' where nothing is known. Empty: a scalar, or of unknown rank. */
    readonly shape: readonly (number | string)[];
  }
  interface NonTensorValueMetadata {
    readonly name: string;
    readonly isTensor: false;
    readonly kind: 'none' | 'tensor' | 'sequence' | 'map';
    /** Of the tensors inside. */
    readonly type: Tensor.Type | undefined;
  }
  type ValueMetadata = TensorValueMetadata | NonTensorValueMetadata;

  /* Names of onnxruntime's. */
  type OnnxValueMapType = ReturnType;
  type NullableOnnxValueMapType = { readonly [name: string]: Tensor | null };
  interface ExecutionProviderOption {
    readonly name: string;
    [option: string]: unknown;
  }
  type ExecutionProviderConfig = string | ExecutionProviderOption;
  type ExecutionProviderName =
    'coreml' | 'cpu' | 'cuda' | 'dml' | 'nnapi' | 'tensorrt' | 'wasm' | 'webgl' | 'webgpu' | 'webnn' | 'qnn' | 'xnnpack';
  type ExecutionProviderOptionMap = { [name in ExecutionProviderName]: ExecutionProviderOption };
  type CpuExecutionProviderOption = ExecutionProviderOption;
  type WebAssemblyExecutionProviderOption = ExecutionProviderOption;
  type WebGLExecutionProviderOption = ExecutionProviderOption;
  type WebGpuExecutionProviderOption = ExecutionProviderOption;
  type WebNNExecutionProviderOption = ExecutionProviderOption;
  interface WebNNContextOptions {
    deviceType?: 'cpu' | 'gpu' | 'npu';
    numThreads?: number;
    powerPreference?: 'default' | 'low-power' | 'high-performance';
  }
}

export interface InferenceSession {
  /** Runs the model. Feeds may be used again when the promise is settled. Runs of one session take turns by themselves. */
  run(feeds: InferenceSession.FeedsType, options?: InferenceSession.RunOptions): Promise<InferenceSession.ReturnType>;
  run(
    feeds: InferenceSession.FeedsType,
    fetches: InferenceSession.FetchesType,
    options?: InferenceSession.RunOptions,
  ): Promise<InferenceSession.ReturnType>;
  /** Gives all memory back, once the runs before it are done. */
  release(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  [Symbol.dispose](): void;
  /** Begins to record where the time of runs goes; what was recorded before is dropped. */
  startProfiling(): void;
  /** Ends recording; what was recorded stays. With env.logLevel 'info' or 'verbose' the console is told. */
  endProfiling(): void;
  /** What was recorded. The first call measures the machine's limits too, which takes a quarter of a second. */
  profile(): Promise<InferenceSession.Profile>;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[];
  /** The module this session runs on, and why that one. */
  readonly weft: Env.Choice & {
    /** Sentences about a model that runs all the same, such as one in training mode; console.warn says them too. */
    readonly warnings: readonly string[];
    /** Inputs for which the model has a default: they can be fed, and are not among `inputNames` and `inputMetadata`. */
    readonly defaults: readonly InferenceSession.ValueMetadata[];
    /** Bytes that the core holds now and has held at most, and that the module has taken of the host. */
    readonly memory: { readonly used: number; readonly peak: number; readonly reserved: number };
  };
}

export interface InferenceSessionFactory {
  create(model: InferenceSession.Source, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  create(
    buffer: ArrayBufferLike,
    byteOffset: number,
    byteLength?: number,
    options?: InferenceSession.SessionOptions,
  ): Promise<InferenceSession>;
}

export declare const InferenceSession: InferenceSessionFactory;

/* ---- settings ----------------------------------------------------------------------------------------------------------- */
export declare namespace Env {
  interface WebAssemblyFlags {
    /** Threads of a session: 1 if left out; 0 lets the package choose. Pages need to be cross-origin isolated. */
    numThreads?: number;
    /** false: the module without SIMD; true or 'fixed': SIMD without relaxed instructions; default: the best there is. */
    simd?: boolean | 'fixed' | 'relaxed';
    /** The folder of the .wasm files (ending in a slash), or the URL of each by its name, or of the one to use as `wasm`. */
    wasmPaths?: string | Url | { readonly [file: string]: string | Url };
    /** The module itself. */
    wasmBinary?: ArrayBufferLike | Uint8Array | WasmModule;
    /** 64-bit addresses, as with the option `memory64`. */
    memory64?: boolean;
    /** Sessions run in workers of their own, as with the option `worker`. */
    proxy?: boolean;
    /** Accepted, without effect. */
    trace?: boolean;
    initTimeout?: number;
    [flag: string]: unknown;
  }
  interface Choice {
    /** The file's name; '' before the first session. */
    readonly module: string;
    readonly threads: number;
    /** Sentences for people. */
    readonly why: readonly string[];
  }

  /* Names of onnxruntime's. */
  type WasmPathPrefix = string;
  type WasmFilePaths = { wasm?: string | Url; mjs?: string | Url };
  type WasmPrefixOrFilePaths = WasmPathPrefix | WasmFilePaths;
  interface WebGLFlags {
    contextId?: 'webgl' | 'webgl2';
    readonly context?: unknown;
    matmulMaxBatchSize?: number;
    textureCacheMode?: 'initializerOnly' | 'full';
    pack?: boolean;
    async?: boolean;
    [flag: string]: unknown;
  }
  interface WebGpuFlags {
    profilingMode?: 'off' | 'default';
    profiling: { mode?: 'off' | 'default'; ondata?: (data: WebGpuProfilingData) => void };
    powerPreference?: 'low-power' | 'high-performance';
    forceFallbackAdapter?: boolean;
    validateInputContent?: boolean;
    adapter?: any;
    device?: any;
    [flag: string]: unknown;
  }
  type WebGpuProfilingData = any;
}

export interface Env {
  logLevel?: 'verbose' | 'info' | 'warning' | 'error' | 'fatal';
  debug?: boolean;
  trace?: boolean;
  readonly versions: { readonly common: string; readonly weft: string; readonly web?: string; readonly node?: string };
  readonly wasm: Env.WebAssemblyFlags;
  readonly webgl: Env.WebGLFlags;
  readonly webgpu: Env.WebGpuFlags;
  /** What the last session runs on. */
  readonly weft: Env.Choice;
  [name: string]: unknown;
}

export declare const env: Env;

/* ---- further names of onnxruntime's -------------------------------------------------------------------------------------- */
export type NonTensorType = never;
export type OnnxValueDataLocation = Tensor.DataLocation;

export type FileUrlOrPath = string;
export type FileBlob = OfHost<'Blob'>;
export type FileData = Uint8Array | ArrayBufferLike;
export type FileType = FileUrlOrPath | FileBlob | FileData;
export type ExternalDataFileDescription = { path: string; data: InferenceSession.Source };
export type ExternalDataFileType = ExternalDataFileDescription | FileUrlOrPath;
export type OnnxModelOptions = Pick<InferenceSession.SessionOptions, 'externalData'>;

export type ImageFormat = NonNullable<Tensor.ImageOptions['format']>;
export type ImageTensorLayout = NonNullable<Tensor.ImageOptions['tensorLayout']>;
export type OptionsFormat = Pick<Tensor.ImageOptions, 'format'>;
export type OptionsTensorFormat = Pick<Tensor.ImageOptions, 'tensorFormat'>;
export type OptionsTensorDataType = Pick<Tensor.ImageOptions, 'dataType'>;
export type OptionsTensorLayout = Pick<Tensor.ImageOptions, 'tensorLayout'>;
export type OptionsDimensions = { height?: number; width?: number };
export type OptionResizedDimensions = Pick<Tensor.ImageOptions, 'resizedHeight' | 'resizedWidth'>;
export type OptionsNormalizationParameters = Pick<Tensor.ImageOptions, 'norm'>;
export type TensorFromImageDataOptions = Omit<Tensor.ImageOptions, 'format'>;
export type TensorFromImageElementOptions = TensorFromImageDataOptions;
export type TensorFromImageBitmapOptions = TensorFromImageDataOptions;
export type TensorFromUrlOptions = TensorFromImageDataOptions & OptionsDimensions;
export type TensorToDataUrlOptions = Pick<Tensor.ImageOptions, 'format' | 'tensorLayout' | 'norm'>;
export type TensorToImageDataOptions = TensorToDataUrlOptions;
export type ConversionUtils = Pick<Tensor, 'toDataURL' | 'toImageData'>;

type OnDevice<T extends Tensor.Type> = { download?(): Promise<Tensor.DataTypeMap[T]>; dispose?(): void };
export type TensorFromTextureOptions<T extends Tensor.Type = 'float32'> = OnDevice<T> &
  Required<OptionsDimensions> &
  OptionsFormat;
export type TensorFromGpuBufferOptions<T extends Tensor.Type> = OnDevice<T> & { dims: readonly number[]; dataType?: T };
export type TensorFromMLTensorOptions<T extends Tensor.Type> = TensorFromGpuBufferOptions<T>;

/** The same, for `import ort from`. */
export * as default from './weft.js';
