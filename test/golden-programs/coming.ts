// The names that programs use, typed as agreed, of which some are still to come: a call of one of those is `Missing`.

import type { ArrayLike, Shape, Value } from '../../index.ts'
import * as root from '../../index.ts'
import * as layers from '../../nn/index.ts'

export * from '../../index.ts'

/** A function that does not exist yet. */
export class Missing extends Error {}

const coming = <F>(name: string, space: object = root): F => {
  const found = (space as Readonly<Record<string, unknown>>)[name]
  const call = () => {
    throw new Missing(name)
  }
  return (found ?? call) as F
}

/** A function that makes functions, which programs call where modules are loaded. */
const comingMaker = <F>(name: string): F => (name in root ? coming<F>(name) : ((() => coming(name)) as F))

type Unary = (x: ArrayLike) => Value
type Binary = (x: ArrayLike, y: ArrayLike) => Value
type AxisOptions = { readonly axis?: number; readonly reverse?: boolean; readonly descending?: boolean }
type Along = (x: ArrayLike, options?: AxisOptions) => Value
type Fold = (
  x: ArrayLike,
  options?: {
    readonly axis?: number | readonly number[]
    readonly keepDims?: boolean
    readonly ddof?: number
    readonly weights?: ArrayLike
    readonly ord?: number
  },
) => Value
type Mode = 'fill' | 'clip' | 'wrap'
type TakeAt = (
  x: ArrayLike,
  ids: ArrayLike,
  options?: { readonly axis?: number; readonly mode?: Mode },
) => Value
type Slice = { readonly start?: number; readonly stop?: number; readonly step?: number }
type Item = number | Value | Slice | null | '...'
type Jacobian = <A extends readonly unknown[], J>(
  f: (...args: A) => unknown,
  options?: { readonly argnums?: number | readonly number[] },
) => (...args: A) => J

// transforms
export const jacfwd = coming<Jacobian>('jacfwd')
export const jacrev = coming<Jacobian>('jacrev')
export const hessian = coming<Jacobian>('hessian')
export const hvp =
  coming<<A extends readonly unknown[]>(f: (...args: A) => Value, primals: A, tangents: A) => A>('hvp')
export const linearTranspose =
  coming<<A extends readonly unknown[], R>(f: (...args: A) => R, ...examples: A) => (ct: R) => A>(
    'linearTranspose',
  )
export const checkpoint =
  coming<
    <A extends readonly unknown[], R>(
      f: (...args: A) => R,
      options?: { readonly policy?: string },
    ) => (...args: A) => R
  >('checkpoint')
type Nondiff = { readonly nondiffArgnums?: readonly number[] }
export const customJvp = comingMaker<{
  <A extends readonly unknown[], R>(
    f: (...args: A) => R,
    rule: (primals: A, tangents: A) => readonly [R, R],
  ): (...args: A) => R
  <A extends readonly unknown[], R>(
    f: (...args: A) => R,
    rule: (...args: never[]) => readonly [R, R],
    options: Nondiff,
  ): (...args: A) => R
}>('customJvp')
export const customVjp = comingMaker<{
  <A extends readonly unknown[], R, S>(
    f: (...args: A) => R,
    forward: (...args: A) => readonly [R, S],
    backward: (residuals: S, ct: R) => readonly unknown[],
  ): (...args: A) => R
  <A extends readonly unknown[], R, S>(
    f: (...args: A) => R,
    forward: (...args: A) => readonly [R, S],
    backward: (...args: never[]) => readonly unknown[],
    options: Nondiff,
  ): (...args: A) => R
}>('customVjp')

// structure
export const scan =
  coming<
    <C, X, Y>(
      f: (carry: C, x: X) => readonly [C, Y],
      init: C,
      xs: X,
      options?: { readonly length?: number; readonly reverse?: boolean },
    ) => [C, Y]
  >('scan')
export const cond =
  coming<
    <A extends readonly unknown[], R>(
      pred: ArrayLike,
      onTrue: (...args: A) => R,
      onFalse: (...args: A) => R,
      ...operands: A
    ) => R
  >('cond')
export const switchCase =
  coming<
    <A extends readonly unknown[], R>(
      index: ArrayLike,
      branches: readonly ((...args: A) => R)[],
      ...operands: A
    ) => R
  >('switchCase')
export const whileLoop =
  coming<<T>(condition: (state: T) => Value, body: (state: T) => T, init: T) => T>('whileLoop')
export const foriLoop =
  coming<<T>(lower: ArrayLike, upper: ArrayLike, body: (i: Value, carry: T) => T, init: T) => T>('foriLoop')
export const map = coming<<X, Y>(f: (x: X) => Y, xs: X) => Y>('map')
export const associativeScan =
  coming<<T>(f: (a: T, b: T) => T, xs: T, options?: AxisOptions) => T>('associativeScan')

// products
export const einsum = coming<(spec: string, ...xs: ArrayLike[]) => Value>('einsum')
export const tensordot =
  coming<
    (x: ArrayLike, y: ArrayLike, axes: number | readonly [readonly number[], readonly number[]]) => Value
  >('tensordot')
export const dot = coming<Binary>('dot')
export const vdot = coming<Binary>('vdot')
export const inner = coming<Binary>('inner')
export const outer = coming<Binary>('outer')
export const kron = coming<Binary>('kron')
export const cross = coming<Binary>('cross')

// indexing
export const take = coming<TakeAt>('take')
export const takeAlongAxis = coming<TakeAt>('takeAlongAxis')
export const index = coming<(x: ArrayLike, ...items: Item[]) => Value>('index')
export const at =
  coming<
    (
      x: ArrayLike,
      ...items: Item[]
    ) => Record<'set' | 'add' | 'mul' | 'min' | 'max', (value: ArrayLike) => Value> & {
      get(): Value
      apply(f: (x: Value) => Value): Value
    }
  >('at')
export const dynamicSlice =
  coming<(x: ArrayLike, starts: readonly ArrayLike[], sizes: readonly number[]) => Value>('dynamicSlice')
export const dynamicUpdateSlice =
  coming<(x: ArrayLike, update: ArrayLike, starts: readonly ArrayLike[]) => Value>('dynamicUpdateSlice')
export const oneHot = coming<(ids: ArrayLike, n: number) => Value>('oneHot')
export const bincount =
  coming<(x: ArrayLike, options: { readonly length: number; readonly weights?: ArrayLike }) => Value>(
    'bincount',
  )
export const segmentSum = coming<(data: ArrayLike, ids: ArrayLike, n: number) => Value>('segmentSum')

// sorting, cumulative
export const sort = coming<Along>('sort')
export const argsort = coming<Along>('argsort')
export const topK = coming<(x: ArrayLike, k: number) => [Value, Value]>('topK')
export const searchSorted =
  coming<(sorted: ArrayLike, values: ArrayLike, options?: { readonly side?: 'left' | 'right' }) => Value>(
    'searchSorted',
  )
export const cumsum = coming<Along>('cumsum')
export const cumprod = coming<Along>('cumprod')
export const cummax = coming<Along>('cummax')
export const cummin = coming<Along>('cummin')
export const cumLogSumExp = coming<Along>('cumLogSumExp')
type Quantile = (x: ArrayLike, q: ArrayLike, options?: { readonly axis?: number }) => Value
export const quantile = coming<Quantile>('quantile')
export const percentile = coming<Quantile>('percentile')

// reductions
export const median = coming<Fold>('median')
export const variance = coming<Fold>('variance')
export const std = coming<Fold>('std')
export const prod = coming<Fold>('prod')
export const norm = coming<Fold>('norm')
export const average = coming<Fold>('average')
export const ptp = coming<Fold>('ptp')
export const nanSum = coming<Fold>('nanSum')
export const nanMean = coming<Fold>('nanMean')
export const nanMax = coming<Fold>('nanMax')
export const nanMin = coming<Fold>('nanMin')
export const any = coming<Fold>('any')
export const all = coming<Fold>('all')
export const countNonzero = coming<Fold>('countNonzero')
export const argmin = coming<Along>('argmin')

// movement, creation
export const pad =
  coming<
    (
      x: ArrayLike,
      options: {
        readonly before: readonly number[]
        readonly after: readonly number[]
        readonly value?: number
      },
    ) => Value
  >('pad')
export const roll =
  coming<(x: ArrayLike, shift: number, options?: { readonly axis?: number }) => Value>('roll')
export const tile = coming<(x: ArrayLike, copies: readonly number[]) => Value>('tile')
export const repeat =
  coming<(x: ArrayLike, times: number, options?: { readonly axis?: number }) => Value>('repeat')
export const split =
  coming<
    (x: ArrayLike, sections: number | readonly number[], options?: { readonly axis?: number }) => Value[]
  >('split')
export const swapaxes = coming<(x: ArrayLike, a: number, b: number) => Value>('swapaxes')
export const ravel = coming<Unary>('ravel')
export const rot90 = coming<(x: ArrayLike, quarters?: number) => Value>('rot90')
export const tril = coming<(x: ArrayLike, k?: number) => Value>('tril')
export const triu = coming<(x: ArrayLike, k?: number) => Value>('triu')
export const diff = coming<Along>('diff')
export const diag = coming<(x: ArrayLike, options?: { readonly k?: number }) => Value>('diag')
export const diagonal = coming<(x: ArrayLike, options?: { readonly k?: number }) => Value>('diagonal')
export const arange = coming<(start: number, stop?: number, step?: number) => Value>('arange')
export const linspace = coming<(start: number, stop: number, n: number) => Value>('linspace')
export const eye = coming<(n: number, m?: number, options?: { readonly k?: number }) => Value>('eye')
export const meshgrid =
  coming<(xs: readonly ArrayLike[], options?: { readonly indexing?: 'xy' | 'ij' }) => Value[]>('meshgrid')

// element-wise
export const acos = coming<Unary>('acos')
export const acosh = coming<Unary>('acosh')
export const asin = coming<Unary>('asin')
export const asinh = coming<Unary>('asinh')
export const atan = coming<Unary>('atan')
export const atan2 = coming<Binary>('atan2')
export const atanh = coming<Unary>('atanh')
export const cbrt = coming<Unary>('cbrt')
export const clip =
  coming<(x: ArrayLike, options: { readonly min?: ArrayLike; readonly max?: ArrayLike }) => Value>('clip')
export const copysign = coming<Binary>('copysign')
export const cosh = coming<Unary>('cosh')
export const countLeadingZeros = coming<Unary>('countLeadingZeros')
export const digamma = coming<Unary>('digamma')
export const erf = coming<Unary>('erf')
export const erfInv = coming<Unary>('erfInv')
export const erfc = coming<Unary>('erfc')
export const exp2 = coming<Unary>('exp2')
export const expm1 = coming<Unary>('expm1')
export const floorDivide = coming<Binary>('floorDivide')
export const hypot = coming<Binary>('hypot')
export const lgamma = coming<Unary>('lgamma')
export const log10 = coming<Unary>('log10')
export const log2 = coming<Unary>('log2')
export const logAddExp = coming<Binary>('logAddExp')
export const logAddExp2 = coming<Binary>('logAddExp2')
export const logicalAnd = coming<Binary>('logicalAnd')
export const logicalNot = coming<Unary>('logicalNot')
export const logicalOr = coming<Binary>('logicalOr')
export const logicalXor = coming<Binary>('logicalXor')
export const mod = coming<Binary>('mod')
export const nanToNum = coming<Unary>('nanToNum')
export const populationCount = coming<Unary>('populationCount')
export const pow = coming<Binary>('pow')
export const rem = coming<Binary>('rem')
export const round = coming<Unary>('round')
export const shiftRightLogical = coming<Binary>('shiftRightLogical')
export const sinh = coming<Unary>('sinh')
export const tan = coming<Unary>('tan')

// random
type Options = {
  readonly axis?: number
  readonly shape?: Shape
  readonly replace?: boolean
  readonly p?: ArrayLike
}
const drawn = <F>(name: string): F => coming<F>(name, root.random)
export const random = {
  ...root.random,
  randint: drawn<(k: Value, shape: Shape, low: number, high: number) => Value>('randint'),
  permutation: drawn<(k: Value, x: number | Value, options?: Options) => Value>('permutation'),
  bernoulli: drawn<(k: Value, p: ArrayLike, shape: Shape) => Value>('bernoulli'),
  normal: drawn<(k: Value, shape: Shape) => Value>('normal'),
  categorical: drawn<(k: Value, logits: Value, options?: Options) => Value>('categorical'),
  gumbel: drawn<(k: Value, shape: Shape) => Value>('gumbel'),
  exponential: drawn<(k: Value, shape: Shape) => Value>('exponential'),
  truncatedNormal: drawn<(k: Value, low: number, high: number, shape: Shape) => Value>('truncatedNormal'),
  choice: drawn<(k: Value, x: number | Value, shape: Shape, options?: Options) => Value>('choice'),
}

// nn
const layer = <F>(name: string): F => coming<F>(name, layers)
export const celu = layer<Unary>('celu')
export const elu = layer<Unary>('elu')
export const gelu = layer<(x: ArrayLike, options?: { readonly approximate?: boolean }) => Value>('gelu')
export const glu = layer<Along>('glu')
export const hardTanh = layer<Unary>('hardTanh')
export const leakyRelu = layer<Unary>('leakyRelu')
export const logSigmoid = layer<Unary>('logSigmoid')
export const mish = layer<Unary>('mish')
export const relu6 = layer<Unary>('relu6')
export const selu = layer<Unary>('selu')
export const sigmoid = layer<Unary>('sigmoid')
export const silu = layer<Unary>('silu')
export const softSign = layer<Unary>('softSign')
export const softplus = layer<Unary>('softplus')
export const squareplus = layer<Unary>('squareplus')
