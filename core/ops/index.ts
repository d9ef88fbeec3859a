// Every operation on arrays, by its public name. Functions of one or more arrays become methods of values too.

export {
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
  sub,
  where,
} from './arithmetic.ts'
export {
  bitcast,
  bitwiseAnd,
  bitwiseNot,
  bitwiseOr,
  bitwiseXor,
  shiftLeft,
  shiftRight,
  threefry2x32,
} from './bits.ts'
export { contract, matmul } from './contract.ts'
export { arange, eye, fullLike, linspace, meshgrid, tri } from './creation.ts'
export { associativeScan, cumLogSumExp, cummax, cummin, cumprod, cumsum } from './cumulative.ts'
export { logSoftmax, logSumExp, relu, softmax, stopGradient } from './derived.ts'
export {
  abs,
  ceil,
  cos,
  exp,
  floor,
  integerPow,
  log,
  log1p,
  logistic,
  rsqrt,
  sign,
  sin,
  sqrt,
  square,
  tanh,
} from './elementary.ts'
export { add, cast } from './elementwise.ts'
export { iota, pick, scatterAdd, take } from './indexing.ts'
export {
  broadcastTo,
  concatenate,
  expandDims,
  flip,
  moveaxis,
  pad,
  reshape,
  slice,
  squeeze,
  stack,
  sum,
  transpose,
  unstack,
} from './movement.ts'
export { cross, dot, einsum, inner, kron, outer, tensordot, vdot } from './products.ts'
export { argmax, argmin, max, mean, min, variance } from './reduction.ts'
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
export { argsort, searchSorted, sort, topK } from './sorting.ts'
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
