// The element types of arrays, their order under promotion and how the host stores them.

import { type Half, packHalves, roundHalf, unpackHalves } from './halves.ts'

/** What the elements of an array are. The 16-bit floats take two bytes each and are computed in f32. */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'bool'

/** What the host reads the elements in; a bool is a u32 that is 0 or 1, and a 16-bit float is exact as an f32. */
export type HostData = Float32Array | Int32Array | Uint32Array

/** The words of an array as the device holds them: 16-bit floats by twos. */
export type Words = HostData | Uint16Array

export const isHalf = (dtype: DType): dtype is Half => dtype === 'f16' || dtype === 'bf16'

/** Whether a dtype has a derivative: f32, f16 and bf16. */
export const isFloat = (dtype: DType): boolean => dtype === 'f32' || isHalf(dtype)

/** The types that a machine computes with. */
export type MachineType = 'f32' | 'i32' | 'u32' | 'bool'

/** What elements are computed in: 16-bit floats in f32. */
export const machineType = (dtype: DType): MachineType => (isHalf(dtype) ? 'f32' : dtype)

/** The bytes that `size` elements take on the device, in whole words. */
export const bytesOf = (dtype: DType, size: number): number =>
  4 * (isHalf(dtype) ? Math.ceil(size / 2) : size)

const hostArrays = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, bool: Uint32Array } as const

/** A zeroed host array of `size` elements. */
export const hostArray = (dtype: DType, size: number): HostData => new hostArrays[machineType(dtype)](size)

/** The elements on the host as the words of the device. */
export const toWords = (dtype: DType, data: HostData): Words =>
  isHalf(dtype) ? packHalves(dtype, data) : data

/** `size` elements from the words of a device buffer. */
export const fromWords = (dtype: DType, bytes: ArrayBuffer, size: number): HostData =>
  isHalf(dtype)
    ? unpackHalves(dtype, new Uint16Array(bytes, 0, size))
    : new hostArrays[machineType(dtype)](bytes)

/** A dtype, and whether it gives way to that of a neighbour, as that of a JavaScript number does. */
export interface ElementType {
  readonly dtype: DType
  readonly weak: boolean
}

const rank = { bool: 0, u32: 2, i32: 3, f16: 5, bf16: 5, f32: 6 } as const

/** Weak whole numbers are below all integers, weak floats below all floats and above all integers. */
const rankOf = ({ dtype, weak }: ElementType): number =>
  !weak || dtype === 'bool' ? rank[dtype] : isFloat(dtype) ? 4 : 1

/** The type two operands meet in, as in JAX without 64-bit types: i32 with u32 is i32, f16 with bf16 is f32. */
export function join(a: ElementType, b: ElementType): ElementType {
  if (rankOf(a) === rankOf(b) && a.dtype !== b.dtype) return { dtype: 'f32', weak: false }
  return rankOf(a) >= rankOf(b) ? a : b
}

/** A result of exact arithmetic as the dtype keeps it: integers lose their high bits, 16-bit floats are rounded; an f32 stays. */
export const wrap: { readonly [D in DType]: (x: number) => number } = {
  f32: (x) => x,
  f16: (x) => roundHalf('f16', x),
  bf16: (x) => roundHalf('bf16', x),
  i32: (x) => x | 0,
  u32: (x) => x >>> 0,
  bool: (x) => Number(x !== 0),
}

/** As `wrap`, and an f32 is rounded as well. */
export const rounded = (dtype: DType, x: number): number =>
  dtype === 'f32' ? Math.fround(x) : wrap[dtype](x)
