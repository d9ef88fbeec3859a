// The part of WebAssembly's interface that is used here; TypeScript has it only with the declarations of browsers.

export interface WasmMemory {
  readonly buffer: SharedArrayBuffer
  /** By so many pages of 64 KiB. */
  grow(pages: number): number
}

interface WasmInstance {
  readonly exports: Readonly<Record<string, (...args: number[]) => void>>
}

interface Interface {
  Memory: new (limits: {
    readonly initial: number
    readonly maximum: number
    readonly shared: true
  }) => WasmMemory
  Module: new (bytes: Uint8Array) => object
  Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, WasmMemory | ((x: number) => void)>>>>,
  ) => WasmInstance
}

export const webAssembly = (globalThis as unknown as { readonly WebAssembly: Interface }).WebAssembly
