// Four lanes of one expression: they have the same form and differ only in their indices. What every target asks of them.

import type { Affine } from '../affine.ts'
import type { Scalar } from '../scalar.ts'

export const vectorWidth = 4

/** Whether four offsets are neighbours. */
export function areNeighbours(offsets: readonly Affine[]): boolean {
  const [first, ...rest] = offsets as [Affine, ...Affine[]]
  const sameTerms = (other: Affine): boolean =>
    other.terms.length === first.terms.length &&
    other.terms.every(({ atom, by }, k) => atom.key === first.terms[k]!.atom.key && by === first.terms[k]!.by)
  return (
    offsets.length === vectorWidth &&
    rest.every((other, k) => other.offset === first.offset + k + 1 && sameTerms(other))
  )
}

/** Loads saved by taking four lanes at once: those that are one vector count for it, scattered elements against it. */
export function gainOf(lanes: readonly Scalar[], isVector: (offsets: readonly Affine[]) => boolean): number {
  const seen = new Set<string>()
  const visit = (lanes: readonly Scalar[]): number => {
    const [first] = lanes as [Scalar]
    if (seen.has(first.key)) return 0
    seen.add(first.key)
    if (first.kind === 'load') {
      const offsets = lanes.map((lane) => (lane as typeof first).offset)
      if (offsets.every(({ key }) => key === offsets[0]!.key)) return 0
      return isVector(offsets) ? 1 : -1
    }
    if (first.kind !== 'apply') return 0
    return first.args.reduce(
      (sum, _, k) => sum + visit(lanes.map((lane) => (lane as typeof first).args[k]!)),
      0,
    )
  }
  return visit(lanes)
}
