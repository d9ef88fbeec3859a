// Products of arrays: einsum, which takes operands two at a time, and its special cases. Each pair is one `contract`.

import { type ElementType, isFloat, join } from '../dtype.ts'
import { normalizeAxis, sizeOf } from '../shape.ts'
import { toArray } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import { mul, sub } from './arithmetic.ts'
import { contract } from './contract.ts'
import { part } from './cumulative.ts'
import { cast } from './elementwise.ts'
import { concatenate, moveaxis, reshape, sum, transpose } from './movement.ts'
import { diagonal, ravel } from './shaping.ts'

/** An array with a letter for each axis. */
interface Term {
  readonly value: Value
  readonly letters: string
}

/** The letters that one of several terms has. */
const union = (terms: readonly { readonly letters: string }[]): string =>
  [...new Set(terms.map(({ letters }) => letters).join(''))].join('')

/** `term` with its letters as in `wanted`; those that are missing there are summed over. */
function arranged({ value, letters }: Term, wanted: string): Value {
  const kept = [...letters].filter((letter) => wanted.includes(letter)).join('')
  const summed = [...letters].flatMap((letter, axis) => (wanted.includes(letter) ? [] : [axis]))
  const total = summed.length === 0 ? value : sum(value, { axis: summed })
  return transpose(
    total,
    [...wanted].map((letter) => kept.indexOf(letter)),
  )
}

/** The product of two terms, summed over the letters that `wanted` lacks: of whole numbers exactly, without `contract`. */
function pair(x: Term, y: Term, wanted: string): Term {
  const letters = [...union([x, y])].filter((letter) => wanted.includes(letter)).join('')
  if (isFloat(x.value.dtype))
    return { value: contract(`${x.letters},${y.letters}->${letters}`, x.value, y.value), letters }
  const all = union([x, y])
  const aligned = ({ value, letters }: Term): Value => {
    const own = [...all].filter((letter) => letters.includes(letter)).join('')
    const ordered = arranged({ value, letters }, own)
    return reshape(
      ordered,
      [...all].map((letter) => ordered.shape[own.indexOf(letter)] ?? 1),
    )
  }
  return { value: arranged({ value: mul(aligned(x), aligned(y)), letters: all }, letters), letters }
}

/** `ii` becomes `i`: the elements whose places along the two axes are equal. */
function withoutRepeats({ value, letters }: Term): Term {
  const second = [...letters].findIndex((letter, axis) => letters.indexOf(letter) < axis)
  if (second < 0) return { value, letters }
  const letter = letters[second]!
  const first = letters.indexOf(letter)
  const rest = [...letters].filter((_, axis) => axis !== first && axis !== second).join('')
  return withoutRepeats({ value: diagonal(value, { axes: [first, second] }), letters: rest + letter })
}

type Extents = ReadonlyMap<string, number>
interface Plan {
  readonly cost: number
  /** The pair to take first, by places in the list of terms. */
  readonly pair: readonly [number, number]
}

/** What is left of two terms: the letters that the result or another term has. */
const remaining = (terms: readonly string[], i: number, j: number, out: string): string => {
  const others = terms.filter((_, k) => k !== i && k !== j).join('') + out
  return [...new Set(terms[i]! + terms[j]!)].filter((letter) => others.includes(letter)).join('')
}

/** More terms than this are too many to try all orders. */
const exhaustive = 5

/** The pair to multiply first so that all products together do the least; of many terms, so that the next does. */
function plan(terms: readonly string[], out: string, extents: Extents): Plan {
  let best: Plan = { cost: Number.POSITIVE_INFINITY, pair: [0, 1] }
  for (let i = 0; i < terms.length; i++)
    for (let j = i + 1; j < terms.length; j++) {
      const loops = sizeOf([...new Set(terms[i]! + terms[j]!)].map((letter) => extents.get(letter)!))
      const next = [...terms.filter((_, k) => k !== i && k !== j), remaining(terms, i, j, out)]
      const rest = terms.length <= exhaustive && next.length > 1 ? plan(next, out, extents).cost : 0
      if (loops + rest < best.cost) best = { cost: loops + rest, pair: [i, j] }
    }
  return best
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz'

interface Parsed {
  /** The letters of each operand and of the result, dots spelled out as letters and all of them small. */
  readonly terms: readonly string[]
  readonly out: string
  /** The letters as they were written; those of dots have none. */
  readonly written: ReadonlyMap<string, string>
}

function parse(spec: string, shapes: readonly (readonly number[])[]): Parsed {
  const [left, right, more] = spec.replaceAll(' ', '').split('->') as [string, string?, string?]
  const sides = left.split(',')
  if (
    more !== undefined ||
    ![...sides, right ?? ''].every((side) => /^[a-zA-Z]*(\.\.\.)?[a-zA-Z]*$/.test(side))
  )
    throw new TypeError(`einsum: "${spec}" is no index expression; write it as "ik,kj->ij"`)
  if (sides.length !== shapes.length)
    throw new TypeError(
      `einsum ${spec}: ${shapes.length} arrays for ${sides.length} groups of letters; pass one for each`,
    )
  const named = [...new Set(spec.replace(/[^a-zA-Z]/g, ''))]
  const hidden = sides.map((side, k) => (side.includes('...') ? shapes[k]!.length - side.length + 3 : 0))
  for (const [k, side] of sides.entries())
    if (hidden[k]! < 0 || (!side.includes('...') && side.length !== shapes[k]!.length))
      throw new TypeError(
        `einsum ${spec}: operand ${k} has ${shapes[k]!.length} axes, [${shapes[k]}], but the letters "${side}"; write one for each axis`,
      )
  const dots = Math.max(0, ...hidden)
  if (named.length + dots > alphabet.length)
    throw new RangeError(
      `einsum ${spec}: ${named.length + dots} different axes; at most ${alphabet.length} can be told apart`,
    )
  const short = new Map(named.map((letter, k) => [letter, alphabet[k]!]))
  const unnamed = alphabet.slice(named.length, named.length + dots)
  const spell = (side: string, count: number): string =>
    side
      .split('...')
      .map((letters) => [...letters].map((letter) => short.get(letter)!).join(''))
      .join(unnamed.slice(dots - count))
  const once = named
    .filter((letter) => left.indexOf(letter) === left.lastIndexOf(letter))
    .sort()
    .join('')
  const out = spell(right ?? `...${once}`, dots)
  const written = new Map(named.map((letter, k) => [alphabet[k]!, letter]))
  return { terms: sides.map((side, k) => spell(side, hidden[k]!)), out, written }
}

/**
 * The sum of products that NumPy's notation describes, of any number of arrays: letters name axes, equal letters run
 * together, and those that the result lacks are summed over. Without `->` the result has the letters that occur once, in
 * alphabetical order; `...` stands for further axes; a letter twice in one operand is its diagonal.
 * Extents of 1 broadcast. The order of the products is chosen so that they are few. Of whole numbers the result is whole, and
 * of bools it says whether any product is true.
 *
 * @example
 * ```ts
 * import { einsum, tensor } from 'cotangent'
 * await einsum('ij,j,i->', tensor([[1, 2], [3, 4]]), tensor([1, 1]), tensor([2, 0])).data() // [6]
 * ```
 */
export function einsum(spec: string, ...xs: readonly ArrayLike[]): Value {
  const values = xs.map(toArray)
  const shapes = values.map(({ shape }) => shape)
  const { terms, out, written } = parse(spec, shapes)
  const dtype = values.map((x): ElementType => x.aval).reduce(join).dtype
  const extents = extentsOf(spec, terms, shapes, written)
  if (new Set(out).size !== out.length || [...out].some((letter) => !extents.has(letter)))
    throw new TypeError(
      `einsum ${spec}: the result repeats a letter or has one of no operand; name each once`,
    )
  const operands = terms.map((letters, k): Term => {
    const { shape } = values[k]!
    const own = [...letters].filter((letter, axis) => shape[axis] === extents.get(letter))
    const value = reshape(
      cast(values[k]!, dtype),
      own.map((letter) => extents.get(letter)!),
    )
    return { value, letters: own.join('') }
  })
  return cast(multiplied(operands, out, extents), dtype)
}

/** The extent of each letter. Operands with extent 1 broadcast. */
function extentsOf(
  spec: string,
  terms: readonly string[],
  shapes: readonly (readonly number[])[],
  written: ReadonlyMap<string, string>,
): Extents {
  const known = new Map<string, { readonly extent: number; readonly operand: number }>()
  for (const [operand, letters] of terms.entries())
    for (const [axis, letter] of [...letters].entries()) {
      const extent = shapes[operand]![axis]!
      const before = known.get(letter)
      const broadcasts = before?.operand !== operand && (before?.extent === 1 || extent === 1)
      if (before && before.extent !== extent && !broadcasts)
        throw new TypeError(
          `einsum ${spec}: index ${written.get(letter) ?? '...'} is ${before.extent} in operand ${before.operand} but ${extent} in operand ${operand}; they must agree`,
        )
      if (before === undefined || before.extent === 1) known.set(letter, { extent, operand })
    }
  return new Map([...known].map(([letter, { extent }]) => [letter, extent]))
}

/** The product of all terms, two at a time. */
function multiplied(operands: readonly Term[], out: string, extents: Extents): Value {
  let terms = operands.map(withoutRepeats).map((term, k, all) => {
    const others = union([...all.filter((_, other) => other !== k), { letters: out }])
    const letters = [...term.letters].filter((letter) => others.includes(letter)).join('')
    return { value: arranged(term, letters), letters }
  })
  while (terms.length > 1) {
    const letters = terms.map((term) => term.letters)
    const [i, j] = plan(letters, out, extents).pair
    const product = pair(terms[i]!, terms[j]!, remaining(letters, i, j, out))
    terms = [...terms.filter((_, k) => k !== i && k !== j), product]
  }
  return arranged(terms[0]!, out)
}

/** The sum of products over the axes `left` of `x`, each with that of `right` of `y`; then the other axes of both. */
function paired(op: string, x: Value, y: Value, left: readonly number[], right: readonly number[]): Value {
  const fits =
    left.length === right.length && left.every((axis, k) => axis >= 0 && x.shape[axis] === y.shape[right[k]!])
  if (!fits || [left, right].some((axes) => new Set(axes).size !== axes.length))
    throw new TypeError(
      `${op}: axes [${left}] of ${x.aval} do not pair with axes [${right}] of ${y.aval}; name each once, and equal extents`,
    )
  const own = alphabet.slice(0, x.rank)
  const rest = [...alphabet.slice(x.rank)]
  const others = y.shape.map((_, axis) =>
    right.includes(axis) ? own[left[right.indexOf(axis)]!]! : rest.shift()!,
  )
  const out = [
    ...[...own].filter((_, axis) => !left.includes(axis)),
    ...others.filter((_, axis) => !right.includes(axis)),
  ]
  return einsum(`${own},${others.join('')}->${out.join('')}`, x, y)
}

/**
 * The sum of products over axes: the last `axes` of `x` with the first `axes` of `y`, or those that two lists pair.
 * The result has the other axes of `x`, then those of `y`.
 */
export function tensordot(
  x: ArrayLike,
  y: ArrayLike,
  axes: number | readonly [readonly number[], readonly number[]] = 2,
): Value {
  const [a, b] = [toArray(x), toArray(y)]
  if (typeof axes === 'number') {
    const right = Array.from({ length: axes }, (_, k) => k)
    return paired(
      'tensordot',
      a,
      b,
      right.map((k) => a.rank - axes + k),
      right,
    )
  }
  const [left, right] = [a, b].map(({ rank }, k) =>
    axes[k as 0 | 1].map((axis) => normalizeAxis('tensordot', axis, rank)),
  ) as [number[], number[]]
  return paired('tensordot', a, b, left, right)
}

/** The sum of products over the last axes of both; with a number, `mul`. */
export function inner(x: ArrayLike, y: ArrayLike): Value {
  const [a, b] = [toArray(x), toArray(y)]
  return a.rank === 0 || b.rank === 0 ? mul(a, b) : paired('inner', a, b, [a.rank - 1], [b.rank - 1])
}

/** The sum of products over the last axis of `x` and the last but one of `y`, or its only one; with a number, `mul`. */
export function dot(x: ArrayLike, y: ArrayLike): Value {
  const [a, b] = [toArray(x), toArray(y)]
  if (a.rank === 0 || b.rank === 0) return mul(a, b)
  return paired('dot', a, b, [a.rank - 1], [Math.max(b.rank - 2, 0)])
}

/** The sum of products of all elements, in row-major order. */
export const vdot = (x: ArrayLike, y: ArrayLike): Value => paired('vdot', ravel(x), ravel(y), [0], [0])

/** The product of each element of `x` with each of `y`, both in row-major order: a matrix. */
export const outer = (x: ArrayLike, y: ArrayLike): Value => mul(reshape(x, [-1, 1]), ravel(y))

/** The Kronecker product: `x` with each element replaced by its product with `y`. Axes are matched from the right. */
export function kron(x: ArrayLike, y: ArrayLike): Value {
  const [a, b] = [toArray(x), toArray(y)]
  const rank = Math.max(a.rank, b.rank)
  const full = ({ shape }: Value): number[] => [...Array<number>(rank - shape.length).fill(1), ...shape]
  const [left, right] = [full(a), full(b)]
  return reshape(
    mul(
      reshape(
        a,
        left.flatMap((extent) => [extent, 1]),
      ),
      reshape(
        b,
        right.flatMap((extent) => [1, extent]),
      ),
    ),
    left.map((extent, axis) => extent * right[axis]!),
  )
}

/** The vector product of the vectors of three along `axis`, the last by default; the other axes broadcast. */
export function cross(x: ArrayLike, y: ArrayLike, { axis = -1 }: { readonly axis?: number } = {}): Value {
  const [a, b] = [x, y].map((z) => {
    const value = toArray(z)
    const along = normalizeAxis('cross', axis, value.rank)
    if (value.shape[along] !== 3)
      throw new TypeError(
        `cross: axis ${along} of ${value.aval} has extent ${value.shape[along]}; vectors have three components`,
      )
    return moveaxis(value, along, -1)
  }) as [Value, Value]
  /** The components from `from` on, around the end. */
  const turned = (value: Value, from: number): Value => {
    const last = value.rank - 1
    return concatenate([part(value, last, from, 3), part(value, last, 0, from)], { axis: -1 })
  }
  const product = sub(mul(turned(a, 1), turned(b, 2)), mul(turned(a, 2), turned(b, 1)))
  return moveaxis(product, -1, axis)
}
