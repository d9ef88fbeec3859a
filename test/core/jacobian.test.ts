// Jacobians: both modes agree, shapes and trees are JAX's; and `checkGrads` finds what is wrong.

import { describe, expect, test } from 'vitest'
import {
  add,
  checkGrads,
  cos,
  customJvp,
  customVjp,
  exp,
  hessian,
  hvp,
  jacfwd,
  jacrev,
  jit,
  matmul,
  mul,
  outer,
  sin,
  sum,
  tanh,
  tensor,
  tree,
  type Value,
  vmap,
  zeros,
} from '../../index.ts'
import { expectClose } from '../support/close.ts'
import { toHost } from '../support/host.ts'

const x3 = tensor([0.3, -0.7, 1.1])
const m23 = tensor([
  [0.2, -0.4, 0.9],
  [1.3, 0.1, -0.6],
])
const params = { w: m23, b: [tensor([0.5, -0.2])] as const }
type Params = { readonly w: Value; readonly b: readonly [Value] }
const layer = ({ w, b }: Params, x: Value) => {
  const y = tanh(add(matmul(w, x), b[0]))
  return { y, square: [sum(mul(y, y))] as const }
}
const few = { relative: 4e-6, absolute: 2e-6 }

async function expectSame(a: unknown, b: unknown): Promise<void> {
  expect(tree.structure(a)).toBe(tree.structure(b))
  const [found, wanted] = [tree.leaves(a) as Value[], tree.leaves(b) as Value[]]
  for (const [k, value] of found.entries()) {
    expect(`${value.aval}`).toBe(`${wanted[k]!.aval}`)
    expectClose(await toHost(value), await toHost(wanted[k]!), few, `array ${k}`)
  }
}

const shapes = (jacobian: unknown) => tree.map((block: Value) => `${block.aval}`, jacobian)

describe('jacobians', () => {
  test('forward and reverse agree on trees of results and of arguments', async () => {
    const [forward, reverse] = [jacfwd(layer)(params, x3), jacrev(layer)(params, x3)]
    await expectSame(forward, reverse)
    expect(shapes(forward)).toEqual({
      y: { w: 'f32[2,2,3]', b: ['f32[2,2]'] },
      square: [{ w: 'f32[2,3]', b: ['f32[2]'] }],
    })
  })

  test('argnums as a number and as a list, with aux', async () => {
    const f = (a: Value, x: Value) => [matmul(sin(a), x), { largest: a.max(), count: sum(x) }] as const
    const options = { argnums: [1, 0], hasAux: true } as const
    const [forward, aux] = jacfwd(f, options)(m23, x3)
    const [reverse, other] = jacrev(f, options)(m23, x3)
    await expectSame(forward, reverse)
    await expectSame(aux, other)
    expect(shapes(forward)).toEqual(['f32[2,3]', 'f32[2,2,3]'])
    expect(await aux.largest.item()).toBeCloseTo(1.3)
    await expectSame(jacfwd((a: Value, x: Value) => f(a, x)[0], { argnums: 1 })(m23, x3), forward[0])
  })

  test('the rows are those of vmap, inside of jit and of vmap', async () => {
    const twist = (x: Value) => mul(x, sin(x.flip()))
    const xs = tensor([
      [0.1, 0.2, 0.3],
      [1, 2, 3],
    ])
    await expectSame(jit(vmap(jacfwd(twist)))(xs), vmap(jacrev(twist))(xs))
  })

  test('a Hessian is symmetric, and hvp multiplies by it', async () => {
    const f = (x: Value) => sum(mul(exp(mul(x, x.flip())), x))
    const h = hessian(f)(x3)
    await expectSame(h, h.transpose())
    const v = tensor([1, -2, 0.5])
    await expectSame(hvp(f, [x3], [v]), matmul(h, v))
  })

  test('a Hessian of a tree is a tree of trees', async () => {
    const h = hessian((p: Params) => layer(p, x3).square[0])(params)
    expect(shapes(h)).toEqual({
      w: { w: 'f32[2,3,2,3]', b: ['f32[2,3,2]'] },
      b: [{ w: 'f32[2,2,3]', b: ['f32[2,2]'] }],
    })
    await expectSame(h.w.b[0], h.b[0].w.transpose([1, 2, 0]))
  })

  test('a result that does not depend on the argument has zeros', async () => {
    const f = (x: Value) => ({ one: zeros([2]), all: sum(x) })
    await expectSame(jacfwd(f)(x3), { one: zeros([2, 3]), all: tensor([1, 1, 1]) })
    await expectSame(jacrev(f)(x3), { one: zeros([2, 3]), all: tensor([1, 1, 1]) })
  })
})

describe('checkGrads', () => {
  test('passes what is right, with trees and integers', async () => {
    const ids = tensor([1, 0, 1], { dtype: 'i32' })
    await checkGrads(
      (p: Params, ids: Value) => [layer(p, x3), outer(p.b[0].take(ids), cos(x3)), ids],
      [params, ids],
    )
  })

  const wrong = customJvp(
    (x: Value) => sin(x),
    ([x], [t]) => [sin(x), mul(mul(cos(x), t), 1.1)],
  )
  const wrongBack = customVjp(
    (x: Value) => sin(x),
    (x) => [sin(x), x],
    (x, ct) => [mul(sin(x), ct)],
  )
  // Right in the first derivative, wrong in the second.
  const slope = customJvp(
    (x: Value) => cos(x),
    ([x], [t]) => [cos(x), mul(sin(x), t)],
  )
  const late = customJvp(
    (x: Value) => sin(x),
    ([x], [t]) => [sin(x), mul(slope(x), t)],
  )

  const failure = (promise: Promise<void>) =>
    promise.then(
      () => 'nothing was wrong',
      ({ message }: Error) => message.replace(/(-?\d\.\d{3})\d+/g, '$1'),
    )

  test('finds a wrong rule', async () => {
    expect(await failure(checkGrads(wrong, [x3]))).toMatchInlineSnapshot(
      `"checkGrads: order 1, fwd: element 0 of derivative 0 is 1.055, but differences give 0.959; correct the rule, or give eps, rtol or atol"`,
    )
    expect(await failure(checkGrads(wrong, [x3], { modes: ['rev'] }))).toMatchInlineSnapshot(
      `"checkGrads: order 1, rev: the product with the pullback is 0.773, but differences give 0.703; correct the rule, or give eps, rtol or atol"`,
    )
    expect(await failure(checkGrads(wrongBack, [x3], { modes: ['rev'] }))).toMatchInlineSnapshot(
      `"checkGrads: order 1, rev: the product with the pullback is -0.869, but differences give 0.703; correct the rule, or give eps, rtol or atol"`,
    )
  })

  test('finds a wrong second derivative, and only if it is asked for', async () => {
    await checkGrads(late, [x3], { order: 1 })
    expect(await failure(checkGrads(late, [x3]))).toMatchInlineSnapshot(
      `"checkGrads: order 2, fwd of fwd: element 0 of derivative 1 is -2.244, but differences give -2.422; correct the rule, or give eps, rtol or atol"`,
    )
    expect(await failure(checkGrads(late, [x3], { modes: ['rev'] }))).toMatchInlineSnapshot(
      `"checkGrads: order 2, rev of rev: the product with the pullback is 0.510, but differences give 0.951; correct the rule, or give eps, rtol or atol"`,
    )
  })

  test('takes f32 only', async () => {
    const half = tensor([1, 2], { dtype: 'f16' })
    expect(await failure(checkGrads(sin, [half]))).toMatchInlineSnapshot(
      `"checkGrads: an argument is f16[2], too coarse for differences; check f at f32 arguments"`,
    )
  })
})

test('errors', () => {
  const said = (f: () => unknown) => {
    try {
      f()
    } catch (error) {
      return (error as Error).message
    }
    return 'nothing'
  }
  const i3 = tensor([0, 1, 2], { dtype: 'i32' })
  expect([
    said(() => jacfwd(sin)(i3)),
    said(() => jacrev(sin, { argnums: 1 })(x3)),
    said(() => jacfwd((x: Value) => ({ y: x.argmax() }))(x3)),
    said(() => jacrev((x: Value) => x.argmax())(x3)),
    said(() => jacrev((x: Value) => x as never, { hasAux: true })(x3)),
    said(() => jacfwd((x: Value) => x)(zeros([0]))),
    said(() => jacrev((_: Value) => [])(x3)),
  ]).toMatchInlineSnapshot(`
    [
      "jacfwd: argument 0 is i32[3]; differentiate with respect to float arrays only",
      "jacrev: argnums names argument 1, but there are 1; count from 0",
      "jacfwd: the output "y" is i32[]; cast it, or return it as aux",
      "jacrev: the output is i32[]; cast it, or return it as aux",
      "jacrev: the function returned no pair; with hasAux, return [value, aux]",
      "jacfwd: the arguments have no elements; give at least one array that has some",
      "jacrev: the results have no elements; give at least one array that has some",
    ]
  `)
})
