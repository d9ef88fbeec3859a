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
export { type At, at, type IndexItem, index } from './at.ts'
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
export { logSoftmax, logSumExp, relu, softmax, stopGradient } from './derived.ts'
export { dynamicSlice, dynamicUpdateSlice } from './dynamic.ts'
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
export { arange, bincount, iota, oneHot, pick, segmentSum, take, takeAlongAxis } from './indexing.ts'
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
export { argmax, max, mean, min, variance } from './reduction.ts'
