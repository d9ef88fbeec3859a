// Closeness of arrays of numbers, in units in the last place, relatively and absolutely.

export interface Budget {
  /** Of the expected element. */
  readonly relative?: number
  readonly absolute?: number
  /** Units in the last place of the expected element, in its dtype. */
  readonly ulps?: number
}

/** For each float dtype, the bits of the fraction and the exponent of the smallest number. */
const precisions = { f32: [23, -149], f16: [10, -24], bf16: [7, -133] } as const

const isPrecise = (dtype: string): dtype is keyof typeof precisions => Object.hasOwn(precisions, dtype)

/** The distance of neighbouring numbers of a float dtype around `x`. */
function ulpOf(x: number, dtype: string): number {
  const [digits, lowest] = precisions[isPrecise(dtype) ? dtype : 'f32']
  return 2 ** Math.max(Math.floor(Math.log2(Math.abs(x))) - digits, lowest)
}

/** Whether both are NaN, the same infinity, or closer than the budget allows. */
function isClose(actual: number, expected: number, budget: Budget, dtype: string): boolean {
  if (Object.is(actual, expected) || actual === expected) return true
  const allowed =
    (budget.absolute ?? 0) +
    (budget.relative ?? 0) * Math.abs(expected) +
    (budget.ulps ? budget.ulps * ulpOf(expected, dtype) : 0)
  return Number.isFinite(expected) && Math.abs(actual - expected) <= allowed
}

interface Elements {
  readonly data: ArrayLike<number>
  readonly shape?: readonly number[]
  readonly dtype?: string
}

const indexOf = (flat: number, shape: readonly number[]): number[] =>
  shape.map((extent, axis) => Math.floor(flat / shape.slice(axis + 1).reduce((a, b) => a * b, 1)) % extent)

/** Fails unless types agree and every element is within `budget`; integers and bools must be equal. */
export function expectClose(actual: Elements, expected: Elements, budget: Budget = {}, what = ''): void {
  const types = [actual, expected].map(
    ({ data, dtype = 'f32', shape = [data.length] }) => `${dtype}[${shape}]`,
  )
  if (types[0] !== types[1]) throw new Error(`${what}: got ${types[0]}, expected ${types[1]}`)
  const { dtype = 'f32' } = expected
  const allowed = isPrecise(dtype) ? budget : {}
  const wrong = Array.from(expected.data).flatMap((y, i) =>
    isClose(actual.data[i]!, y, allowed, dtype) ? [] : [i],
  )
  const [first] = wrong
  if (first === undefined) return
  const [x, y] = [actual.data[first]!, expected.data[first]!]
  const off = Math.abs(x - y)
  throw new Error(
    `${what}: element [${indexOf(first, expected.shape ?? [expected.data.length])}] of ${types[1]} is ${x}, expected ${y}: ` +
      `off by ${off.toPrecision(3)}, ${(off / ulpOf(y, dtype)).toPrecision(3)} ulp, ${(off / Math.abs(y)).toPrecision(3)} of it; ` +
      `allowed ${JSON.stringify(allowed)}; ${wrong.length} of ${expected.data.length} are wrong`,
  )
}
