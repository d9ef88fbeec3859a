// Scalar expressions: what one element of an array is, in terms of elements of others. Primitives lower to them, fusion
// substitutes one into another, and a target spells them. They know operations of a machine, no arrays and no WGSL.

import type { Affine } from './affine.ts'
import { type DType, isHalf, type MachineType, machineType, wrap } from './dtype.ts'

interface Node {
  readonly dtype: MachineType
  readonly key: string
}

/** A number for every turn of a kernel's loops. */
export type Scalar = Node &
  (
    | { readonly kind: 'constant'; readonly value: number }
    | { readonly kind: 'position'; readonly index: Affine }
    | { readonly kind: 'load'; readonly input: number; readonly offset: Affine; readonly stored: DType }
    | { readonly kind: 'apply'; readonly op: string; readonly args: readonly Scalar[] }
    | { readonly kind: 'reduced' }
  )

let made = 0
const fresh = (): string => String(made++).padStart(12, '0')

/** A literal; it may be an infinity or NaN. */
export const constant = (value: number, dtype: DType): Scalar => ({
  kind: 'constant',
  value,
  dtype: machineType(dtype),
  key: fresh(),
})

/** An index as a u32 value. */
export const position = (index: Affine): Scalar => ({ kind: 'position', index, dtype: 'u32', key: fresh() })

/** The element at a flat position of a kernel's input. */
export const load = (input: number, offset: Affine, stored: DType): Scalar => ({
  kind: 'load',
  input,
  offset,
  stored,
  dtype: machineType(stored),
  key: fresh(),
})

/** What the kernel's reduction or product came to. */
export const reduced = (dtype: DType): Scalar => ({
  kind: 'reduced',
  dtype: machineType(dtype),
  key: fresh(),
})

/** A machine operation by name; infix ones have the names of `infix`, any other is a function of the target. */
const apply = (op: string, dtype: MachineType, ...args: readonly Scalar[]): Scalar => ({
  kind: 'apply',
  op,
  args,
  dtype,
  key: fresh(),
})

type Operand = Scalar | number
const operand = (x: Operand, dtype: DType): Scalar => (typeof x === 'number' ? constant(x, dtype) : x)
const dtypeOf = (...xs: readonly Operand[]): MachineType => xs.find((x) => typeof x !== 'number')!.dtype
const sameType =
  (op: string) =>
  (...xs: readonly Operand[]): Scalar =>
    apply(op, dtypeOf(...xs), ...xs.map((x) => operand(x, dtypeOf(...xs))))
const comparison =
  (op: string) =>
  (...xs: readonly Operand[]): Scalar =>
    apply(op, 'bool', ...xs.map((x) => operand(x, dtypeOf(...xs))))

// Arithmetic of the operands' own type: integers wrap, division of integers truncates.
export const add = sameType('+')
export const sub = sameType('-')
export const mul = sameType('*')
export const div = sameType('/')
export const rem = sameType('%')
export const neg = sameType('negate')
export const and = sameType('&')
export const or = sameType('|')
export const xor = sameType('^')
export const not = sameType('not')
export const fma = sameType('fma')
export const abs = sameType('abs')
export const min = sameType('min')
export const max = sameType('max')
export const floor = sameType('floor')
export const ceil = sameType('ceil')
export const round = sameType('round')
export const sqrt = sameType('sqrt')
export const countOneBits = sameType('countOneBits')
export const countLeadingZeros = sameType('countLeadingZeros')

/** Shifts by fewer than 32 places; the shift count is a u32. */
export const shiftLeft = (x: Scalar, by: Operand): Scalar => apply('<<', x.dtype, x, operand(by, 'u32'))
export const shiftRight = (x: Scalar, by: Operand): Scalar => apply('>>', x.dtype, x, operand(by, 'u32'))

export const eq = comparison('==')
export const ne = comparison('!=')
export const lt = comparison('<')
export const le = comparison('<=')

/** `condition ? yes : no`; both are evaluated. */
export const select = (condition: Scalar, yes: Operand, no: Operand): Scalar => {
  const dtype = dtypeOf(yes, no)
  if (condition.kind === 'constant') return operand(condition.value !== 0 ? yes : no, dtype)
  return apply('select', dtype, condition, operand(yes, dtype), operand(no, dtype))
}

/** The value as another type; a float becomes the integer towards zero. */
export const cast = (x: Scalar, dtype: DType): Scalar =>
  x.dtype === machineType(dtype) ? x : apply('cast', machineType(dtype), x)

/** A float as the nearest one of `dtype`, the even one at a tie; what is one already stays. */
export const rounded = (x: Scalar, dtype: DType): Scalar =>
  !isHalf(dtype) || isRounded(x, dtype) ? x : apply(`round_${dtype}`, 'f32', x)

/** What is rounded to `dtype` in `x`, for who rounds it anyway. */
export const unrounded = (x: Scalar, dtype: DType): Scalar =>
  x.kind === 'apply' && x.op === `round_${dtype}` ? x.args[0]! : x

function isRounded(x: Scalar, dtype: DType): boolean {
  if (x.kind === 'load') return x.stored === dtype
  if (x.kind === 'constant') return Object.is(wrap[dtype](x.value), x.value)
  if (x.kind !== 'apply') return false
  if (x.op === 'select') return isRounded(x.args[1]!, dtype) && isRounded(x.args[2]!, dtype)
  return x.op === `round_${dtype}`
}

/** The same 32 bits as another type. */
export const bitcast = (x: Scalar, dtype: MachineType): Scalar =>
  x.dtype === dtype ? x : apply('bitcast', dtype, x)

/** A machine may assume that no NaN exists, so only the bits tell. */
export const isNan = (x: Scalar): Scalar =>
  x.kind === 'constant'
    ? constant(Number(Number.isNaN(x.value)), 'bool')
    : lt(0x7f800000, and(bitcast(x, 'u32'), 0x7fffffff))

/** `Σ coefficients[k] · x^k` by Horner's rule. */
export const polynomial = (x: Scalar, coefficients: readonly number[]): Scalar =>
  coefficients
    .slice(0, -1)
    .reduceRight<Scalar>(
      (sum, coefficient) => fma(sum, x, coefficient),
      constant(coefficients.at(-1)!, 'f32'),
    )

/** Tests of what changes from turn to turn of the loop called `name`. */
export function changesWith(name: string): {
  scalar(element: Scalar): boolean
  index(index: Affine): boolean
} {
  const known = new Map<string, boolean>()
  const index = ({ terms }: Affine): boolean =>
    terms.some(({ atom }) => {
      if (atom.kind === 'loop') return atom.name === name
      return atom.kind === 'value' ? scalar(atom.value) : index(atom.of)
    })
  const scalar = (element: Scalar): boolean => {
    const changes =
      known.get(element.key) ??
      ((element.kind === 'load' && index(element.offset)) ||
        (element.kind === 'position' && index(element.index)) ||
        (element.kind === 'apply' && element.args.some(scalar)))
    known.set(element.key, changes)
    return changes
  }
  return { scalar, index }
}
