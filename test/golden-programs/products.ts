// Sums of products.

import {
  arange,
  cross,
  dot,
  einsum,
  grad,
  hessian,
  index,
  inner,
  kron,
  matmul,
  mul,
  outer,
  sin,
  square,
  sum,
  tensordot,
  type Value,
  vdot,
  vmap,
} from '../../index.ts'
import { cube, type Programs } from './functions.ts'

export const products: Programs = {
  'einsum of three': (a: Value, b: Value, c: Value) => {
    const f = (b: Value) => einsum('ij,jk,kl->il', a, b, c)
    return [f(b), grad((b: Value) => sum(square(f(b))))(b)]
  },

  'einsum of batches': (a: Value, b: Value) => einsum('bij,bjk->bki', a, b),

  'einsum of a diagonal': (a: Value) => ['ii->i', 'ii->', 'ij->ji', 'ij->j'].map((spec) => einsum(spec, a)),

  'grad of einsum of a diagonal': (a: Value) =>
    grad((a: Value) => square(einsum('ii->', a)).add(sum(cube(einsum('ii->i', a)))))(a),

  'einsum with an ellipsis': (a: Value, b: Value) => einsum('...ij,...jk->...ik', a, b),

  'einsum without an arrow': (a: Value, b: Value) => [einsum('ji,jk', a, b), einsum('ba', a)],

  'grad of a bilinear einsum': (s: Value, m: Value, x: Value, y: Value) => {
    const f = (s: Value, m: Value, x: Value, y: Value) => einsum('k,kij,i,j->', s, m, x, y)
    return grad(f, { argnums: [0, 1, 2, 3] })(s, m, x, y)
  },

  'tensordot over axes': (a: Value, b: Value) => [
    tensordot(a, b, [
      [1, 2],
      [1, 0],
    ]),
    index(tensordot(a, b, 1), 0, { stop: 2 }, 0),
  ],

  'products of vectors': (x: Value, y: Value, z: Value) => [dot(x, y), vdot(x, y), inner(x, y), outer(x, z)],

  'inner of matrices': (a: Value, b: Value) => [inner(a, b), grad((a: Value) => sum(sin(inner(a, b))))(a)],

  'kron with its gradient': (a: Value, b: Value) => {
    const w = arange(24).reshape([4, 6]).cast('f32').div(8)
    return [kron(a, b), grad((a: Value, b: Value) => sum(mul(kron(a, b), w)), { argnums: [0, 1] })(a, b)]
  },

  'cross with its gradient': (a: Value, b: Value) => [
    cross(a, b),
    grad((a: Value) => sum(square(cross(a, b))))(a),
  ],

  'matmul that broadcasts': (a: Value, b: Value) => [
    matmul(a, b),
    grad((a: Value, b: Value) => sum(square(matmul(a, b))), { argnums: [0, 1] })(a, b),
  ],

  'vmap of matrix times vector': (m: Value, v: Value) => [
    vmap((m: Value, v: Value) => dot(m, v), { inAxes: [0, null] })(m, v),
    vmap((m: Value, v: Value) => matmul(m, v), { inAxes: [1, null] })(m, v),
  ],

  'vmap of vmap of dot': (a: Value, b: Value) => {
    const rows = vmap((a: Value, b: Value) => dot(a, b), { inAxes: [null, 0] })
    return vmap(rows, { inAxes: [0, null] })(a, b)
  },

  'hessian of a cubic form': (m: Value) =>
    hessian((x: Value) => mul(einsum('ij,i,j->', m, x, x), sum(x)))(index(m, 0)),
}
