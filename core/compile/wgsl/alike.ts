// Whether two scalar expressions are written the same way, and so are the same number.

import type { Scalar } from '../../scalar.ts'

export function alike(a: Scalar, b: Scalar): boolean {
  if (a.key === b.key) return true
  if (a.dtype !== b.dtype) return false
  if (a.kind === 'constant') return b.kind === 'constant' && Object.is(a.value, b.value)
  if (a.kind === 'position') return b.kind === 'position' && a.index.key === b.index.key
  if (a.kind === 'load') return b.kind === 'load' && a.input === b.input && a.offset.key === b.offset.key
  if (a.kind !== 'apply' || b.kind !== 'apply') return false
  return a.op === b.op && a.args.length === b.args.length && a.args.every((arg, k) => alike(arg, b.args[k]!))
}
