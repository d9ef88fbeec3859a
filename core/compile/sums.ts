// Sums of sums: where many arrays are each folded to one element and these are folded in turn, as for the norm of a gradient
// that is a tree, one kernel makes partial results of all arrays, and another folds those.

import { indexFrom, plus, quotient, remainder, times, whole } from '../affine.ts'
import { isHalf } from '../dtype.ts'
import { type Atom, type Equation, type Graph, Var } from '../graph.ts'
import type { Lowering, Params } from '../primitive.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { Aval } from '../shape.ts'
import type { Kernel } from './kernels.ts'
import { foldedElements } from './loops.ts'
import { areSame, elementsAt, type Family, fewMembers, granule } from './packs.ts'

/** Folds whose results are folded. */
export interface WideFold {
  readonly leaves: readonly Var[]
  /** Partial results of all of them, so many elements of an array each. */
  readonly partial: Var
  readonly length: number
}

/** More partial results than this are too many for one thread. */
const manyPartials = 1000

/** A graph in which the results of some folds are no longer folded one by one, but from partial results that it does not make. */
export function cutFolds(
  graph: Graph,
  lotOf: (leaf: Var) => number | null,
): { readonly graph: Graph; readonly folds: readonly WideFold[] } {
  const makers = new Map(graph.equations.flatMap((e) => e.outputs.map((output) => [output, e] as const)))
  const readers = new Map<Atom, number>()
  for (const atom of [...graph.equations.flatMap(({ inputs }) => inputs), ...graph.outputs])
    readers.set(atom, (readers.get(atom) ?? 0) + 1)

  const folds: WideFold[] = []
  const done = new Set<Equation>()
  const equations: Equation[] = []
  for (const equation of graph.equations.toReversed()) {
    if (done.has(equation)) continue
    equations.unshift(...(widened(equation) ?? [equation]))
  }
  const leaves = folds.flatMap(({ leaves }) => leaves)
  return { graph: { ...graph, equations, outputs: [...graph.outputs, ...leaves] }, folds }

  /** What takes the place of an equation that ends a fold of folds. */
  function widened(root: Equation): Equation[] | null {
    if (!isScalarMap(root)) return null
    const inner: Equation[] = []
    const leaves: Equation[] = []
    const others: Atom[] = []
    const visit = (atom: Atom): void => {
      const maker = atom instanceof Var && readers.get(atom) === 1 ? makers.get(atom) : undefined
      if (maker !== undefined && maker.primitive === root.primitive && isScalarMap(maker)) walk(maker)
      else if (maker !== undefined && isFoldToScalar(maker)) leaves.push(maker)
      else others.push(atom)
    }
    const walk = (equation: Equation): void => {
      inner.push(equation)
      for (const input of equation.inputs) visit(input)
    }
    walk(root)
    const lots = new Map<number, Equation[]>()
    for (const leaf of leaves) {
      const lot = continues(root, leaf) ? lotOf(leaf.outputs[0]!) : null
      if (lot === null) others.push(leaf.outputs[0]!)
      else lots.set(lot, [...(lots.get(lot) ?? []), leaf])
    }
    const totals: Equation[] = []
    for (const lot of lots.values())
      if (lot.length < fewMembers) others.push(...lot.map(({ outputs }) => outputs[0]!))
      else totals.push(totalOf(lot))
    if (totals.length === 0) return null
    for (const equation of inner) done.add(equation)
    // What is left is combined as before.
    const [first, ...rest] = [...totals.map(({ outputs }) => outputs[0]!), ...others] as [Atom, ...Atom[]]
    let sum = first
    const joins = rest.map((atom, k): Equation => {
      const output = k === rest.length - 1 ? root.outputs[0]! : new Var(root.outputs[0]!.aval)
      const join = { ...root, inputs: [sum, atom], outputs: [output] }
      sum = output
      return join
    })
    if (joins.length === 0) return [{ ...totals[0]!, outputs: root.outputs }]
    return [...totals, ...joins]
  }

  function totalOf(lot: readonly Equation[]): Equation {
    const sizes = lot.map((fold) => foldedElements(fold) ?? 0)
    const rows = (length: number): number =>
      roundUp(
        sizes.reduce((sum, size) => sum + Math.ceil(size / length), 0),
        4,
      )
    let length = granule
    while (rows(length) > Math.max(manyPartials, lot.length)) length *= 2
    const [{ primitive, outputs }] = lot as [Equation]
    const { lower } = primitive
    if (lower.kind !== 'reduce')
      throw new Error(`compile: ${primitive.name} is no fold; this is a defect of the compiler`)
    const { dtype, shape } = outputs[0]!.aval
    const total: Extract<Lowering<Params>, { kind: 'reduce' }> = {
      ...lower,
      extents: ({ inputs }) => inputs[0]!.shape,
      element: (_, turn, read) => read(0, turn),
    }
    const partial = new Var(new Aval([rows(length)], dtype))
    folds.push({ leaves: lot.map(({ outputs }) => outputs[0]!), partial, length })
    return {
      primitive: { ...primitive, lower: total },
      inputs: [partial],
      params: {},
      outputs: [new Var(new Aval(shape, dtype))],
    }
  }
}

const roundUp = (size: number, to: number): number => Math.ceil(size / to) * to

/** How many elements a fold has. */
const isScalarMap = ({ primitive: { lower }, inputs, outputs, guard }: Equation): boolean =>
  guard === undefined && lower.kind === 'map' && inputs.length === 2 && outputs[0]!.aval.size === 1

const isFoldToScalar = (equation: Equation): boolean => {
  const { primitive, inputs, outputs, guard } = equation
  const [{ aval }] = outputs as [Var]
  if (guard !== undefined || primitive.lower.kind !== 'reduce' || inputs.length !== 1) return false
  return aval.size === 1 && !isHalf(aval.dtype) && (foldedElements(equation) ?? 0) > 0
}

/** Whether `join` combines two numbers as `fold` does, so that it goes on with it. */
function continues(join: Equation, fold: Equation): boolean {
  const [map, { lower }] = [join.primitive.lower, fold.primitive]
  if (map.kind !== 'map' || lower.kind !== 'reduce') return false
  const site = {
    params: join.params,
    inputs: join.inputs.map(({ aval }) => aval),
    output: join.outputs[0]!.aval,
  }
  return areSame((a, b) => map.element([a, b], site), lower.combine)
}

/** The partial results of a family of folds, and the table that its kernel reads: where each begins, and its elements. */
export function partialFolds(
  { model, inputs, uses }: Family,
  { partial, length }: WideFold,
): { readonly kernel: Kernel; readonly table: Var; readonly rows: Uint32Array } {
  const { nest } = model.kernel
  const fold = nest.kind === 'reduce' ? nest.folds[0] : undefined
  if (fold === undefined) throw new Error('compile: a family without folds; this is a defect of the compiler')
  const rows: number[] = []
  let start = 0
  for (const { kernel } of uses) {
    const size = kernel.nest.kind === 'reduce' ? kernel.nest.turns : 0
    for (let at = 0; at < size; at += length) {
      const count = Math.min(length, size - at)
      rows.push((start + at) / granule, count)
    }
    start += roundUp(size, granule)
  }
  while (rows.length < 2 * partial.aval.size) rows.push(0, 0)
  const table = new Var(new Aval([rows.length], 'u32'))
  const tableInput = inputs.length
  // Places are found once, so that those of neighbours are seen to be neighbours.
  const starts = new Map<string, Scalar>()
  const at = (key: string, make: () => Scalar): Scalar => {
    const made = starts.get(key) ?? make()
    starts.set(key, made)
    return made
  }
  return {
    table,
    rows: Uint32Array.from(rows),
    kernel: {
      name: model.kernel.name,
      inputs: [...inputs.map((input) => (input instanceof Var ? input : input.whole)), table],
      outputs: [{ variable: partial, start: whole(0) }],
      nest: {
        kind: 'reduce',
        size: partial.aval.size,
        turns: length,
        folds: [
          {
            combine: fold.combine,
            identity: fold.identity,
            element: (index, turn) => {
              const column = (k: number): Scalar =>
                at(`${k} ${index.key}`, () => scalar.load(tableInput, plus(times(index, 2), whole(k)), 'u32'))
              const four = quotient(turn, 4)
              const quarter = at(`${index.key} ${four.key}`, () =>
                scalar.add(
                  scalar.mul(column(0), granule / 4),
                  scalar.min(scalar.position(four), scalar.shiftRight(scalar.sub(column(1), 1), 2)),
                ),
              )
              const place = plus(times(indexFrom(quarter, start / 4), 4), remainder(turn, 4))
              const [element] = elementsAt(model.kernel, place)
              return scalar.select(scalar.lt(scalar.position(turn), column(1)), element!, fold.identity)
            },
          },
        ],
        finish: (_, folded) => folded,
        each: () => [],
      },
      guard: null,
      slices: null,
    },
  }
}
