// Products as WGSL: each thread keeps a tile of sums in registers and walks the depth, four steps at a time where the
// operands allow vectors. No workgroup memory and no barriers: they cost more than they save on software adapters.

import { type Affine, loop, plus, times, whole } from '../../affine.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'
import type { ProductNest, Sum } from '../kernels.ts'
import {
  type Body,
  isVector,
  quarter,
  quotientText,
  remainderText,
  type Store,
  vectorWidth,
  type Writer,
} from './writer.ts'

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)
const part = 'xyzw'

/** Sums a thread computes: few for a small result, so that there are enough threads, and never more than there are. */
function tileOf({ rows, columns }: ProductNest): { readonly height: number; readonly width: number } {
  const width = columns <= 8 ? columns : columns % 8 === 0 ? 8 : 4
  return { height: Math.min(rows, 4), width }
}

/** How four elements of an operand are fetched together: four steps of depth, four of its rows (or columns), or not. */
type Direction = 'depth' | 'side' | 'none'

/** One operand within the tile of a thread: `side` is its row or column. */
interface Operand {
  readonly direction: Direction
  /** The element at a side and a step, as text; fetched by `fetch` before. */
  element(side: number, step: number): string
  /** Four elements along the side as one vector. */
  vector(quad: number, step: number): string
  /** Four steps of depth as one vector. */
  steps(side: number): string
  /** Spells what the loop over the depth does not change. */
  hoist(): void
  fetch(): void
}

function operand(
  writer: Writer,
  name: string,
  sides: number,
  steps: number,
  at: (side: number, step: number) => Scalar,
): Operand {
  const element = range(sides).map((side) => range(steps).map((step) => at(side, step)))
  const vectors = (lanes: readonly Scalar[]): boolean => {
    const offsets = lanes.flatMap((lane) => (lane.kind === 'load' ? [lane.offset] : []))
    return offsets.length === lanes.length && isVector(offsets)
  }
  const quads = sides % vectorWidth === 0 ? range(sides / vectorWidth) : []
  const quadLanes = (quad: number, step: number): Scalar[] =>
    range(vectorWidth).map((k) => element[quad * vectorWidth + k]![step]!)
  const direction: Direction =
    steps === vectorWidth && element.every(vectors)
      ? 'depth'
      : quads.length > 0 &&
          quads.every((quad) => range(steps).every((step) => vectors(quadLanes(quad, step))))
        ? 'side'
        : 'none'
  const fetched: readonly (readonly [string, readonly Scalar[]])[] = {
    depth: () => element.map((lanes, side) => [`${name}${side}`, lanes] as const),
    side: () =>
      quads.flatMap((quad) =>
        range(steps).map((step) => [`${name}${quad}_${step}`, quadLanes(quad, step)] as const),
      ),
    none: () =>
      element.flatMap((row, side) => row.map((lane, step) => [`${name}${side}_${step}`, [lane]] as const)),
  }[direction]()
  const text = (side: number, step: number): string => {
    if (direction === 'depth') return `${name}${side}.${part[step]}`
    if (direction === 'side')
      return `${name}${Math.floor(side / vectorWidth)}_${step}.${part[side % vectorWidth]}`
    return `${name}${side}_${step}`
  }
  return {
    direction,
    element: text,
    vector: (quad, step) =>
      direction === 'side'
        ? `${name}${quad}_${step}`
        : `vec4<f32>(${range(vectorWidth)
            .map((k) => text(quad * vectorWidth + k, step))
            .join(', ')})`,
    steps: (side) => `${name}${side}`,
    hoist: () => {
      for (const [, lanes] of fetched) writer.hoist(lanes, 'k')
    },
    fetch: () => {
      for (const [name, lanes] of fetched) writer.line(`let ${name} = ${writer.spell(lanes).text};`)
    },
  }
}

export function writeProduct(writer: Writer, nest: ProductNest, store: Store): Body {
  const { batch, rows, columns } = nest
  const { height, width } = tileOf(nest)
  const [tilesDown, tilesAcross] = [Math.ceil(rows / height), Math.ceil(columns / width)]
  const b = loop('b', batch)
  const row = (k: number): Affine => plus(times(loop('m', tilesDown), height), whole(k))
  const column = (k: number): Affine => plus(times(loop('n', tilesAcross), width), whole(k))

  const threads = tilesDown * tilesAcross * batch
  const across = Math.min(8, 2 ** Math.ceil(Math.log2(tilesAcross)))
  const group = threads >= 512 ? 64 : threads >= 64 ? 16 : 8
  const down = Math.max(1, Math.min(group / across, 2 ** Math.ceil(Math.log2(tilesDown))))
  const deep = Math.max(1, 2 ** Math.floor(Math.log2(Math.min(batch, group / (across * down)))))
  writer.line('let n = id.x;')
  writer.line('let m = id.y;')
  writer.line('let b = id.z;')
  const guards = [
    ...(tilesAcross % across === 0 ? [] : [`n >= ${tilesAcross}u`]),
    ...(tilesDown % down === 0 ? [] : [`m >= ${tilesDown}u`]),
    ...(batch % deep === 0 ? [] : [`b >= ${batch}u`]),
  ]
  if (guards.length > 0) writer.line(`if (${guards.join(' || ')}) { return; }`)

  /** Writes the loop over the depth of a sum; its results are then known by the texts of their elements, or of four together. */
  const writeSum = ({ depth, lhs, rhs }: Sum, name: string) => {
    const steps = depth % vectorWidth === 0 ? vectorWidth : 1
    const step = (k: number): Affine => plus(times(loop('k', depth / steps), steps), whole(k))
    const left = operand(writer, 'x', height, steps, (side, k) => lhs(b, row(side), step(k)))
    const right = operand(writer, 'y', width, steps, (side, k) => rhs(b, column(side), step(k)))
    const dots = left.direction === 'depth' && right.direction === 'depth'
    const wide = !dots && width % vectorWidth === 0
    const columnsOfSums = range(wide ? width / vectorWidth : width)
    const type = wide ? 'vec4<f32>' : 'f32'
    for (const m of range(height))
      writer.line(columnsOfSums.map((n) => `var ${name}${m}_${n}: ${type};`).join(' '))
    left.hoist()
    right.hoist()
    const scope =
      depth === steps && nest.sums.length > 1
        ? writer.block.bind(writer, '')
        : writer.loop.bind(writer, 'k', depth / steps)
    scope(() => {
      left.fetch()
      right.fetch()
      for (const m of range(height))
        for (const n of columnsOfSums) {
          const sum = `${name}${m}_${n}`
          if (dots) writer.line(`${sum} += dot(${left.steps(m)}, ${right.steps(n)});`)
          else
            for (const k of range(steps)) {
              const y = wide ? right.vector(n, k) : right.element(n, k)
              writer.line(
                `${sum} = fma(${wide ? `vec4<f32>(${left.element(m, k)})` : left.element(m, k)}, ${y}, ${sum});`,
              )
            }
        }
    })
    const element = (m: number, n: number): string =>
      wide ? `${name}${m}_${n >> 2}.${part[n % 4]}` : `${name}${m}_${n}`
    const vector = (m: number, quad: number): string =>
      wide
        ? `${name}${m}_${quad}`
        : `vec4<f32>(${range(vectorWidth)
            .map((k) => element(m, vectorWidth * quad + k))
            .join(', ')})`
    return { element, vector }
  }
  const names = nest.sums.map((_, k) => (nest.sums.length === 1 ? 'sum' : `sum${k}_`))
  const found = nest.sums.map((sum, k) => writeSum(sum, names[k]!))

  // The sums are stored in a loop, so that an epilogue is written once; its bound depends on the tile, or drivers unroll it.
  const place = (quad: number): Affine[] =>
    range(quad).map((k) => nest.place(b, storedRow, plus(storedColumn(quad), whole(k))))
  const storedRow = plus(times(loop('m', tilesDown), height), loop('row', height))
  const storedColumn = (quad: number): Affine =>
    plus(times(loop('n', tilesAcross), width), times(loop('column', width / quad), quad))
  const storesVectors =
    width % vectorWidth === 0 && columns % vectorWidth === 0 && isVector(place(vectorWidth))
  const lanes = storesVectors ? vectorWidth : 1
  const stored = width / lanes
  const storedType = storesVectors ? 'vec4<f32>' : 'f32'
  const listOf = (k: number): string => (nest.sums.length === 1 ? 'sums' : `sums${k}`)
  for (const [k, { element, vector }] of found.entries()) {
    writer.line(`var ${listOf(k)} = array<${storedType}, ${height * stored}>(`)
    for (const m of range(height)) {
      const entries = range(stored).map((n) => (storesVectors ? vector(m, n) : element(m, n)))
      writer.line(`  ${entries.join(', ')},`)
    }
    writer.line(');')
  }
  const rowsHere = `min(${height}u, ${rows}u - m * ${height}u)`
  writer.block(`for (var r = 0u; r < ${rowsHere} * ${stored}u; r++)`, () => {
    writer.line(`let row = ${quotientText('r', stored)};`)
    writer.line(`let column = ${remainderText('r', stored)};`)
    const write = (): void => {
      const at = place(lanes)
      const sums = found.map((_, k) => {
        const sum = scalar.reduced('f32')
        writer.define(sum, `${listOf(k)}[r]`, storesVectors ? 4 : 1)
        return sum
      })
      const where = writer.index(storesVectors ? quarter(at[0]!) : at[0]!)
      const elements = at.map((place) => nest.finish(place, sums))
      for (const k of elements[0]!.keys())
        store(
          k,
          where,
          elements.map((outputs) => outputs[k]!),
        )
    }
    if (columns % width === 0) write()
    else writer.block(`if (${writer.index(storedColumn(lanes))} < ${columns}u)`, write)
  })
  return {
    workgroup: [across, down, deep],
    workgroups: [Math.ceil(tilesAcross / across), Math.ceil(tilesDown / down), Math.ceil(batch / deep)],
    storesVectors: () => storesVectors,
  }
}
