// Reading and writing at indices, and the derivatives of that.

import {
  at,
  bincount,
  dynamicSlice,
  dynamicUpdateSlice,
  expandDims,
  grad,
  index,
  jvp,
  less,
  matmul,
  mod,
  mul,
  oneHot,
  scan,
  segmentSum,
  sin,
  square,
  sum,
  take,
  takeAlongAxis,
  type Value,
  vmap,
  where,
  zeros,
} from '../../index.ts'
import { cube, type Programs } from './functions.ts'

const modes = ['fill', 'clip', 'wrap'] as const

export const indexing: Programs = {
  'take along the second axis': (x: Value, i: Value) => [
    take(x, i, { axis: 1 }),
    grad((x: Value) => sum(square(take(x, i, { axis: 1 }))))(x),
  ],

  'take outside': (x: Value, i: Value) => modes.map((mode) => take(x, i, { mode })),

  'grad of take outside': (x: Value, i: Value, w: Value) =>
    modes.map((mode) => grad((x: Value) => sum(mul(where(less(i, 4), take(x, i, { mode }), 0), w)))(x)),

  'take along axis with its gradient': (x: Value, i: Value) => {
    const f = (x: Value) => takeAlongAxis(x, i, { axis: 1 })
    return [f(x), grad((x: Value) => sum(sin(f(x))))(x)]
  },

  'an index of every kind': (x: Value, i: Value) => [
    index(x, 1),
    index(x, -1, 2),
    index(x, {}, null, { start: 1, stop: 3 }),
    index(x, '...', { step: 2 }),
    index(x, i),
    index(x, i, { step: -1 }),
    index(x, null, 1, '...', 0),
  ],

  'two index arrays': (x: Value, i: Value, j: Value) => [
    index(x, i, j),
    grad((x: Value) => sum(square(index(x, i, j))))(x),
    index(x, expandDims(i, 1), j),
  ],

  'set with its gradient': (x: Value, v: Value, i: Value) => {
    const f = (x: Value, v: Value) => at(x, i).set(v)
    return [f(x, v), grad((x: Value, v: Value) => sum(sin(f(x, v))), { argnums: [0, 1] })(x, v)]
  },

  'add at equal indices': (x: Value, v: Value, i: Value) => {
    const f = (x: Value, v: Value) => at(x, i).add(v)
    return [f(x, v), grad((x: Value, v: Value) => sum(square(f(x, v))), { argnums: [0, 1] })(x, v)]
  },

  'mul at': (x: Value, v: Value, i: Value) => at(x, i).mul(v),

  'min and max at equal indices': (x: Value, v: Value, i: Value) => [at(x, i).min(v), at(x, i).max(v)],

  'set of a slice': (x: Value, v: Value) => {
    const f = (x: Value, v: Value) => at(x, {}, { start: 1, stop: 4, step: 2 }).set(expandDims(v, 1))
    return [f(x, v), grad((x: Value, v: Value) => sum(cube(f(x, v))), { argnums: [0, 1] })(x, v)]
  },

  'add at a row and apply': (x: Value) => [
    at(x, 1).add(2.5),
    at(x, '...', -1).apply((y) => sin(y)),
    at(x, 0, { start: 1 }).mul(2),
  ],

  'updates outside are dropped': (x: Value, i: Value, v: Value) => [at(x, i).set(v), at(x, i).add(v)],

  'dynamic slice with its gradient': (x: Value, i: Value, j: Value) => {
    const f = (x: Value) => dynamicSlice(x, [i, j], [2, 2])
    return [f(x), grad((x: Value) => sum(square(f(x))))(x)]
  },

  'dynamic update slice with its gradient': (x: Value, u: Value, i: Value) => {
    const f = (x: Value, u: Value) => dynamicUpdateSlice(x, u, [i])
    return [f(x, u), grad((x: Value, u: Value) => sum(square(f(x, u))), { argnums: [0, 1] })(x, u)]
  },

  'vmap of dynamic slices': (x: Value, i: Value, u: Value) => [
    vmap((i: Value) => dynamicSlice(x, [i], [2]))(i),
    vmap((i: Value, u: Value) => dynamicUpdateSlice(x, u, [i]))(i, u),
  ],

  'vmap of an index': (x: Value, i: Value) => [
    vmap((x: Value, i: Value) => index(x, i))(x, i),
    vmap((x: Value, i: Value) => at(x, i).set(0))(x, i),
    vmap(grad((x: Value, i: Value) => square(index(x, i))))(x, i),
  ],

  'one hot of indices': (i: Value, w: Value) => matmul(oneHot(i, 4), w),

  'bincount with weights': (i: Value, w: Value) => {
    const f = (w: Value) => bincount(i, { weights: w, length: 4 })
    return [bincount(i, { length: 4 }), f(w), grad((w: Value) => sum(square(f(w))))(w)]
  },

  'segment sum with its gradient': (x: Value, i: Value) => {
    const f = (x: Value) => segmentSum(x, i, 3)
    return [f(x), grad((x: Value) => sum(sin(f(x))))(x)]
  },

  'indexing in scan': (x: Value, i: Value) => {
    const body = (c: Value, i: Value) =>
      [at(c, i).set(mul(index(c, mod(i.add(1), 4)), 0.5)), index(c, i)] as const
    const f = (x: Value) => scan(body, x, i)
    const loss = (x: Value) => {
      const [last, ys] = f(x)
      return sum(square(last)).add(sum(ys))
    }
    return [f(x), grad(loss)(x)]
  },

  'second derivative of take and add': (x: Value, i: Value, t: Value) => {
    const f = (x: Value) => {
      const added = at(zeros([3]), i).add(square(index(x, { start: 1 })))
      return sum(cube(take(x, i, { mode: 'clip' }))).add(sum(square(added)))
    }
    return jvp(grad(f), [x], [t])
  },
}
