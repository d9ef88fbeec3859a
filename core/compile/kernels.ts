// Groups of equations as loop nests: what each turn of a kernel computes, as scalar expressions of its inputs. A nest knows
// loops and elements but no target; the expressions are built on demand, so that a target can ask for several lanes.

import {
  type Affine,
  flatten,
  indexFrom,
  mapValues,
  plus,
  quotient,
  remainder,
  times,
  unflatten,
  whole,
} from '../affine.ts'
import { isHalf, machineType } from '../dtype.ts'
import { type Atom, type Equation, Literal, Var } from '../graph.ts'
import type { Site } from '../primitive.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { Aval, sizeOf } from '../shape.ts'
import type { Group } from './fuse.ts'

/** `size` independent elements. */
export interface MapNest {
  readonly kind: 'map'
  readonly size: number
  element(index: Affine): Scalar
}

/** `size` independent folds of `turns` elements each, and what is made of every result. */
export interface ReduceNest {
  readonly kind: 'reduce'
  readonly size: number
  readonly turns: number
  element(index: Affine, turn: Affine): Scalar
  combine(a: Scalar, b: Scalar): Scalar
  readonly identity: Scalar
  finish(index: Affine, reduced: Scalar): Scalar
}

/** For each of `batch`, the `rows` × `columns` sums over `depth` of lhs · rhs, and what is made of every sum. */
export interface ProductNest {
  readonly kind: 'product'
  readonly batch: number
  readonly rows: number
  readonly columns: number
  readonly depth: number
  lhs(batch: Affine, row: Affine, depth: Affine): Scalar
  rhs(batch: Affine, column: Affine, depth: Affine): Scalar
  /** The flat place of an element in the result. */
  place(batch: Affine, row: Affine, column: Affine): Affine
  finish(place: Affine, reduced: Scalar): Scalar
}

type Nest = MapNest | ReduceNest | ProductNest

/** A loop nest, the arrays it reads in the order of its bindings, and the one it writes. */
export interface Kernel {
  readonly name: string
  readonly inputs: readonly Var[]
  readonly output: Var
  readonly nest: Nest
  /** Where in the output array the result begins. */
  readonly start: Affine
  /** A bool without which nothing is written. */
  readonly guard: Var | null
}

/** Variables of a loop's body that are slices of arrays, and the turn the loop is at: a u32 less than `turns`. */
export interface Slices {
  readonly variables: ReadonlySet<Var>
  readonly turn: Var
  readonly turns: number
}

/** The arrays that a kernel reads, numbered as it comes upon them. */
class Inputs {
  readonly list: Var[] = []
  readonly #slices: Slices | null

  constructor(slices: Slices | null) {
    this.#slices = slices
  }

  of(variable: Var): number {
    if (!this.list.includes(variable)) this.list.push(variable)
    return this.list.indexOf(variable)
  }

  /** Where a variable begins in its array. */
  start(variable: Var): Affine {
    if (!this.#slices?.variables.has(variable)) return whole(0)
    const { turn, turns } = this.#slices
    return times(indexFrom(scalar.load(this.of(turn), whole(0), 'u32'), turns), variable.aval.size)
  }

  load(variable: Var, flat: Affine): Scalar {
    const { dtype } = variable.aval
    return scalar.load(this.of(variable), plus(this.start(variable), flat), dtype)
  }
}

/** A kernel that is no equation: it fills `output`, from a variable read in order if there is one. */
export function plainKernel(
  name: string,
  output: Var,
  from: Var | null,
  element: (x: Scalar | null) => Scalar,
  slices: Slices | null = null,
): Kernel {
  const inputs = new Inputs(slices)
  const nest: MapNest = {
    kind: 'map',
    size: output.aval.size,
    element: (index) => element(from && inputs.load(from, index)),
  }
  return { name, inputs: inputs.list, output, nest, start: inputs.start(output), guard: null }
}

/** The kernels of a group: one, or more for a fold that is too long for the threads of one, or that has 16-bit results. */
export function kernelsOf(group: Group, slices: Slices | null = null): Kernel[] {
  const kernels = loopsOf(group, slices)
  const [last, output] = [kernels.at(-1)!, group.root.outputs[0]!]
  if (last.output === output) return kernels
  return [...kernels, { ...plainKernel('pack', output, last.output, (x) => x!), guard: last.guard }]
}

/** What is computed of an array with such elements: 16-bit floats are in f32. */
const computed = ({ shape, dtype }: Aval): Aval => new Aval(shape, machineType(dtype))

/** The loops of a group; 16-bit results of a fold or a product are still to be packed. */
function loopsOf(group: Group, slices: Slices | null): Kernel[] {
  const { root, anchor } = group
  const output = root.outputs[0]!
  const name = nameOf(group)
  const inputs = new Inputs(slices)
  const inside = new Map([...group.members].map((equation) => [equation.outputs[0]!, equation]))
  const memo = new Map<Var, Map<string, Scalar>>()

  const site = ({ params, inputs, outputs }: Equation): Site<never> => ({
    params: params as never,
    inputs: inputs.map(({ aval }) => computed(aval)),
    output: computed(outputs[0]!.aval),
  })

  /** The element of an atom at an index; `reduced` stands for the result of the anchor. */
  const elementOf = (atom: Atom, index: readonly Affine[], reduced: Scalar | null): Scalar => {
    if (atom instanceof Literal) return scalar.constant(atom.value, atom.aval.dtype)
    const equation = inside.get(atom)
    if (equation === undefined) return inputs.load(atom, flatten(index, atom.aval.shape))
    if (equation === anchor) return scalar.rounded(reduced!, atom.aval.dtype)
    const key = `${reduced?.key}|${index.map((i) => i.key)}`
    const known = memo.get(atom) ?? new Map<string, Scalar>()
    memo.set(atom, known)
    const element = known.get(key) ?? scalar.rounded(compute(equation, index, reduced), atom.aval.dtype)
    known.set(key, element)
    return element
  }

  const compute = (equation: Equation, index: readonly Affine[], reduced: Scalar | null): Scalar => {
    const { lower } = equation.primitive
    const read = (input: number, at: readonly Affine[]): Scalar =>
      elementOf(equation.inputs[input]!, at, reduced)
    if (lower.kind === 'map')
      return lower.element(
        equation.inputs.map((_, input) => read(input, index)),
        site(equation),
      )
    if (lower.kind === 'view') return lower.element(index, read, site(equation))
    throw new Error(
      `compile: ${equation.primitive.name} is no element of ${name}; this is a defect of the compiler`,
    )
  }

  /** A thread of a loop stores single elements, and so 16-bit ones in f32, for a map to pack. */
  const target = isHalf(output.aval.dtype) && anchor !== null ? new Var(computed(output.aval)) : output
  const finish = (place: Affine, reduced: Scalar): Scalar => {
    const element = elementOf(output, unflatten(place, output.aval.shape), reduced)
    return target === output ? element : scalar.unrounded(element, output.aval.dtype)
  }
  const kernel = (nest: Nest): Kernel => ({
    name,
    inputs: inputs.list,
    output: target,
    nest,
    start: inputs.start(output),
    guard: root.guard ?? null,
  })

  if (anchor === null) {
    const element = (place: Affine): Scalar => elementOf(output, unflatten(place, output.aval.shape), null)
    return [kernel({ kind: 'map', size: output.aval.size, element })]
  }

  const { lower } = anchor.primitive
  const result = computed(anchor.outputs[0]!.aval)
  const read = (input: number, at: readonly Affine[]): Scalar => elementOf(anchor.inputs[input]!, at, null)

  if (lower.kind === 'contract') {
    return [kernel(productNest(lower.letters(anchor.params as never), anchor, result, read, finish))]
  }
  if (lower.kind === 'reduce') {
    const extents = lower.extents(site(anchor))
    const nest: ReduceNest = {
      kind: 'reduce',
      size: result.size,
      turns: sizeOf(extents),
      element: (index, turn) =>
        lower.element(unflatten(index, result.shape), unflatten(turn, extents), read, site(anchor)),
      combine: (a, b) => lower.combine(a, b),
      identity: scalar.constant(lower.identity(result.dtype), result.dtype),
      finish,
    }
    return nest.turns === 1 ? [kernel(withoutLoop(nest))] : splitLong(kernel(nest), nest, result, inputs.list)
  }
  throw new Error(`compile: ${anchor.primitive.name} anchors no loops; this is a defect of the compiler`)
}

const withoutLoop = ({ size, element, finish }: ReduceNest): MapNest => ({
  kind: 'map',
  size,
  element: (index) => finish(index, element(index, whole(0))),
})

/** Fewer independent folds than this leave threads idle, and longer ones than this would run in one thread. */
const fewFolds = 256
const longFold = 1024

/** A long fold of few results becomes a fold of many chunks, and a fold of the chunks. */
function splitLong(kernel: Kernel, nest: ReduceNest, result: Aval, inputs: readonly Var[]): Kernel[] {
  const { size, turns, combine, identity } = nest
  if (size >= fewFolds || turns < longFold) return [kernel]
  const chunks = Math.ceil(turns / Math.max(64, Math.ceil(Math.sqrt(turns))))
  const length = Math.ceil(turns / chunks)
  const partial = new Var(new Aval([size, chunks], result.dtype))
  const first: ReduceNest = {
    kind: 'reduce',
    size: size * chunks,
    turns: length,
    combine,
    identity,
    element: (index, turn) => {
      const flat = plus(times(remainder(index, chunks), length), turn)
      const outer = quotient(index, chunks)
      if (chunks * length === turns) return nest.element(outer, flat)
      const inside = scalar.lt(scalar.position(flat), turns)
      const clamped = indexFrom(scalar.min(scalar.position(flat), turns - 1), turns)
      return scalar.select(inside, nest.element(outer, clamped), identity)
    },
    finish: (_, reduced) => reduced,
  }
  const epilogueInputs: Var[] = [partial]
  const second: ReduceNest = {
    kind: 'reduce',
    size,
    turns: chunks,
    combine,
    identity,
    element: (index, turn) => scalar.load(0, plus(times(index, chunks), turn), result.dtype),
    finish: (place, reduced) => renumber(nest.finish(place, reduced), inputs, epilogueInputs),
  }
  return [
    { ...kernel, name: `${kernel.name}_chunks`, output: partial, nest: first, start: whole(0) },
    {
      ...kernel,
      inputs: epilogueInputs,
      nest: second,
      start: renumberIndex(kernel.start, inputs, epilogueInputs),
    },
  ]
}

/** The same expression with its loads numbered for another list of inputs. */
function renumber(element: Scalar, from: readonly Var[], to: Var[]): Scalar {
  const done = new Map<string, Scalar>()
  const inputOf = (input: number): number => {
    const variable = from[input]!
    if (!to.includes(variable)) to.push(variable)
    return to.indexOf(variable)
  }
  const moved = (element: Scalar): Scalar => {
    switch (element.kind) {
      case 'load':
        return {
          ...element,
          input: inputOf(element.input),
          offset: renumberIndex(element.offset, from, to),
        }
      case 'position':
        return { ...element, index: renumberIndex(element.index, from, to) }
      case 'apply':
        return { ...element, args: element.args.map(visit) }
      default:
        return element
    }
  }
  const visit = (element: Scalar): Scalar => {
    const renumbered = done.get(element.key) ?? moved(element)
    done.set(element.key, renumbered)
    return renumbered
  }
  return visit(element)
}

/** The same index with the loads in it numbered for another list of inputs. */
const renumberIndex = (index: Affine, from: readonly Var[], to: Var[]): Affine =>
  mapValues(index, (value) => renumber(value, from, to))

interface Axes {
  readonly letters: readonly string[]
  readonly shape: readonly number[]
}

function productNest(
  { lhs, rhs, out }: { readonly lhs: string; readonly rhs: string; readonly out: string },
  anchor: Equation,
  result: Aval,
  read: (input: number, index: readonly Affine[]) => Scalar,
  finish: ProductNest['finish'],
): ProductNest {
  // Columns run along the last axis of the result, so that neighbours are stored together.
  const last = out.at(-1)
  const swap = last !== undefined && lhs.includes(last) && !rhs.includes(last)
  const [left, right] = swap ? [rhs, lhs] : [lhs, rhs]
  const [leftInput, rightInput] = swap ? [1, 0] : [0, 1]
  const extentOf = (letter: string): number => {
    const side = lhs.includes(letter) ? 0 : 1
    return anchor.inputs[side]!.aval.shape[(side === 0 ? lhs : rhs).indexOf(letter)]!
  }
  const axes = (letters: readonly string[]): Axes => ({ letters, shape: letters.map(extentOf) })
  const batch = axes([...out].filter((letter) => lhs.includes(letter) && rhs.includes(letter)))
  const rows = axes([...out].filter((letter) => left.includes(letter) && !right.includes(letter)))
  const columns = axes([...out].filter((letter) => right.includes(letter) && !left.includes(letter)))
  const depth = axes([...right].filter((letter) => !out.includes(letter)))
  const at = (letters: string, places: readonly (readonly [Axes, Affine])[]): Affine[] => {
    const byLetter = new Map(
      places.flatMap(([{ letters, shape }, flat]) =>
        unflatten(flat, shape).map((i, k) => [letters[k]!, i] as const),
      ),
    )
    return [...letters].map((letter) => byLetter.get(letter)!)
  }
  return {
    kind: 'product',
    batch: sizeOf(batch.shape),
    rows: sizeOf(rows.shape),
    columns: sizeOf(columns.shape),
    depth: sizeOf(depth.shape),
    lhs: (b, row, k) =>
      read(
        leftInput,
        at(left, [
          [batch, b],
          [rows, row],
          [depth, k],
        ]),
      ),
    rhs: (b, column, k) =>
      read(
        rightInput,
        at(right, [
          [batch, b],
          [columns, column],
          [depth, k],
        ]),
      ),
    place: (b, row, column) =>
      flatten(
        at(out, [
          [batch, b],
          [rows, row],
          [columns, column],
        ]),
        result.shape,
      ),
    finish,
  }
}

const longestName = 48

/** The primitives that do a kernel's work, in order, for people who read the program. */
function nameOf(group: Group): string {
  const working = [...group.members].filter(
    ({ primitive: { lower } }) => lower.kind !== 'view' || !lower.free,
  )
  const names = (working.length > 0 ? working : [group.root]).map(({ primitive }) => primitive.name).reverse()
  const name = names.filter((name, k) => name !== names[k - 1]).join('_')
  return name.length <= longestName ? name : `${name.slice(0, longestName)}_etc`
}
