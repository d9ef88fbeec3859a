// Shapes, and `Aval`: what is known of an array before it has any elements.

import { bytesOf, type DType } from './dtype.ts'

/** The extent of each axis; none for a scalar. */
export type Shape = readonly number[]

/** Number of elements of a shape; 1 for a scalar. */
export const sizeOf = (shape: Shape): number => shape.reduce((size, extent) => size * extent, 1)

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride
    stride *= shape[axis]!
  }
  return strides
}

export const sameShape = (a: Shape, b: Shape): boolean =>
  a === b || (a.length === b.length && a.every((extent, axis) => extent === b[axis]))

/**
 * The type of an array: its shape and dtype, and no elements. Prints as `f32[8,64]`; a weak one, whose dtype gives way to that
 * of a neighbour as that of a number does, as `f32[8,64]*`.
 */
export class Aval {
  readonly shape: Shape
  readonly dtype: DType
  readonly weak: boolean

  constructor(shape: Shape, dtype: DType, weak = false) {
    if (!shape.every((extent) => Number.isInteger(extent) && extent >= 0))
      throw new RangeError(`shape: [${shape}] is no shape; extents are whole numbers from 0 up`)
    this.shape = shape
    this.dtype = dtype
    this.weak = weak
  }

  get size(): number {
    return sizeOf(this.shape)
  }

  get bytes(): number {
    return bytesOf(this.dtype, this.size)
  }

  /** Whether shape and dtype agree; weak or not does not matter. */
  equals(other: Aval): boolean {
    return this.dtype === other.dtype && sameShape(this.shape, other.shape)
  }

  toString(): string {
    return `${this.dtype}[${this.shape.join(',')}]${this.weak ? '*' : ''}`
  }
}

/** Whether two types print alike. */
export const sameType = (a: Aval, b: Aval): boolean => a === b || (a.weak === b.weak && a.equals(b))

/** NumPy's rule: axes are matched from the right, and 1 stretches. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1
    const right = b[axis - rank + b.length] ?? 1
    if (left !== right && left !== 1 && right !== 1)
      throw new TypeError(
        `${op}: shapes [${a}] and [${b}] do not broadcast: axis ${axis} is ${left} on the left and ${right} on the right; make them equal, or one of them 1`,
      )
    return left === 1 ? right : left
  })
}

/** An axis counted from the front; negative axes count from the back. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new RangeError(
      `${op}: axis ${axis} is outside an array of rank ${rank}; ${rank === 0 ? 'it has none' : `use ${-rank} to ${rank - 1}`}`,
    )
  return axis < 0 ? axis + rank : axis
}

/** Axes in ascending order; `undefined` means all of them. */
export function normalizeAxes(
  op: string,
  axes: number | readonly number[] | undefined,
  rank: number,
): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, axis) => axis)
  const normal = [axes].flat().map((axis) => normalizeAxis(op, axis, rank))
  if (new Set(normal).size !== normal.length)
    throw new RangeError(`${op}: axes [${[axes].flat()}] name one axis twice; name each once`)
  return normal.sort((a, b) => a - b)
}
