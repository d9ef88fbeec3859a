// Kernels of several sums of products, on the device and as text: what two sums share is fetched once.

import { Aval, random, type Value } from 'cotangent'
import { expect, test } from 'vitest'
import { type Affine, plus, times, whole } from '../../core/affine.ts'
import type { Kernel, ProductNest } from '../../core/compile/kernels.ts'
import { emit } from '../../core/compile/wgsl/index.ts'
import { type Device, openDevice } from '../../core/device/device.ts'
import { GpuProgram, launch, Program } from '../../core/device/index.ts'
import { Var } from '../../core/graph.ts'
import * as scalar from '../../core/scalar.ts'
import { Tensor } from '../../core/tensor.ts'

/** A sum over `depth`: the numbers of its operands among the inputs, [rows, depth] by [depth, columns]. */
interface Term {
  readonly depth: number
  readonly lhs: number
  readonly rhs: number
}

/** A kernel that writes each of some sums to an output of its own. */
function kernelOf(rows: number, columns: number, terms: readonly Term[]): Kernel {
  const inputs: Var[] = []
  for (const { depth, lhs, rhs } of terms) {
    inputs[lhs] = new Var(new Aval([rows, depth], 'f32'))
    inputs[rhs] = new Var(new Aval([depth, columns], 'f32'))
  }
  const at = (i: Affine, width: number, j: Affine): Affine => plus(times(i, width), j)
  const nest: ProductNest = {
    kind: 'product',
    batch: 1,
    rows,
    columns,
    sums: terms.map(({ depth, lhs, rhs }) => ({
      depth,
      lhs: (_, row, k) => scalar.load(lhs, at(row, depth, k), 'f32'),
      rhs: (_, column, k) => scalar.load(rhs, at(k, columns, column), 'f32'),
    })),
    place: (_, row, column) => at(row, columns, column),
    half: null,
    finish: (_, sums) => sums,
  }
  const outputs = terms.map(() => ({
    variable: new Var(new Aval([rows, columns], 'f32')),
    start: whole(0),
  }))
  return { name: 'sums', inputs, outputs, nest, guard: null, slices: null }
}

/** Elements of the results, and of the same sums in double precision. */
async function results(
  kernel: Kernel,
  rows: number,
  columns: number,
  terms: readonly Term[],
  quads: boolean,
) {
  const { wgsl, workgroups, isLarge } = emit(kernel, { hidesTurns: true, quads, large: null })
  const place = (kind: 'input' | 'output') => (_: unknown, index: number) => ({ kind, index })
  const step = {
    kind: 'dispatch' as const,
    name: kernel.name,
    wgsl,
    workgroups,
    isLarge,
    inputs: kernel.inputs.map(place('input')),
    outputs: kernel.outputs.map(place('output')),
    results: [],
    about: () => ({ kind: kernel.nest.kind, equations: [], line: null, layer: null }),
    cost: () => ({ flops: 0, bytes: 0 }),
  }
  const inputs = kernel.inputs.map(
    ({ aval }, k): Value => random.uniform(random.key(k), aval.shape, { minval: -1 }),
  )
  const data = await Promise.all(inputs.map((input) => input.data()))
  const outputs = kernel.outputs.map(
    ({ variable }) => new Tensor(variable.aval, null, { operation: 'plan', site: null }),
  )
  launch(
    new Program((machine) =>
      GpuProgram.of(machine as Device, { steps: [step], slots: [], packs: [], tables: [] }),
    ),
    inputs.map((input) => (input as Tensor).storage),
    outputs.map(({ storage }) => storage),
    [],
  )
  const found = await Promise.all(outputs.map((output) => output.data()))
  const expected = terms.map(({ depth, lhs, rhs }) =>
    Array.from({ length: rows * columns }, (_, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns]
      let sum = 0
      for (let k = 0; k < depth; k++)
        sum += Number(data[lhs]![i * depth + k]) * Number(data[rhs]![k * columns + j])
      return sum
    }),
  )
  return found.map((array, k) => Math.max(...expected[k]!.map((x, at) => Math.abs(x - Number(array[at])))))
}

const left: readonly Term[] = [1, 2, 3].map((rhs) => ({ depth: 16, lhs: 0, rhs }))
const right: readonly Term[] = [1, 2].map((lhs) => ({ depth: 16, lhs, rhs: 0 }))
const apart: readonly Term[] = [
  { depth: 16, lhs: 0, rhs: 1 },
  { depth: 8, lhs: 2, rhs: 3 },
]

test.each([
  ['one left operand', left],
  ['one right operand', right],
  ['nothing', apart],
] as const)('sums that share %s', async (_, terms) => {
  const { quads } = await openDevice()
  for (const [rows, columns] of [
    [32, 16],
    [32, 4],
    [13, 20],
    [9, 7],
    [1, 32],
    [3, 3],
  ] as const)
    for (const exchange of new Set([quads, false])) {
      const kernel = kernelOf(rows, columns, terms)
      for (const error of await results(kernel, rows, columns, terms, exchange))
        expect(error).toBeLessThan(1e-5)
    }
})

test('an operand that sums share is fetched once, in one loop', () => {
  const count = (terms: readonly Term[], text: string): number =>
    emit(kernelOf(32, 16, terms)).wgsl.split(text).length - 1
  expect([count(left, 'in0['), count(left, 'in1['), count(left, 'k++')]).toEqual([8, 4, 1])
  expect([count(right, 'in0['), count(right, 'in1['), count(right, 'k++')]).toEqual([4, 8, 1])
  expect(count(apart, 'k++')).toBe(2)
})
