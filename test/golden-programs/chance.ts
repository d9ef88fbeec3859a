// Random numbers in programs.

import {
  arange,
  grad,
  index,
  mul,
  random,
  scan,
  square,
  stack,
  sub,
  sum,
  type Value,
  vmap,
  where,
} from '../../index.ts'
import { f32, i32, type Programs } from './functions.ts'

export const chance: Programs = {
  'random uniform': (k: Value) => [
    random.uniform(k, [2, 3]),
    random.uniform(k, [5], { minval: -1, maxval: 3 }),
  ],

  'random bits': (k: Value) => [random.bits(k, [5]), random.bits(k)],

  'random splits': (k: Value) => {
    const keys = random.split(k, 3)
    return [index(keys, 0), random.split(index(keys, 1)), random.uniform(index(keys, 2), [2])]
  },

  'random folds': (k: Value) => [
    [0, 1, 4294967295].map((n) => random.foldIn(k, n)),
    random.foldIn(random.foldIn(k, 1), 2),
  ],

  'vmap of uniform over keys': (k: Value) => vmap((k: Value) => random.uniform(k, [3]))(random.split(k, 3)),

  'vmap of fold in': (k: Value, n: Value) => vmap((n: Value) => random.uniform(random.foldIn(k, n)))(n),

  'random walk by scan': (k: Value) => {
    type State = readonly [key: Value, place: Value]
    const step = ([k, x]: State, _: null): readonly [State, Value] => {
      const keys = random.split(k)
      const moved = x.add(sub(mul(random.randint(index(keys, 1), [], 0, 2), 2), 1))
      return [[index(keys, 0), moved], moved]
    }
    return scan(step, [k, i32(0)], null, { length: 6 })
  },

  'random integers': (k: Value) => [random.randint(k, [6], -3, 4), random.randint(k, [4], 0, 1000000)],

  'random permutations': (k: Value) => [
    random.permutation(k, 7),
    random.permutation(k, arange(6).reshape([3, 2])),
  ],

  'random permutation of an axis': (k: Value, x: Value) => random.permutation(k, x, { axis: 1 }),

  'random bernoulli': (k: Value) => [random.bernoulli(k, 0.25, [8]), random.bernoulli(k, 0.5, [2, 2])],

  'random normal': (k: Value) => random.normal(k, [6]),

  'random categorical': (k: Value, logits: Value) => [
    random.categorical(k, logits),
    random.categorical(k, index(logits, 0), { shape: [5] }),
  ],

  'random gumbel and exponential': (k: Value) => [random.gumbel(k, [4]), random.exponential(k, [4])],

  'random truncated normal': (k: Value) => random.truncatedNormal(k, -1, 2, [5]),

  'random choice': (k: Value) => {
    const p = stack([0.5, 0.125, 0.125, 0.25].map(f32))
    return [
      random.choice(k, 5, [4]),
      random.choice(k, 4, [5], { p }),
      random.choice(k, 5, [3], { replace: false }),
    ]
  },

  'grad of dropout': (k: Value, x: Value, w: Value) => {
    const keep = random.bernoulli(k, 0.5, [4])
    return grad((w: Value) => sum(square(where(keep, mul(mul(x, w), 2), 0))))(w)
  },
}
