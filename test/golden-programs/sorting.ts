// Sorting, and folds that keep what came before.

import {
  argsort,
  associativeScan,
  at,
  cumLogSumExp,
  cummax,
  cummin,
  cumprod,
  cumsum,
  grad,
  jvp,
  median,
  mul,
  percentile,
  quantile,
  searchSorted,
  sort,
  square,
  stack,
  sum,
  topK,
  type Value,
  vmap,
} from '../../index.ts'
import { f32, type Programs } from './functions.ts'

export const sorting: Programs = {
  'sort of both axes': (x: Value) => [sort(x), sort(x, { axis: 0 }), sort(x.reshape([-1]))],

  'grad of sort': (x: Value, w: Value) => grad((x: Value) => sum(mul(square(sort(x)), w)))(x),

  'argsort is stable': (x: Value) => [argsort(x), argsort(x, { descending: true })],

  'vmap of sort with a tangent': (x: Value, t: Value) =>
    vmap((x: Value, t: Value) => jvp((x: Value) => sort(x), [x], [t]))(x, t),

  'top k with its gradient': (x: Value) => [topK(x, 2), grad((x: Value) => sum(square(topK(x, 3)[0])))(x)],

  'cumsum both ways': (x: Value) => [cumsum(x, { axis: 1 }), cumsum(x, { axis: 0, reverse: true })],

  'grad of cumprod': (x: Value, w: Value) => {
    const f = (x: Value) => sum(mul(cumprod(x), w))
    return [cumprod(x), grad(f)(x), grad(f)(at(x, 1).set(0))]
  },

  'grad of cummax and cummin': (x: Value, w: Value) => [
    cummax(x),
    cummin(x, { reverse: true }),
    grad((x: Value) => sum(mul(cummax(x), w).add(square(cummin(x)))))(x),
  ],

  'grad of cumlogsumexp': (x: Value, w: Value) => [
    cumLogSumExp(x),
    grad((x: Value) => sum(mul(cumLogSumExp(x), w)))(x),
  ],

  'quantile with its gradient': (x: Value) => {
    const f = (x: Value) => quantile(x, stack([f32(0.25), f32(0.625)]))
    return [f(x), grad((x: Value) => sum(square(f(x))))(x), percentile(x, 50)]
  },

  'median with its gradient': (x: Value) => [
    median(x),
    median(x, { axis: 0 }),
    grad((x: Value) => sum(square(median(x, { axis: 1 }))))(x),
  ],

  'search sorted on both sides': (a: Value, v: Value) => [
    searchSorted(a, v),
    searchSorted(a, v, { side: 'right' }),
  ],

  'associative scan of affine maps': (a: Value, b: Value) => {
    type Affine = readonly [Value, Value]
    const compose = (l: Affine, r: Affine): Affine => [mul(l[0], r[0]), mul(l[1], r[0]).add(r[1])]
    const f = (a: Value, b: Value) => associativeScan(compose, [a, b])
    return [
      f(a, b),
      grad((a: Value) => sum(f(a, b)[1]))(a),
      associativeScan(compose, [a, b], { reverse: true }),
    ]
  },
}
