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
import type { Lowering, Pairs, Site } from '../primitive.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { Aval, sizeOf } from '../shape.ts'
import type { Group } from './fuse.ts'
import { type Axes, isLong, onlyTurn, type Product, productOf, type Relation, relationsOf } from './loops.ts'

/** `size` independent elements, one for each output. */
export interface MapNest {
  readonly kind: 'map'
  readonly size: number
  element(index: Affine): readonly Scalar[]
}

/** What a row of elements comes to. */
export interface Fold {
  /** An element; `folded` is what the folds before came to in this row. */
  element(index: Affine, turn: Affine, folded: readonly Scalar[]): Scalar
  combine(a: Scalar, b: Scalar): Scalar
  readonly identity: Scalar
}

/** `size` independent rows of `turns` elements each: folds of them one after the other, and what is made of the results. */
export interface ReduceNest {
  readonly kind: 'reduce'
  readonly size: number
  readonly turns: number
  readonly folds: readonly Fold[]
  /** One element a row, for each of the first outputs. */
  finish(index: Affine, folded: readonly Scalar[]): readonly Scalar[]
  /** One element a turn, for each of the other outputs. */
  each(index: Affine, turn: Affine, folded: readonly Scalar[]): readonly Scalar[]
}

/** A sum over `depth` of lhs · rhs for every row and column. */
export interface Sum {
  readonly depth: number
  lhs(batch: Affine, row: Affine, depth: Affine): Scalar
  rhs(batch: Affine, column: Affine, depth: Affine): Scalar
}

/** For each of `batch`, `rows` and `columns`, some sums of products, and what is made of them for each output. */
export interface ProductNest {
  readonly kind: 'product'
  readonly batch: number
  readonly rows: number
  readonly columns: number
  readonly sums: readonly Sum[]
  /** If not null: the sums of the partner of an element are known with its own; columns are paired in halves of so many. */
  readonly half: number | null
  /** The flat place of an element in the results. */
  place(batch: Affine, row: Affine, column: Affine): Affine
  finish(place: Affine, sums: readonly Scalar[], partners: readonly Scalar[]): readonly Scalar[]
}

/** Sums over the columns that each row sees, with weights that are computed in passing. */
export interface PairsNest extends Pairs {
  readonly kind: 'pairs'
}

/**
 * For each of `outer` and `inner`, a column of `extent` elements; `turns` updates, in order, are combined each with the element
 * at its place, if there is one.
 */
export interface ScatterNest {
  readonly kind: 'scatter'
  readonly outer: number
  readonly extent: number
  readonly inner: number
  readonly turns: number
  place(outer: Affine, turn: Affine): Scalar
  element(outer: Affine, turn: Affine, inner: Affine): Scalar
  combine(a: Scalar, b: Scalar): Scalar
  readonly identity: Scalar
}

type Nest = MapNest | ReduceNest | ProductNest | PairsNest | ScatterNest

/** An array that a kernel writes, and where in it the result begins. */
interface Output {
  readonly variable: Var
  readonly start: Affine
}

/** A loop nest, the arrays it reads in the order of its bindings, and those it writes. */
export interface Kernel {
  readonly name: string
  readonly inputs: readonly Var[]
  readonly outputs: readonly Output[]
  readonly nest: Nest
  /** A bool without which nothing is written. */
  readonly guard: Var | null
  /** Which of the variables are slices of arrays. */
  readonly slices: Slices | null
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
    element: (index) => [element(from && inputs.load(from, index))],
  }
  return {
    name,
    inputs: inputs.list,
    outputs: [{ variable: output, start: inputs.start(output) }],
    nest,
    guard: null,
    slices,
  }
}

/** The kernels of a group: one, or more for a fold that is too long for the threads of one, or that has 16-bit results. */
export function kernelsOf(group: Group, slices: Slices | null = null): Kernel[] {
  const { lower } = group.root.primitive
  if (lower.kind === 'pairs') return lower.loops.map((_, k) => loopOf(group, slices, k))
  const kernels = splitLong(loopOf(group, slices))
  const last = kernels.at(-1)!
  const packs = last.outputs.flatMap(({ variable }, k) => {
    const output = group.outputs[k]!
    return variable === output
      ? []
      : [{ ...plainKernel('pack', output, variable, (x) => x!), guard: last.guard }]
  })
  return [...kernels, ...packs]
}

/** What is computed of an array with such elements: 16-bit floats are in f32. */
const computed = ({ shape, dtype }: Aval): Aval => new Aval(shape, machineType(dtype))

/**
 * The loops of a group as one kernel, or those of its root that are `which`; 16-bit results of a fold or a product are still to
 * be packed.
 */
export function loopOf(group: Group, slices: Slices | null = null, which = 0): Kernel {
  const { root, anchors, outputs, rows, half } = group
  const name = nameOf(group)
  const relations = new Map<string, readonly Relation[]>()
  const inputs = new Inputs(slices)
  const inside = new Map(
    [...group.members].flatMap((equation) => equation.outputs.map((output) => [output, equation] as const)),
  )
  const memo = new Map<Var, Map<string, Scalar>>()

  const site = ({ params, inputs, outputs }: Equation): Site<never> => ({
    params: params as never,
    inputs: inputs.map(({ aval }) => computed(aval)),
    output: computed(outputs[0]!.aval),
  })

  /** The element of an atom at an index; `found` stands for the results of the anchors so far, `partners` for those of the partner. */
  const elementOf = (
    atom: Atom,
    index: readonly Affine[],
    found: readonly Scalar[],
    partners: readonly Scalar[] = found,
  ): Scalar => {
    if (atom instanceof Literal) return scalar.constant(atom.value, atom.aval.dtype)
    const equation = inside.get(atom)
    if (equation === undefined) return inputs.load(atom, flatten(index, atom.aval.shape))
    const anchor = anchors.indexOf(equation)
    if (anchor >= 0) return scalar.rounded(found[anchor]!, atom.aval.dtype)
    const key = `${found.length > 0 ? found[0]!.key : ''}.${found.length}|${index.map((i) => i.key)}`
    const known = memo.get(atom) ?? new Map<string, Scalar>()
    memo.set(atom, known)
    const element =
      known.get(key) ?? scalar.rounded(compute(equation, index, found, partners), atom.aval.dtype)
    known.set(key, element)
    return element
  }

  const compute = (
    equation: Equation,
    index: readonly Affine[],
    found: readonly Scalar[],
    partners: readonly Scalar[],
  ): Scalar => {
    const { lower } = equation.primitive
    const swaps = (input: number): boolean =>
      half !== null && typeof relationsOf(equation, relations)[input] === 'object'
    const read = (input: number, at: readonly Affine[]): Scalar =>
      swaps(input)
        ? elementOf(equation.inputs[input]!, at, partners, found)
        : elementOf(equation.inputs[input]!, at, found, partners)
    if (lower.kind === 'map')
      return lower.element(
        equation.inputs.map((_, input) => read(input, index)),
        site(equation),
      )
    if (lower.kind === 'view') return lower.element(index, read, site(equation))
    if (lower.kind === 'reduce') return lower.element(index, onlyTurn(equation), read, site(equation))
    throw new Error(
      `compile: ${equation.primitive.name} is no element of ${name}; this is a defect of the compiler`,
    )
  }

  const { lower } = root.primitive
  if (lower.kind === 'pairs') {
    const pairs = lower.loops[which]!((input, at) => elementOf(root.inputs[input]!, at, []), site(root))
    const written = pairs.outputs.map((output) => root.outputs[output]!)
    return {
      name: lower.loops.length === 1 ? name : `${name}_${which}`,
      inputs: inputs.list,
      outputs: written.map((variable) => ({ variable, start: inputs.start(variable) })),
      nest: { kind: 'pairs', ...pairs },
      guard: root.guard ?? null,
      slices,
    }
  }

  /** A thread of a loop stores single elements, and so 16-bit ones in f32, for a map to pack. */
  const targets = outputs.map((output) =>
    isHalf(output.aval.dtype) &&
    (anchors.length > 0 || rows !== null || root.primitive.lower.kind === 'scatter')
      ? new Var(computed(output.aval))
      : output,
  )
  const elementsOf = (
    list: readonly Var[],
    place: Affine,
    found: readonly Scalar[],
    partners?: readonly Scalar[],
  ): Scalar[] =>
    list.map((output) => {
      const element = elementOf(output, unflatten(place, output.aval.shape), found, partners)
      return targets.includes(output) ? element : scalar.unrounded(element, output.aval.dtype)
    })
  const kernel = (nest: Nest): Kernel => ({
    name,
    inputs: inputs.list,
    outputs: targets.map((variable, k) => ({ variable, start: inputs.start(outputs[k]!) })),
    nest,
    guard: root.guard ?? null,
    slices,
  })

  if (lower.kind === 'scatter') return kernel(scatterNest(lower, root, elementOf, site(root)))
  const [first] = anchors
  if (first?.primitive.lower.kind === 'contract') {
    const finish: ProductNest['finish'] = (place, sums, partners) =>
      elementsOf(outputs, place, sums, partners)
    const terms = anchors.map((anchor) =>
      termOf(anchor, (input, at) => elementOf(anchor.inputs[input]!, at, [])),
    )
    return kernel(productNest(terms, computed(first.outputs[0]!.aval), half, finish))
  }
  if (rows === null) {
    const { size } = outputs[0]!.aval
    return kernel({ kind: 'map', size, element: (place) => elementsOf(outputs, place, []) })
  }
  const { size, turns } = rows
  const folds = anchors.map((anchor): Fold => {
    const { lower, name } = anchor.primitive
    if (lower.kind !== 'reduce')
      throw new Error(`compile: ${name} anchors no loops; this is a defect of the compiler`)
    const { dtype, shape } = computed(anchor.outputs[0]!.aval)
    const extents = lower.extents(site(anchor))
    return {
      element: (index, turn, folded) =>
        lower.element(
          unflatten(index, shape),
          unflatten(turn, extents),
          (input, at) => elementOf(anchor.inputs[input]!, at, folded),
          site(anchor),
        ),
      combine: (a, b) => lower.combine(a, b),
      identity: scalar.constant(lower.identity(dtype), dtype),
    }
  })
  const ofRows = outputs.filter(({ aval }) => aval.size === size)
  const ofTurns = outputs.filter(({ aval }) => aval.size !== size)
  const nest: ReduceNest = {
    kind: 'reduce',
    size,
    turns,
    folds,
    finish: (index, folded) => elementsOf(ofRows, index, folded),
    each: (index, turn, folded) => elementsOf(ofTurns, plus(times(index, turns), turn), folded),
  }
  return kernel(nest)
}

/** A long fold of few results becomes a fold of many chunks, and a fold of the chunks. */
function splitLong(kernel: Kernel): Kernel[] {
  const { nest, inputs } = kernel
  if (nest.kind !== 'reduce') return [kernel]
  const { size, turns } = nest
  if (!isLong(size, turns)) return [kernel]
  const { element, combine, identity } = nest.folds[0]!
  const chunks = Math.ceil(turns / Math.max(64, Math.ceil(Math.sqrt(turns))))
  const length = Math.ceil(turns / chunks)
  const partial = new Var(new Aval([size, chunks], identity.dtype))
  const first: ReduceNest = {
    kind: 'reduce',
    size: size * chunks,
    turns: length,
    folds: [
      {
        combine,
        identity,
        element: (index, turn) => {
          const flat = plus(times(remainder(index, chunks), length), turn)
          const outer = quotient(index, chunks)
          if (chunks * length === turns) return element(outer, flat, [])
          const inside = scalar.lt(scalar.position(flat), turns)
          const clamped = indexFrom(scalar.min(scalar.position(flat), turns - 1), turns)
          return scalar.select(inside, element(outer, clamped, []), identity)
        },
      },
    ],
    finish: (_, folded) => folded,
    each: () => [],
  }
  const epilogueInputs: Var[] = [partial]
  const second: ReduceNest = {
    kind: 'reduce',
    size,
    turns: chunks,
    folds: [
      {
        combine,
        identity,
        element: (index, turn) => scalar.load(0, plus(times(index, chunks), turn), identity.dtype),
      },
    ],
    finish: (place, folded) =>
      nest.finish(place, folded).map((element) => renumber(element, inputs, epilogueInputs)),
    each: () => [],
  }
  return [
    {
      ...kernel,
      name: `${kernel.name}_chunks`,
      outputs: [{ variable: partial, start: whole(0) }],
      nest: first,
    },
    {
      ...kernel,
      inputs: epilogueInputs,
      nest: second,
      outputs: kernel.outputs.map(({ variable, start }) => ({
        variable,
        start: renumberIndex(start, inputs, epilogueInputs),
      })),
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

interface Term {
  readonly product: Product
  readonly sum: Sum
}

function termOf(anchor: Equation, read: (input: number, index: readonly Affine[]) => Scalar): Term {
  const product = productOf(anchor)
  const { lhs, rhs, swap, batch, rows, columns, depth } = product
  const [left, right] = swap ? [rhs, lhs] : [lhs, rhs]
  return {
    product,
    sum: {
      depth: sizeOf(depth.shape),
      lhs: (b, row, k) =>
        read(
          swap ? 1 : 0,
          at(left, [
            [batch, b],
            [rows, row],
            [depth, k],
          ]),
        ),
      rhs: (b, column, k) =>
        read(
          swap ? 0 : 1,
          at(right, [
            [batch, b],
            [columns, column],
            [depth, k],
          ]),
        ),
    },
  }
}

/** The index of letters, from the flat places along axes. */
function at(letters: string, places: readonly (readonly [Axes, Affine])[]): Affine[] {
  const byLetter = new Map(
    places.flatMap(([{ letters, shape }, flat]) =>
      unflatten(flat, shape).map((i, k) => [letters[k]!, i] as const),
    ),
  )
  return [...letters].map((letter) => byLetter.get(letter)!)
}

function productNest(
  terms: readonly Term[],
  result: Aval,
  half: number | null,
  finish: ProductNest['finish'],
): ProductNest {
  const { batch, rows, columns, out } = terms[0]!.product
  return {
    kind: 'product',
    batch: sizeOf(batch.shape),
    rows: sizeOf(rows.shape),
    columns: sizeOf(columns.shape),
    sums: terms.map(({ sum }) => sum),
    half,
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

function scatterNest(
  lower: Extract<Lowering<never>, { kind: 'scatter' }>,
  { inputs }: Equation,
  elementOf: (atom: Atom, index: readonly Affine[], found: readonly Scalar[]) => Scalar,
  site: Site<never>,
): ScatterNest {
  const { shape, dtype } = site.output
  const axis = lower.axis(site.params)
  const [before, after] = [shape.slice(0, axis), shape.slice(axis + 1)]
  const extents = lower.extents(site)
  const read = (input: number, at: readonly Affine[]): Scalar => elementOf(inputs[input]!, at, [])
  return {
    kind: 'scatter',
    outer: sizeOf(before),
    extent: shape[axis]!,
    inner: sizeOf(after),
    turns: sizeOf(extents),
    place: (outer, turn) => lower.place(unflatten(outer, before), unflatten(turn, extents), read, site),
    element: (outer, turn, inner) =>
      lower.element(unflatten(outer, before), unflatten(turn, extents), unflatten(inner, after), read, site),
    combine: (a, b) => lower.combine(a, b),
    identity: scalar.constant(lower.identity(dtype), dtype),
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
