// `Tensor`: an array whose elements exist, or will when the programs asked for have run.

/// <reference lib="esnext.disposable" preserve="true" />

import { type Origin, read, release, Storage } from './device/index.ts'
import { type DType, fromWords, type HostData, hostArray, toWords, type Words } from './dtype.ts'
import { packHalves } from './halves.ts'
import { adopt, currentScope } from './scope.ts'
import { Aval, type Shape, sizeOf } from './shape.ts'
import { callSite } from './source.ts'
import { escaped } from './trace.ts'
import { leaves } from './tree.ts'
import { Constant, limits, Value } from './value.ts'

const forgotten = new FinalizationRegistry<Storage>((storage) => release(storage, 'was collected'))

/** An array on the device. Its memory goes back with `dispose`, with `using`, or when it is collected. */
export class Tensor extends Value {
  readonly storage: Storage

  /** `words` are the elements as the device holds them, or null if a program will make them; `origin` is for errors. */
  constructor(aval: Aval, words: Words | null, origin: Origin) {
    super(aval)
    this.storage = new Storage(aval.bytes, aval, words, origin)
    adopt(this.storage, currentScope())
    forgotten.register(this, this.storage)
  }

  async data(): Promise<HostData> {
    if (this.storage.gone !== null) throw new Error(`data: ${this.aval} ${this.storage.gone}`)
    return fromWords(this.dtype, await read(this.storage), this.size)
  }

  /** Gives the memory back at once; reading the tensor afterwards is an error. */
  dispose(): void {
    release(this.storage, 'was disposed of; dispose of arrays after their last use')
  }

  /** `using x = …` disposes of the tensor at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

// Engines without `using` have no such symbol; what rewrites it for them looks for this one.
if (Symbol.dispose === undefined)
  Object.defineProperty(Tensor.prototype, Symbol.for('Symbol.dispose'), { value: Tensor.prototype.dispose })

type Nested = number | boolean | readonly Nested[]

const dtypeOf = (data: HostData | Nested): DType => {
  if (data instanceof Int32Array) return 'i32'
  if (data instanceof Uint32Array) return 'u32'
  if (typeof data === 'boolean') return 'bool'
  return Array.isArray(data) && data.length > 0 ? dtypeOf(data[0]) : 'f32'
}

function shapeOf(data: Nested): number[] {
  if (!Array.isArray(data)) return []
  const shape = data.length === 0 ? [] : shapeOf(data[0])
  for (const [k, row] of data.entries())
    if (String(shapeOf(row)) !== String(shape))
      throw new TypeError(
        `tensor: row ${k} has shape [${shapeOf(row)}] but row 0 has [${shape}]; rows must agree`,
      )
  return [data.length, ...shape]
}

const flatten = (data: Nested): number[] =>
  typeof data === 'object' ? data.flatMap(flatten) : [Number(data)]

/** The type of a new array. */
export interface TensorOptions {
  /** By default that of the nested arrays, and one axis for a typed array; a `TypeError` if the elements do not fill it. */
  readonly shape?: Shape
  readonly dtype?: DType
}

/**
 * An array from nested JavaScript arrays, or from a typed array and a shape. Numbers are f32 unless `dtype` says otherwise; a
 * `RangeError` for a number beyond an integer dtype.
 *
 * @example
 * ```ts
 * import { tensor } from 'cotangent'
 * await tensor([[1, 2], [3, 4]]).data() // [1, 2, 3, 4]
 * ```
 */
export function tensor(
  data: HostData | Nested,
  { shape, dtype = dtypeOf(data) }: TensorOptions = {},
): Tensor {
  const isTyped = ArrayBuffer.isView(data)
  const flat: ArrayLike<number> = isTyped ? data : flatten(data)
  const full = shape ?? (isTyped ? [data.length] : shapeOf(data))
  if (sizeOf(full) !== flat.length)
    throw new TypeError(
      `tensor: ${flat.length} elements do not fill the shape [${full}]; it takes ${sizeOf(full)}`,
    )
  return new Tensor(new Aval(full, dtype), wordsOf(dtype, flat), { operation: 'tensor', site: callSite() })
}

/** Numbers as the words of an array: floats are rounded once, integers lose their fraction and must be in range. */
function wordsOf(dtype: DType, numbers: ArrayLike<number>): Words {
  if (dtype === 'f16' || dtype === 'bf16') return packHalves(dtype, numbers)
  if (dtype === 'i32' || dtype === 'u32') {
    const [low, high] = limits[dtype]
    const odd = Array.prototype.findIndex.call(
      numbers,
      (x: number) => !(low <= Math.trunc(x) && x < high + 1),
    )
    if (odd >= 0)
      throw new RangeError(
        `tensor: element ${odd} is ${numbers[odd]}, which is no ${dtype}; use numbers from ${low} to ${high}`,
      )
  }
  const words = hostArray(dtype, numbers.length)
  words.set(dtype === 'bool' ? Array.from(numbers, (x) => Number(x !== 0)) : numbers)
  return words
}

/** A value with memory of its own: constants are filled in, tensors are themselves. */
export function materialize(value: Value, origin: Origin): Tensor {
  if (value instanceof Tensor) return value
  if (!(value instanceof Constant)) throw escaped('trace', value)
  return new Tensor(
    value.aval,
    toWords(value.dtype, hostArray(value.dtype, value.size).fill(value.value)),
    origin,
  )
}

/** Gives back the memory of every tensor in a tree. */
export function dispose(tree: unknown): void {
  for (const leaf of leaves(tree)) if (leaf instanceof Tensor) leaf.dispose()
}
