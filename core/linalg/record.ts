// The kind of record that `linalg` is made of: arrays of matrices, each of which the host takes apart. Then what the
// derivatives of such records are written with.

import { equal, greater, where } from '../ops/arithmetic.ts'
import { iota } from '../ops/indexing.ts'
import { batchFirst, expandDims, moveaxis, sum } from '../ops/movement.ts'
import type { MaybeZero, NdArray, Primitive } from '../primitive.ts'
import { Aval, type Shape, sizeOf } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import type { HostMatrix } from './host.ts'

const extentsOf = (shape: Shape) => shape.slice(-2) as [rows: number, columns: number]

interface HostRules<P> {
  readonly name: string
  /** The shapes of the results for one matrix of each input. */
  shapes(matrices: readonly (readonly [rows: number, columns: number])[], params: P): readonly Shape[]
  /** The results for one matrix of each input, in double precision. */
  compute(matrices: readonly HostMatrix[], params: P): readonly Float64Array[]
  readonly jvp: (
    tangents: readonly MaybeZero[],
    primals: readonly Value[],
    outputs: readonly Value[],
    params: P,
  ) => readonly MaybeZero[]
  readonly transpose?: Primitive<P>['transpose'] & {}
  readonly batch?: Primitive<P>['batch']
}

/** A primitive on `[..., rows, columns]` arrays that agree in their leading axes. */
export function onHost<P>({ name, shapes, compute, jvp, transpose, batch }: HostRules<P>): Primitive<P> {
  const type = (inputs: readonly { readonly shape: Shape }[], params: P): Aval[] => {
    const leading = inputs[0]!.shape.slice(0, -2)
    const matrices = inputs.map(({ shape }) => extentsOf(shape))
    return shapes(matrices, params).map((shape) => new Aval([...leading, ...shape], 'f32'))
  }
  const primitive: Primitive<P> = {
    name,
    type,
    jvp,
    ...(transpose && { transpose }),
    batch:
      batch ??
      ((inputs, params, size) =>
        bind(
          primitive,
          inputs.map((input) => batchFirst(input, size)),
          params,
        ).map((value) => ({ value, axis: 0 }))),
    reference: (inputs, params) => {
      const results = type(inputs, params).map(({ shape, dtype, size }) => ({
        shape,
        dtype,
        data: new Float64Array(size),
      }))
      for (let k = 0; k < sizeOf(inputs[0]!.shape.slice(0, -2)); k++) {
        const parts = compute(
          inputs.map((input) => matrixAt(input, k)),
          params,
        )
        for (const [j, part] of parts.entries()) results[j]!.data.set(part, k * part.length)
      }
      return results
    },
    lower: { kind: 'host' },
  }
  return primitive
}

function matrixAt({ shape, data }: NdArray, k: number): HostMatrix {
  const [rows, columns] = extentsOf(shape)
  return { rows, columns, data: data.subarray(k * rows * columns, (k + 1) * rows * columns) }
}

/** `x` as an array of matrices. */
export function matrices(op: string, x: ArrayLike): Value {
  const value = toArray(x)
  if (value.dtype !== 'f32') throw new TypeError(`${op}: ${value.aval} is not f32; cast it`)
  if (value.rank < 2)
    throw new TypeError(`${op}: ${value.aval} is no matrix; give an array of at least two axes`)
  return value
}

/** `x` as an array of square matrices. */
export function squares(op: string, x: ArrayLike): Value {
  const value = matrices(op, x)
  const [rows, columns] = value.shape.slice(-2)
  if (rows !== columns)
    throw new TypeError(`${op}: the matrices of ${value.aval} are not square; make the last two axes equal`)
  return value
}

/** The right-hand sides of systems with the matrices `a`: a vector is one column. */
export function columnsFor(op: string, a: Value, b: ArrayLike): Value {
  const value = toArray(b)
  const [rows] = extentsOf(a.shape)
  if (value.dtype !== 'f32')
    throw new TypeError(`${op}: the right-hand side ${value.aval} is not f32; cast it`)
  if (value.shape.at(value.rank === 1 ? 0 : -2) !== rows)
    throw new TypeError(
      `${op}: the right-hand side ${value.aval} does not fit ${a.aval}; give [${rows}] or [..., ${rows}, columns]`,
    )
  return value.rank === 1 ? expandDims(value, 1) : value
}

/** The matrices with rows and columns exchanged. */
export const transposed = (x: Value): Value => moveaxis(x, -1, -2)

/** `x` below the diagonal, `diagonal(x)` on it, and 0 above. */
export function lowerPart(x: Value, diagonal: (x: Value) => Value | number): Value {
  const [row, column] = places(x)
  return where(greater(row, column), x, where(equal(row, column), diagonal(x), 0))
}

/** The number of its row, and of its column, for each element of a matrix. */
function places({ shape }: Value): [row: Value, column: Value] {
  const matrix = shape.slice(-2)
  return [iota(matrix, { axis: 0 }), iota(matrix, { axis: 1 })]
}

/** True on the diagonals of the matrices of `x`. */
export const onDiagonal = (x: Value): Value => equal(...places(x))

/** `[..., n]`, the diagonals of `[..., n, n]`. */
export const diagonalOf = (x: Value): Value => sum(where(onDiagonal(x), x, 0), { axis: -1 })

/** The sum of each matrix. */
export const total = (x: Value): Value => sum(x, { axis: [-1, -2] })

/** The sum of the diagonal of each matrix. */
export const trace = (x: Value): Value => sum(diagonalOf(x), { axis: -1 })
