// Transforms nested in odd orders, on trees and on several arguments.

import {
  cos,
  exp,
  eye,
  grad,
  hessian,
  jacfwd,
  jacrev,
  jit,
  jvp,
  linearize,
  linearTranspose,
  matmul,
  max,
  mean,
  mul,
  ones,
  outer,
  sin,
  square,
  stopGradient,
  sub,
  sum,
  tanh,
  transpose,
  type Value,
  valueAndGrad,
  vjp,
  vmap,
} from '../../index.ts'
import { backwards, bowl, cube, f32, type Programs, twist, wave } from './functions.ts'

interface Pair {
  readonly a: Value
  readonly b: Value
}

export const transforms: Programs = {
  'grad of vmap of jvp': (x: Value, t: Value) =>
    grad((x: Value) => sum(vmap((x: Value, t: Value) => jvp(wave, [x], [t])[1])(x, t)))(x),

  'jvp of grad of grad': (x: Value, t: Value) => jvp(grad(grad(wave)), [x], [t]),

  'vmap of grad of vmap': (x: Value, w: Value) => {
    const loss = (w: Value, row: Value) =>
      sum(square(vmap((a: Value, b: Value) => sum(sin(mul(a, b))))(row, w)))
    return vmap(grad(loss), { inAxes: [null, 0] })(w, x)
  },

  'jacfwd of a vector function': (x: Value) => jacfwd(twist)(x),
  'jacrev of a vector function': (x: Value) => jacrev(twist)(x),
  'hessian of a scalar function': (x: Value) => hessian((x: Value) => mul(bowl(x), sum(x)))(x),
  'jacfwd of jacrev': (x: Value) => jacfwd(jacrev(twist))(x),
  'jacrev of jacrev': (x: Value) => jacrev(jacrev(twist))(x),
  'jacrev of jacfwd': (x: Value) => jacrev(jacfwd(twist))(x),

  'hessian of a tree': (a: Value, b: Value) => {
    const f = (p: Pair) => sum(tanh(matmul(p.b, p.a))).add(sum(cube(p.a)))
    return hessian(f)({ a, b })
  },

  'jacrev of two arguments': (x: Value, y: Value) =>
    jacrev((x: Value, y: Value) => outer(sin(x), y), { argnums: [0, 1] })(x, y),

  'jacfwd of the second argument': (x: Value, y: Value) =>
    jacfwd((x: Value, y: Value) => outer(sin(x), mul(y, y)), { argnums: 1 })(x, y),

  'jacrev of a tree of results': (x: Value) =>
    jacrev((x: Value) => ({ s: sum(mul(x, x)), v: [cos(x), mul(backwards(x), x)] }))(x),

  'linearize called twice': (x: Value, s: Value, t: Value) => {
    const [y, f] = linearize(twist, x)
    return [y, f(s), f(t)]
  },

  'linear transpose of a matrix': (ct: Value, m: Value) =>
    linearTranspose((x: Value) => mul(2, matmul(transpose(m), x)), ones([3]) as Value)(ct),

  'vmap of a pullback': (x: Value) => {
    const [y, pullback] = vjp(twist, x)
    return [y, vmap(pullback)(eye(4))]
  },

  'vjp of a tree': (a: Value, b: Value, ct: Value) => {
    const [y, pullback] = vjp((p: Pair) => ({ m: mul(p.a, p.b), s: sum(sin(p.a)) }), { a, b })
    return [y, pullback({ m: ct, s: sum(ct) })]
  },

  'value and grad of a tree': (w: Value, b: Value, x: Value) => {
    const loss = (p: { readonly w: Value; readonly b: Value }, x: Value) =>
      mean(square(tanh(matmul(x, p.w).add(p.b))))
    return valueAndGrad(loss)({ w, b }, x)
  },

  'grad of several arguments': (x: Value, y: Value, z: Value) =>
    grad((x: Value, y: Value, z: Value) => sum(mul(mul(x, sin(y)), square(z))), { argnums: [2, 0] })(x, y, z),

  'grad with aux': (x: Value) =>
    grad((x: Value) => [bowl(x), { n: sum(mul(x, x)), y: wave(x) }] as const, { hasAux: true })(x),

  'value and grad with aux under vmap': (x: Value, y: Value) => {
    const f = (x: Value, y: Value) => [mul(mul(x, y), y), x.add(y)] as const
    return vmap(valueAndGrad(f, { argnums: 1, hasAux: true }))(x, y)
  },

  'perturbations are not confused': (x: Value, y: Value) =>
    grad((x: Value) => mul(x, grad((y: Value) => mul(x, sin(y)))(y)))(x),

  'perturbations are not confused forward': (x: Value, y: Value) => {
    const inner = (x: Value) => jvp((y: Value) => mul(mul(x, x), cube(y)), [y], [f32(1)])[1]
    return jvp((x: Value) => mul(x, inner(x)), [x], [f32(1)])
  },

  'fourth derivative': (x: Value) => grad(grad(grad(grad(wave))))(x),

  'vmap with axes': (x: Value, y: Value) =>
    vmap((a: Value, b: Value) => outer(sin(a), b), { inAxes: [1, 0], outAxes: 2 })(x, y),

  'vmap of vmap': (x: Value, y: Value) => {
    const f = (a: Value, b: Value) => exp(square(sub(a, b)).neg())
    return vmap(vmap(f, { inAxes: [null, 0] }), { inAxes: [0, null], outAxes: 1 })(x, y)
  },

  'vmap over a tree': (x: Value, b: Value) => {
    const f = (p: { readonly x: Value; readonly b: Value }, s: Value) => ({
      y: mul(p.x, p.b).add(s),
      z: sum(p.b),
    })
    return vmap(f, { inAxes: [{ x: 0, b: null }, null] })({ x, b }, max(b))
  },

  'vmap of jacrev': (x: Value) => vmap(jacrev(twist))(x),
  'vmap of hessian': (x: Value) => vmap(hessian(bowl))(x),

  'grad of a pushforward': (x: Value, t: Value, c: Value) =>
    grad((x: Value) => sum(mul(c, linearize(wave, x)[1](t))))(x),

  'grad with respect to a tangent': (x: Value, t: Value) =>
    grad((t: Value) => sum(square(jvp((x: Value) => mul(wave(x), x), [x], [t])[1])))(t),

  'jvp of jvp': (x: Value, t: Value) => jvp((x: Value) => jvp(bowl, [x], [t])[1], [x], [t]),

  'grad past stop gradient': (x: Value) =>
    grad((x: Value) => sum(mul(x, stopGradient(sin(x))).add(mul(square(stopGradient(x)), cos(x)))))(x),

  'grad of an argument that is not used': (x: Value, y: Value) =>
    grad((x: Value, _: Value) => sum(sin(x)), { argnums: [0, 1] })(x, y),

  'jit inside grad inside vmap': (x: Value, y: Value) => {
    const f = jit((x: Value, y: Value) => mul(sin(x), y))
    return vmap(grad((x: Value, y: Value) => jit((x: Value) => square(f(x, y)))(x)))(x, y)
  },

  'jvp of vmap of grad': (w: Value, x: Value) => {
    const loss = (w: Value, x: Value) => square(sum(tanh(mul(w, x))))
    return jvp((w: Value) => vmap(grad(loss), { inAxes: [null, 0] })(w, x), [w], [ones([3]) as Value])
  },
}
