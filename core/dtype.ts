// The element types of arrays, their order under promotion and how the host stores them.

export type DType = 'f32' | 'i32' | 'u32' | 'bool'

/** What the host keeps the elements in; a bool is a u32 that is 0 or 1. */
export type HostData = Float32Array | Int32Array | Uint32Array

/** Bytes of one element on the device: every type of this table is one 32-bit word. */
export const bytesPerElement = 4

const hostArrays = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, bool: Uint32Array } as const

/** A zeroed host array of `size` elements. */
export const hostArray = (dtype: DType, size: number): HostData => new hostArrays[dtype](size)

/** The words of a device buffer, read as `dtype`. */
export const hostView = (dtype: DType, bytes: ArrayBuffer): HostData => new hostArrays[dtype](bytes)

const promotionOrder: readonly DType[] = ['bool', 'u32', 'i32', 'f32']

/** The type two operands meet in. As JAX without 64-bit types: i32 with u32 is i32, an integer with f32 is f32. */
export const promote = (a: DType, b: DType): DType =>
  promotionOrder.indexOf(a) >= promotionOrder.indexOf(b) ? a : b

export const isFloat = (dtype: DType): boolean => dtype === 'f32'

/** A result of whole-number arithmetic as the dtype keeps it: integers lose their high bits. Floats stay as they are. */
export const wrap: { readonly [D in DType]: (x: number) => number } = {
  f32: (x) => x,
  i32: (x) => x | 0,
  u32: (x) => x >>> 0,
  bool: (x) => Number(x !== 0),
}
