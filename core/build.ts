// A graph as a program for what computes: here the compiler's targets and the machines meet.

import { compileWasm } from './compile/index.ts'
import { Device, type Executable, GpuProgram, type Machine, WasmDevice, WasmProgram } from './device/index.ts'
import type { Graph } from './graph.ts'
import { timed } from './spent.ts'
import { compileFor } from './tiles.ts'

/** The program of a graph on a machine; a timed one tells when each of its kernels is done. */
export async function build(machine: Machine, graph: Graph, isTimed = false): Promise<Executable> {
  if (machine instanceof Device) return GpuProgram.of(machine, await compileFor(machine, graph))
  if (!(machine instanceof WasmDevice))
    throw new Error('compile: nothing is written for this machine; this is a defect of the library')
  return new WasmProgram(
    machine,
    timed('compile', () => compileWasm(graph, isTimed)),
  )
}
