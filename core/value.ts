// `Value`: anything that stands for an array. A `Tensor` has its elements, a `Tracer` will have them when the program runs,
// and a `Constant` is one number in every place.

import { type DType, type HostData, hostArray, rounded } from './dtype.ts'
import { Aval, type Shape } from './shape.ts'

/**
 * An array value. `shape` and `dtype` are always known; the elements are on the device, and reading them is asynchronous.
 * The functions of one or more arrays are methods too: `x.mul(y).sum()` is `sum(mul(x, y))`.
 */
export abstract class Value {
  readonly aval: Aval

  constructor(aval: Aval) {
    this.aval = aval
  }

  get shape(): Shape {
    return this.aval.shape
  }

  get dtype(): DType {
    return this.aval.dtype
  }

  get rank(): number {
    return this.aval.shape.length
  }

  get size(): number {
    return this.aval.size
  }

  /** The elements in row-major order. A bool is 0 or 1, a 16-bit float is in an f32. Rejects with the error of the program that should have made them. */
  abstract data(): Promise<HostData>

  /** The one element of an array of size 1; a `RangeError` for any other size. */
  async item(): Promise<number> {
    if (this.size !== 1) throw new RangeError(`item: ${this.aval} has ${this.size} elements; use data()`)
    return (await this.data())[0]!
  }

  toString(): string {
    return String(this.aval)
  }

  /** What `console.log` shows in Node: the type, since the elements are elsewhere. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `${this.constructor.name} ${this}`
  }

  /** Text is the type; as a number or in a comparison an array has no meaning. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === 'string') return this.toString()
    throw new TypeError(
      `value: ${this.aval} was used as a JavaScript value; compute with add, mul, …, or read it with data()`,
    )
  }
}

/** What functions of arrays take: a value, or a JavaScript number or boolean, which has the dtype of its neighbour. */
export type ArrayLike = Value | number | boolean

/** An array with one number in every place; it takes no memory. */
export class Constant extends Value {
  readonly value: number

  constructor(value: number, aval: Aval) {
    super(aval)
    this.value = value
  }

  async data(): Promise<HostData> {
    return hostArray(this.dtype, this.size).fill(this.value)
  }
}

/** The least and the largest number of an integer type. */
export const limits = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const

/** An array of `shape` filled with `value`; it takes no memory. A `RangeError` if an integer dtype cannot hold it. */
export function full(shape: Shape, value: number | boolean, dtype: DType = 'f32'): Constant {
  const number = Number(value)
  if (dtype === 'i32' || dtype === 'u32') {
    const [low, high] = limits[dtype]
    if (!Number.isInteger(number) || number < low || number > high)
      throw new RangeError(`full: ${number} is not a ${dtype}; use a whole number from ${low} to ${high}`)
  }
  return new Constant(rounded(dtype, number), new Aval(shape, dtype))
}

/** An array of `shape` filled with 0; it takes no memory. */
export const zeros = (shape: Shape, dtype: DType = 'f32'): Constant => full(shape, 0, dtype)
/** An array of `shape` filled with 1; it takes no memory. */
export const ones = (shape: Shape, dtype: DType = 'f32'): Constant => full(shape, 1, dtype)

/** Zeros of the shape and dtype of `x`, which may be abstract; weak if it is. */
export const zerosLike = (x: Value | Aval): Constant => like(x, 0)
/** Ones of the shape and dtype of `x`, which may be abstract; weak if it is. */
export const onesLike = (x: Value | Aval): Constant => like(x, 1)

const like = (x: Value | Aval, value: number): Constant => new Constant(value, x instanceof Aval ? x : x.aval)
