// Index arithmetic in a normal form: a constant plus integer multiples of atoms, each of a known range. Reshapes, broadcasts
// and permutations compose into such sums, and dividing a flat index apart and putting it together again gives it back.

import type { Scalar } from './scalar.ts'

/** What an index is made of. Every atom is a whole number from 0 to `extent - 1`. */
export type IndexAtom =
  | { readonly kind: 'loop'; readonly key: string; readonly extent: number; readonly name: string }
  | {
      readonly kind: 'quotient'
      readonly key: string
      readonly extent: number
      readonly of: Affine
      readonly by: number
    }
  | {
      readonly kind: 'remainder'
      readonly key: string
      readonly extent: number
      readonly of: Affine
      readonly by: number
    }
  | { readonly kind: 'value'; readonly key: string; readonly extent: number; readonly value: Scalar }

interface Term {
  readonly atom: IndexAtom
  readonly by: number
}

/** `offset + Σ by · atom`, terms in the order of their keys. Never negative. */
export class Affine {
  readonly offset: number
  readonly terms: readonly Term[]
  #key: string | undefined

  /** The terms are in order already, and none is zero. */
  constructor(offset: number, terms: readonly Term[]) {
    this.offset = offset
    this.terms = terms
  }

  /** Equal indices have equal keys. Few are asked for theirs. */
  get key(): string {
    this.#key ??= this.terms.reduce((text, { atom, by }) => `${text}${by}*${atom.key}+`, '') + this.offset
    return this.#key
  }
}

const none: readonly Term[] = []
const ofAtom = (atom: IndexAtom): Affine => new Affine(0, atom.extent === 1 ? none : [{ atom, by: 1 }])

/** A constant index. */
export const whole = (offset: number): Affine => new Affine(offset, none)

/** The counter of a loop of `extent` turns. */
export const loop = (name: string, extent: number): Affine =>
  ofAtom({ kind: 'loop', key: name, extent, name })

/** An index that is read from data; the caller has made sure that it lies below `extent`. */
export const indexFrom = (value: Scalar, extent: number): Affine =>
  ofAtom({ kind: 'value', key: `<${value.key}>`, extent, value })

/** The largest value an index takes. */
export const largest = (index: Affine): number =>
  index.terms.reduce((sum, { atom, by }) => sum + by * (atom.extent - 1), index.offset)

export function plus(a: Affine, b: Affine): Affine {
  if (b.terms.length === 0) return b.offset === 0 ? a : new Affine(a.offset + b.offset, a.terms)
  if (a.terms.length === 0) return a.offset === 0 ? b : new Affine(a.offset + b.offset, b.terms)
  return rejoin(a.offset + b.offset, merged(a.terms, b.terms))
}

/** Terms of two sums together, those of one atom as one. */
function merged(a: readonly Term[], b: readonly Term[]): Term[] {
  const terms: Term[] = []
  for (let [i, j] = [0, 0]; i < a.length || j < b.length; ) {
    const [left, right] = [a[i], b[j]]
    if (left?.atom.key === right?.atom.key) {
      if (left!.by + right!.by !== 0) terms.push({ atom: left!.atom, by: left!.by + right!.by })
      i++
      j++
    } else if (right === undefined || (left !== undefined && left.atom.key < right.atom.key)) {
      terms.push(left!)
      i++
    } else {
      terms.push(right)
      j++
    }
  }
  return terms
}

export function times(a: Affine, factor: number): Affine {
  if (factor === 1) return a
  if (factor === 0) return whole(0)
  return new Affine(
    a.offset * factor,
    a.terms.map(({ atom, by }) => ({ atom, by: by * factor })),
  )
}

/** Undoes a division: `x % a + a·(x / a)` is `x`, and `x % a + a·((x / a) % b)` is `x % ab`. */
function rejoin(offset: number, terms: readonly Term[]): Affine {
  for (const low of terms) {
    if (low.atom.kind !== 'remainder') continue
    const { of, by } = low.atom
    const upper = quotient(of, by)
    const high = terms.find(({ atom, by: scale }) => {
      if (scale !== low.by * by) return false
      return ofAtom(atom).key === upper.key || (atom.kind === 'remainder' && atom.of.key === upper.key)
    })
    if (high === undefined) continue
    const rest = new Affine(
      offset,
      terms.filter((term) => term !== low && term !== high),
    )
    const isWhole = ofAtom(high.atom).key === upper.key
    const joined = isWhole ? of : remainder(of, by * (high.atom as IndexAtom & { kind: 'remainder' }).by)
    return plus(rest, times(joined, low.by))
  }
  return new Affine(offset, terms)
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** Splits `index` in a multiple of `by` and a rest that has no part divisible by it. */
function splitBy(index: Affine, by: number): { readonly multiple: Affine; readonly rest: Affine } {
  const multiple = new Affine(
    Math.floor(index.offset / by),
    index.terms.flatMap(({ atom, by: scale }) => (scale % by === 0 ? [{ atom, by: scale / by }] : [])),
  )
  const rest = new Affine(
    index.offset % by,
    index.terms.filter(({ by: scale }) => scale % by !== 0),
  )
  return { multiple, rest }
}

/** `⌊index / by⌋`; 0 in an empty array, which nothing is read from. */
export function quotient(index: Affine, by: number): Affine {
  if (by === 0) return whole(0)
  if (by === 1) return index
  const { multiple, rest } = splitBy(index, by)
  if (largest(rest) < by) return multiple
  const common = rest.terms.reduce((factor, term) => gcd(factor, term.by), by)
  if (common > 1) return plus(multiple, quotient(splitBy(rest, common).multiple, by / common))
  const only = rest.terms.length === 1 && rest.offset === 0 ? rest.terms[0]! : undefined
  if (only?.by === 1 && only.atom.kind === 'quotient')
    return plus(multiple, quotient(only.atom.of, only.atom.by * by))
  if (only?.by === 1 && only.atom.kind === 'remainder' && only.atom.by % by === 0)
    return plus(multiple, remainder(quotient(only.atom.of, by), only.atom.by / by))
  const extent = Math.floor(largest(rest) / by) + 1
  return plus(multiple, ofAtom({ kind: 'quotient', key: `(${rest.key})/${by}`, extent, of: rest, by }))
}

/** `index mod by` */
export function remainder(index: Affine, by: number): Affine {
  if (by <= 1) return whole(0)
  const { rest } = splitBy(index, by)
  if (largest(rest) < by) return rest
  const common = rest.terms.reduce((factor, term) => gcd(factor, term.by), by)
  if (common > 1) {
    const { multiple } = splitBy(rest, common)
    return plus(times(remainder(multiple, by / common), common), whole(rest.offset % common))
  }
  const only = rest.terms.length === 1 && rest.offset === 0 ? rest.terms[0]! : undefined
  if (only?.by === 1 && only.atom.kind === 'remainder' && only.atom.by % by === 0)
    return remainder(only.atom.of, by)
  return ofAtom({ kind: 'remainder', key: `(${rest.key})%${by}`, extent: by, of: rest, by })
}

/** An index in two: the terms that `test` accepts, and the others with the offset. */
export function partition(index: Affine, test: (term: Affine) => boolean): readonly [Affine, Affine] {
  const chosen = index.terms.filter((term) => test(new Affine(0, [term])))
  const others = index.terms.filter((term) => !chosen.includes(term))
  return [new Affine(0, chosen), new Affine(index.offset, others)]
}

/** An index whose parts that are read from data are replaced by `f` of them, which must be the same numbers. */
export const mapValues = (index: Affine, f: (value: Scalar) => Scalar): Affine =>
  new Affine(
    index.offset,
    index.terms.map(({ atom, by }) => {
      if (atom.kind === 'loop') return { atom, by }
      if (atom.kind === 'value') return { atom: { ...atom, value: f(atom.value) }, by }
      return { atom: { ...atom, of: mapValues(atom.of, f) }, by }
    }),
  )

/** The flat, row-major position of `index` in an array of `shape`. */
export function flatten(index: readonly Affine[], shape: readonly number[]): Affine {
  let flat = whole(0)
  for (const [axis, extent] of shape.entries()) flat = plus(times(flat, extent), index[axis]!)
  return flat
}

/** The index along each axis of an array of `shape` of the element at a flat position. */
export function unflatten(flat: Affine, shape: readonly number[]): Affine[] {
  const index = new Array<Affine>(shape.length)
  let rest = flat
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const extent = shape[axis]!
    index[axis] = axis === 0 ? rest : remainder(rest, extent)
    rest = quotient(rest, extent)
  }
  return index
}
