// Arrays on the host in double precision: what tests expect, and what the oracle computes with. They are leaves of trees.

import {
  Aval,
  type DType,
  type NdArray,
  type Shape,
  sizeOf,
  type Tensor,
  tensor,
  tree,
  type Value,
} from '../../core/index.ts'

export class HostArray implements NdArray {
  readonly shape: Shape
  readonly dtype: DType
  readonly data: Float64Array

  constructor(shape: Shape, dtype: DType, data: Float64Array) {
    if (data.length !== sizeOf(shape))
      throw new TypeError(`HostArray: ${data.length} elements do not fill [${shape}]; give another shape`)
    this.shape = shape
    this.dtype = dtype
    this.data = data
  }

  get aval(): Aval {
    return new Aval(this.shape, this.dtype)
  }
}

/** Numbers in row-major order as an array. */
export const toNdArray = (
  data: ArrayLike<number>,
  shape: Shape = [data.length],
  dtype: DType = 'f32',
): HostArray => new HostArray(shape, dtype, Float64Array.from(data))

/** The array on the device, rounded to its dtype. */
export const toTensor = ({ data, shape, dtype }: NdArray): Tensor => tensor([...data], { shape, dtype })

/** A tree of host arrays as a tree of tensors. */
export const toTensors = <T>(hosts: T) =>
  tree.map((host: HostArray) => toTensor(host), hosts) as tree.MapLeaves<T, HostArray, Value>

/** The elements of a value, read back. */
export const toHost = async (value: Value): Promise<HostArray> =>
  toNdArray(await value.data(), value.shape, value.dtype)

/** A tree of values, read back. */
export async function toHosts<T>(values: T): Promise<tree.MapLeaves<T, Value, HostArray>> {
  const hosts = await Promise.all(tree.leaves(values).map((value) => toHost(value as Value)))
  return tree.unflatten(values, hosts) as tree.MapLeaves<T, Value, HostArray>
}

/** `x + scale · v`, element by element. */
export const moved = (x: HostArray, v: HostArray, scale: number): HostArray =>
  toNdArray(
    x.data.map((value, i) => value + scale * v.data[i]!),
    x.shape,
    x.dtype,
  )

/** `Σ xs · ys` over lists of arrays. */
export const inner = (xs: readonly HostArray[], ys: readonly HostArray[]): number =>
  xs.reduce((sum, { data }, k) => data.reduce((all, x, i) => all + x * ys[k]!.data[i]!, sum), 0)

/** Arrays of one shape side by side along a new axis. */
export function stacked(xs: readonly HostArray[], axis: number): HostArray {
  const { shape, dtype } = xs[0]!
  const behind = sizeOf(shape.slice(axis))
  const data = Float64Array.from({ length: sizeOf(shape) * xs.length }, (_, flat) => {
    const [outer, rest] = [Math.floor(flat / (behind * xs.length)), flat % (behind * xs.length)]
    return xs[Math.floor(rest / behind)]!.data[outer * behind + (rest % behind)]!
  })
  return toNdArray(data, shape.toSpliced(axis, 0, xs.length), dtype)
}
