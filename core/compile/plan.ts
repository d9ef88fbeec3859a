// A graph as a list of steps over a few buffers: kernels to dispatch, loops over plans of their own, work of the host. Equal
// groups are compiled once, and a result goes to a buffer whose last reader has run.

import { isHalf, machineType } from '../dtype.ts'
import { type Atom, type Equation, type Graph, Literal, showLiteral, showParams, Var } from '../graph.ts'
import { arrayOf, wordsOf } from '../reference.ts'
import * as scalar from '../scalar.ts'
import { Aval } from '../shape.ts'
import { type About, aboutEquations } from './about.ts'
import { type Cost, costOf } from './cost.ts'
import { fuse, type Group, runsAlone } from './fuse.ts'
import { inline } from './inline.ts'
import { type Kernel, kernelsOf, loopOf, plainKernel, type Slices } from './kernels.ts'
import {
  arrange,
  type Doing,
  type Family,
  familiesOf,
  type Pack,
  packedMap,
  packsOf,
  roomOf,
  type Use,
} from './packs.ts'
import { simplify } from './simplify.ts'
import { mergeSingles } from './singles.ts'
import { cutFolds, partialFolds, type WideFold } from './sums.ts'

/**
 * An array of the program: an argument (captures come after the inputs), a result, an intermediate in a slot, some of these
 * side by side, or a table.
 */
interface Place {
  readonly kind: 'input' | 'output' | 'slot' | 'pack' | 'table'
  readonly index: number
  /** The bytes of it that are meant; all by default. */
  readonly part?: { readonly offset: number; readonly size: number }
}

/** What kernels are written for: how many arrays one may bind, and how it is written. */
export interface Target<M> {
  readonly maxArrays: number
  emit(kernel: Kernel): M
}

/** Runs a kernel, written as an `M`. */
type Dispatch<M> = M & {
  readonly kind: 'dispatch'
  readonly name: string
  readonly inputs: readonly Place[]
  readonly outputs: readonly Place[]
  /** the types and the bytes of what it writes */
  readonly results: readonly { readonly type: string; readonly bytes: number }[]
  about(): About
  cost(): Cost
}

/** A result that is an argument, or a result already. */
interface Copy {
  readonly kind: 'copy'
  readonly from: Place
  readonly to: Place
  readonly bytes: number
}

/**
 * Runs `body` so many times, or (`turns` null) until the first part of its state is false. Its inputs are `constants`, the
 * state, and `sliced`; its results are the next state, and `stacked`. The state begins in `initial` and ends in `state`;
 * meanwhile every other turn writes to `spare`. `slots` are those of the body.
 */
interface Loop<M> {
  readonly kind: 'loop'
  readonly turns: number | null
  readonly body: Plan<M>
  readonly constants: readonly Place[]
  readonly initial: readonly Place[]
  readonly sliced: readonly Place[]
  readonly state: readonly Place[]
  readonly stateBytes: readonly number[]
  readonly spare: readonly Place[]
  readonly stacked: readonly Place[]
  readonly slots: readonly Place[]
  readonly guard: Place | null
}

/** What the host does, from arrays it reads to arrays it writes. */
interface Host {
  readonly kind: 'host'
  readonly name: string
  readonly inputs: readonly { readonly place: Place; readonly bytes: number }[]
  readonly outputs: readonly Place[]
  readonly guard: Place | null
  about(): About
  run(words: readonly ArrayBuffer[]): readonly ArrayBufferView[]
}

type Step<M> = Dispatch<M> | Copy | Loop<M> | Host

/** A program as data: what to do in which order, and the bytes of the slots it needs. */
export interface Plan<M> {
  readonly steps: readonly Step<M>[]
  readonly slots: readonly number[]
  /** Arguments, or results, that kernels read or write as one array. */
  readonly packs: readonly { readonly kind: 'input' | 'output'; readonly indices: readonly number[] }[]
  /** Constants that kernels read. */
  readonly tables: readonly Uint32Array[]
}

/** A step before its arrays have places; `scratch` are arrays that only it uses. */
interface Work<M> {
  readonly reads: readonly Var[]
  readonly writes: readonly Var[]
  readonly scratch: readonly Var[]
  step(place: (variable: Var) => Place): Step<M>
}

/** Plans a graph for a target. */
export function plan<M extends object>(graph: Graph, target: Target<M>): Plan<M> {
  const simple = simplify(inline(graph))
  const inputs = [...simple.inputs, ...simple.captures]
  // A constant of the graph has no array. What only turns out to be one, once structures are written out, has.
  const wanted = simple.outputs.filter((_, k) => graph.outputs[k] instanceof Var)
  const { works, packs, tables } = packedWorks({ ...simple, outputs: wanted }, target)
  const outputs = arraysOf(wanted, null, works, target)
  return assemble(inputs, outputs, works, packs, tables)
}

/** The steps of a program: those of one kernel on many arrays are one, if their arrays can lie side by side. */
interface Packed<M> {
  readonly works: Work<M>[]
  readonly packs: readonly Pack[]
  readonly tables: ReadonlyMap<Var, Uint32Array>
}

function packedWorks<M extends object>(graph: Graph, target: Target<M>): Packed<M> {
  const { maxArrays } = target
  let lotOf = (_leaf: Var): number | null => 0
  const known: Known<M> = new Map()
  for (let tries = 1; ; tries++) {
    const { graph: cut, folds } = cutFolds(graph, lotOf)
    const leaves = new Set(folds.flatMap(({ leaves }) => leaves))
    const groups = mergeSingles(fuse(cut, maxArrays), maxArrays)
    const works = worksOf(groups, target, null, leaves, known)
    const { packed, lots } = packWorks(graph, works, folds, target)
    if (folds.every(({ leaves: [first, ...rest] }) => inOneLot(first!, rest, lots))) return packed
    // What is in no family is done alone; those of two families are two sums.
    lotOf = (leaf) => (tries < 3 ? (lots.get(leaf) ?? null) : null)
  }
}

const inOneLot = (first: Var, rest: readonly Var[], lots: ReadonlyMap<Var, number>): boolean =>
  lots.has(first) && rest.every((leaf) => lots.get(leaf) === lots.get(first))

/** The works with those of each family as one, and in which family a fold is. */
function packWorks<M extends object>(
  { inputs, captures, outputs }: Graph,
  works: readonly Work<M>[],
  folds: readonly WideFold[],
  target: Target<M>,
): { readonly packed: Packed<M>; readonly lots: ReadonlyMap<Var, number> } {
  const foldOfLeaf = new Map(folds.flatMap((fold) => fold.leaves.map((leaf) => [leaf, fold] as const)))
  const foldOf = ({ writes }: Use): WideFold | null => foldOfLeaf.get(writes[0]!) ?? null
  const uses = works.filter((work): work is KernelWork<M> => 'kernel' in work)
  const given = new Set<Atom>([...inputs, ...captures])
  const made = new Set(uses.flatMap(({ writes }) => writes))
  const wanted = new Set(outputs)
  const kindOf = (variable: Var): Pack['kind'] | null => {
    if (given.has(variable)) return 'input'
    if (!made.has(variable)) return null
    return wanted.has(variable) ? 'output' : 'slot'
  }
  const doingOf = ({ uses, model }: Family): Doing => {
    const fold = foldOf(model)
    return {
      reads: uses.flatMap(({ reads }) => reads),
      writes: fold === null ? uses.flatMap(({ writes }) => writes) : [fold.partial],
    }
  }
  const { order, classes } = arrange(works, familiesOf(uses, kindOf, foldOf), doingOf)

  const tables = new Map<Var, Uint32Array>()
  const lots = new Map<Var, number>()
  const done = order.map((thing): Work<M> => {
    if (!('uses' in thing)) return thing
    const fold = foldOf(thing.model)
    if (fold === null) return { ...kernelWork(packedMap(thing), target), ...doingOf(thing) }
    const { kernel, table, rows } = partialFolds(thing, fold)
    tables.set(table, rows)
    for (const { writes } of thing.uses) lots.set(writes[0]!, tables.size)
    return { ...kernelWork(kernel, target), ...doingOf(thing) }
  })
  return { packed: { works: done, packs: [...new Set(classes.flat().flatMap(packsOf))], tables }, lots }
}

/** The steps of a graph with these inputs and results, each array in its place. */
function assemble<M>(
  inputs: readonly Var[],
  outputs: readonly Var[],
  works: readonly Work<M>[],
  packs: readonly Pack[] = [],
  tables: ReadonlyMap<Var, Uint32Array> = new Map(),
): Plan<M> {
  const places = new Map<Var, Place>()
  for (const [index, variable] of inputs.entries()) places.set(variable, { kind: 'input', index })
  const copies: Copy[] = []
  for (const [index, variable] of outputs.entries()) {
    const [from, to] = [places.get(variable), { kind: 'output', index } as const]
    if (from === undefined) places.set(variable, to)
    else copies.push({ kind: 'copy', from, to, bytes: variable.aval.bytes })
  }
  const together: Plan<M>['packs'][number][] = []
  const parts = new Map<Var, { readonly whole: Var; readonly offset: number; readonly size: number }>()
  for (const pack of packs) {
    if (pack.kind === 'slot') {
      let offset = 0
      for (const part of pack.parts) {
        const size = 4 * roomOf(part)
        parts.set(part, { whole: pack.whole, offset, size })
        offset += size
      }
      continue
    }
    places.set(pack.whole, { kind: 'pack', index: together.length })
    together.push({ kind: pack.kind, indices: pack.parts.map((part) => places.get(part)!.index) })
  }
  for (const [index, variable] of [...tables.keys()].entries()) places.set(variable, { kind: 'table', index })
  const slots = assignSlots(works, places, (variable) => parts.get(variable)?.whole ?? variable)
  for (const [variable, { whole, ...part }] of parts) places.set(variable, { ...places.get(whole)!, part })
  const steps = works.map((work) => work.step((variable) => places.get(variable)!))
  return { steps: [...steps, ...copies], slots, packs: together, tables: [...tables.values()] }
}

/** What is done for a group, by its text. */
type Known<M> = Map<string, { readonly works: readonly KernelWork<M>[]; readonly variables: readonly Var[] }>

/**
 * What is to be done for each group. A group equal to an earlier one, such as the same layer again, has the same text. The
 * folds that `apart` names are one kernel each, however long.
 */
function worksOf<M extends object>(
  groups: readonly Group[],
  target: Target<M>,
  slices: Slices | null,
  apart: ReadonlySet<Var> = new Set(),
  known: Known<M> = new Map(),
): Work<M>[] {
  return groups.flatMap((group): Work<M>[] => {
    const { lower } = group.root.primitive
    if (lower.kind === 'loop') return loopWorks(group.root, target, slices)
    if (lower.kind === 'host') return hostWorks(group.root, slices, target)
    if (group.outputs.every(({ aval }) => aval.size === 0)) return []
    const isApart = group.outputs.length === 1 && apart.has(group.outputs[0]!)
    const { key: text, variables } = signature(group, slices)
    const key = isApart ? `${text} apart` : text
    const equal = known.get(key)
    if (equal === undefined) {
      const works = (isApart ? [loopOf(group)] : kernelsOf(group, slices)).map((kernel) =>
        kernelWork(kernel, target, group),
      )
      known.set(key, { works, variables })
      return works
    }
    const translated = new Map(equal.variables.map((variable, k) => [variable, variables[k]!]))
    const translate = (variable: Var): Var => {
      const here = translated.get(variable) ?? new Var(variable.aval) // a partial result inside the group
      translated.set(variable, here)
      return here
    }
    return equal.works.map((work) => work.on(work.reads.map(translate), work.writes.map(translate), group))
  })
}

interface KernelWork<M> extends Work<M>, Use {
  /** The same kernel on other arrays, for an equal group. */
  on(reads: readonly Var[], writes: readonly Var[], group: Group | null): KernelWork<M>
}

function kernelWork<M extends object>(
  kernel: Kernel,
  target: Target<M>,
  group: Group | null = null,
): KernelWork<M> {
  const module = target.emit(kernel) // a kernel knows what it reads once its elements are spelled out
  const on: KernelWork<M>['on'] = (reads, writes, group) => ({
    reads,
    writes,
    scratch: [],
    kernel,
    on,
    step: (place) => ({
      ...module,
      kind: 'dispatch',
      name: kernel.name,
      inputs: reads.map(place),
      outputs: writes.map(place),
      results: writes.map(({ aval }) => ({ type: String(aval), bytes: aval.bytes })),
      about: () => aboutEquations(kernel.nest.kind, group === null ? [] : [...group.members]),
      cost: () => costOf(kernel),
    }),
  })
  return on(
    [...kernel.inputs, ...(kernel.guard ? [kernel.guard] : [])],
    kernel.outputs.map(({ variable }) => variable),
    group,
  )
}

/** A text that equal groups share, and the variables of a group in the order in which the text numbers them. */
function signature(
  { root, members, outputs }: Group,
  slices: Slices | null,
): { readonly key: string; readonly variables: readonly Var[] } {
  const numbers = new Map<Var, number>()
  const show = (atom: Atom): string => {
    if (atom instanceof Literal) return `${showLiteral(atom)}:${atom.aval}`
    if (!numbers.has(atom)) numbers.set(atom, numbers.size)
    return `#${numbers.get(atom)}:${atom.aval}${slices?.variables.has(atom) ? '@' : ''}`
  }
  const lines = [...members].map(({ primitive, params, inputs, outputs }) =>
    [...outputs.map(show), primitive.name, showParams(params), ...inputs.map(show)].join(' '),
  )
  lines.push(outputs.map(show).join(' '))
  if (root.guard !== undefined) lines.push(`if ${show(root.guard)}`)
  if (slices !== null) show(slices.turn)
  return { key: lines.join('\n'), variables: [...numbers.keys()] }
}

const fill = (output: Var, value: number): Kernel =>
  plainKernel('fill', output, null, () => scalar.constant(value, output.aval.dtype))

/** Atoms as arrays of their own: a constant is filled into one first, a slice is copied. */
function arraysOf<M extends object>(
  atoms: readonly Atom[],
  slices: Slices | null,
  works: Work<M>[],
  target: Target<M>,
): Var[] {
  return atoms.map((atom) => {
    if (atom instanceof Var && !slices?.variables.has(atom)) return atom
    const variable = new Var(atom.aval)
    if (atom.aval.size > 0) works.push(kernelWork(copyOf(atom, variable, slices), target))
    return variable
  })
}

const copyOf = (from: Atom, to: Var, slices: Slices | null): Kernel =>
  from instanceof Literal
    ? plainKernel('fill', to, null, () => scalar.constant(from.value, to.aval.dtype), slices)
    : plainKernel('copy', to, from, (x) => x!, slices)

function hostWorks<M extends object>(
  equation: Equation,
  around: Slices | null,
  target: Target<M>,
): Work<M>[] {
  const { primitive, params, inputs, outputs, guard } = equation
  const works: Work<M>[] = []
  const reads = arraysOf(inputs, around, works, target)
  const step: Work<M>['step'] = (place) => ({
    kind: 'host',
    name: primitive.name,
    inputs: reads.map((variable) => ({ place: place(variable), bytes: variable.aval.bytes })),
    outputs: outputs.map(place),
    guard: guard ? place(guard) : null,
    about: () => aboutEquations('host', [equation]),
    run: (words) => {
      const arrays = reads.map(({ aval }, k) => arrayOf(aval, words[k]!))
      return primitive.reference(arrays, params).map(wordsOf)
    },
  })
  return [...works, { reads: guard ? [...reads, guard] : reads, writes: outputs, scratch: [], step }]
}

const word = new Aval([], 'u32')

/** The type of an array that holds the same in whole words. */
const inMachineType = ({ shape, dtype }: Aval): Aval => new Aval(shape, machineType(dtype))

function loopWorks<M extends object>(
  { primitive, params, inputs, outputs, guard }: Equation,
  target: Target<M>,
  around: Slices | null,
): Work<M>[] {
  const { lower } = primitive
  if (lower.kind !== 'loop')
    throw new Error(`compile: ${primitive.name} is no loop; this is a defect of the compiler`)
  const [turns, constants, state] = [lower.turns(params), lower.constants(params), lower.state(params)]
  const works: Work<M>[] = []
  const arrays = arraysOf(inputs, around, works, target)
  const given = arrays.slice(0, constants)
  const initial = arrays.slice(constants, constants + state)
  const sliced = arrays.slice(constants + state)
  const final = outputs.slice(0, state)

  // A guard of the loop is one more constant, without which no kernel of the body runs.
  const gated = guard !== undefined && turns !== null
  if (gated) given.unshift(guard)
  const body = simplify(gated ? gate(lower.body(params)) : inline(lower.body(params)))
  const [inputsOfTurn, slices] = [body.inputs.slice(0, given.length), body.inputs.slice(given.length + state)]
  const before = body.inputs.slice(given.length, given.length + state)
  const turn = new Var(word)
  const turnWorks: Work<M>[] = []
  const reading: Slices = { variables: new Set(slices), turn, turns: turns ?? 0 }
  const after = arraysOf(body.outputs.slice(0, state), reading, turnWorks, target)
  const { stacked: pieces, works: copies } = piecesOf(body, after)

  // The number of the turn is one more part of the state.
  const isCounted = turns !== null && sliced.length + outputs.length > state
  if (isCounted) {
    const [first, next, step] = [new Var(word), new Var(word), lower.reverse(params) ? -1 : 1]
    works.push(kernelWork(fill(first, step > 0 ? 0 : Math.max(turns - 1, 0)), target))
    turnWorks.push(
      kernelWork(
        plainKernel('count', next, turn, (x) => scalar.add(x!, step >>> 0)),
        target,
      ),
    )
    initial.unshift(first)
    before.unshift(turn)
    after.unshift(next)
    final.unshift(new Var(word))
  }
  const inside: Slices = { ...reading, variables: new Set([...slices, ...pieces]) }
  const inner: Target<M> = { ...target, maxArrays: target.maxArrays - 1 } // one is the number of the turn
  const plan: Plan<M> =
    turns === 0
      ? { steps: [], slots: [], packs: [], tables: [] }
      : assemble(
          [...inputsOfTurn, ...before, ...slices],
          [...after, ...pieces],
          [
            ...worksOf(fuse(body, inner.maxArrays), inner, inside),
            ...copies(inside).map((kernel) => kernelWork(kernel, target)),
            ...turnWorks,
          ],
        )

  const spare = final.map(({ aval }) => new Var(aval))
  const slots = plan.slots.map((bytes) => new Var(new Aval([Math.ceil(bytes / 4)], 'u32')))
  const packed: Work<M>[] = []
  const stacked = outputs.slice(state).map((output) => {
    if (!isHalf(output.aval.dtype)) return output
    const wide = new Var(inMachineType(output.aval))
    packed.push(
      kernelWork(
        plainKernel('pack', output, wide, (x) => x!),
        target,
      ),
    )
    return wide
  })
  const waits = guard !== undefined && turns === null ? [guard] : []
  const extra = final.filter((variable) => !outputs.includes(variable))
  const written = [...outputs.slice(0, state), ...stacked]
  return [
    ...works,
    {
      reads: [...waits, ...given, ...initial, ...sliced],
      writes: written,
      scratch: [...extra, ...spare, ...slots],
      step: (place) => ({
        kind: 'loop',
        turns,
        body: plan,
        constants: given.map(place),
        initial: initial.map(place),
        sliced: sliced.map(place),
        state: final.map(place),
        stateBytes: final.map(({ aval }) => aval.bytes),
        spare: spare.map(place),
        stacked: stacked.map(place),
        slots: slots.map(place),
        guard: waits[0] ? place(waits[0]) : null,
      }),
    },
    ...packed,
  ]
}

/** A graph with a guard for everything in it as its first input. */
function gate(graph: Graph): Graph {
  const guard = new Var(new Aval([], 'bool'))
  return inline({ ...graph, inputs: [guard, ...graph.inputs] }, guard)
}

/** The results of a body that are slices, each in a variable that is nothing else and that a kernel writes. */
function piecesOf(
  { inputs, equations, outputs }: Graph,
  state: readonly Var[],
): { readonly stacked: readonly Var[]; works(inside: Slices): Kernel[] } {
  const others = new Set<Atom>([...inputs, ...state])
  for (const { primitive, outputs, guard } of equations) {
    if (guard !== undefined) others.add(guard)
    if (runsAlone(primitive)) for (const output of outputs) others.add(output)
  }
  const copied: { readonly from: Atom; readonly to: Var }[] = []
  const stacked = outputs.slice(state.length).map((atom) => {
    if (atom instanceof Var && !others.has(atom) && !isHalf(atom.aval.dtype)) {
      others.add(atom)
      return atom
    }
    const to = new Var(inMachineType(atom.aval)) // a slice of 16-bit floats may begin in the middle of a word
    copied.push({ from: atom, to })
    return to
  })
  return {
    stacked,
    works: (inside) =>
      copied.filter(({ to }) => to.aval.size > 0).map(({ from, to }) => copyOf(from, to, inside)),
  }
}

/** Gives every intermediate a slot, reusing the free one that fits best; adds them to `places`. */
function assignSlots<M>(
  works: readonly Work<M>[],
  places: Map<Var, Place>,
  wholeOf: (variable: Var) => Var = (variable) => variable,
): number[] {
  const lastRead = new Map<Var, number>()
  for (const [k, { reads }] of works.entries())
    for (const variable of reads) lastRead.set(wholeOf(variable), k)
  const slots: number[] = []
  const free = new Set<number>()
  const held = new Map<Var, number>()
  for (const [k, { reads, writes, scratch }] of works.entries()) {
    const unmade = reads.filter(({ aval }) => aval.size === 0) // nothing to compute, but it is read
    for (const variable of [...writes, ...scratch, ...unmade].map(wholeOf)) {
      if (places.has(variable)) continue
      const slot = chooseSlot(slots, free, variable.aval.bytes)
      slots[slot] = Math.max(slots[slot] ?? 0, variable.aval.bytes)
      free.delete(slot)
      held.set(variable, slot)
      places.set(variable, { kind: 'slot', index: slot })
    }
    for (const variable of [...reads, ...writes, ...scratch].map(wholeOf)) {
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
