// What a kernel costs: the operations on floats that it means, and the bytes that it has to move at least.

import { loop } from '../affine.ts'
import type { Scalar } from '../scalar.ts'
import type { Kernel } from './kernels.ts'

export interface Cost {
  /** Operations on floats; a fused multiply-add is two, a comparison or a choice none. */
  readonly flops: number
  /** Bytes of the arrays it reads and of what it writes, each once. */
  readonly bytes: number
}

/** Operations of the machine on floats that are arithmetic, and how many each is. */
const weights: Readonly<Record<string, number>> = {
  '+': 1,
  '-': 1,
  '*': 1,
  '/': 1,
  fma: 2,
  sqrt: 1,
  floor: 1,
  ceil: 1,
  round: 1,
  min: 1,
  max: 1,
}

/** Operations in an expression; what occurs twice is computed once. */
function flopsOf(element: Scalar): number {
  const seen = new Set<string>()
  const visit = (element: Scalar): number => {
    if (element.kind !== 'apply' || seen.has(element.key)) return 0
    seen.add(element.key)
    const own = element.dtype === 'f32' ? (weights[element.op] ?? 0) : 0
    return element.args.reduce((sum, arg) => sum + visit(arg), own)
  }
  return visit(element)
}

export function costOf({ nest, inputs, output }: Kernel): Cost {
  const bytes = [...inputs, output].reduce((sum, { aval }) => sum + aval.bytes, 0)
  const at = (name: string, extent: number) => loop(name, Math.max(extent, 1))
  if (nest.kind === 'map') return { flops: nest.size * flopsOf(nest.element(at('i', nest.size))), bytes }
  if (nest.kind === 'reduce') {
    const { size, turns, identity } = nest
    const [index, turn] = [at('i', size), at('r', turns)]
    const each = flopsOf(nest.combine(identity, nest.element(index, turn)))
    return { flops: size * (turns * each + flopsOf(nest.finish(index, identity))), bytes }
  }
  const { batch, rows, columns, depth } = nest
  const [b, m, n, k] = [at('b', batch), at('m', rows), at('n', columns), at('k', depth)]
  const each = 2 + flopsOf(nest.lhs(b, m, k)) + flopsOf(nest.rhs(b, n, k))
  const after = flopsOf(nest.finish(nest.place(b, m, n), nest.lhs(b, m, k)))
  return { flops: batch * rows * columns * (depth * each + after), bytes }
}
