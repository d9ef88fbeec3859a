// Kernels as a list of dispatches over a few buffers: equal groups are compiled once, and a result goes to a buffer whose
// last reader has run.

import { type Atom, type Graph, Literal, Var } from '../graph.ts'
import type { Group } from './fuse.ts'
import { kernelsOf } from './kernels.ts'
import { emit } from './wgsl.ts'

/** An array of the program: an argument (captures come after the inputs), a result, or an intermediate in a slot. */
type Place =
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'slot'; readonly index: number }

interface Dispatch {
  readonly name: string
  readonly wgsl: string
  readonly inputs: readonly Place[]
  readonly output: Place
  /** the type and the bytes of what it writes */
  readonly result: { readonly type: string; readonly bytes: number }
  readonly workgroups: readonly [number, number, number]
}

/** A program as data: what to dispatch in which order, and the bytes of the slots it needs. */
export interface Plan {
  readonly dispatches: readonly Dispatch[]
  /** Results that are arguments, or results already. */
  readonly copies: readonly { readonly from: Place; readonly to: Place }[]
  readonly slots: readonly number[]
}

/** A kernel as text, and the arrays it is run on. */
interface Step {
  readonly name: string
  readonly wgsl: string
  readonly workgroups: readonly [number, number, number]
  readonly inputs: readonly Var[]
  readonly output: Var
}

export function plan(graph: Graph, groups: readonly Group[]): Plan {
  const steps = stepsOf(groups)
  const places = new Map<Var, Place>()
  for (const [index, variable] of [...graph.inputs, ...graph.captures].entries())
    places.set(variable, { kind: 'input', index })
  const copies: { from: Place; to: Place }[] = []
  for (const [index, variable] of graph.outputs.filter((atom) => atom instanceof Var).entries()) {
    const [from, to] = [places.get(variable), { kind: 'output', index } as const]
    if (from === undefined) places.set(variable, to)
    else copies.push({ from, to })
  }
  const slots = assignSlots(steps, places)
  const dispatches = steps.map(({ inputs, output, ...kernel }) => ({
    ...kernel,
    inputs: inputs.map((input) => places.get(input)!),
    output: places.get(output)!,
    result: { type: String(output.aval), bytes: output.aval.bytes },
  }))
  return { dispatches, copies, slots }
}

/** The kernels of all groups. A group equal to an earlier one, such as the same layer again, has the same text. */
function stepsOf(groups: readonly Group[]): Step[] {
  const known = new Map<string, { readonly steps: readonly Step[]; readonly variables: readonly Var[] }>()
  return groups
    .filter(({ root }) => root.outputs[0]!.aval.size > 0)
    .flatMap((group) => {
      const { key, variables } = signature(group)
      const equal = known.get(key)
      if (equal === undefined) {
        // A kernel knows what it reads once its elements are spelled out.
        const steps = kernelsOf(group).map((kernel) => ({
          ...emit(kernel),
          name: kernel.name,
          inputs: [...kernel.inputs],
          output: kernel.output,
        }))
        known.set(key, { steps, variables })
        return steps
      }
      const translated = new Map(equal.variables.map((variable, k) => [variable, variables[k]!]))
      const translate = (variable: Var): Var => {
        const here = translated.get(variable) ?? new Var(variable.aval) // a partial result inside the group
        translated.set(variable, here)
        return here
      }
      return equal.steps.map((step) => ({
        ...step,
        inputs: step.inputs.map(translate),
        output: translate(step.output),
      }))
    })
}

/** A text that equal groups share, and the variables of a group in the order in which the text numbers them. */
function signature({ members }: Group): { readonly key: string; readonly variables: readonly Var[] } {
  const numbers = new Map<Var, number>()
  const show = (atom: Atom): string => {
    if (atom instanceof Literal) return `${Object.is(atom.value, -0) ? '-0' : atom.value}:${atom.aval}`
    if (!numbers.has(atom)) numbers.set(atom, numbers.size)
    return `#${numbers.get(atom)}:${atom.aval}`
  }
  const lines = [...members].map(({ primitive, params, inputs, outputs }) =>
    [...outputs.map(show), primitive.name, JSON.stringify(params), ...inputs.map(show)].join(' '),
  )
  return { key: lines.join('\n'), variables: [...numbers.keys()] }
}

/** Gives every intermediate a slot, reusing the free one that fits best; adds them to `places`. */
function assignSlots(steps: readonly Step[], places: Map<Var, Place>): number[] {
  const lastRead = new Map<Var, number>()
  for (const [k, { inputs }] of steps.entries()) for (const input of inputs) lastRead.set(input, k)
  const slots: number[] = []
  const free = new Set<number>()
  const held = new Map<Var, number>()
  for (const [k, { inputs, output }] of steps.entries()) {
    if (!places.has(output)) {
      const slot = chooseSlot(slots, free, output.aval.bytes)
      slots[slot] = Math.max(slots[slot] ?? 0, output.aval.bytes)
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

/** Small slots are not worth fitting exactly. */
const smallBytes = 4096

/** The free slot that wastes least for so many bytes, or a new one if all would waste more than they save. */
function chooseSlot(slots: readonly number[], free: ReadonlySet<number>, bytes: number): number {
  const waste = (slot: number): number => {
    const spare = slots[slot]! - bytes
    return spare >= 0 ? spare : -2 * spare
  }
  let best = slots.length
  for (const slot of free)
    if (waste(slot) <= Math.max(bytes, smallBytes) && (best === slots.length || waste(slot) < waste(best)))
      best = slot
  return best
}
