// What is known of the size of whole numbers that become indices.

import { largest } from '../affine.ts'
import type { Scalar } from '../scalar.ts'

const most = 2 ** 32 - 1

/** What is known already: a part of an expression may occur in it many times over. */
const known = new WeakMap<Scalar, number>()

/** A number that a u32 never exceeds, as far as its expression tells. */
export function largestValue(x: Scalar): number {
  const bound = known.get(x) ?? boundOf(x)
  known.set(x, bound)
  return bound
}

function boundOf(x: Scalar): number {
  if (x.kind === 'constant') return x.value >>> 0
  if (x.kind === 'position') return largest(x.index)
  if (x.kind !== 'apply' || x.dtype !== 'u32') return most
  const [a, b, c] = x.args.map((arg) => (arg.dtype === 'u32' ? largestValue(arg) : most)) as [
    number,
    number,
    number,
  ]
  const divisor = x.args[1]?.kind === 'constant' ? x.args[1].value >>> 0 : 0
  const whole = (n: number): number => (n <= most ? n : most)
  switch (x.op) {
    case 'min':
      return Math.min(a, b)
    case 'max':
      return Math.max(a, b)
    case '+':
      return whole(a + b)
    case '*':
      return whole(a * b)
    case '-': // of a constant that is no less; anything else may wrap
      return x.args[0]!.kind === 'constant' && b <= a ? a : most
    case '/':
      return divisor > 0 ? Math.floor(a / divisor) : most
    case '%':
      return divisor > 0 ? Math.min(a, divisor - 1) : most
    case '&':
      return Math.min(a, b)
    case '^':
      return 2 ** Math.ceil(Math.log2(Math.max(a, b) + 1)) - 1
    case '>>':
      return x.args[1]!.kind === 'constant' ? Math.floor(a / 2 ** divisor) : a
    case 'select':
      return Math.max(b, c)
    default:
      return most
  }
}
