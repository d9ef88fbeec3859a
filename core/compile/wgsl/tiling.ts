// How a product is shared out among threads: the tile of sums of each, and the workgroups; and what kernels suit an adapter.

import type { ProductNest } from '../kernels.ts'

/** Rows and columns of sums that a thread computes, and whether four threads share what they fetch. */
interface Tile {
  readonly height: number
  readonly width: number
  readonly quads: boolean
}

/** What kernels have to know of the adapter. */
export interface Tiling {
  /**
   * Whether loops hide how often they turn. Drivers unroll those of few turns, which is well on a GPU; llvmpipe is then busy
   * with a fold of 32 turns for half a minute, and with the loop for a tenth of a second.
   */
  readonly hidesTurns: boolean
  /** Whether threads can exchange values by fours, which is part of WGSL's subgroups. */
  readonly quads: boolean
  /** The best tile for large products, of multiples of four rows and columns; null if it was not measured. */
  readonly large: Tile | null
}

/** What every adapter can do. */
export const plainTiling: Tiling = { hidesTurns: false, quads: false, large: null }

/** Products of so many multiplications are worth the time that a driver takes for a wide tile. */
const large = 2 ** 25

/** Sums that a thread keeps at most; more would not fit in registers. */
const mostSums = 128

/** Whether a product has the tile of large ones. */
export const isLarge = ({ batch, rows, columns, sums, half }: ProductNest): boolean =>
  sums.length === 1 &&
  half === null &&
  columns % 8 === 0 &&
  rows >= 8 &&
  batch * rows * columns * sums.reduce((total, { depth }) => total + depth, 0) >= large

/** The tile of a product. All tiles add up in the same order, so that none changes a bit of the result. */
export function tileOf(nest: ProductNest, tiling: Tiling): Tile {
  const { rows, columns, sums } = nest
  const { quads } = tiling
  if (isLarge(nest)) return tiling.large ?? { height: 8, width: 8, quads }
  const width = nest.half !== null ? 8 : columns < 8 && columns % 4 !== 0 ? columns : 4
  const height = rows <= 8 ? rows : sums.length * 8 * width > mostSums ? 4 : 8
  return { height, width, quads }
}

/** The workgroups over tiles across, down and deep; four threads may share an operand where a workgroup has one row of tiles, or one column. */
export function gridOf(
  tiles: readonly [number, number, number],
  quads: boolean,
): {
  readonly shares: 'lhs' | 'rhs' | null
  readonly workgroup: readonly [number, number, number]
} {
  const [across, down, deep] = tiles
  const threads = across * down * deep
  const group = threads >= 512 ? 64 : threads >= 64 ? 16 : threads >= 16 ? 8 : 4
  const above = (n: number): number => 2 ** Math.ceil(Math.log2(n))
  if (quads && across >= 4) return { shares: 'lhs', workgroup: [Math.min(group, above(across)), 1, 1] }
  if (quads && down >= 4) return { shares: 'rhs', workgroup: [1, Math.min(group, above(down)), 1] }
  const x = Math.min(8, group, above(across))
  const y = Math.max(1, Math.min(group / x, above(down)))
  const z = Math.max(1, 2 ** Math.floor(Math.log2(Math.min(deep, group / (x * y)))))
  return { shares: null, workgroup: [x, y, z] }
}
