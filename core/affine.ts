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
export interface Affine {
  readonly offset: number
  readonly terms: readonly Term[]
  readonly key: string
}

function affine(offset: number, terms: readonly Term[]): Affine {
  const sorted = terms.filter(({ by }) => by !== 0).sort((a, b) => (a.atom.key < b.atom.key ? -1 : 1))
  return {
    offset,
    terms: sorted,
    key: [...sorted.map(({ atom, by }) => `${by}*${atom.key}`), offset].join('+'),
  }
}

const ofAtom = (atom: IndexAtom): Affine => (atom.extent === 1 ? whole(0) : affine(0, [{ atom, by: 1 }]))

/** A constant index. */
export const whole = (offset: number): Affine => affine(offset, [])

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
  const byKey = new Map<string, Term>()
  for (const { atom, by } of [...a.terms, ...b.terms])
    byKey.set(atom.key, { atom, by: by + (byKey.get(atom.key)?.by ?? 0) })
  return rejoin(a.offset + b.offset, [...byKey.values()])
}

export const times = (a: Affine, factor: number): Affine =>
  affine(
    a.offset * factor,
    a.terms.map(({ atom, by }) => ({ atom, by: by * factor })),
  )

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
    const rest = affine(
      offset,
      terms.filter((term) => term !== low && term !== high),
    )
    const isWhole = ofAtom(high.atom).key === upper.key
    const joined = isWhole ? of : remainder(of, by * (high.atom as IndexAtom & { kind: 'remainder' }).by)
    return plus(rest, times(joined, low.by))
  }
  return affine(offset, terms)
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** Splits `index` in a multiple of `by` and a rest that has no part divisible by it. */
function splitBy(index: Affine, by: number): { readonly multiple: Affine; readonly rest: Affine } {
  const multiple = affine(
    Math.floor(index.offset / by),
    index.terms.flatMap(({ atom, by: scale }) => (scale % by === 0 ? [{ atom, by: scale / by }] : [])),
  )
  const rest = affine(
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
  const chosen = index.terms.filter((term) => test(affine(0, [term])))
  const others = index.terms.filter((term) => !chosen.includes(term))
  return [affine(0, chosen), affine(index.offset, others)]
}

/** An index whose parts that are read from data are replaced by `f` of them, which must be the same numbers. */
export const mapValues = (index: Affine, f: (value: Scalar) => Scalar): Affine => ({
  ...index,
  terms: index.terms.map(({ atom, by }) => {
    if (atom.kind === 'loop') return { atom, by }
    if (atom.kind === 'value') return { atom: { ...atom, value: f(atom.value) }, by }
    return { atom: { ...atom, of: mapValues(atom.of, f) }, by }
  }),
})

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
