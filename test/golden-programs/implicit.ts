// Derivatives of what iterations find, from what it satisfies.

import {
  cos,
  customJvp,
  customVjp,
  div,
  foriLoop,
  grad,
  greater,
  less,
  logicalAnd,
  matmul,
  mul,
  sin,
  square,
  sub,
  sum,
  transpose,
  type Value,
  vdot,
  vjp,
  vmap,
  whileLoop,
  zerosLike,
} from '../../index.ts'
import { i32, type Programs } from './functions.ts'

const fixed = (f: (x: Value) => Value, x: Value): Value => foriLoop(0, 40, (_, x: Value) => f(x), x)

const step = (a: Value, x: Value): Value => mul(cos(mul(a, x)), 0.5)

/** `x = cos(a x) / 2` */
const solve: (a: Value) => Value = customVjp(
  (a: Value) => fixed((x) => step(a, x), zerosLike(a)),
  (a: Value) => {
    const x = solve(a)
    return [x, [a, x] as const]
  },
  ([a, x], ct: Value) => {
    const [, pull] = vjp(step, a, x)
    const u = fixed((u) => ct.add(pull(u)[1]), ct)
    return [pull(u)[0]]
  },
)

const root: (a: Value) => Value = customJvp(
  (a: Value) => foriLoop(0, 12, (_, x: Value) => mul(0.5, x.add(div(a, x))), a.add(1)),
  ([a], [t]) => {
    const x = root(a)
    return [x, div(t, mul(2, x))]
  },
)

type State = readonly [x: Value, residual: Value, direction: Value, count: Value]

function conjugateGradients(multiply: (x: Value) => Value, b: Value): Value {
  const next = ([x, r, p, n]: State): State => {
    const mp = multiply(p)
    const alpha = div(vdot(r, r), vdot(p, mp))
    const q = sub(r, mul(alpha, mp))
    return [x.add(mul(alpha, p)), q, q.add(mul(div(vdot(q, q), vdot(r, r)), p)), n.add(1)]
  }
  const more = ([, r, , n]: State) => logicalAnd(less(n, 3), greater(vdot(r, r), 2 ** -40))
  return whileLoop(more, next, [zerosLike(b), b, b, i32(0)])[0]
}

const times = (m: Value, x: Value): Value => matmul(transpose(m), matmul(m, x)).add(mul(2, x))

const linearSolve: (m: Value, b: Value) => Value = customVjp(
  (m: Value, b: Value) => conjugateGradients((x) => times(m, x), b),
  (m: Value, b: Value) => {
    const x = linearSolve(m, b)
    return [x, [m, x] as const]
  },
  ([m, x], ct: Value) => {
    const u = conjugateGradients((v) => times(m, v), ct)
    const [, pull] = vjp((m: Value) => times(m, x).neg(), m)
    return [pull(u)[0], u]
  },
)

export const implicit: Programs = {
  'grad of a fixed point': (a: Value) => [solve(a), grad((a: Value) => sum(square(solve(a))))(a)],

  'vmap of grad of a fixed point': (a: Value) => vmap(grad(solve))(a),

  'implicit square root': (a: Value) => [root(a), vmap(grad(root))(a), vmap(grad(grad(root)))(a)],

  'linear solve by conjugate gradients': (m: Value, b: Value) => conjugateGradients((x) => times(m, x), b),

  'grad of a linear solve': (m: Value, b: Value) =>
    grad((m: Value, b: Value) => sum(sin(linearSolve(m, b))), { argnums: [0, 1] })(m, b),
}
