// The oracle: a graph evaluated on the host in double precision, by the meaning each primitive gives. Slow, and independent
// of the compiler; every kernel is tested against it.

import { isHalf, wrap } from './dtype.ts'
import { type Graph, interpret, type Literal } from './graph.ts'
import type { NdArray } from './primitive.ts'

const ofLiteral = ({ value, aval }: Literal): NdArray => ({
  shape: aval.shape,
  dtype: aval.dtype,
  data: new Float64Array(aval.size).fill(value),
})

/** 16-bit floats are rounded, as the device rounds them after each equation. */
const stored = (x: NdArray): NdArray => (isHalf(x.dtype) ? { ...x, data: x.data.map(wrap[x.dtype]) } : x)

/** The results of a graph in double precision. */
export const reference = (
  graph: Graph,
  inputs: readonly NdArray[],
  captures: readonly NdArray[] = [],
): NdArray[] =>
  interpret<NdArray>(
    graph,
    inputs,
    captures,
    ({ primitive, params }, values) => primitive.reference(values, params).map(stored),
    ofLiteral,
  )
