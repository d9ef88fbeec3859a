// Looking into a program while it runs: values are handed to a function on the host, which the program waits for. The
// checking mode is in `check.ts`.

import { type DType, isFloat } from './dtype.ts'
import { moveaxis } from './ops/index.ts'
import type { NdArray, Primitive } from './primitive.ts'
import type { Shape } from './shape.ts'
import { bind, toValue } from './trace.ts'
import { leavesWithPath, showPath, unflatten } from './tree.ts'
import type { Value } from './value.ts'

export { checked, NanError } from './check.ts'

/** An array on the host, at the time a callback sees it: its elements in row-major order. */
export interface HostArray {
  readonly shape: Shape
  readonly dtype: DType
  readonly data: Float64Array
}

interface CallbackParams {
  readonly call: (arrays: readonly NdArray[]) => void
  /** For each enclosing `vmap`, from the outside in: how many examples, and which inputs differ between them. */
  readonly batches: readonly { readonly size: number; readonly batched: readonly boolean[] }[]
}

const callbackPrimitive: Primitive<CallbackParams> = {
  name: 'callback',
  type: () => [],
  jvp: () => [],
  batch: (inputs, { call, batches }, size) => {
    const values = inputs.map(({ value, axis }) => (axis === null ? value : moveaxis(value, axis, 0)))
    const batched = inputs.map(({ axis }) => axis !== null)
    bind(callbackPrimitive, values, { call, batches: [{ size, batched }, ...batches] })
    return []
  },
  reference: (inputs, { call, batches }) => {
    forEachExample(inputs, batches, call)
    return []
  },
  lower: { kind: 'host' },
  effect: true,
}

function forEachExample(
  inputs: readonly NdArray[],
  [first, ...rest]: CallbackParams['batches'],
  call: CallbackParams['call'],
): void {
  if (first === undefined) {
    call(inputs)
    return
  }
  for (let k = 0; k < first.size; k++)
    forEachExample(
      inputs.map((array, j) => (first.batched[j] ? exampleOf(array, k) : array)),
      rest,
      call,
    )
}

function exampleOf({ shape: [size, ...shape], dtype, data }: NdArray, k: number): NdArray {
  const length = data.length / size!
  return { shape, dtype, data: data.slice(k * length, (k + 1) * length) }
}

/**
 * Calls `f` with the values, as arrays on the host, whenever a program comes to this place; inside `jit` too, in a branch only
 * if it is taken, in a loop at each turn, under `vmap` once for each example. The program waits for it.
 *
 * @example
 * ```ts
 * import { debug, jit, tensor } from 'cotangent'
 * const seen = []
 * const f = jit((x) => { debug.callback(({ data }) => seen.push(data[0]), x); return x.mul(2) })
 * await f(tensor(3)).item() // 6
 * seen // [3]
 * ```
 */
export function callback<A extends readonly unknown[]>(
  f: (...values: HostLeaves<A>) => void,
  ...values: A
): void {
  const leaves = leavesWithPath(values).map(({ path, leaf }) =>
    toValue(leaf, () => `debug.callback: value ${showPath(path)}`),
  )
  const call = (arrays: readonly NdArray[]): void =>
    f(...(unflatten(values, arrays) as unknown as HostLeaves<A>))
  bind(callbackPrimitive, leaves, { call, batches: [] })
}

/** Trees of values, with host arrays at the leaves. */
type HostLeaves<T> = { [K in keyof T]: T[K] extends Value | number | boolean ? HostArray : HostLeaves<T[K]> }

/** `[1, 2, [3]]`, nested by shape. */
function show({ shape, dtype, data }: NdArray): string {
  const number = (x: number): string =>
    dtype === 'bool' ? String(x !== 0) : isFloat(dtype) ? String(Number(x.toPrecision(7))) : String(x)
  const [extent] = shape
  if (extent === undefined) return number(data[0]!)
  const parts = Array.from({ length: extent }, (_, k) => show(exampleOf({ shape, dtype, data }, k)))
  return `[${parts.join(', ')}]`
}

/**
 * Prints a line whenever a program comes to this place: `format` with the values in the places of `{}`.
 *
 * @example
 * ```ts
 * import { debug, jit, tensor } from 'cotangent'
 * const f = jit((x) => { debug.print('x is {}', x); return x })
 * await f(tensor([1, 2])).data() // prints: x is [1, 2]
 * ```
 */
export const print = (format: string, ...values: readonly Value[]): void => {
  const places = format.split('{}').length - 1
  if (places !== values.length)
    throw new TypeError(
      `debug.print: "${format}" has ${places} places for ${values.length} values; write {} once for each`,
    )
  callback(
    (...arrays: readonly HostArray[]) => {
      const rest = arrays.map(show)
      console.log(format.replaceAll('{}', () => rest.shift()!))
    },
    ...(values as readonly never[]),
  )
}
