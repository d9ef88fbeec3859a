// The product: a two-operand einsum. Transposing it renames its letters and batching it prepends one.

import { isFloat, join } from '../dtype.ts'
import { type Letters, type Primitive, single } from '../primitive.ts'
import { Aval, broadcastShapes, stridesOf } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import { mul } from './arithmetic.ts'
import { add, cast, floatsAlike } from './elementwise.ts'
import { batchFirst, broadcastTo, expandDims, ndArray, squeeze, sum } from './movement.ts'

type ContractParams = { readonly spec: string }

const parsed = new Map<string, Letters>()

/** `ik,kj->ij` in its parts. */
function parse(spec: string): Letters {
  const known = parsed.get(spec)
  if (known !== undefined) return known
  const [inputs, out] = spec.split('->') as [string, string]
  const [lhs, rhs] = inputs.split(',') as [string, string]
  const letters = { lhs, rhs, out }
  parsed.set(spec, letters)
  return letters
}

const format = ({ lhs, rhs, out }: Letters): string => `${lhs},${rhs}->${out}`

/** The extent of each letter, checked. */
function extents(spec: string, x: Aval, y: Aval): Map<string, number> {
  const { lhs, rhs, out } = parse(spec)
  const known = new Map<string, number>()
  for (const [side, letters, { shape }] of [
    ['lhs', lhs, x],
    ['rhs', rhs, y],
  ] as const) {
    if (letters.length !== shape.length)
      throw new TypeError(
        `contract ${spec}: ${side} has ${shape.length} axes, [${shape}], but ${letters.length} letters; write one for each axis`,
      )
    for (const [axis, letter] of [...letters].entries()) {
      const extent = shape[axis]!
      if ((known.get(letter) ?? extent) !== extent)
        throw new TypeError(
          `contract ${spec}: index ${letter} is ${known.get(letter)} in lhs [${x.shape}] but ${extent} in rhs [${y.shape}]; they must agree`,
        )
      known.set(letter, extent)
    }
  }
  for (const letters of [lhs, rhs, out])
    if (new Set(letters).size !== letters.length)
      throw new TypeError(`contract ${spec}: "${letters}" repeats a letter; use where() and sum`)
  for (const letter of out)
    if (!known.has(letter))
      throw new TypeError(
        `contract ${spec}: index ${letter} of the result is in no operand; take letters of the operands`,
      )
  for (const letter of known.keys())
    if (!out.includes(letter) && !(lhs.includes(letter) && rhs.includes(letter)))
      throw new TypeError(
        `contract ${spec}: index ${letter} is in one operand only and not in the result; sum over it first`,
      )
  return known
}

const contractPrimitive: Primitive<ContractParams> = single<ContractParams>({
  name: 'contract',
  type: ([x, y], { spec }) => {
    const known = extents(spec, x!, y!)
    return new Aval(
      [...parse(spec).out].map((letter) => known.get(letter)!),
      x!.dtype,
    )
  },
  jvp: ([tx, ty], [x, y], _, { spec }) => {
    const left = tx && contract(spec, tx, y!)
    const right = ty && contract(spec, x!, ty)
    return left && right ? add(left, right) : (left ?? right ?? null)
  },
  transpose: (ct, [x, y], { spec }) => {
    const { lhs, rhs, out } = parse(spec)
    return x instanceof Aval
      ? [contract(format({ lhs: out, rhs, out: lhs }), ct, y as Value), null]
      : [null, contract(format({ lhs, rhs: out, out: rhs }), x!, ct)]
  },
  batch: ([x, y], { spec }, size) => {
    const { lhs, rhs, out } = parse(spec)
    const letter = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'].find((candidate) => !spec.includes(candidate))!
    const front = (side: string, axis: number | null): string => (axis === null ? side : letter + side)
    const value = contract(
      format({ lhs: front(lhs, x!.axis), rhs: front(rhs, y!.axis), out: letter + out }),
      x!.axis === null ? x!.value : batchFirst(x!, size),
      y!.axis === null ? y!.value : batchFirst(y!, size),
    )
    return { value, axis: 0 }
  },
  reference: ([x, y], { spec }) => {
    const { lhs, rhs, out } = parse(spec)
    const known = extents(spec, new Aval(x!.shape, x!.dtype), new Aval(y!.shape, y!.dtype))
    const summed = [...lhs].filter((letter) => !out.includes(letter))
    const stride = (letters: string, shape: readonly number[], letter: string): number => {
      const axis = letters.indexOf(letter)
      return axis < 0 ? 0 : stridesOf(shape)[axis]!
    }
    const steps = (letter: string): [number, number, number] => [
      known.get(letter)!,
      stride(lhs, x!.shape, letter),
      stride(rhs, y!.shape, letter),
    ]
    const inner = summed.map(steps)
    const outer = [...out].map(steps)
    const dot = (depth: number, a: number, b: number): number => {
      if (depth === inner.length) return x!.data[a]! * y!.data[b]!
      const [extent, stepA, stepB] = inner[depth]!
      let total = 0
      for (let k = 0; k < extent; k++) total += dot(depth + 1, a + k * stepA, b + k * stepB)
      return total
    }
    return ndArray(
      new Aval(
        [...out].map((letter) => known.get(letter)!),
        x!.dtype,
      ),
      (index) =>
        dot(
          0,
          index.reduce((sum, i, k) => sum + i * outer[k]![1], 0),
          index.reduce((sum, i, k) => sum + i * outer[k]![2], 0),
        ),
    )
  },
  lower: { kind: 'contract', letters: ({ spec }) => parse(spec) },
})

/**
 * The sum of products over the indices that the result lacks. Integers become f32; 16-bit floats are summed in f32.
 *
 * @example
 * ```ts
 * import { contract, tensor } from 'cotangent'
 * await contract('ik,kj->ij', tensor([[1, 2]]), tensor([[3], [4]])).data() // [11]
 * ```
 */
export function contract(spec: string, x: ArrayLike, y: ArrayLike): Value {
  if (!/^[a-zA-Z]*,[a-zA-Z]*->[a-zA-Z]*$/.test(spec))
    throw new TypeError(`contract: "${spec}" is no index expression; write it as "ik,kj->ij"`)
  return bind(contractPrimitive, floatsAlike('contract', [x, y]), { spec })[0]!
}
contract.primitive = contractPrimitive

/**
 * The matrix product of the last two axes, `[..., n, k]` and `[..., k, m]` to `[..., n, m]`; the axes before them broadcast. A
 * vector is a row on the left, a column on the right. Integers stay integers, exactly, and bools bools.
 */
export function matmul(x: ArrayLike, y: ArrayLike): Value {
  const [a, b] = [toArray(x), toArray(y)]
  if (a.rank === 0 || b.rank === 0)
    throw new TypeError(`matmul: ${a.aval} and ${b.aval} must have at least one axis; use mul`)
  if (a.rank === 1) return squeeze(matmul(expandDims(a, 0), b), b.rank === 1 ? 0 : -2)
  if (b.rank === 1) return squeeze(matmul(a, expandDims(b, 1)), -1)
  const [inner, rows] = [a.shape.at(-1), b.shape.at(-2)]
  if (inner !== rows)
    throw new TypeError(
      `matmul: ${a.aval} has ${inner} columns but ${b.aval} has ${rows} rows; they must agree, transpose one of them`,
    )
  const letters = 'abcdefghij'
  const rank = Math.max(a.rank, b.rank) - 2
  const batch = (value: Value): string => letters.slice(rank - value.rank + 2, rank)
  const shared = broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2))
  const full = (value: Value): Value =>
    broadcastTo(value, [...shared.slice(rank - value.rank + 2), ...value.shape.slice(-2)])
  const { dtype } = join(a.aval, b.aval)
  if (!isFloat(dtype)) {
    const products = mul(expandDims(full(a), -1), expandDims(full(b), -3))
    return cast(sum(products, { axis: -2 }), dtype)
  }
  return contract(`${batch(a)}xy,${batch(b)}yz->${letters.slice(0, rank)}xz`, full(a), full(b))
}
