// Linear algebra against JAX: values and gradients, what comes of singular and broken matrices, and what is said of wrong shapes.

import { describe, expect, test } from 'vitest'
import {
  abs,
  add,
  cond,
  full,
  grad,
  jit,
  linalg,
  map,
  matmul,
  mul,
  scan,
  sub,
  sum,
  tensor,
  type Value,
  vmap,
  zeros,
} from '../../index.ts'
import { expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden, ofLargest } from '../support/golden.ts'
import { toHost, toHosts, toTensor, toTensors } from '../support/host.ts'
import { floats, generator } from '../support/inputs.ts'

interface Case {
  readonly in: readonly GoldenArray[]
  readonly out: readonly GoldenArray[]
  readonly grad?: readonly GoldenArray[]
}
const jax = golden<{
  readonly cases: Readonly<Record<string, Case>>
  readonly corners: Readonly<Record<string, readonly Case[]>>
}>('linalg.json')

type F = (a: Value, b: Value) => Value | readonly Value[]

const functions: Readonly<Record<string, F>> = {
  solve: (a, b) => linalg.solve(a, b),
  'triangularSolve lower transpose': (a, b) => linalg.triangularSolve(a, b, { lower: true, transpose: true }),
  'triangularSolve lower unitDiagonal': (a, b) =>
    linalg.triangularSolve(a, b, { lower: true, unitDiagonal: true }),
  'triangularSolve lower': (a, b) => linalg.triangularSolve(a, b, { lower: true }),
  'triangularSolve transpose': (a, b) => linalg.triangularSolve(a, b, { transpose: true }),
  triangularSolve: (a, b) => linalg.triangularSolve(a, b),
  inv: (a) => linalg.inv(a),
  det: (a) => linalg.det(a),
  slogdet: (a) => linalg.slogdet(a),
  cholesky: (a) => linalg.cholesky(a),
  qr: (a) => linalg.qr(a),
  'svd, computeUv false': (a) => linalg.svd(a, { computeUv: false }),
  svd: (a) => {
    const [u, s, vt] = linalg.svd(a)
    return [abs(u), s, abs(vt)]
  },
  eigh: (a) => {
    const [w, v] = linalg.eigh(a)
    return [w, abs(v)]
  },
  pinv: (a) => linalg.pinv(a),
  'lstsq of rank 1': (a, b) => linalg.lstsq(a, b),
  'lstsq of': (a, b) => linalg.lstsq(a, b)[0],
  lstsq: (a, b) => linalg.lstsq(a, b).slice(0, 2),
  matrixRank: (a) => linalg.matrixRank(a),
}

/** The function of a case: the first whose name begins that of the case. */
const functionOf = (name: string): F => {
  const [, f] = Object.entries(functions).find(([key]) => name.startsWith(key))!
  return f
}

const weigh = (y: Value): Value =>
  mul(
    y,
    tensor(
      Float32Array.from({ length: y.size }, (_, i) => (1 + (i % 3)) / 2),
      { shape: y.shape },
    ),
  )

describe('JAX', () => {
  for (const [name, { in: inputs, out, grad: slopes = [] }] of Object.entries(jax.cases))
    test(name, async () => {
      const results = (...xs: Value[]): readonly Value[] => [functionOf(name)(xs[0]!, xs[1]!)].flat()
      const loss = (...xs: Value[]): Value =>
        results(...xs)
          .map((y) => sum(weigh(y)))
          .reduce((a, b) => add(a, b))
      const argnums = slopes.map((_, k) => k)
      const both = jit((...xs: Value[]) => [
        results(...xs),
        argnums.length > 0 ? (grad(loss, { argnums })(...xs) as unknown as Value[]) : [],
      ])
      const [values, gradients] = await toHosts(both(...toTensors(inputs.map(ofGolden))))
      for (const [k, y] of out.map(ofGolden).entries())
        expectClose(values![k]!, y, ofLargest(y, 1e-6), `result ${k}`)
      for (const [k, y] of slopes.map(ofGolden).entries())
        expectClose(gradients![k]!, y, ofLargest(y, 5e-6), `gradient ${k}`)
    })

  for (const [name, corners] of Object.entries(jax.corners))
    test(`corners of ${name}`, async () => {
      for (const { in: inputs, out } of corners) {
        const [a, b] = inputs.map((x) => toTensor(ofGolden(x)))
        const values = await toHosts([functionOf(name)(a!, b!)].flat())
        for (const [k, y] of out.map(ofGolden).entries())
          expectClose(
            values[k]!,
            y,
            { absolute: 1e-6 },
            `${inputs.map(({ data }) => `[${data}]`)}, result ${k}`,
          )
      }
    })
})

describe('in programs', () => {
  const a = tensor([
    [4, 1, 0],
    [2, 5, 1],
    [0, 1, 3],
  ])
  const xs = tensor([
    [1, 2, 3],
    [3, 1, 2],
  ])

  test('in the body of a scan, and its gradient', async () => {
    const f = (a: Value): Value =>
      sum(scan((h: Value, x: Value) => [linalg.solve(a, add(h, x)), null], zeros([3]), xs)[0])
    const written = (a: Value): Value =>
      sum(linalg.solve(a, add(linalg.solve(a, tensor([1, 2, 3])), tensor([3, 1, 2]))))
    expectClose(await toHost(grad(f)(a)), await toHost(grad(written)(a)), { absolute: 1e-6 })
  })

  test('in the branch that is taken', async () => {
    const f = jit((flag: Value, a: Value) =>
      cond(
        flag,
        () => linalg.inv(a),
        () => a,
      ),
    )
    expectClose(await toHost(matmul(f(full([], true), a), a)), await toHost(linalg.solve(a, a)), {
      absolute: 1e-6,
    })
    expectClose(await toHost(f(full([], false), a)), await toHost(a))
  })

  test('map = vmap', async () => {
    const f = (x: Value): Value => linalg.cholesky(add(mul(x.reshape([3, 1]), x), a))
    expectClose(await toHost(map(f, xs)), await toHost(vmap(f)(xs)))
  })

  test('factors of larger matrices', async () => {
    for (const shape of [
      [60, 40],
      [40, 60],
    ]) {
      const a = toTensor(floats(shape).draw(generator(shape[0]!)))
      const [q, r] = linalg.qr(a)
      const [u, s, vt] = linalg.svd(a)
      const host = await toHost(a)
      expectClose(await toHost(matmul(q, r)), host, { absolute: 1e-5 })
      expectClose(await toHost(matmul(mul(u, s), vt)), host, { absolute: 1e-5 })
      const [w, v] = linalg.eigh(matmul(a, a.transpose()))
      const largest = ofLargest(await toHost(w), 1e-6)
      expectClose(
        await toHost(sub(matmul(matmul(a, a.transpose()), v), mul(v, w))),
        await toHost(zeros(v.shape)),
        largest,
      )
    }
  })

  test('of no elements', async () => {
    const [u, s, vt] = linalg.svd(zeros([0, 3]))
    expect([u, s, vt].map(String)).toEqual(['f32[0,0]', 'f32[0]', 'f32[0,3]'])
    expect(await linalg.matrixRank(zeros([0, 3])).item()).toBe(0)
    expect(await linalg.det(zeros([0, 0])).item()).toBe(1)
    expect(await linalg.pinv(zeros([3, 0])).data()).toHaveLength(0)
    expect(await linalg.solve(zeros([0, 0]), zeros([0])).data()).toHaveLength(0)
    expect(await linalg.cholesky(zeros([0, 2, 2])).data()).toHaveLength(0)
  })
})

const m23 = zeros([2, 3])
const failures: Readonly<Record<string, () => unknown>> = {
  'a matrix that is not square': () => linalg.inv(m23),
  'a batch that is not square': () => linalg.cholesky(zeros([5, 2, 3])),
  'a vector for a matrix': () => linalg.svd(zeros([3])),
  integers: () => linalg.det(zeros([2, 2], 'i32')),
  'a right-hand side of integers': () => linalg.solve(zeros([2, 2]), zeros([2], 'i32')),
  'a right-hand side that does not fit': () => linalg.solve(zeros([2, 2]), zeros([3])),
  'a right-hand side of too few rows': () => linalg.triangularSolve(zeros([5, 3, 3]), zeros([5, 2, 3])),
  'batches that do not broadcast': () => linalg.solve(zeros([5, 3, 3]), zeros([2, 3, 1])),
  'rows that differ in least squares': () => linalg.lstsq(m23, zeros([3])),
}

describe('errors', () => {
  test('say what is wrong', () => {
    const messages = Object.entries(failures).map(([name, fail]) => {
      try {
        fail()
      } catch (error) {
        return `${name}: ${error}`
      }
      return `${name}: no error`
    })
    expect(messages.join('\n')).toMatchInlineSnapshot(`
      "a matrix that is not square: TypeError: linalg.inv: the matrices of f32[2,3] are not square; make the last two axes equal
      a batch that is not square: TypeError: linalg.cholesky: the matrices of f32[5,2,3] are not square; make the last two axes equal
      a vector for a matrix: TypeError: linalg.svd: f32[3] is no matrix; give an array of at least two axes
      integers: TypeError: linalg.det: i32[2,2] is not f32; cast it
      a right-hand side of integers: TypeError: linalg.solve: the right-hand side i32[2] is not f32; cast it
      a right-hand side that does not fit: TypeError: linalg.solve: the right-hand side f32[3] does not fit f32[2,2]; give [2] or [..., 2, columns]
      a right-hand side of too few rows: TypeError: linalg.triangularSolve: the right-hand side f32[5,2,3] does not fit f32[5,3,3]; give [3] or [..., 3, columns]
      batches that do not broadcast: TypeError: linalg.solve: shapes [5] and [2] do not broadcast: axis 0 is 5 on the left and 2 on the right; make them equal, or one of them 1
      rows that differ in least squares: TypeError: linalg.lstsq: the right-hand side f32[3] does not fit f32[2,3]; give [2] or [..., 2, columns]"
    `)
  })
})
