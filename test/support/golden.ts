// Golden values, as `test/golden/README.md` describes them.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { DType } from '../../core/index.ts'
import type { Budget } from './close.ts'
import { type HostArray, toNdArray } from './host.ts'

/** An array as `common.py` writes it. */
export interface GoldenArray {
  readonly dtype: 'float32' | 'int32' | 'uint32' | 'bool'
  readonly shape: readonly number[]
  readonly data: readonly (number | boolean | string)[]
}

const dtypes = { float32: 'f32', int32: 'i32', uint32: 'u32', bool: 'bool' } as const satisfies Record<
  string,
  DType
>

/** A golden array with its numbers read; those of float32 are exactly floats. */
export const ofGolden = ({ dtype, shape, data }: GoldenArray): HostArray =>
  toNdArray(
    data.map((x) => (dtype === 'float32' ? Math.fround(Number(x)) : Number(x))),
    shape,
    dtypes[dtype],
  )

/** A file of `test/golden/`. */
export const golden = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../golden/${name}`, import.meta.url), 'utf8')) as T

/** Arrays by name. */
export type GoldenArrays = Readonly<Record<string, GoldenArray>>

export const ofGoldens = (arrays: GoldenArrays): Record<string, HostArray> =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, ofGolden(array)]))

/** A folder of `test/golden/`, such as a model. */
export const goldenFolder = (name: string): string =>
  fileURLToPath(new URL(`../golden/${name}`, import.meta.url))

/** A share of the largest element: what a sum of many terms that cancel can be held to. */
export const ofLargest = ({ data }: HostArray, share: number): Budget => ({
  absolute: share * data.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0),
})
