// What a random program has to know of a row of the table, found by trying: where its inputs may lie, how large its results
// are, and whether it is defined, and smooth, everywhere there.

import { jvp } from '../../autodiff/index.ts'
import { Aval, type DType, evalShape, type Shape, type Value } from '../../core/index.ts'
import { type HostArray, toNdArray } from '../support/host.ts'
import { type Domain, generator } from '../support/inputs.ts'
import { oracle } from '../support/oracle.ts'
import { primitiveOf, rows } from './primitives.table.ts'

/** Where the numbers of an input lie. */
export interface Place {
  readonly domain: Domain
  readonly shape: Shape
  readonly dtype: DType
  readonly low: number
  readonly high: number
}

export interface Drawable {
  readonly name: string
  /** The function as text, which names nothing but `ops`; or how it is found in the table. */
  readonly text: string
  readonly places: readonly Place[]
  /** Poles or corners lie at whole numbers, which the table's own inputs avoid. */
  readonly isCareful: boolean
  /** A rounding of the input changes the result altogether, so inputs are multiples of 1/8. */
  readonly isExact: boolean
  /** The size of its results. */
  readonly largest: number
  /** Each element depends on those at the same place, so any shape will do. */
  readonly isElementwise: boolean
  /** False where the derivative is not the limit of differences, by design, or reverse mode is refused. */
  readonly isSmooth: boolean
}

const placeOf = (domain: Domain): Place => {
  const numbers = [1, 2, 3, 4].flatMap((seed) => [...domain.draw(generator(seed)).data])
  const { shape, dtype } = domain
  return { domain, shape, dtype, low: Math.min(...numbers), high: Math.max(...numbers) }
}

const filled = ({ shape, dtype }: Place, number: (k: number) => number): HostArray =>
  toNdArray(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, k) => number(k)),
    shape,
    dtype,
  )

/** The row's own function, as text that stands alone, or found in the table. */
function textOf(k: number): string {
  const { f, inputs } = rows[k]!
  const text = String(f).replaceAll(/__vi_import_\d+__/g, 'ops')
  try {
    const alone = new Function('ops', `return ${text}`)(operations) as typeof f
    evalShape(alone)(...(inputs.map(({ shape, dtype }) => new Aval(shape, dtype)) as unknown as Value[]))
    return text
  } catch {
    return `rows[${k}].f`
  }
}

import * as operations from '../../core/ops/index.ts'

function drawableOf(k: number): Drawable {
  const row = rows[k]!
  const places = row.inputs.map(placeOf)
  const floats = places.filter(({ dtype }) => dtype === 'f32')
  const examples = [5, 6, 7].map((seed) => places.map(({ domain }) => domain.draw(generator(seed))))
  const f = (...xs: readonly Value[]): Value => row.f(...xs)
  const value = oracle(f, examples[0]!)
  const results = examples.map((xs) => value(...xs))
  const isFloat = results[0]!.dtype === 'f32' && floats.length > 0
  const tangent = isFloat
    ? oracle((xs: readonly Value[]) => jvp(f, xs, xs)[1], [examples[0]!])
    : (xs: readonly HostArray[]) => value(...xs)
  const isWild = ({ data }: HostArray): boolean => data.some((x) => !(Math.abs(x) < 100))
  const probes = [() => 0, (k: number) => (k % 3) - 1, (k: number) => (k % 4) - 1.9999].map((number) =>
    places.map((place, j) =>
      place.dtype === 'f32' && isWide(place) ? filled(place, number) : examples[0]![j]!,
    ),
  )
  const shifted = examples[0]!.map(({ data, shape, dtype }) =>
    toNdArray(dtype === 'f32' ? data.map((x) => x * (1 + 1e-6)) : data, shape, dtype),
  )
  const primitive = primitiveOf(row.name)
  return {
    name: row.name,
    text: textOf(k),
    places,
    isCareful:
      isFloat && floats.some(isWide) && probes.some((xs) => isWild(value(...xs)) || isWild(tangent(xs))),
    isExact:
      results[0]!.dtype !== 'f32' &&
      floats.length > 0 &&
      String(value(...shifted).data) !== String(results[0]!.data),
    largest: Math.max(...results.flatMap(({ data }) => [...data].map(Math.abs))),
    isElementwise: primitive?.lower.kind === 'map',
    isSmooth: row.differentiable !== false && row.reversible !== false,
  }
}

/** Whether a place is that of `floats`: about -2 to 2. */
export const isWide = ({ low, high }: Place): boolean => low < -0.9 && high > 0.9 && low >= -2 && high <= 2

/** What a program holds; rounding to 16 bits is no small change, and has tests of its own. */
const held: readonly string[] = ['f32', 'i32', 'u32', 'bool']

export const drawables: readonly Drawable[] = rows.flatMap(({ f, inputs }, k) => {
  const avals = inputs.map(({ shape, dtype }) => new Aval(shape, dtype))
  const { dtype } = evalShape((...xs: readonly Value[]) => f(...xs))(...(avals as unknown as Value[]))
  return [...avals.map(({ dtype }) => dtype), dtype].every((dtype) => held.includes(dtype))
    ? [drawableOf(k)]
    : []
})
