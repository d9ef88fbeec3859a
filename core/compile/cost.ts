// What a kernel costs: the operations on floats that it means, and the bytes that it has to move at least.

import { type Affine, loop } from '../affine.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import type { Kernel, PairsNest } from './kernels.ts'

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

/** Operations in some expressions; what occurs twice is computed once. */
function flopsOf(elements: readonly Scalar[]): number {
  const seen = new Set<string>()
  const visit = (element: Scalar): number => {
    if (element.kind !== 'apply' || seen.has(element.key)) return 0
    seen.add(element.key)
    const own = element.dtype === 'f32' ? (weights[element.op] ?? 0) : 0
    return element.args.reduce((sum, arg) => sum + visit(arg), own)
  }
  return elements.reduce((sum, element) => sum + visit(element), 0)
}

export function costOf({ nest, inputs, outputs }: Kernel): Cost {
  const arrays = [...inputs, ...outputs.map(({ variable }) => variable)]
  const bytes = arrays.reduce((sum, { aval }) => sum + aval.bytes, 0)
  const at = (name: string, extent: number) => loop(name, Math.max(extent, 1))
  if (nest.kind === 'map') return { flops: nest.size * flopsOf(nest.element(at('i', nest.size))), bytes }
  if (nest.kind === 'reduce') {
    const { size, turns, folds } = nest
    const [index, turn] = [at('i', size), at('r', turns)]
    const folded = folds.map(({ identity }) => identity)
    const each = folds.reduce(
      (sum, { element, combine, identity }) =>
        sum + flopsOf([combine(identity, element(index, turn, folded))]),
      flopsOf(nest.each(index, turn, folded)),
    )
    return { flops: size * (turns * each + flopsOf(nest.finish(index, folded))), bytes }
  }
  if (nest.kind === 'scatter') {
    const { outer, inner, turns, combine, identity } = nest
    const element = nest.element(at('b', outer), at('r', turns), at('n', inner))
    return { flops: outer * inner * turns * flopsOf([combine(identity, element)]), bytes }
  }
  if (nest.kind === 'pairs') return { flops: flopsOfPairs(nest, at), bytes }
  const { batch, rows, columns, sums } = nest
  const [b, m, n] = [at('b', batch), at('m', rows), at('n', columns)]
  const each = sums.map(({ depth, lhs, rhs }) => {
    const k = at('k', depth)
    return depth * (2 + flopsOf([lhs(b, m, k)]) + flopsOf([rhs(b, n, k)]))
  })
  const found = sums.map(({ lhs }) => lhs(b, m, at('k', 1)))
  const after = flopsOf(nest.finish(nest.place(b, m, n), found, found))
  return { flops: batch * rows * columns * (each.reduce((a, b) => a + b, 0) + after), bytes }
}

/** Operations on the pairs that are seen, and on each row. */
function flopsOfPairs(nest: PairsNest, at: (name: string, extent: number) => Affine): number {
  const { batch, rows, columns, turns, size, behind, ahead, dots, softmax, sums } = nest
  let seen = 0
  for (let row = 0; row < rows; row++)
    seen += Math.max(0, Math.min(row + ahead, columns - 1) - Math.max(row - behind, 0) + 1)
  const [row, column] = [at('m', rows), at('n', columns)]
  const [b, turn, d] = [at('b', batch), at('t', turns), at('d', size)]
  const number = () => scalar.reduced('f32')
  const found = dots.map(number)
  const top = softmax && number()
  const vectors = sums.flat()
  const each =
    (dots.length + vectors.length) * 2 * size +
    flopsOf([
      ...nest.weights(found, { batch: b, row, turn, column }, top),
      ...(softmax ? [softmax.score(found)] : []),
    ])
  const ofRow = { totals: nest.totals.map(number), top }
  const after =
    size * flopsOf(nest.vectors({ batch: b, row }, d, sums.map(number), ofRow)) +
    flopsOf(nest.numbers({ batch: b, row }, ofRow))
  return batch * (turns * seen * each + rows * after)
}
