// The algebra of weights: whatever they are made of, `linear` does what their matrix does, and `dense` is that matrix.

import { type Shape, tensor, type Value } from 'cotangent'
import { compose, dense, diagonal, linear, scaled, sumOf, type Weight } from 'cotangent/nn'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expectClose } from '../support/close.ts'
import { type HostArray, toNdArray } from '../support/host.ts'
import { floats, generator } from '../support/inputs.ts'
import { oracle } from '../support/oracle.ts'

/** A weight as an expression; `array` is an `[out, in]` matrix, or the diagonal of one. */
type Expression =
  | { readonly kind: 'matrix'; readonly array: Shape }
  | { readonly kind: 'diagonal'; readonly array: Shape }
  | { readonly kind: 'sumOf'; readonly parts: readonly Expression[] }
  | { readonly kind: 'compose'; readonly parts: readonly Expression[] }
  | { readonly kind: 'scaled'; readonly by: number; readonly parts: readonly [Expression] }

const extent = fc.integer({ min: 1, max: 4 })

function expressions(out: number, inputs: number, depth: number): fc.Arbitrary<Expression> {
  const leaf: fc.Arbitrary<Expression>[] = [fc.constant({ kind: 'matrix', array: [out, inputs] })]
  if (out === inputs) leaf.push(fc.constant({ kind: 'diagonal', array: [out] }))
  if (depth === 0) return fc.oneof(...leaf)
  const same = expressions(out, inputs, depth - 1)
  return fc.oneof(
    ...leaf,
    fc.array(same, { minLength: 1, maxLength: 3 }).map((parts): Expression => ({ kind: 'sumOf', parts })),
    fc
      .tuple(fc.integer({ min: -3, max: 3 }), fc.tuple(same))
      .map(([by, parts]): Expression => ({ kind: 'scaled', by, parts })),
    fc.array(extent, { maxLength: 2 }).chain((between) => {
      const extents = [inputs, ...between, out]
      const maps = extents.slice(1).map((to, k) => expressions(to, extents[k]!, depth - 1))
      return fc.tuple(...maps).map((parts): Expression => ({ kind: 'compose', parts }))
    }),
  )
}

const arraysOf = (e: Expression): Shape[] => ('array' in e ? [e.array] : e.parts.flatMap(arraysOf))

function weightOf(e: Expression, next: () => Value): Weight {
  if (e.kind === 'matrix') return next()
  if (e.kind === 'diagonal') return diagonal(next())
  const [first, ...rest] = e.parts.map((part) => weightOf(part, next))
  if (e.kind === 'scaled') return scaled(e.by, first!)
  return e.kind === 'sumOf' ? sumOf(first!, ...rest) : compose(first!, ...rest)
}

type Matrix = readonly (readonly number[])[]

const rowsOf = ({ data, shape: [out, inputs] }: HostArray): Matrix =>
  Array.from({ length: out! }, (_, o) => Array.from({ length: inputs! }, (_, i) => data[o * inputs! + i]!))
const times = (b: Matrix, a: Matrix): Matrix =>
  b.map((row) => a[0]!.map((_, i) => row.reduce((sum, x, k) => sum + x * a[k]![i]!, 0)))

/** The matrix from the definition, on the host. */
function matrixOf(e: Expression, next: () => HostArray): Matrix {
  if (e.kind === 'matrix') return rowsOf(next())
  if (e.kind === 'diagonal') {
    const { data } = next()
    return [...data].map((d, o) => [...data].map((_, i) => (o === i ? d : 0)))
  }
  const parts = e.parts.map((part) => matrixOf(part, next))
  if (e.kind === 'scaled') return parts[0]!.map((row) => row.map((x) => e.by * x))
  return parts.reduce((m, w) =>
    e.kind === 'compose' ? times(w, m) : m.map((row, o) => row.map((x, i) => x + w[o]![i]!)),
  )
}

/** Hands out the elements of a list in order. */
const inOrder = <T>(list: readonly T[]): (() => T) => {
  let next = 0
  return () => list[next++]!
}

const budget = { relative: 1e-10, absolute: 1e-10 }

test('linear and dense are what the expression says', () => {
  const cases = fc
    .tuple(extent, extent)
    .chain(([out, inputs]) =>
      fc.record({ expression: expressions(out, inputs, 3), inputs: fc.constant(inputs), seed: fc.nat() }),
    )
  fc.assert(
    fc.property(cases, ({ expression, inputs, seed }) => {
      const random = generator(seed)
      const arrays = arraysOf(expression).map((shape) => floats(shape).draw(random))
      const x = floats([2, 3, inputs]).draw(random)
      const f = (arrays: readonly Value[], x: Value) => {
        const w = weightOf(expression, inOrder(arrays))
        return { applied: linear(x, w), dense: dense(w), asMatrix: linear(x, dense(w)) }
      }
      const actual = oracle(f, [arrays, x])(arrays, x)
      const matrix = matrixOf(expression, inOrder(arrays))
      expectClose(actual.dense, toNdArray(matrix.flat(), [matrix.length, inputs]), budget, 'dense')
      const rows = rowsOf(toNdArray(x.data, [6, inputs]))
      const product = times(
        rows,
        matrix[0]!.map((_, i) => matrix.map((row) => row[i]!)),
      )
      expectClose(actual.applied, toNdArray(product.flat(), [2, 3, matrix.length]), budget, 'linear')
      expectClose(actual.asMatrix, actual.applied, budget, 'linear of dense')
    }),
    { numRuns: 60 },
  )
})

describe('errors name both shapes', () => {
  const w = (...shape: number[]): Value =>
    tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape })

  test('linear', () => {
    expect(() => linear(w(5, 3), w(4, 2))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: linear: the last axis of f32[5,3] does not fit a weight of shape [4,2]; it must be its second extent]`,
    )
    expect(() => linear(w(5, 3), w(3))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: linear: the last axis of f32[5,3] does not fit a weight of shape [3]; it must be its second extent]`,
    )
    expect(() => linear(w(), compose(w(2, 3)))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: linear: the last axis of f32[] does not fit a weight of shape [2,3]; it must be its second extent]`,
    )
  })
  test('sumOf', () => {
    expect(() => sumOf(w(2, 3), w(2, 3), w(3, 2))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: sumOf: weights of shape [2,3] and [3,2] do not add; they must agree]`,
    )
  })
  test('compose', () => {
    expect(() => compose(w(2, 3), w(5, 2), w(4, 2))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: compose: a weight of shape [4,2] cannot follow one of shape [5,2]; its second extent must be 5]`,
    )
  })
  test('diagonal', () => {
    expect(() => diagonal(w(2, 3))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: diagonal: f32[2,3] is no vector; give the entries of the diagonal]`,
    )
  })
  test('scaled', () => {
    expect(() => scaled(w(2), w(2, 3))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: scaled: f32[2] is no scalar; to scale each place, compose with a diagonal]`,
    )
  })
})
