// Initial values of weights.

import { jit, matmul, random, transpose, type Value } from 'cotangent'
import { orthogonal } from 'cotangent/nn'
import { expect, test } from 'vitest'
import { toHost } from '../support/host.ts'

test.each([
  [3, 3],
  [4, 2],
  [2, 4],
] as const)('orthogonal %i × %i has orthonormal rows or columns', async (out, inputs) => {
  const gram = jit((key: Value) => {
    const w = orthogonal(key, [out, inputs], { scale: 2 })
    return out < inputs ? matmul(w, transpose(w)) : matmul(transpose(w), w)
  })
  const { data, shape } = await toHost(gram(random.key(3)))
  for (const [k, x] of data.entries()) expect(x).toBeCloseTo(k % (shape[0]! + 1) === 0 ? 4 : 0, 5)
})
