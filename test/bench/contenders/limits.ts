// Two more to take turns: what they do in a call, in operations or bytes, is the most that what computes here can. They are the
// kernels of `profile`.

import { deviceReport } from 'cotangent'
import { arithmeticProgram, copyProgram } from '../../../core/compile/index.ts'
import { arithmeticKernel, copyKernel } from '../../../core/compile/wgsl/peak.ts'
import { wasmPeak } from '../../../core/device/peak.ts'
import { openWasm } from '../../../core/device/wasm-device.ts'
import type { Ready } from './contender.ts'
import { fastest, type Kernel, open } from './wgsl.ts'

export interface Limits {
  readonly arithmetic: Pick<Ready, 'run'>
  readonly operations: number
  readonly copying: Pick<Ready, 'run'>
  readonly bytes: number
}

/** How often the kernel of arithmetic turns: some tens of milliseconds of a CPU. */
const turns = 32

/** The limits, ready to run. */
export async function limits(): Promise<Limits> {
  const { source } = await deviceReport()
  return source === 'wasm' ? ofCpu() : ofAdapter()
}

async function ofCpu(): Promise<Limits> {
  const programs = { arithmetic: arithmeticProgram, copy: copyProgram }
  const { arithmetic, copying, operations, bytes } = wasmPeak(await openWasm([]), programs)
  return { arithmetic: { run: arithmetic }, operations, copying: { run: copying }, bytes }
}

async function ofAdapter(): Promise<Limits> {
  const device = await open(false)
  const kernel = (
    name: string,
    { wgsl, workgroups }: typeof arithmeticKernel | typeof copyKernel,
  ): Kernel => ({
    name,
    wgsl,
    workgroups: [workgroups, 1, 1],
  })
  const { operations, results } = arithmeticKernel
  const { bytes } = copyKernel
  const [count, source] = [Uint32Array.of(turns), new Float32Array(bytes / 4)]
  return {
    arithmetic: await fastest(device, [count], results, [kernel('arithmetic', arithmeticKernel)]),
    operations: turns * operations,
    copying: await fastest(device, [source], bytes, [kernel('copy', copyKernel)]),
    bytes: 2 * bytes,
  }
}
