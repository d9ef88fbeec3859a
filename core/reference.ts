// The oracle: a graph evaluated on the host in double precision, by the meaning each primitive gives. Slow, and independent
// of the compiler; every kernel is tested against it.

import { hostArray, hostView } from './dtype.ts'
import { type Graph, interpret, type Literal } from './graph.ts'
import type { NdArray } from './primitive.ts'
import type { Aval } from './shape.ts'

const ofLiteral = ({ value, aval }: Literal): NdArray => ({
  shape: aval.shape,
  dtype: aval.dtype,
  data: new Float64Array(aval.size).fill(value),
})

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
    ({ primitive, params }, values) => primitive.reference(values, params),
    ofLiteral,
  )

/** An array in double precision from the words of one. */
export const fromWords = ({ shape, dtype }: Aval, words: ArrayBuffer): NdArray => ({
  shape,
  dtype,
  data: Float64Array.from(hostView(dtype, words)),
})

/** The words of an array. */
export function toWords({ dtype, data }: NdArray): ArrayBufferView {
  const words = hostArray(dtype, data.length)
  words.set(data)
  return words
}
