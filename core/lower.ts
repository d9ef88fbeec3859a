// `lower`: everything that happens to a function before it runs, to look at.

import { type Cost, compile, type Plan } from './compile/index.ts'
import { type Graph, printGraph } from './graph.ts'
import { type MemoryTimeline, timelineOf } from './timeline.ts'
import { trace } from './trace.ts'

/** A kernel of a program. */
export interface LoweredKernel extends Cost {
  readonly name: string
  readonly wgsl: string
  readonly workgroups: readonly [number, number, number]
  /** How often a run of the program dispatches it; NaN in a loop that runs as long as a condition holds. */
  readonly times: number
}

/** A function lowered at the types of its arguments; as text, all of it. */
export interface Lowered {
  readonly graph: Graph
  readonly kernels: readonly LoweredKernel[]
  readonly plan: Plan
  /** Bytes of the arrays between kernels, which share memory. */
  readonly plannedBytes: number
  /** Operations on floats and bytes moved in one run. */
  readonly flops: number
  readonly bytes: number
  toString(): string
  /** When which array between kernels needs memory; `timeline().svg()` is a picture of it. */
  timeline(): MemoryTimeline
}

/** Arrays that a kernel may bind on every adapter. */
const guaranteedArrays = 8

/**
 * What `jit(f)` would run at these arguments, which may be abstract: the graph, the kernels with their WGSL and cost, and the
 * memory plan. Nothing is computed, and no device is needed: the plan is for the limits that every adapter has.
 *
 * @example
 * ```ts
 * import { lower, mul, sum, zeros } from 'cotangent'
 * const { kernels } = lower((x) => sum(mul(x, x)))(zeros([64]))
 * kernels.map(({ name, flops }) => [name, flops]) // [['mul_reduce_sum', 128]]
 * ```
 */
export const lower =
  <A extends readonly unknown[]>(f: (...args: A) => unknown) =>
  (...args: A): Lowered => {
    const { graph } = trace('lower', f, args)
    const plan = compile(graph, guaranteedArrays)
    const kernels = kernelsOf(plan, 1)
    const total = (of: (kernel: LoweredKernel) => number): number =>
      kernels.reduce((sum, kernel) => sum + kernel.times * of(kernel), 0)
    return {
      graph,
      kernels,
      plan,
      plannedBytes: plan.slots.reduce((sum, bytes) => sum + bytes, 0),
      flops: total(({ flops }) => flops),
      bytes: total(({ bytes }) => bytes),
      timeline: () => timelineOf(plan),
      toString: () =>
        [
          printGraph(graph),
          showSteps(plan),
          ...kernels.map(({ name, wgsl, times, flops, bytes }) => {
            const often = Number.isNaN(times) ? '' : `${times} times, `
            return `${name}: ${often}${flops} flops, ${bytes} bytes\n${wgsl}`
          }),
        ].join('\n\n'),
    }
  }

/** The kernels of a plan that runs so often, equal ones as one. */
function kernelsOf(plan: Plan, runs: number): LoweredKernel[] {
  const found = new Map<string, LoweredKernel>()
  const visit = ({ steps }: Plan, runs: number): void => {
    for (const step of steps) {
      if (step.kind === 'loop') visit(step.body, runs * (step.turns ?? Number.NaN))
      if (step.kind !== 'dispatch') continue
      const { name, wgsl, workgroups, cost } = step
      found.set(wgsl, { name, wgsl, workgroups, ...cost(), times: runs + (found.get(wgsl)?.times ?? 0) })
    }
  }
  visit(plan, runs)
  return [...found.values()]
}

const place = ({ kind, index }: { readonly kind: string; readonly index: number }): string =>
  `${kind} ${index}`
const places = (list: readonly { readonly kind: string; readonly index: number }[]): string =>
  list.map(place).join(', ')

/** The steps of a plan, one a line. */
const showSteps = ({ steps, slots }: Plan, indent = ''): string =>
  [...steps.map((step) => showStep(step, indent)), `slots of ${slots.join(', ') || 'no'} bytes`]
    .map((line) => indent + line)
    .join('\n')

function showStep(step: Plan['steps'][number], indent: string): string {
  if (step.kind === 'dispatch') return `${step.name}: ${places(step.inputs)} -> ${places(step.outputs)}`
  if (step.kind === 'copy') return `copy: ${place(step.from)} -> ${place(step.to)}`
  if (step.kind === 'host')
    return `host ${step.name}: ${places(step.inputs.map(({ place }) => place))} -> ${places(step.outputs)}`
  const often = step.turns === null ? 'while' : `${step.turns} times`
  const given = places([...step.constants, ...step.initial, ...step.sliced])
  const body = showSteps(step.body, `${indent}  `)
  return `loop ${often}: ${given} -> ${places([...step.state, ...step.stacked])}\n${body}`
}
