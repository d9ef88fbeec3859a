// The compiler: graph → written out and simplified → groups → loop nests → a plan of kernels, in WGSL or WebAssembly. Pure text
// and numbers, no device.

import { type Graph, Var } from '../graph.ts'
import { type Plan as PlanOf, plan } from './plan.ts'
import { emit as emitWasm } from './wasm/index.ts'
import { programOf, type WasmProgram } from './wasm/program.ts'
import { emit, type Module } from './wgsl/index.ts'
import { plainTiling, type Tiling } from './wgsl/tiling.ts'

export { kindNames } from './about.ts'
export type { Cost } from './cost.ts'
export { trialOf } from './trial.ts'
export { arithmeticProgram, copyProgram } from './wasm/peak.ts'
export { arithmeticKernel, copyKernel } from './wgsl/peak.ts'

/** A program of WGSL modules. */
export type Plan = PlanOf<Module>

/** Plans a graph for an adapter on which a kernel may bind `maxArrays` arrays, with products as its `tiling` says. */
export const compile = (graph: Graph, maxArrays: number, tiling: Tiling = plainTiling): Plan =>
  plan(graph, { maxArrays, emit: (kernel) => emit(kernel, tiling) })

/** Arrays that a kernel of WebAssembly reads and writes; more would be many parameters to read. */
const maxAddresses = 24

/** A graph as a program for the CPU; a timed one tells the host when each kernel is done. */
export const compileWasm = (graph: Graph, isTimed = false): WasmProgram => {
  const { inputs, captures, outputs } = graph
  const made = outputs.filter((atom) => atom instanceof Var)
  return programOf(
    plan(graph, { maxArrays: maxAddresses, emit: emitWasm }),
    inputs.length + captures.length,
    made.length,
    isTimed,
  )
}
