// Derivatives given by rules, and recomputation.

import {
  checkpoint,
  clip,
  cond,
  cos,
  customJvp,
  customVjp,
  div,
  exp,
  grad,
  greater,
  hessian,
  index,
  jacfwd,
  jacrev,
  jvp,
  log,
  matmul,
  mul,
  outer,
  round,
  scan,
  sin,
  square,
  stopGradient,
  sub,
  sum,
  tanh,
  transpose,
  type Value,
  valueAndGrad,
  vmap,
} from '../../index.ts'
import { backwards, type Programs, wave } from './functions.ts'

interface Pair {
  readonly a: Value
  readonly b: Value
}

type Of = (x: Value) => Value

const softly: Of = customJvp(
  (x: Value) => log(exp(x).add(1)),
  ([x], [t]) => [softly(x), mul(t, sub(1, div(1, exp(x).add(1))))],
)

const clipped = customVjp(
  (x: Value) => x,
  (x: Value) => [x, null],
  (_: null, ct: Value) => [clip(ct, { min: -0.5, max: 0.5 })],
)

const product: (x: Value, y: Value) => Value = customVjp(
  (x: Value, y: Value) => mul(sin(x), y),
  (x: Value, y: Value) => [product(x, y), [x, y] as const],
  ([x, y], ct: Value) => [mul(mul(ct, cos(x)), y), mul(mul(ct, sin(x)), 2)],
)

export const custom: Programs = {
  'custom jvp value and grad': (x: Value) => valueAndGrad((x: Value) => sum(softly(x)))(x),

  'vmap of grad of custom jvp': (x: Value) => [vmap(grad(softly))(x), vmap(grad(grad(softly)))(x)],

  'the rule of custom jvp is what counts': (x: Value, y: Value) => {
    const f: (x: Value, y: Value) => Value = customJvp(
      (x: Value, y: Value) => mul(x, y),
      ([x, y], [s, t]) => [f(x, y).add(1), sub(mul(mul(3, s), y), mul(mul(t, x), 2))],
    )
    const slopes = grad((x: Value, y: Value) => sum(f(x, y)), { argnums: [0, 1] })
    return [f(x, y), jvp(f, [x, y], [y, x]), slopes(x, y)]
  },

  'custom jvp with a function as an argument': (x: Value) => {
    const apply: (f: Of, x: Value, n: number) => Value = customJvp(
      (f: Of, x: Value, n: number) => mul(f(x), n),
      (f: Of, n: number, [x]: readonly [Value], [t]: readonly [Value]) => [apply(f, x, n), mul(mul(t, n), x)],
      { nondiffArgnums: [0, 2] },
    )
    return [
      grad((x: Value) => sum(apply((x) => sin(x), x, 3)))(x),
      vmap((x: Value) => apply((x) => cos(x), x, 2))(x),
    ]
  },

  'custom jvp of a tree': (a: Value, b: Value) => {
    const f: (p: Pair) => { s: Value; d: Value } = customJvp(
      (p: Pair) => ({ s: mul(p.a, p.b), d: sub(p.a, p.b) }),
      ([p], [t]) => [f(p), { s: mul(t.a, p.b), d: mul(2, t.b) }],
    )
    const slopes = grad((p: Pair) => {
      const { s, d } = f(p)
      return sum(mul(s, d))
    })
    return [jacfwd(f)({ a, b }), slopes({ a, b })]
  },

  'custom jvp in scan and cond': (xs: Value, c: Value) => {
    const body = (c: Value, x: Value) =>
      [cond(greater(x, 0), softly, (x: Value) => sin(x), c.add(x)), softly(c)] as const
    return grad((c: Value, xs: Value) => scan(body, c, xs)[0], { argnums: [0, 1] })(c, xs)
  },

  'custom vjp that clips the gradient': (x: Value) =>
    valueAndGrad((x: Value) => sum(mul(sin(clipped(x)), x)))(x),

  'vmap of custom vjp': (x: Value, y: Value) => [
    vmap(product)(x, y),
    vmap(grad(product, { argnums: [0, 1] }))(x, y),
  ],

  'vmap of custom vjp with a shared argument': (x: Value, y: Value) =>
    valueAndGrad((y: Value) => sum(square(vmap(product, { inAxes: [0, null] })(x, y))))(y),

  'grad of grad of custom vjp': (x: Value, y: Value) => [
    grad(grad(product))(x, y),
    grad(grad(product, { argnums: 1 }), { argnums: 0 })(x, y),
  ],

  'custom vjp with arguments that are not differentiated': (x: Value) => {
    const apply: (f: Of, x: Value, n: number) => Value = customVjp(
      (f: Of, x: Value, n: number) => mul(f(x), n),
      (f: Of, x: Value, n: number) => [apply(f, x, n), { x }],
      (f: Of, n: number, { x }: { readonly x: Value }, ct: Value) => [mul(mul(ct, n + 1), f(x))],
      { nondiffArgnums: [0, 2] },
    )
    return valueAndGrad((x: Value) => sum(apply((x) => cos(x), x, 2)))(x)
  },

  'custom vjp of a tree': (a: Value, b: Value) => {
    const f: (p: Pair, s: Value) => { y: Value } = customVjp(
      (p: Pair, s: Value) => ({ y: mul(matmul(p.b, p.a), s) }),
      (p: Pair, s: Value) => [f(p, s), p] as const,
      (p: Pair, { y }: { y: Value }) => [{ a: matmul(transpose(p.b), y), b: mul(outer(y, p.a), 2) }, sum(y)],
    )
    const loss = (p: Pair, s: Value) => sum(square(f(p, s).y))
    return grad(loss, { argnums: [0, 1] })({ a, b }, index(a, 0))
  },

  'custom vjp in scan': (xs: Value, c: Value) => {
    const loss = (c: Value, xs: Value) => {
      const [last, ys] = scan((c: Value, x: Value) => [product(c, x), clipped(mul(c, x))], c, xs)
      return last.add(sum(square(ys)))
    }
    return grad(loss, { argnums: [0, 1] })(c, xs)
  },

  'jacrev of custom vjp': (x: Value) => jacrev((x: Value) => product(x, backwards(x)))(x),

  'rounding straight through': (x: Value) => {
    const through = (x: Value) => x.add(stopGradient(sub(round(x), x)))
    return valueAndGrad((x: Value) => sum(square(through(mul(x, 2)))))(x)
  },

  'grad of checkpoint': (w: Value, v: Value, x: Value) => {
    const f = (w: Value) => {
      const layer = checkpoint((x: Value) => tanh(matmul(x, w)))
      return (x: Value) => sum(square(matmul(layer(layer(x)), v)))
    }
    return grad(f(w))(x)
  },

  'grad of checkpoint that keeps products': (w: Value, b: Value, x: Value) => {
    interface Layer {
      readonly w: Value
      readonly b: Value
    }
    const layer = checkpoint((p: Layer, x: Value) => sin(matmul(x, p.w)).add(p.b), { policy: 'products' })
    return grad((p: Layer, x: Value) => sum(layer(p, layer(p, x))))({ w, b }, x)
  },

  'grad of checkpoint in scan': (xs: Value, c: Value) => {
    const body = checkpoint((c: Value, x: Value) => [sin(mul(c, x)).add(c), cos(c)] as const)
    const loss = (c: Value, xs: Value) => {
      const [last, ys] = scan(body, c, xs)
      return mul(last, sum(ys))
    }
    return grad(loss, { argnums: [0, 1] })(c, xs)
  },

  'hessian of checkpoint': (x: Value) =>
    hessian((x: Value) => {
      const inner = checkpoint(wave)
      return sum(mul(inner(x), x))
    })(x),
}
