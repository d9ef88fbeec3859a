// A square product as a kernel by itself, to find out how fast an adapter is at it with one tile or another.

import { plus, times, whole } from '../affine.ts'
import { Var } from '../graph.ts'
import * as scalar from '../scalar.ts'
import { Aval } from '../shape.ts'
import { emit, type Module } from './wgsl/index.ts'
import type { Tiling } from './wgsl/tiling.ts'

/** The module of a product of two `size` × `size` matrices: it reads two arrays and writes one. */
export function trialOf(size: number, tiling: Tiling): Module {
  const matrix = (): Var => new Var(new Aval([size, size], 'f32'))
  return emit(
    {
      name: 'trial',
      inputs: [matrix(), matrix()],
      outputs: [{ variable: matrix(), start: whole(0) }],
      nest: {
        kind: 'product',
        batch: 1,
        rows: size,
        columns: size,
        sums: [
          {
            depth: size,
            lhs: (_, row, k) => scalar.load(0, plus(times(row, size), k), 'f32'),
            rhs: (_, column, k) => scalar.load(1, plus(times(k, size), column), 'f32'),
          },
        ],
        place: (_, row, column) => plus(times(row, size), column),
        half: null,
        finish: (_, sums) => sums,
      },
      guard: null,
      slices: null,
    },
    tiling,
  )
}
