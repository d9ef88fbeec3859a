// Which machine computes: an adapter of WebGPU, or WebAssembly.

import { openDevice } from './device.ts'
import type { Machine } from './machine.ts'
import { openWasm } from './wasm-device.ts'

const wantsWasm = (): boolean =>
  typeof globalThis.process?.versions?.node === 'string' && process.env.COTANGENT_ADAPTER === 'wasm'

/** The machine of this thread, opened at its first use, and anew after it was lost. */
export const openMachine = (): Promise<Machine> => (wantsWasm() ? openWasm() : openDevice())
