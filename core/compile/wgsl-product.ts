// Products as WGSL: each thread keeps a tile of sums in registers and walks the depth, four steps at a time where the
// operands allow vectors. No workgroup memory and no barriers: they cost more than they save on software adapters.

import { type Affine, loop, plus, times, whole } from '../affine.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import type { ProductNest } from './kernels.ts'
import { type Body, isMultiple, isVector, quarter, type Store, vectorWidth, type Writer } from './writer.ts'

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)
const part = 'xyzw'

/** Sums a thread computes: few for a small result, so that there are enough threads, and never more than there are. */
function tileOf({ rows, columns }: ProductNest): { readonly height: number; readonly width: number } {
  const width = columns <= 8 ? columns : columns % 8 === 0 ? 8 : 4
  return { height: Math.min(rows, 4), width }
}

/** How four elements of an operand are fetched together: four steps of depth, four of its rows (or columns), or not. */
type Direction = 'depth' | 'side' | null

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
  const offsets = (lanes: readonly Scalar[]): Affine[] | null =>
    lanes.every((lane) => lane.kind === 'load')
      ? lanes.map((lane) => (lane as Scalar & { kind: 'load' }).offset)
      : null
  const vectors = (lanes: readonly Scalar[]): boolean => {
    const found = offsets(lanes)
    return found !== null && isVector(found)
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
        : null
  const fetched: readonly (readonly [string, readonly Scalar[]])[] = {
    depth: () => element.map((lanes, side) => [`${name}${side}`, lanes] as const),
    side: () =>
      quads.flatMap((quad) =>
        range(steps).map((step) => [`${name}${quad}_${step}`, quadLanes(quad, step)] as const),
      ),
    none: () =>
      element.flatMap((row, side) => row.map((lane, step) => [`${name}${side}_${step}`, [lane]] as const)),
  }[direction ?? 'none']()
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
  const { batch, rows, columns, depth } = nest
  const { height, width } = tileOf(nest)
  const [tilesDown, tilesAcross] = [Math.ceil(rows / height), Math.ceil(columns / width)]
  const steps = depth % vectorWidth === 0 ? vectorWidth : 1
  const b = loop('b', batch)
  const row = (k: number): Affine => plus(times(loop('m', tilesDown), height), whole(k))
  const column = (k: number): Affine => plus(times(loop('n', tilesAcross), width), whole(k))
  const step = (k: number): Affine => plus(times(loop('k', depth / steps), steps), whole(k))

  const threads = tilesDown * tilesAcross * batch
  const across = Math.min(8, 2 ** Math.ceil(Math.log2(tilesAcross)))
  const group = threads >= 512 ? 64 : threads >= 64 ? 16 : 8
  const down = Math.max(1, Math.min(group / across, 2 ** Math.ceil(Math.log2(tilesDown))))
  writer.line('let n = id.x;')
  writer.line('let m = id.y;')
  writer.line('let b = id.z;')
  const guards = [
    ...(tilesAcross % across === 0 ? [] : [`n >= ${tilesAcross}u`]),
    ...(tilesDown % down === 0 ? [] : [`m >= ${tilesDown}u`]),
  ]
  if (guards.length > 0) writer.line(`if (${guards.join(' || ')}) { return; }`)

  const left = operand(writer, 'x', height, steps, (side, k) => nest.lhs(b, row(side), step(k)))
  const right = operand(writer, 'y', width, steps, (side, k) => nest.rhs(b, column(side), step(k)))
  const dots = left.direction === 'depth' && right.direction === 'depth'
  const wide = !dots && width % vectorWidth === 0
  const columnsOfSums = range(wide ? width / vectorWidth : width)
  const type = wide ? 'vec4<f32>' : 'f32'
  for (const m of range(height)) writer.line(columnsOfSums.map((n) => `var sum${m}_${n}: ${type};`).join(' '))
  left.hoist()
  right.hoist()
  writer.loop('k', depth / steps, () => {
    left.fetch()
    right.fetch()
    for (const m of range(height))
      for (const n of columnsOfSums) {
        const sum = `sum${m}_${n}`
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

  const places = (m: number, from: number, lanes: number): Affine[] =>
    range(lanes).map((k) => nest.place(b, row(m), column(from + k)))
  const storesVectors =
    width % vectorWidth === 0 &&
    columns % vectorWidth === 0 &&
    range(height).every((m) => isVector(places(m, 0, vectorWidth)))
  const lanes = storesVectors ? vectorWidth : 1
  for (const m of range(height))
    for (const from of range(width / lanes).map((k) => k * lanes)) {
      const conditions = [
        ...(rows % height !== 0 && m > 0 ? [`m * ${height}u + ${m}u < ${rows}u`] : []),
        ...(columns % width !== 0 && from > 0 ? [`n * ${width}u + ${from}u < ${columns}u`] : []),
      ]
      const write = (): void => {
        const at = places(m, from, lanes)
        const sum = scalar.reduced('f32')
        const sumText = (k: number): string =>
          wide ? `sum${m}_${Math.floor(k / vectorWidth)}.${part[k % vectorWidth]}` : `sum${m}_${k}`
        if (lanes === 1) writer.define(sum, sumText(from), 1)
        else if (wide) writer.define(sum, `sum${m}_${from / vectorWidth}`, 4)
        else
          writer.define(
            sum,
            writer.name(
              `vec4<f32>(${range(4)
                .map((k) => sumText(from + k))
                .join(', ')})`,
            ),
            4,
          )
        const first = at[0]!
        store(
          writer.index(storesVectors && isMultiple(first) ? quarter(first) : first),
          at.map((place) => nest.finish(place, sum)),
        )
      }
      if (conditions.length > 0) writer.block(`if (${conditions.join(' && ')})`, write)
      else write()
    }
  return {
    workgroup: [across, down],
    workgroups: [Math.ceil(tilesAcross / across), Math.ceil(tilesDown / down), batch],
    storesVectors,
  }
}
