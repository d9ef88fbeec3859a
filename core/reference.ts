// The oracle: a graph evaluated on the host in double precision, by the meaning each primitive gives. Slow, and independent
// of the compiler; every kernel is tested against it.

import { fromWords, hostArray, isHalf, toWords, type Words, wrap } from './dtype.ts'
import { type Graph, interpret, type Literal } from './graph.ts'
import type { NdArray } from './primitive.ts'
import type { Aval } from './shape.ts'

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

/** An array in double precision from the words of one. */
export const arrayOf = ({ shape, dtype, size }: Aval, words: ArrayBuffer): NdArray => ({
  shape,
  dtype,
  data: Float64Array.from(fromWords(dtype, words, size)),
})

/** The words of an array. */
export function wordsOf({ dtype, data }: NdArray): Words {
  const elements = hostArray(dtype, data.length)
  elements.set(data)
  return toWords(dtype, elements)
}
