// The laws of primitives, on matrices that the host takes apart.

import { cast, equal, iota, linalg, matmul, mul, sum, type Value } from '../../index.ts'
import type { Budget } from '../support/close.ts'
import { type Domain, floats } from '../support/inputs.ts'
import { describeLaws, type Row } from './laws.ts'

/** What the host computes from the same numbers is rounded once. */
const rounded: Budget = { ulps: 1 }
const few: Budget = { relative: 4e-6, absolute: 2e-6 }

const row = (
  name: string,
  inputs: readonly Domain[],
  f: Row['f'],
  budget: Budget,
  rest: Pick<Row, 'linearIn'> = {},
): Row => ({ name, inputs, f, budget, ...rest })

/** Far from singular: with a large diagonal. */
const regular = (x: Value): Value =>
  x.add(cast(equal(iota(x.shape, { axis: -1 }), iota(x.shape, { axis: -2 })), 'f32').mul(5))
const definite = (x: Value): Value => regular(matmul(x, x.moveaxis(-1, -2)).mul(0.5))

const second = { linearIn: [1] } as const
const m33 = floats([3, 3])
const m32 = floats([3, 2])
const m23 = floats([2, 3])
const stack = floats([2, 3, 3])

const rows: readonly Row[] = [
  row('solve', [m33, m32], (a, b) => linalg.solve(regular(a), b), few, second),
  row('solve', [stack, floats([3])], (a, b) => linalg.solve(regular(a), b), few, second),
  row('solve', [m33, floats([2, 3, 2])], (a, b) => linalg.solve(regular(a), b), few, second),
  ...[true, false].flatMap((lower) =>
    [true, false].map((transpose) =>
      row(
        `triangularSolve, lower ${lower}, transpose ${transpose}`,
        [m33, m32],
        (a, b) => linalg.triangularSolve(regular(a), b, { lower, transpose }),
        few,
        second,
      ),
    ),
  ),
  row(
    'triangularSolve, unitDiagonal',
    [stack, m32],
    (a, b) => linalg.triangularSolve(a, b, { lower: true, unitDiagonal: true }),
    rounded,
    second,
  ),
  row('inv', [stack], (a) => linalg.inv(regular(a)), few),
  row('det', [floats([2, 1, 1])], (a) => linalg.det(a), few),
  row('det', [floats([2, 2, 2])], (a) => linalg.det(a), few),
  row('det', [stack], (a) => linalg.det(a), { relative: 4e-6, absolute: 1e-5 }),
  row('det', [floats([2, 4, 4])], (a) => linalg.det(a), rounded),
  row('slogdet', [stack], (a) => linalg.slogdet(regular(a))[1], few),
  row('slogdet', [m33], (a) => linalg.slogdet(a)[0], rounded),
  row('cholesky', [stack], (a) => linalg.cholesky(definite(a)), few),
  ...[m33, floats([2, 4, 2]), m23].flatMap((domain) =>
    [0, 1].map((k) => row(`qr, ${'qr'[k]}`, [domain], (a) => linalg.qr(a)[k]!, rounded)),
  ),
  ...[m33, floats([2, 4, 2]), m23].flatMap((domain) =>
    [0, 1, 2].map((k) => row(`svd, ${['u', 's', 'vt'][k]}`, [domain], (a) => linalg.svd(a)[k]!, rounded)),
  ),
  row('svd, computeUv false', [m32], (a) => linalg.svd(a, { computeUv: false }), rounded),
  row('eigh, w', [stack], (a) => linalg.eigh(a)[0], few),
  row('eigh, v', [stack], (a) => linalg.eigh(a)[1], few),
  row('pinv', [m33], (a) => linalg.pinv(regular(a)), few),
  ...[floats([2, 4, 2]), m23].map((domain) => row('pinv', [domain], (a) => linalg.pinv(a), rounded)),
  row('matrixRank', [stack], (a) => linalg.matrixRank(a), rounded),
  ...[0, 1, 2, 3].map((k) => row(`lstsq, result ${k}`, [m32, m32], (a, b) => linalg.lstsq(a, b)[k]!, few)),
  row(
    'solve after cholesky',
    [m33, m32],
    (a, b) => {
      const l = linalg.cholesky(definite(a))
      const half = linalg.triangularSolve(l, b, { lower: true })
      return mul(linalg.triangularSolve(l, half, { lower: true, transpose: true }), sum(b))
    },
    few,
  ),
]

for (const [k, row] of rows.entries()) describeLaws(row, k, false)
