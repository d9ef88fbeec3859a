// Random numbers from keys, as in `jax.random`: a key is two words, the numbers are the Threefry hash of their places under
// it, and equal keys give equal numbers. The bits are those of JAX with `jax_threefry_partitionable`, its default; what is
// made of them by arithmetic agrees to rounding.

import { useKey } from './check.ts'
import { evaluate } from './jit.ts'
import {
  add,
  argmax,
  argsort,
  bitcast,
  bitwiseOr,
  bitwiseXor,
  cast,
  cumsum,
  erf,
  erfInv,
  iota,
  less,
  lessEqual,
  log,
  log1p,
  maximum,
  minimum,
  mul,
  neg,
  rem,
  reshape,
  searchSorted,
  shiftRight,
  slice,
  stack,
  sub,
  take,
  threefry2x32,
  where,
} from './ops/index.ts'
import { broadcastShapes, normalizeAxis, type Shape, sameShape, sizeOf } from './shape.ts'
import { tensor } from './tensor.ts'
import { type ArrayLike, full, Value, zeros } from './value.ts'

/** A `u32[2]` array. */
export type Key = Value

/** The key of a seed: its low 32 bits. A traced seed is an integer array of rank 0. */
export function key(seed: number | Value): Key {
  if (seed instanceof Value) return evaluate(() => stack([full([], 0, 'u32'), word('key', seed)]))
  requireWhole('key', 'the seed', seed)
  return tensor(new Uint32Array([0, Number(BigInt.asUintN(32, BigInt(seed)))]))
}

function requireWhole(op: string, what: string, x: number): void {
  if (!Number.isInteger(x)) throw new RangeError(`random.${op}: ${what} is ${x}; give a whole number`)
}

/** An integer scalar as a u32. */
function word(op: string, x: Value): Value {
  if ((x.dtype !== 'i32' && x.dtype !== 'u32') || x.rank !== 0)
    throw new TypeError(`random.${op}: ${x.aval} is no integer; give an i32 or u32 of rank 0`)
  return cast(x, 'u32')
}

function words(op: string, k: Key): [Value, Value] {
  if (!(k instanceof Value) || k.dtype !== 'u32' || !sameShape(k.shape, [2]))
    throw new TypeError(
      `random.${op}: ${k instanceof Value ? k.aval : typeof k} is no key, which is u32[2]; make one with random.key, and map over several with vmap`,
    )
  return [reshape(slice(k, { start: [0], end: [1] }), []), reshape(slice(k, { start: [1], end: [2] }), [])]
}

/** Both words of the hash of the places 0, 1, …, n - 1; after it the key is used. */
function hashOfPlaces(op: string, k: Key, size: number, use = 'gives numbers'): [Value, Value] {
  const [k0, k1] = words(op, k)
  useKey(k, use)
  const place = iota([size], { dtype: 'u32' })
  const hash = (lane: 0 | 1): Value => threefry2x32(k0, k1, zeros([size], 'u32'), place, lane)
  return [hash(0), hash(1)]
}

/**
 * `count` new keys, `u32[count,2]`; with a shape for the count, `u32[...shape,2]`.
 *
 * @example
 * ```ts
 * import { random, vmap } from 'cotangent'
 * const keys = random.split(random.key(0), 3)
 * vmap((key) => random.normal(key, [2]))(keys).shape // [3, 2]
 * ```
 */
export const split = (k: Key, count: number | Shape = 2): Value =>
  evaluate(() => {
    const shape = [count].flat()
    return reshape(stack(hashOfPlaces('split', k, sizeOf(shape), 'is split'), { axis: 1 }), [...shape, 2])
  })

/** Key number `i` of `split(k, count)`, for any count. */
function part(op: string, k: Key, i: 0 | 1): Key {
  const [k0, k1] = words(op, k)
  const hash = (lane: 0 | 1): Value => threefry2x32(k0, k1, full([], 0, 'u32'), full([], i, 'u32'), lane)
  return stack([hash(0), hash(1)])
}

/** FNV-1a of the text's UTF-16 units. */
function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** A key made of a key and a number, an integer array of rank 0, or a text such as the path of a parameter. */
export function foldIn(k: Key, data: number | Value | string): Key {
  if (typeof data === 'number') requireWhole('foldIn', 'the number', data)
  const count = typeof data === 'string' ? hashText(data) : typeof data === 'number' ? data >>> 0 : data
  return evaluate(() => {
    const [k0, k1] = words('foldIn', k)
    const low = count instanceof Value ? word('foldIn', count) : full([], count, 'u32')
    const hash = (lane: 0 | 1): Value => threefry2x32(k0, k1, full([], 0, 'u32'), low, lane)
    return stack([hash(0), hash(1)])
  })
}

const bitsOf = (op: string, k: Key, shape: Shape): Value => {
  const [high, low] = hashOfPlaces(op, k, sizeOf(shape))
  return reshape(bitwiseXor(high, low), shape)
}

/** Random words, u32 of the given shape. */
export const bits = (k: Key, shape: Shape = []): Value => evaluate(() => bitsOf('bits', k, shape))

/** Parameters of a distribution stretch to the shape of the draw, and not the other way round. */
function requireFit(op: string, what: string, x: ArrayLike, shape: Shape): void {
  if (!(x instanceof Value)) return
  if (!sameShape(broadcastShapes(`random.${op}`, x.shape, shape), shape))
    throw new TypeError(
      `random.${op}: ${what} is ${x.aval}, which does not broadcast to [${shape}]; draw more`,
    )
}

/** The interval of `uniform`: 0 to 1 by default. */
export interface UniformOptions {
  readonly minval?: number | Value
  readonly maxval?: number | Value
}

/** f32 from 0 to below 1: 23 random bits as the fraction of a number from 1 to 2, less 1. */
const unit = (op: string, k: Key, shape: Shape): Value =>
  sub(bitcast(bitwiseOr(shiftRight(bitsOf(op, k, shape), 9), 0x3f800000), 'f32'), 1)

function between(op: string, k: Key, shape: Shape, minval: number | Value, maxval: number | Value): Value {
  requireFit(op, 'minval', minval, shape)
  requireFit(op, 'maxval', maxval, shape)
  const width =
    typeof minval === 'number' && typeof maxval === 'number'
      ? Math.fround(Math.fround(maxval) - Math.fround(minval))
      : sub(maxval, minval)
  return maximum(add(mul(unit(op, k, shape), width), minval), minval)
}

/** f32 from `minval` up to, not including, `maxval`. */
export function uniform(k: Key, shape: Shape = [], { minval = 0, maxval = 1 }: UniformOptions = {}): Value {
  if (typeof minval === 'number' && typeof maxval === 'number' && !(minval <= maxval))
    throw new RangeError(`random.uniform: minval ${minval} is not below maxval ${maxval}; swap them`)
  return evaluate(() => between('uniform', k, shape, minval, maxval))
}

/** How far `high` is above `low`, as a word: 0 for all of the type, and 1 where it is not above. */
function spanOf(low: number | Value, high: number | Value, dtype: 'i32' | 'u32'): Value {
  if (typeof low === 'number' && typeof high === 'number') return full([], (high - low) % 2 ** 32, 'u32')
  const [from, to] = [low, high].map((x) => (x instanceof Value ? cast(x, dtype) : full([], x, dtype)))
  return where(lessEqual(to!, from!), full([], 1, 'u32'), cast(sub(to!, from!), 'u32'))
}

const integerRange = { i32: [-(2 ** 31), 2 ** 31], u32: [0, 2 ** 32] } as const

/**
 * Whole numbers from `low` up to, not including, `high`. Two words are drawn for each number, as in JAX, so that
 * ranges that are no power of two are hardly biased.
 *
 * @example
 * ```ts
 * import { random } from 'cotangent'
 * await random.randint(random.key(42), [3], 0, 1).data() // [0, 0, 0]
 * ```
 */
export function randint(
  k: Key,
  shape: Shape,
  low: number | Value,
  high: number | Value,
  { dtype = 'i32' }: { readonly dtype?: 'i32' | 'u32' } = {},
): Value {
  const [least, most] = integerRange[dtype]
  for (const x of [low, high])
    if (typeof x === 'number' && (!Number.isInteger(x) || x < least || x > most))
      throw new RangeError(
        `random.randint: ${x} is outside ${dtype}; give whole numbers from ${least} to ${most}`,
      )
  if (typeof low === 'number' && typeof high === 'number' && low >= high)
    throw new RangeError(`random.randint: low ${low} is not below high ${high}; high is not included`)
  return evaluate(() => {
    requireFit('randint', 'low', low, shape)
    requireFit('randint', 'high', high, shape)
    words('randint', k)
    useKey(k, 'gives numbers')
    const span = spanOf(low, high, dtype)
    const [upper, lower] = [0, 1].map((i) => bitsOf('randint', part('randint', k, i as 0 | 1), shape))
    const half = rem(full([], 2 ** 16, 'u32'), span)
    const turn = rem(mul(half, half), span)
    const offset = rem(add(mul(rem(upper!, span), turn), rem(lower!, span)), span)
    return add(low instanceof Value ? cast(low, dtype) : full([], low, dtype), cast(offset, dtype))
  })
}

/** Whether a coin lands heads that does so with probability `p`, as bools; of the shape of `p` if no other is given. */
export function bernoulli(
  k: Key,
  p: number | Value = 0.5,
  shape: Shape = p instanceof Value ? p.shape : [],
): Value {
  if (typeof p === 'number' && !(p >= 0 && p <= 1))
    throw new RangeError(`random.bernoulli: p is ${p}; give a probability from 0 to 1`)
  if (p instanceof Value && p.dtype !== 'f32')
    throw new TypeError(`random.bernoulli: p is ${p.aval}; give f32 probabilities`)
  requireFit('bernoulli', 'p', p, shape)
  return evaluate(() => less(unit('bernoulli', k, shape), p))
}

/**
 * f32 of the normal distribution of mean 0 and variance 1.
 *
 * @example
 * ```ts
 * import { random } from 'cotangent'
 * await random.normal(random.key(42)).item() // -0.0283046
 * ```
 */
export const normal = (k: Key, shape: Shape = []): Value =>
  evaluate(() => mul(erfInv(between('normal', k, shape, nextAfter(-1, 0), 1)), Math.SQRT2))

/** The f32 next to `x` in the direction of `towards`. */
function nextAfter(x: number, towards: number): number {
  if (x === towards) return x
  if (x === 0) return Math.sign(towards) * 2 ** -149
  const word = new Float32Array([x])
  new Int32Array(word.buffer)[0]! += x < towards === x > 0 ? 1 : -1
  return word[0]!
}

/** The normal distribution between `lower` and `upper`, neither included; either may be infinite. */
export function truncatedNormal(k: Key, lower: number, upper: number, shape: Shape = []): Value {
  const [low, high] = [Math.fround(lower), Math.fround(upper)]
  if (!(low < high))
    throw new RangeError(`random.truncatedNormal: lower ${lower} is not below upper ${upper}; swap them`)
  return evaluate(() => {
    const [a, b] = [low, high].map((x) => erf(full([], x / Math.SQRT2)))
    const drawn = mul(erfInv(between('truncatedNormal', k, shape, a!, b!)), Math.SQRT2)
    return minimum(maximum(drawn, nextAfter(low, high)), nextAfter(high, low))
  })
}

/** f32 of the exponential distribution of mean 1. */
export const exponential = (k: Key, shape: Shape = []): Value =>
  evaluate(() => neg(log1p(neg(unit('exponential', k, shape)))))

const gumbelOf = (op: string, k: Key, shape: Shape): Value =>
  neg(log(neg(log(between(op, k, shape, 2 ** -126, 1)))))

/** f32 of the standard Gumbel distribution, up to about 16. */
export const gumbel = (k: Key, shape: Shape = []): Value => evaluate(() => gumbelOf('gumbel', k, shape))

export interface CategoricalOptions {
  /** The axis of `logits` whose places are the categories; the last by default. */
  readonly axis?: number
  /** Of the result: axes of further draws, and the axes of `logits` but the one of the categories. */
  readonly shape?: Shape
}

/**
 * Places along an axis of `logits`, i32, each with a probability in proportion to the exponential of its logit.
 *
 * @example
 * ```ts
 * import { random, tensor } from 'cotangent'
 * await random.categorical(random.key(0), tensor([-Infinity, 0, -Infinity]), { shape: [4] }).data() // [1, 1, 1, 1]
 * ```
 */
export function categorical(k: Key, logits: Value, { axis = -1, shape }: CategoricalOptions = {}): Value {
  const along = normalizeAxis('random.categorical', axis, logits.rank)
  if (logits.dtype !== 'f32')
    throw new TypeError(`random.categorical: the logits are ${logits.aval}; cast them to f32`)
  if (logits.shape[along] === 0)
    throw new RangeError(
      `random.categorical: axis ${axis} of ${logits.aval} is empty; give at least one logit`,
    )
  const others = logits.shape.filter((_, d) => d !== along)
  const drawn = shape ?? others
  if (!sameShape(broadcastShapes('random.categorical', others, drawn), drawn))
    throw new TypeError(
      `random.categorical: shape [${drawn}] does not hold the axes [${others}] of the logits; put them last`,
    )
  const further = drawn.length - others.length
  const inner = [...drawn.slice(further)]
  inner.splice(along, 0, logits.shape[along]!)
  return evaluate(() => {
    const noise = gumbelOf('categorical', k, [...drawn.slice(0, further), ...inner])
    return argmax(add(noise, logits), { axis: along - logits.rank })
  })
}

/** The numbers 0, 1, …, n - 1 in random order: sorted by random words, again where words may coincide. */
function shuffled(op: string, k: Key, n: number): Value {
  words(op, k)
  useKey(k, 'gives numbers')
  const rounds = Math.ceil((3 * Math.log(Math.max(1, n))) / Math.log(2 ** 32 - 1))
  let [place, rest] = [iota([n]), k]
  for (let round = 0; round < rounds; round++) {
    place = take(place, argsort(bitsOf(op, part(op, rest, 1), [n])))
    rest = part(op, rest, 0)
  }
  return place
}

/** A count, or the extent of an array along an axis, and what to draw from. */
function population(
  op: string,
  from: number | Value,
  axis: number,
): { n: number; at: (ids: Value) => Value } {
  if (typeof from === 'number') {
    if (!Number.isInteger(from) || from < 0)
      throw new RangeError(`random.${op}: there are no ${from} numbers; give a whole number from 0 up`)
    return { n: from, at: (ids) => ids }
  }
  const along = normalizeAxis(`random.${op}`, axis, from.rank)
  return { n: from.shape[along]!, at: (ids) => take(from, ids, { axis: along }) }
}

/** The numbers below `n`, or the slices of an array along `axis`, in random order. */
export function permutation(
  k: Key,
  from: number | Value,
  { axis = 0 }: { readonly axis?: number } = {},
): Value {
  const { n, at } = population('permutation', from, axis)
  return evaluate(() => at(shuffled('permutation', k, n)))
}

export interface ChoiceOptions {
  /** Whether one element may be drawn several times; true by default. */
  readonly replace?: boolean
  /** The probability of each element; all alike when absent. */
  readonly p?: Value
  readonly axis?: number
}

/**
 * Draws of a shape from the numbers below `n`, or from the slices of an array along `axis`, whose place in the result the axes of
 * the draws take.
 *
 * @example
 * ```ts
 * import { random, tensor } from 'cotangent'
 * await random.choice(random.key(0), 3, [2], { p: tensor([0, 0, 1]) }).data() // [2, 2]
 * ```
 */
export function choice(
  k: Key,
  from: number | Value,
  shape: Shape = [],
  { replace = true, p, axis = 0 }: ChoiceOptions = {},
): Value {
  const { n, at } = population('choice', from, axis)
  const count = sizeOf(shape)
  if (n === 0 && count > 0) throw new RangeError('random.choice: there is nothing to draw from; give more')
  if (!replace && count > n)
    throw new RangeError(`random.choice: ${count} draws of ${n} need repetition; draw fewer, or replace`)
  if (p !== undefined && (p.dtype !== 'f32' || !sameShape(p.shape, [n])))
    throw new TypeError(`random.choice: p is ${p.aval}, not f32[${n}]; give each element a probability`)
  const firstOf = (ids: Value): Value => reshape(slice(ids, { start: [0], end: [count] }), shape)
  return evaluate(() => {
    if (n === 0) return at(zeros(shape, 'i32'))
    if (!replace)
      return at(
        firstOf(
          p === undefined
            ? shuffled('choice', k, n)
            : argsort(add(gumbelOf('choice', k, [n]), log(p)), { descending: true }),
        ),
      )
    if (p === undefined) return at(randint(k, shape, 0, n))
    const cumulative = cumsum(p)
    const drawn = mul(cumulative.index(-1), sub(1, unit('choice', k, shape)))
    return at(searchSorted(cumulative, drawn))
  })
}
