// Kernels run without checks of their indices, so the compiler proves every one of them to lie inside its array: it refuses
// what it cannot prove, and keeps what is read from data inside. That all kernels pass is what every other test shows.

import { expect, test } from 'vitest'
import { type Affine, indexFrom, loop, plus, times, whole } from '../../core/affine.ts'
import type { Kernel } from '../../core/compile/kernels.ts'
import { emit } from '../../core/compile/wgsl/index.ts'
import { Var } from '../../core/graph.ts'
import type { Scalar } from '../../core/scalar.ts'
import * as scalar from '../../core/scalar.ts'
import { Aval } from '../../core/shape.ts'

const array = (size: number): Var => new Var(new Aval([size], 'f32'))
const words = (size: number): Var => new Var(new Aval([size], 'u32'))

/** A kernel that fills `outputs` elements with what `element` reads. */
const map = (inputs: readonly Var[], outputs: number, element: (index: Affine) => Scalar): Kernel => ({
  name: 'map',
  inputs,
  outputs: [{ variable: array(outputs), start: whole(0) }],
  nest: { kind: 'map', size: outputs, element: (index) => [element(index)] },
  guard: null,
  slices: null,
})

const read = (index: Affine): Scalar => scalar.load(0, index, 'f32')
const textOf = (inputs: readonly Var[], element: (index: Affine) => Scalar): string =>
  emit(map(inputs, 10, element)).wgsl

test('a load that may lie outside is refused', () => {
  expect(() => textOf([array(10)], read)).not.toThrow()
  expect(() => textOf([array(10)], (i) => read(plus(i, whole(1))))).toThrow(
    'compile: input 0 has 10 elements, and element 10 of it is used; this is a defect of the compiler',
  )
  expect(() => textOf([array(18)], (i) => read(times(i, 2)))).toThrow('element 18 of it is used')
  expect(() => emit(map([array(8)], 12, read))).toThrow('element 11 of it is used') // the last vector
})

test('a store that may lie outside is refused', () => {
  const kernel = map([array(10)], 10, read)
  const beyond = [{ variable: array(10), start: whole(1) }]
  expect(() => emit({ ...kernel, outputs: beyond })).toThrow(
    'out has 10 elements, and element 10 of it is used',
  )
})

test('an operand of a product that may lie outside is refused', () => {
  const product = (rows: number): Kernel => ({
    name: 'product',
    inputs: [array(12 * 16), array(16 * 8)],
    outputs: [{ variable: array(rows * 8), start: whole(0) }],
    nest: {
      kind: 'product',
      batch: 1,
      rows,
      columns: 8,
      sums: [
        {
          depth: 16,
          lhs: (_, row, k) => scalar.load(0, plus(times(row, 16), k), 'f32'),
          rhs: (_, column, k) => scalar.load(1, plus(times(k, 8), column), 'f32'),
        },
      ],
      place: (_, row, column) => plus(times(row, 8), column),
      half: null,
      finish: (_, sums) => sums,
    },
    guard: null,
    slices: null,
  })
  for (const quads of [false, true]) {
    expect(() => emit(product(12), { hidesTurns: false, quads, large: null })).not.toThrow()
    expect(() => emit(product(13), { hidesTurns: false, quads, large: null })).toThrow(
      /^compile: input 0 has 192 elements, and element \d+ of it/,
    )
  }
})

test('an index that is read from data stays inside', () => {
  const place = scalar.load(1, whole(0), 'u32')
  const at = (place: Scalar) => textOf([array(10), words(1)], () => read(indexFrom(place, 10)))
  expect(at(place)).toContain('in0[min(in1[0u], 9u)]')
  expect(at(scalar.add(scalar.min(place, 9), 1))).toContain(', 9u)]')
})

test('an index that is known to lie inside is not kept there', () => {
  const place = scalar.load(1, whole(0), 'u32')
  const known: readonly Scalar[] = [
    scalar.min(place, 9),
    scalar.rem(place, 10),
    scalar.and(place, 7),
    scalar.shiftRight(scalar.min(place, 18), 1),
    scalar.sub(scalar.constant(9, 'u32'), scalar.position(loop('i', 10))),
    scalar.select(scalar.lt(place, 3), scalar.min(place, 4), scalar.add(scalar.min(place, 4), 5)),
  ]
  for (const index of known)
    expect(textOf([array(11), words(1)], () => read(indexFrom(index, 11)))).not.toContain('10u)]')
})
