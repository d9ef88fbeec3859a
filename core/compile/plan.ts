// Kernels as a list of dispatches over a few buffers: a result goes to a buffer whose last reader has run.

import { type Graph, Var } from '../graph.ts'
import type { Group } from './fuse.ts'
import { type Kernel, kernelsOf } from './kernels.ts'
import { emit } from './wgsl.ts'

/** An array of the program: an argument (captures come after the inputs), a result, or an intermediate in a slot. */
export type Place =
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'slot'; readonly index: number }

export interface Dispatch {
  readonly name: string
  readonly wgsl: string
  readonly inputs: readonly Place[]
  readonly output: Place
  readonly workgroups: readonly [number, number, number]
}

/** A program as data: what to dispatch in which order, and the bytes of the slots it needs. */
export interface Plan {
  readonly dispatches: readonly Dispatch[]
  /** Results that are arguments, or results already. */
  readonly copies: readonly { readonly from: Place; readonly to: Place }[]
  readonly slots: readonly number[]
}

export function plan(graph: Graph, groups: readonly Group[]): Plan {
  // A kernel knows what it reads once its elements are spelled out.
  const kernels = groups
    .flatMap(kernelsOf)
    .map((kernel) => ({ ...kernel, ...emit(kernel), inputs: kernel.inputs }))
  const places = new Map<Var, Place>()
  for (const [index, variable] of [...graph.inputs, ...graph.captures].entries())
    places.set(variable, { kind: 'input', index })
  const copies: { from: Place; to: Place }[] = []
  for (const [index, variable] of graph.outputs.filter((atom) => atom instanceof Var).entries()) {
    const [from, to] = [places.get(variable), { kind: 'output', index } as const]
    if (from === undefined) places.set(variable, to)
    else copies.push({ from, to })
  }
  const slots = assignSlots(kernels, places)
  const dispatches = kernels.map(({ name, wgsl, workgroups, inputs, output }) => ({
    name,
    wgsl,
    workgroups,
    inputs: inputs.map((input) => places.get(input)!),
    output: places.get(output)!,
  }))
  return { dispatches, copies, slots }
}

/** Gives every intermediate a slot, reusing the free one that fits best; adds them to `places`. */
function assignSlots(
  kernels: readonly Pick<Kernel, 'inputs' | 'output'>[],
  places: Map<Var, Place>,
): number[] {
  const lastRead = new Map<Var, number>()
  for (const [k, kernel] of kernels.entries()) for (const input of kernel.inputs) lastRead.set(input, k)
  const slots: number[] = []
  const free = new Set<number>()
  const held = new Map<Var, number>()
  for (const [k, { inputs, output }] of kernels.entries()) {
    if (!places.has(output)) {
      const bytes = output.aval.bytes
      const waste = (slot: number): number =>
        slots[slot]! >= bytes ? slots[slot]! - bytes : 2 * (bytes - slots[slot]!)
      const best = [...free].sort((a, b) => waste(a) - waste(b))[0]
      const slot = best !== undefined && waste(best) <= Math.max(bytes, 4096) ? best : slots.length
      slots[slot] = Math.max(slots[slot] ?? 0, bytes)
      free.delete(slot)
      held.set(output, slot)
      places.set(output, { kind: 'slot', index: slot })
    }
    for (const variable of [...inputs, output]) {
      const slot = held.get(variable)
      if (slot === undefined || (lastRead.get(variable) ?? k) > k) continue
      free.add(slot)
      held.delete(variable)
    }
  }
  return slots
}
