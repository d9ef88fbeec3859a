// The loops of an equation: where in its inputs the elements lie that each of its own is made of.

import { type Affine, flatten, loop, partition, plus, quotient, times, unflatten, whole } from '../affine.ts'
import { type Equation, showParams } from '../graph.ts'
import type { Letters, Read, Site } from '../primitive.ts'
import * as scalar from '../scalar.ts'
import { sizeOf } from '../shape.ts'

/**
 * What the element at a flat place of the result is read from: the element at the same place of an input; the one at the
 * place of its row, for so many elements each; its partner, where pairs of halves of so many elements change places; or others.
 */
export type Relation = 'same' | 'other' | number | Swap

interface Swap {
  readonly half: number
}

const siteOf = ({ params, inputs, outputs }: Equation): Site<never> => ({
  params: params as never,
  inputs: inputs.map(({ aval }) => aval),
  output: outputs[0]!.aval,
})

const typesOf = ({ primitive, params, inputs, outputs }: Equation): string =>
  [primitive.name, showParams(params), ...inputs.map(({ aval }) => aval), outputs[0]!.aval].join(' ')

/** The places that are read of each input. */
function placesRead(equation: Equation, walk: (read: Read) => void): (readonly Affine[])[] {
  const places: Affine[][] = equation.inputs.map(() => [])
  walk((input, index) => {
    const { aval } = equation.inputs[input]!
    places[input]!.push(flatten(index, aval.shape))
    return scalar.reduced(aval.dtype)
  })
  return places
}

const folded = new WeakMap<Equation, number>()

/** How many elements a reduction folds into one; null for other equations. */
export function foldedElements(equation: Equation): number | null {
  const { lower } = equation.primitive
  if (lower.kind !== 'reduce') return null
  const count = folded.get(equation) ?? sizeOf(lower.extents(siteOf(equation)))
  folded.set(equation, count)
  return count
}

/** The same, but null for a reduction of one element: it folds nothing. */
export function turnsOf(equation: Equation): number | null {
  const count = foldedElements(equation)
  return count === 1 ? null : count
}

/** The index of the turn of a reduction that has one. */
export const onlyTurn = (equation: Equation): readonly Affine[] => {
  const { lower } = equation.primitive
  return lower.kind === 'reduce' ? lower.extents(siteOf(equation)).map(() => whole(0)) : []
}

/** The relations of an equation to each of its inputs, by what `known` has of its like. */
export function relationsOf(
  equation: Equation,
  known: Map<string, readonly Relation[]>,
): readonly Relation[] {
  const { lower } = equation.primitive
  if (lower.kind === 'map') return equation.inputs.map(() => 'same')
  if ((lower.kind !== 'view' && lower.kind !== 'reduce') || turnsOf(equation) !== null)
    return equation.inputs.map(() => 'other')
  const key = typesOf(equation)
  const before = known.get(key)
  if (before !== undefined) return before
  const { shape, size } = equation.outputs[0]!.aval
  const place = loop('p', size)
  const index = unflatten(place, shape)
  const site = siteOf(equation)
  const places = placesRead(equation, (read) =>
    lower.kind === 'view'
      ? lower.element(index, read, site)
      : lower.element(index, onlyTurn(equation), read, site),
  )
  const relations = equation.inputs.map(({ aval }, input): Relation => {
    const [first, ...others] = places[input]!
    if (first === undefined || others.length > 0 || size === 0 || size % aval.size !== 0) return 'other'
    const each = size / aval.size
    if (first.key === quotient(place, each).key) return each === 1 ? 'same' : each
    const half = halfOf(first, place)
    return half === null ? 'other' : { half }
  })
  known.set(key, relations)
  return relations
}

/** The elements of a half if an index is `place` but for a digit of two that is turned round, as by a flip. */
function halfOf(index: Affine, place: Affine): number | null {
  for (const term of index.terms) {
    const { atom, by } = term
    if (atom.kind !== 'value' || atom.extent !== 2 || atom.value.kind !== 'apply') continue
    const [from, digit] = atom.value.args
    const isTurned = atom.value.op === '-' && from?.kind === 'constant' && from.value === 1
    if (!isTurned || digit?.kind !== 'position') continue
    const [rest] = partition(index, ({ terms }) => terms[0]!.atom !== atom)
    const back = plus(plus(rest, whole(index.offset)), times(digit.index, by))
    return back.key === place.key ? by : null
  }
  return null
}

/** The loops of a reduction: how many elements it folds into one, and whether those are neighbours. */
export interface Fold {
  readonly turns: number
  /** Empty if they are neighbours; else a text that reductions of the same elements have in common. */
  readonly kind: string
}

/** Of a reduction, by what `known` has of its like. */
export function foldOf(equation: Equation, known: Map<string, Fold>): Fold {
  const key = typesOf(equation)
  const before = known.get(key)
  if (before !== undefined) return before
  const { lower, name } = equation.primitive
  if (lower.kind !== 'reduce')
    throw new Error(`compile: ${name} is no fold; this is a defect of the compiler`)
  const site = siteOf(equation)
  const { shape, size } = site.output
  const extents = lower.extents(site)
  const turns = sizeOf(extents)
  const [row, turn] = [loop('i', size), loop('r', turns)]
  const places = placesRead(equation, (read) =>
    lower.element(unflatten(row, shape), unflatten(turn, extents), read, site),
  )
  const cell = plus(times(row, turns), turn).key
  const alongRows = turns > 0 && size > 0 && places.every((read) => read.every(({ key }) => key === cell))
  const fold = { turns, kind: alongRows ? '' : `fold ${key}` }
  known.set(key, fold)
  return fold
}

/** Fewer independent folds than this leave threads idle, and longer ones than this would run in one thread. */
const fewFolds = 256
const longFold = 1024

/** Whether folds are shared out among threads, which other loops of a kernel cannot be. */
export const isLong = (size: number, turns: number): boolean => size < fewFolds && turns >= longFold

export interface Axes {
  readonly letters: readonly string[]
  readonly shape: readonly number[]
}

/** The axes of a product by the part they play. */
export interface Product extends Letters {
  readonly batch: Axes
  readonly rows: Axes
  readonly columns: Axes
  readonly depth: Axes
  /** Whether the rows are those of the second operand. */
  readonly swap: boolean
}

/** The axes of a product. */
export function productOf({ primitive: { lower, name }, params, inputs }: Equation): Product {
  if (lower.kind !== 'contract')
    throw new Error(`compile: ${name} is no product; this is a defect of the compiler`)
  const { lhs, rhs, out } = lower.letters(params as never)
  // Columns run along the last axis of the result, so that neighbours are stored together.
  const last = out.at(-1)
  const swap = last !== undefined && lhs.includes(last) && !rhs.includes(last)
  const [left, right] = swap ? [rhs, lhs] : [lhs, rhs]
  const extentOf = (letter: string): number => {
    const side = lhs.includes(letter) ? 0 : 1
    return inputs[side]!.aval.shape[(side === 0 ? lhs : rhs).indexOf(letter)]!
  }
  const axes = (letters: readonly string[]): Axes => ({ letters, shape: letters.map(extentOf) })
  return {
    lhs,
    rhs,
    out,
    swap,
    batch: axes([...out].filter((letter) => lhs.includes(letter) && rhs.includes(letter))),
    rows: axes([...out].filter((letter) => left.includes(letter) && !right.includes(letter))),
    columns: axes([...out].filter((letter) => right.includes(letter) && !left.includes(letter))),
    depth: axes([...right].filter((letter) => !out.includes(letter))),
  }
}

/** A text that products have in common which run over the same rows and columns: their sums can be made in one kernel. */
export function gridOf(product: Equation): string {
  const { batch, rows, columns, out } = productOf(product)
  const role = (letter: string): string =>
    batch.letters.includes(letter) ? 'b' : rows.letters.includes(letter) ? 'm' : 'n'
  return `product ${[...out].map(role).join('')} ${product.outputs[0]!.aval.shape}|${columns.shape}|${rows.shape}`
}
