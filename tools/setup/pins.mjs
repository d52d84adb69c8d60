/*
 * What the project is built with, and exactly which version of it. npm and Python packages have their pins in the lock
 * files beside this one and in tests/requirements.txt. The Debian archive keeps only the newest version of a moving suite,
 * so a pin may vanish one day: a pin of a suite that no longer moves comes second, WEFT_EMSCRIPTEN_SUITE,
 * WEFT_EMSCRIPTEN_VERSION and WEFT_EMSCRIPTEN_SHA256 name another, and an `emcc` of version 4 or newer on PATH is used as
 * it is.
 */
const { WEFT_EMSCRIPTEN_SUITE: suite, WEFT_EMSCRIPTEN_VERSION: version, WEFT_EMSCRIPTEN_SHA256: sha256 } = process.env;

/** Emscripten's packages, best first. `npm` is the folder of the lock file with the binaryen that fits. */
const emscriptenPins = [
  {
    suite: 'forky',
    version: '6.0.5+dfsg+~1.41.5-2',
    sha256: '24e9eecd0a6e0c25896acf7dd42ae4261ae70c0669d4a42bde595afb7e4675c2',
    npm: 'compiler',
  },
  {
    suite: 'trixie',
    version: '3.1.69+dfsg-3',
    sha256: 'd2ac788b952c56ab6736b4db2ac0825aa63cfb4c08b8abaefe19e324779d1b2d',
    npm: 'compiler-trixie',
  },
];

export const emscripten = version
  ? [{ suite: suite ?? 'sid', version, sha256, npm: 'compiler' }]
  : emscriptenPins.filter((pin) => !suite || pin.suite === suite);

export const protobufC = {
  suite: 'bookworm',
  version: '1.4.1',
  sha256: '4cc4facd508172f3e0a4d3a8736225d472418aee35b4ad053384b137b220339f',
};

/** A package that carries the Silero VAD models; of its files nothing else is used. */
export const vad = {
  name: '@ricky0123/vad-web',
  version: '0.0.31',
  sha256: 'd1a211cf1a2ed26297da52cc08de79e75d79838a274bfc6de546feb1f828c940',
};

/** The compilers that Debian 12 has, by major version. */
export const llvm = '22';

/**
 * System packages: a file that proves the package (or an equal from elsewhere) is there, and why it is needed. `part`
 * is the part of set-up that needs it.
 */
export const systemPackages = [
  { name: 'cmake', file: '/usr/bin/cmake', part: 'build', why: 'describes the build' },
  { name: 'ninja-build', file: '/usr/bin/ninja', part: 'build', why: 'runs the build' },
  { name: 'libc6-dev', file: '/usr/include/stdio.h', part: 'build', why: 'C headers for native builds' },
  { name: `clang-${llvm}`, file: `/usr/bin/clang-${llvm}`, part: 'build', why: 'the C compiler, native and wasm' },
  { name: `lld-${llvm}`, file: `/usr/bin/wasm-ld-${llvm}`, part: 'build', why: 'links wasm' },
  { name: `llvm-${llvm}`, file: `/usr/bin/llvm-ar-${llvm}`, part: 'build', why: 'archives of wasm objects' },
  { name: 'wasi-libc', file: '/usr/lib/wasm32-wasi/libc.a', part: 'build', why: 'C library of the WASI modules' },
  {
    name: `libclang-rt-${llvm}-dev-wasm32`,
    file: `/usr/lib/llvm-${llvm}/lib/clang/${llvm}/lib/wasi/libclang_rt.builtins-wasm32.a`,
    part: 'build',
    why: 'compiler runtime of the WASI modules',
  },
  { name: 'protobuf-c-compiler', file: '/usr/bin/protoc-c', part: 'build', why: 'compiles the ONNX schema' },
  {
    name: `libclang-rt-${llvm}-dev`,
    file: `/usr/lib/llvm-${llvm}/lib/clang/${llvm}/lib/linux`,
    part: 'test',
    why: 'sanitizers and libFuzzer',
  },
  { name: 'libprotobuf-c-dev', file: '/usr/include/protobuf-c/protobuf-c.h', part: 'test', why: 'native builds' },
  { name: 'pkg-config', file: '/usr/bin/pkg-config', part: 'test', why: 'finds the image decoders' },
  {
    name: 'libmagickcore-6.q16-dev',
    file: '/usr/include/ImageMagick-6/magick/MagickCore.h',
    part: 'test',
    why: 'the image decoders of ImageDecoder in native builds',
  },
  { name: 'libsimde-dev', file: '/usr/include/simde/wasm/simd128.h', part: 'test', why: 'wasm SIMD on native machines' },
  { name: 'chromium', file: '/usr/bin/chromium', part: 'test', why: 'runs the browser tests' },
];
