import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Affine,
  flatten,
  largest,
  loop,
  partition,
  plus,
  quotient,
  remainder,
  times,
  unflatten,
  whole,
} from '../../core/affine.ts'

/** The number an index is at given turns of its loops. */
function at(index: Affine, turns: Readonly<Record<string, number>>): number {
  return index.terms.reduce((sum, { atom, by }) => {
    if (atom.kind === 'value') throw new Error('no data here')
    if (atom.kind === 'loop') return sum + by * turns[atom.name]!
    const inner = at(atom.of, turns)
    return sum + by * (atom.kind === 'quotient' ? Math.floor(inner / atom.by) : inner % atom.by)
  }, index.offset)
}

type Formula =
  | { readonly op: 'i' }
  | { readonly op: 'j' }
  | { readonly op: 'const'; readonly n: number }
  | { readonly op: 'plus'; readonly a: Formula; readonly b: Formula }
  | { readonly op: 'times' | 'quotient' | 'remainder'; readonly a: Formula; readonly n: number }

const { formula } = fc.letrec<{ formula: Formula }>((tie) => ({
  formula: fc.oneof(
    { maxDepth: 5 },
    fc.record({ op: fc.constant('i' as const) }),
    fc.record({ op: fc.constant('j' as const) }),
    fc.record({ op: fc.constant('const' as const), n: fc.nat(9) }),
    fc.record({ op: fc.constant('plus' as const), a: tie('formula'), b: tie('formula') }),
    fc.record({
      op: fc.constantFrom('times' as const, 'quotient' as const, 'remainder' as const),
      a: tie('formula'),
      n: fc.integer({ min: 1, max: 12 }),
    }),
  ),
}))

const extents = { i: 12, j: 7 }

function build(f: Formula): Affine {
  if (f.op === 'i' || f.op === 'j') return loop(f.op, extents[f.op])
  if (f.op === 'const') return whole(f.n)
  if (f.op === 'plus') return plus(build(f.a), build(f.b))
  return { times, quotient, remainder }[f.op](build(f.a), f.n)
}

function value(f: Formula, turns: { readonly i: number; readonly j: number }): number {
  if (f.op === 'i' || f.op === 'j') return turns[f.op]
  if (f.op === 'const') return f.n
  if (f.op === 'plus') return value(f.a, turns) + value(f.b, turns)
  const a = value(f.a, turns)
  return f.op === 'times' ? a * f.n : f.op === 'quotient' ? Math.floor(a / f.n) : a % f.n
}

describe('index arithmetic', () => {
  test('the normal form means what the formula means, and is bounded by `largest`', () => {
    fc.assert(
      fc.property(formula, fc.nat(extents.i - 1), fc.nat(extents.j - 1), (f, i, j) => {
        const index = build(f)
        expect(at(index, { i, j })).toBe(value(f, { i, j }))
        expect(at(index, { i, j })).toBeLessThanOrEqual(largest(index))
      }),
      { seed: 1, numRuns: 3000 },
    )
  })

  test('taking a flat index apart and putting it together gives it back', () => {
    const shapes = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 5 })
    fc.assert(
      fc.property(shapes, (shape) => {
        const flat = loop(
          'i',
          shape.reduce((a, b) => a * b, 1),
        )
        expect(flatten(unflatten(flat, shape), shape).key).toBe(flat.key)
      }),
      { seed: 2 },
    )
  })

  test('a reshape and a reshape back leave no division', () => {
    const i = loop('i', 24)
    const there = flatten(unflatten(i, [2, 3, 4]), [2, 3, 4])
    expect(flatten(unflatten(there, [4, 6]), [4, 6]).key).toBe(i.key)
  })

  test('the inner product of a broadcast keeps only the axis that counts', () => {
    const [, column] = unflatten(loop('i', 512 * 64), [512, 64])
    expect(column!.key).toBe(remainder(loop('i', 512 * 64), 64).key)
  })

  test('partition splits a sum without changing it', () => {
    const index = plus(plus(times(loop('i', 12), 7), loop('j', 7)), whole(3))
    const [fixed, rest] = partition(index, (term) => term.key.includes('i'))
    expect(plus(fixed, rest).key).toBe(index.key)
    expect(fixed.key).toBe(times(loop('i', 12), 7).key)
  })
})
