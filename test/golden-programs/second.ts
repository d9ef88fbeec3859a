// Second derivatives at work.

import {
  div,
  exp,
  eye,
  foriLoop,
  grad,
  hessian,
  hvp,
  index,
  jvp,
  logSumExp,
  matmul,
  mean,
  mul,
  sin,
  slice,
  square,
  stack,
  sub,
  sum,
  tanh,
  type Value,
  vdot,
  vjp,
  vmap,
} from '../../index.ts'
import { cube, f32, type Programs, twist } from './functions.ts'

function rosenbrock(x: Value): Value {
  const [n] = x.shape
  const head = slice(x, { start: [0], end: [n! - 1] })
  const tail = slice(x, { start: [1], end: [n!] })
  return sum(mul(2, square(sub(tail, square(head)))).add(square(sub(1, head))))
}

interface Layer {
  readonly w: Value
  readonly b: Value
}

export const second: Programs = {
  'hessian times vector': (x: Value, v: Value) => jvp(grad(rosenbrock), [x], [v]),

  'hessian times vector by reverse over reverse': (x: Value, v: Value) =>
    grad((x: Value) => sum(mul(grad(rosenbrock)(x), v)))(x),

  'hessian times vector by reverse over forward': (x: Value, v: Value) =>
    grad((x: Value) => jvp(rosenbrock, [x], [v])[1])(x),

  'hessian times a tree': (w: Value, b: Value, dw: Value, db: Value, x: Value) =>
    hvp((p: Layer) => sum(square(tanh(matmul(x, p.w).add(p.b)))), [{ w, b }], [{ w: dw, b: db }]),

  'newton step': (x: Value) => {
    const f = (x: Value) =>
      sum(exp(x))
        .add(sum(x.integerPow(4)))
        .add(mul(index(x, 0), index(x, 1)))
    const [g, h] = [grad(f)(x), hessian(f)(x)]
    const [h00, h01, h10, h11] = [index(h, 0, 0), index(h, 0, 1), index(h, 1, 0), index(h, 1, 1)]
    const det = sub(mul(h00, h11), mul(h01, h10))
    const solved = stack([
      sub(mul(h11, index(g, 0)), mul(h01, index(g, 1))),
      sub(mul(h00, index(g, 1)), mul(h10, index(g, 0))),
    ])
    return sub(x, div(solved, det))
  },

  'newton iterations for a root': (x: Value) => {
    const f = (x: Value) => sub(cube(x), 2)
    return foriLoop(0, 5, (_, x: Value) => sub(x, div(f(x), grad(f)(x))), x)
  },

  'natural gradient': (x: Value, w: Value) => {
    const loss = (w: Value, x: Value) => square(sum(sin(mul(x, w))))
    const g = vmap(grad(loss), { inAxes: [null, 0] })(w, x)
    return div(mean(g, { axis: 0 }), mean(mul(g, g), { axis: 0 }).add(0.125))
  },

  'laplacian in three ways': (x: Value) => {
    const f = (x: Value) => {
      const [a, b, c] = [index(x, 0), index(x, 1), index(x, 2)]
      return mul(sin(a), square(b)).add(mul(exp(mul(c, 0.5)), a))
    }
    const along = (v: Value) => jvp((x: Value) => jvp(f, [x], [v])[1], [x], [v])[1]
    const column = (v: Value) => vdot(v, jvp(grad(f), [x], [v])[1])
    const whole = hessian(f)(x)
    const corners = [0, 1, 2].map((k) => index(whole, k, k))
    return [sum(stack(corners)), sum(vmap(along)(eye(3))), sum(vmap(column)(eye(3)))]
  },

  'gauss newton times vector': (x: Value, v: Value) => {
    const [y, pullback] = vjp(twist, x)
    return pullback(mul(jvp(twist, [x], [v])[1], y))
  },

  'curvature along the gradient': (x: Value) => {
    const f = (x: Value) => logSumExp(mul(sin(x), 2))
    return vmap((x: Value) => {
      const [g, hg] = jvp(grad(f), [x], [grad(f)(x)])
      return sum(mul(g, hg))
    })(x)
  },

  'hessian of logsumexp': (x: Value) => hessian((x: Value) => logSumExp(mul(x, x)))(x),

  'taylor coefficients of a line': (x: Value, v: Value) => {
    const along = (s: Value) => sum(mul(sin(x.add(mul(s, v))), exp(mul(mul(x, s), 0.5))))
    const first = grad(along)
    const half = grad(first)
    return [along(f32(0)), first(f32(0)), half(f32(0)).div(2), grad(half)(f32(0)).div(6)]
  },
}
