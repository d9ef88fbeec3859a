// A PEFT method in a user's own file. VeRA (Kopiczko et al., "VeRA: Vector-based Random Matrix Adaptation", ICLR 2024, eq. 2):
// W + diag(b) B diag(d) A. A and B are random, frozen and shared by the whole model; a weight trains d and b only.

import { evaluate, full, random, slice, type Value, zeros } from 'cotangent'
import { compose, diagonal, sumOf, type Weight } from 'cotangent/nn'
import { linears, type Match, type PeftMethod, replaceWeights, targetsOf } from 'cotangent/peft'

/** What all weights share: `a` is `[rank, in]` and `b` is `[out, rank]`, with the extents of the largest weights. */
export interface VeraProjections {
  readonly a: Value
  readonly b: Value
}

/** By the path of the adapted weight: `d` is `[rank]` and `b` is `[out]`. */
export type VeraAdapter = Readonly<Record<string, { readonly d: Value; readonly b: Value }>>

/** Kaiming uniform projections for the weights of a base; keep the key, and there is no need to keep them. */
export const veraProjections = (
  key: random.Key,
  rank: number,
  base: unknown,
  match: Match = linears,
): VeraProjections =>
  evaluate(() => {
    const shapes = targetsOf('vera', base, match).map(({ shape }) => shape)
    const [out, inputs] = [0, 1].map((axis) => Math.max(...shapes.map((shape) => shape[axis]!)))
    const project = (name: string, rows: number, columns: number): Value => {
      const bound = Math.sqrt(6 / columns)
      return random.uniform(random.foldIn(key, name), [rows, columns], { minval: -bound, maxval: bound })
    }
    return { a: project('vera.a', rank, inputs!), b: project('vera.b', out!, rank) }
  })

/** Vector-based adaptation of the weights that `match` chooses; `b` begins at zero, so that nothing changes at first. */
export function vera(shared: VeraProjections, match: Match = linears): PeftMethod<VeraAdapter> {
  const rank = shared.b.shape[1]!
  const corner = (x: Value, rows: number, columns: number): Value =>
    slice(x, { start: [0, 0], end: [rows, columns] })
  return {
    init: (_, base) => {
      const entries = targetsOf('vera', base, match).map(({ path, shape: [out] }) => [
        path,
        { d: full([rank], 0.1), b: zeros([out]) },
      ])
      return Object.fromEntries(entries)
    },
    apply(base, adapter) {
      const adapted = Object.entries(adapter).map(([path, { d, b }]) => {
        const weight = (w: Weight): Weight => {
          const [out, inputs] = w.shape as [number, number]
          const [a, up] = [corner(shared.a, rank, inputs), corner(shared.b, out, rank)]
          return sumOf(w, compose(a, diagonal(d), up, diagonal(b)))
        }
        return [path, weight]
      })
      return replaceWeights('vera', base, Object.fromEntries(adapted))
    },
  }
}
