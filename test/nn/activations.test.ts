// Activations against JAX's values and gradients, at kinks and in the tails.

import { expect, test } from 'vitest'
import { grad } from '../../autodiff/index.ts'
import { jit, sum, type Value, zeros } from '../../core/index.ts'
import * as nn from '../../nn/index.ts'
import { expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { toHosts, toTensor } from '../support/host.ts'

interface Activation {
  readonly in: readonly [GoldenArray]
  readonly out: GoldenArray
  readonly grad: readonly [GoldenArray]
}
const jax = golden<{ activations: Readonly<Record<string, Activation>> }>('elementwise.json').activations

const functions: Readonly<Record<string, (x: Value) => Value>> = {
  relu: nn.relu,
  relu6: nn.relu6,
  leakyRelu: (x) => nn.leakyRelu(x),
  elu: (x) => nn.elu(x),
  selu: nn.selu,
  celu: (x) => nn.celu(x),
  gelu: (x) => nn.gelu(x),
  'gelu, exact': (x) => nn.gelu(x, { approximate: false }),
  silu: nn.silu,
  softplus: nn.softplus,
  sigmoid: nn.sigmoid,
  logSigmoid: nn.logSigmoid,
  hardTanh: nn.hardTanh,
  mish: nn.mish,
  softSign: nn.softSign,
  squareplus: (x) => nn.squareplus(x),
  glu: (x) => nn.glu(x),
  'leakyRelu, slope 0.25': (x) => nn.leakyRelu(x, { slope: 0.25 }),
  'elu, alpha 0.5': (x) => nn.elu(x, { alpha: 0.5 }),
  'celu, alpha 2': (x) => nn.celu(x, { alpha: 2 }),
  'squareplus, b 1': (x) => nn.squareplus(x, { b: 1 }),
}

test('every activation of the golden file is here', () => {
  expect(Object.keys(functions)).toEqual(Object.keys(jax))
})

test.each(Object.entries(functions))('%s', async (name, f) => {
  const { in: inputs, out, grad: slopes } = jax[name]!
  const x = toTensor(ofGolden(inputs[0]))
  const both = jit((x: Value) => ({ y: f(x), slope: grad((x: Value) => sum(f(x)))(x) }))
  const found = await toHosts(both(x))
  expectClose(found.y, ofGolden(out), { relative: 1e-6, absolute: 2e-7 }, name)
  expectClose(found.slope, ofGolden(slopes[0]), { relative: 2e-6, absolute: 5e-7 }, `${name}, gradient`)
})

test('glu along any axis', () => {
  expect(nn.glu(zeros([4, 3]), { axis: 0 }).shape).toEqual([2, 3])
  expect(() => nn.glu(zeros([4, 3]))).toThrowErrorMatchingInlineSnapshot(
    `[RangeError: glu: axis -1 of f32[4,3] has extent 3; name an axis of even extent]`,
  )
  expect(() => nn.glu(zeros([4, 3]), { axis: 2 })).toThrowErrorMatchingInlineSnapshot(
    `[RangeError: glu: axis 2 of f32[4,3] does not exist; name an axis of even extent]`,
  )
})
