// Functions of numpy, most of them with their gradients.

import {
  acos,
  acosh,
  all,
  any,
  arange,
  argmax,
  argmin,
  asin,
  asinh,
  atan,
  atan2,
  atanh,
  average,
  bitcast,
  bitwiseAnd,
  bitwiseOr,
  bitwiseXor,
  broadcastTo,
  cbrt,
  clip,
  concatenate,
  copysign,
  cosh,
  countLeadingZeros,
  countNonzero,
  diag,
  diagonal,
  diff,
  digamma,
  equal,
  erf,
  erfc,
  erfInv,
  exp2,
  expm1,
  eye,
  flip,
  floorDivide,
  grad,
  greater,
  hypot,
  index,
  iota,
  lgamma,
  linspace,
  log2,
  log10,
  logAddExp,
  logAddExp2,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  matmul,
  max,
  meshgrid,
  min,
  mod,
  mul,
  nanMax,
  nanMean,
  nanMin,
  nanSum,
  nanToNum,
  norm,
  pad,
  populationCount,
  pow,
  prod,
  ptp,
  ravel,
  rem,
  repeat,
  roll,
  rot90,
  shiftLeft,
  shiftRight,
  shiftRightLogical,
  sin,
  sinh,
  split,
  square,
  std,
  sub,
  sum,
  swapaxes,
  tan,
  tile,
  tril,
  triu,
  type Value,
  variance,
  where,
} from '../../index.ts'
import { cube, type Programs } from './functions.ts'

type Pairwise = (x: Value, y: Value) => Value

/** The gradients of the sum of `f` with respect to both arguments. */
const both = (f: Pairwise, x: Value, y: Value) =>
  grad((x: Value, y: Value) => sum(f(x, y)), { argnums: [0, 1] })(x, y)

export const surface: Programs = {
  'where with its gradients': (x: Value, y: Value) =>
    both((x, y) => where(greater(x, y), mul(x, y), sin(x)), x, y),

  'clip with its gradient': (x: Value) => [
    clip(x, { min: -1, max: 1 }),
    grad((x: Value) => sum(mul(clip(x, { min: -1, max: 1 }), x)))(x),
    clip(x, { max: 0.5 }),
  ],

  'pad with its gradient': (x: Value) => {
    const f = (x: Value) => pad(x, { before: [1, 0], after: [0, 2], value: 0.5 })
    return [f(x), grad((x: Value) => sum(square(f(x))))(x)]
  },

  'roll of axes': (x: Value) => [
    roll(x, 1, { axis: 0 }),
    roll(x, -3, { axis: 1 }),
    roll(x, 5),
    grad((x: Value) => sum(mul(roll(x, 2, { axis: 1 }), x)))(x),
  ],

  'triangles with their gradients': (x: Value) => [
    tril(x),
    triu(x, 1),
    grad((x: Value) => sum(square(tril(x, -1)).add(cube(triu(x)))))(x),
  ],

  'repeats with their gradients': (x: Value) => {
    const f = (x: Value): [Value, Value] => [tile(x, [2, 2]), repeat(x, 2, { axis: 1 })]
    const waves = (y: Value) => sum(sin(mul(y, iota([y.shape[1]!], { dtype: 'f32' }))))
    const loss = (x: Value) => {
      const [a, b] = f(x)
      return waves(a).add(waves(b))
    }
    return [f(x), grad(loss)(x)]
  },

  'joins and splits': (x: Value, y: Value) => {
    const f = (x: Value, y: Value) => concatenate([x, sin(y)], { axis: 1 })
    const [a, b, c] = split(f(x, y), 3, { axis: 1 })
    const [d, e] = split(f(x, y), [1], { axis: 1 })
    return [
      sub(mul(a!, c!), b!),
      d,
      index(e!, {}, { step: 2 }),
      grad((x: Value) => sum(square(split(f(x, y), [4], { axis: 1 })[0]!)))(x),
    ]
  },

  'norms with their gradients': (x: Value) => {
    const f = (x: Value) =>
      norm(x)
        .add(sum(norm(x, { axis: 1 })))
        .add(sum(norm(x, { ord: 1, axis: 0 })))
    return [f(x), norm(x, { ord: Infinity, axis: 1 }), grad(f)(x)]
  },

  'moments with their gradients': (x: Value) => [
    variance(x),
    std(x, { axis: 1, ddof: 1 }),
    grad((x: Value) => sum(std(x, { axis: 0 })).add(square(variance(x, { ddof: 1 }))))(x),
  ],

  grids: (x: Value, y: Value) => {
    const [a, b] = meshgrid([x, y])
    const [c] = meshgrid([x, y], { indexing: 'ij' })
    return [mul(a!, b!), c, linspace(0, 1, 5), arange(2, 8, 1.5), eye(2, 3, { k: 1 })]
  },

  averages: (x: Value, w: Value) => [
    average(x, { weights: w }),
    both((x, w) => square(average(x, { weights: w })), x, w),
    ptp(x),
  ],

  'products with their gradients': (x: Value, z: Value) => {
    const f = (x: Value) => sum(prod(x, { axis: 1 }))
    return [prod(x), grad(f)(x), grad(f)(z), grad((x: Value) => prod(x))(x)]
  },

  'ties share the gradient': (x: Value) => [
    grad((x: Value) => sum(square(max(x, { axis: 1 }))))(x),
    grad((x: Value) => sum(min(x, { axis: 0 })))(x),
    grad((x: Value) => max(x))(x),
  ],

  'turns of a matrix': (x: Value) => [
    rot90(x),
    rot90(x, 2),
    flip(x, { axis: 0 }),
    swapaxes(x, 0, 1),
    ravel(x),
    diff(x, { axis: 1 }),
  ],

  'diagonals with their gradients': (x: Value, v: Value) => [
    diag(v),
    diag(x, { k: 1 }),
    sum(diagonal(x)),
    grad((v: Value) => sum(square(matmul(diag(v), x))))(v),
    diagonal(x, { k: -1 }),
  ],

  'reductions without nan': (x: Value) => [
    nanSum(x),
    nanMean(x),
    nanMax(x),
    nanMin(x),
    grad((x: Value) => nanSum(mul(x, x)))(x),
    nanToNum(x),
  ],

  'functions of two arguments with their gradients': (x: Value, y: Value) => {
    const f: Pairwise = (x, y) =>
      logAddExp(x, y)
        .add(mul(hypot(x, y), atan2(x, y)))
        .add(logAddExp2(x, mul(2, y)))
        .add(copysign(x, y))
    return [f(x, y), both(f, x, y)]
  },

  'remainders with their gradients': (x: Value, y: Value) => {
    const f: Pairwise = (x, y) => mul(mod(x, y), 2).add(rem(x, y))
    return [f(x, y), floorDivide(x, y), both((x, y) => square(f(x, y)), x, y)]
  },

  'remainders of integers': (x: Value, y: Value) => [
    mod(x, y),
    rem(x, y),
    floorDivide(x, y),
    mul(floorDivide(x, y), y).add(mod(x, y)),
  ],

  'powers with their gradients': (x: Value, y: Value) => [
    pow(x, y),
    both((x, y) => pow(x, y), x, y),
    cbrt(x),
    exp2(y),
    log2(x).add(log10(x)),
  ],

  'inverse functions with their gradients': (x: Value) => {
    const f = (x: Value) =>
      asin(x)
        .add(mul(acos(x), atan(x)))
        .add(asinh(x))
        .add(atanh(x))
        .add(acosh(x.add(2.5)))
    return [f(x), grad((x: Value) => sum(f(x)))(x)]
  },

  'hyperbolic functions with their gradients': (x: Value) => {
    const f = (x: Value) =>
      sinh(x)
        .add(mul(cosh(x), tan(mul(x, 0.5))))
        .add(expm1(x))
    return [f(x), grad((x: Value) => sum(f(x)))(x)]
  },

  'special functions with their gradients': (x: Value) => {
    const f = (x: Value) =>
      erf(x)
        .add(erfInv(x))
        .add(lgamma(x.add(2.5)))
        .add(erfc(x))
    return [f(x), grad((x: Value) => sum(f(x)))(x), digamma(x.add(2.5))]
  },

  logic: (b: Value, x: Value) => {
    const c = greater(x, 0)
    return [
      logicalAnd(b, c),
      logicalXor(b, c),
      logicalOr(b, logicalNot(c)),
      any(b, { axis: 0 }),
      all(c, { axis: 1 }),
      countNonzero(b),
      sum(c, { axis: 0 }),
    ]
  },

  'bits of integers': (x: Value, n: Value) => [
    bitwiseAnd(x, 7),
    bitwiseOr(x, n),
    bitwiseXor(x, n),
    shiftLeft(x, n),
    shiftRight(x, n),
    shiftRightLogical(x, n),
    populationCount(x),
    countLeadingZeros(bitcast(x, 'u32')),
  ],

  'where the extremes are': (x: Value) => [
    argmax(x, { axis: 1 }),
    argmin(x, { axis: 0 }),
    argmax(x.reshape([-1])),
    equal(x, max(x)),
  ],

  'broadcasting with its gradients': (x: Value, y: Value) =>
    both((x, y) => sub(mul(x.add(y), x), square(broadcastTo(y, [3, 4]))), x, y),
}
