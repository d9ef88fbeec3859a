// Every operation on arrays, by its public name. Functions of one or more arrays become methods of values too.

export {
  clip,
  div,
  equal,
  greater,
  greaterEqual,
  isNan,
  less,
  lessEqual,
  maximum,
  minimum,
  mul,
  neg,
  notEqual,
  reciprocal,
  sub,
  where,
} from './arithmetic.ts'
export { type At, at, type IndexItem, index } from './at.ts'
export { type AttentionOptions, dotProductAttention } from './attention.ts'
export {
  bitcast,
  bitwiseAnd,
  bitwiseNot,
  bitwiseOr,
  bitwiseXor,
  countLeadingZeros,
  populationCount,
  shiftLeft,
  shiftRight,
  shiftRightLogical,
  threefry2x32,
} from './bits.ts'
export { contract, matmul } from './contract.ts'
export { arange, eye, fullLike, linspace, meshgrid, tri } from './creation.ts'
export { associativeScan, cumLogSumExp, cummax, cummin, cumprod, cumsum } from './cumulative.ts'
export { logSoftmax, logSumExp, relu, softmax, stopGradient } from './derived.ts'
export { dynamicSlice, dynamicUpdateSlice } from './dynamic.ts'
export {
  exp,
  exp2,
  expm1,
  log,
  log1p,
  log2,
  log10,
  logAddExp,
  logAddExp2,
  logistic,
  rsqrt,
  sqrt,
} from './elementary.ts'
export { add, cast } from './elementwise.ts'
export { acosh, asinh, atanh, cosh, sinh, tanh } from './hyperbolic.ts'
export { bincount, iota, oneHot, pick, segmentSum, take, takeAlongAxis } from './indexing.ts'
export {
  finite as isFinite,
  isInf,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  nanToNum,
} from './logic.ts'
export {
  broadcastTo,
  concatenate,
  expandDims,
  flip,
  moveaxis,
  type PadOptions,
  pad,
  reshape,
  slice,
  squeeze,
  stack,
  sum,
  transpose,
  unstack,
} from './movement.ts'
export { cbrt, hypot, integerPow, pow, square } from './power.ts'
export { cross, dot, einsum, inner, kron, outer, tensordot, vdot } from './products.ts'
export { argmax, argmin, max, mean, min, variance } from './reduction.ts'
export { ceil, floor, floorDivide, mod, rem, round, trunc } from './rounding.ts'
export {
  diag,
  diagonal,
  diff,
  ravel,
  repeat,
  roll,
  rot90,
  split,
  swapaxes,
  tile,
  tril,
  triu,
} from './shaping.ts'
export { abs, copysign, heaviside, sign } from './sign.ts'
export { argsort, searchSorted, sort, topK } from './sorting.ts'
export { digamma, erf, erfc, erfInv, lgamma } from './special.ts'
export {
  all,
  any,
  average,
  countNonzero,
  median,
  nanMax,
  nanMean,
  nanMin,
  nanSum,
  norm,
  percentile,
  prod,
  ptp,
  quantile,
  std,
} from './statistics.ts'
export { acos, asin, atan, atan2, cos, sin, tan } from './trigonometric.ts'
