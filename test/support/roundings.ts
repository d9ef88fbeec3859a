// What roundings do to a program: it is evaluated again with every result that f32 cannot hold moved a little, at random. How far
// the results go is how far a device may be from the meaning (Parker, "Monte Carlo arithmetic", 1997). Equal numbers move
// alike, and a number that is only passed on stays, so ties stay ties unless a rounding can break them.

import { type Equation, type Graph, interpret, type NdArray } from '../../core/index.ts'

/** A few units in the last place: what the budgets of single operations allow. */
const epsilon = 2 ** -21

/** What an elementary function or a sum may be off where its terms cancel, as a share of the largest term. */
const cancelled = 2 ** -23

const words = new Uint32Array(2)
const double = new Float64Array(words.buffer)

/** From -1 to 1, the same for equal numbers. */
function noise(x: number, seed: number): number {
  double[0] = x
  let t = words[0]! ^ Math.imul(words[1]! ^ seed, 0x9e3779b1)
  t = Math.imul(t ^ (t >>> 15), t | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1
}

const largestOf = ({ data }: NdArray): number => {
  let largest = 0
  for (const x of data)
    if (Math.abs(x) > largest && Math.abs(x) < Number.POSITIVE_INFINITY) largest = Math.abs(x)
  return largest
}

/** The results of an equation, moved. */
function moved(
  { primitive: { lower } }: Equation,
  inputs: readonly NdArray[],
  outputs: readonly NdArray[],
  seed: number,
): readonly NdArray[] {
  if (lower.kind === 'view') return outputs
  const floats = inputs.filter(({ dtype }) => dtype === 'f32')
  const given = new Set<number>()
  for (const { data } of floats) for (const x of data) given.add(Math.abs(x))
  const isSum = lower.kind === 'reduce' || lower.kind === 'contract'
  const terms = isSum ? floats.reduce((product, x) => product * largestOf(x), 1) : 1
  return outputs.map((output) => {
    if (output.dtype !== 'f32') return output
    const data = output.data.map((y) => {
      if (Math.fround(y) === y || !Number.isFinite(y) || given.has(Math.abs(y))) return y
      const turn = noise(Math.abs(y), seed)
      return y + epsilon * turn * y + cancelled * Math.min(terms, 1e6) * turn * Math.sign(y)
    })
    return { ...output, data }
  })
}

/**
 * The results of a graph, evaluated through what its structures are compiled to rather than by their own meaning; with a seed,
 * shaken.
 */
export const shaken = (graph: Graph, inputs: readonly NdArray[], seed: number | null): readonly NdArray[] =>
  interpret<NdArray>(
    graph,
    inputs,
    [],
    (equation, inputs) => {
      const { primitive, params } = equation
      const { lower } = primitive
      if (lower.kind === 'inline') return shaken(lower.graph(params), inputs, seed)
      if (lower.kind === 'branches') {
        const [choice, ...operands] = inputs
        return shaken(lower.graphs(params)[choice!.data[0]!]!, operands, seed)
      }
      if (lower.kind === 'loop') {
        const [constants, state] = [lower.constants(params), lower.state(params)]
        const turns = lower.turns(params)
        const body = lower.body(params)
        const given = inputs.slice(0, constants)
        let carry = inputs.slice(constants, constants + state)
        const sliced = inputs.slice(constants + state)
        if (turns === null) {
          while (carry[0]!.data[0] !== 0) carry = [...shaken(body, [...given, ...carry], seed)]
          return carry
        }
        const stacks = equation.outputs.slice(state).map(({ aval }): NdArray => {
          return { shape: aval.shape, dtype: aval.dtype, data: new Float64Array(aval.size) }
        })
        for (let turn = 0; turn < turns; turn++) {
          const k = lower.reverse(params) ? turns - 1 - turn : turn
          const slices = sliced.map(({ shape, dtype, data }): NdArray => {
            const size = data.length / shape[0]!
            return { shape: shape.slice(1), dtype, data: data.slice(k * size, (k + 1) * size) }
          })
          const results = shaken(body, [...given, ...carry, ...slices], seed)
          carry = results.slice(0, state)
          for (const [i, { data }] of results.slice(state).entries())
            stacks[i]!.data.set(data, k * data.length)
        }
        return [...carry, ...stacks]
      }
      const outputs = primitive.reference(inputs, params)
      return seed === null ? outputs : moved(equation, inputs, outputs, seed)
    },
    ({ value, aval }) => ({
      shape: aval.shape,
      dtype: aval.dtype,
      data: new Float64Array(aval.size).fill(value),
    }),
  )
