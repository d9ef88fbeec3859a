// Products as WGSL: each thread keeps a tile of sums in registers and walks the depth, four steps at a time where the
// operands allow vectors. Where threads can exchange values by fours, those of four neighbours fetch together the operand
// that they share. No workgroup memory and no barriers: they cost more than they save on software adapters.

import { type Affine, indexFrom, loop, plus, quotient, remainder, times, whole } from '../../affine.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'
import type { ProductNest, Sum } from '../kernels.ts'
import { vectorWidth } from '../lanes.ts'
import { alike } from './alike.ts'
import { gridOf, type Tiling, tileOf } from './tiling.ts'
import { type Body, isVector, quotientText, remainderText, type Store, type Writer } from './writer.ts'

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)
const part = 'xyzw'

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

/** What is fetched at once, and its name; `lane` is the thread among four that fetches it. */
interface Fetch {
  readonly name: string
  readonly lanes: readonly Scalar[]
}

/** The element of an operand at a row or column of the tile and a step of a turn. */
type At = (side: Affine, step: Affine) => Scalar

/** The thread's number among its four. */
const lane = loop('lane', vectorWidth)

/** An operand of which a thread needs `sides` rows or columns; with `shared`, its four threads need the same. */
function operand(
  writer: Writer,
  name: string,
  sides: number,
  steps: number,
  at: At,
  shared: boolean,
): Operand {
  const places = new Map<string, Scalar>()
  const place = (side: Affine, step: Affine): Scalar => {
    const key = `${side.key} ${step.key}`
    const known = places.get(key) ?? at(side, step)
    places.set(key, known)
    return known
  }
  const vectorAt = (direction: Direction, side: Affine, step: Affine): Scalar[] => {
    if (direction === 'none') return [place(side, step)]
    return range(vectorWidth).map((k) =>
      direction === 'depth' ? place(side, plus(step, whole(k))) : place(plus(side, whole(k)), step),
    )
  }
  const isVectorOfLoads = (lanes: readonly Scalar[]): boolean => {
    const offsets = lanes.flatMap((lane) => (lane.kind === 'load' ? [lane.offset] : []))
    return offsets.length === lanes.length && isVector(offsets)
  }
  const quads = sides % vectorWidth === 0 ? range(sides / vectorWidth) : []
  const runAlong = (direction: Direction): boolean => {
    const [across, along] = direction === 'depth' ? [range(sides), [0]] : [quads, range(steps)]
    return across.every((side) =>
      along.every((step) =>
        isVectorOfLoads(
          vectorAt(direction, whole(direction === 'depth' ? side : side * vectorWidth), whole(step)),
        ),
      ),
    )
  }
  const direction: Direction =
    steps === vectorWidth && runAlong('depth')
      ? 'depth'
      : quads.length > 0 && runAlong('side')
        ? 'side'
        : 'none'

  // The places that are fetched: each is a vector, or one element.
  const across = direction === 'side' ? quads.length : sides
  const along = direction === 'depth' ? 1 : steps
  const nameOf = (side: number, step: number): string =>
    direction === 'depth' ? `${name}${side}` : `${name}${side}_${step}`
  const fetchAt = (side: Affine, step: Affine): Scalar[] =>
    vectorAt(direction, direction === 'side' ? times(side, vectorWidth) : side, step)
  // Of four threads each fetches a quarter: some of the sides, or one of the steps.
  const split = !shared
    ? 'none'
    : across % vectorWidth === 0
      ? 'sides'
      : along === vectorWidth
        ? 'steps'
        : 'none'
  const own = split === 'sides' ? across / vectorWidth : across
  const fetches: readonly Fetch[] =
    split === 'none'
      ? range(across).flatMap((side) =>
          range(along).map((step) => ({
            name: nameOf(side, step),
            lanes: fetchAt(whole(side), whole(step)),
          })),
        )
      : split === 'sides'
        ? range(own).flatMap((side) =>
            range(along).map((step) => ({
              name: `own_${nameOf(side, step)}`,
              lanes: fetchAt(plus(times(lane, own), whole(side)), whole(step)),
            })),
          )
        : range(across).map((side) => ({
            name: `own_${name}${side}`,
            lanes: fetchAt(whole(side), lane),
          }))
  const received = (side: number, step: number): string => {
    const [from, of] =
      split === 'sides'
        ? [Math.floor(side / own), `own_${nameOf(side % own, step)}`]
        : [step, `own_${name}${side}`]
    return `let ${nameOf(side, step)} = quadBroadcast(${of}, ${from}u);`
  }

  const text = (side: number, step: number): string => {
    if (direction === 'depth') return `${name}${side}.${part[step]}`
    if (direction === 'side')
      return `${nameOf(Math.floor(side / vectorWidth), step)}.${part[side % vectorWidth]}`
    return nameOf(side, step)
  }
  return {
    direction,
    element: text,
    vector: (quad, step) =>
      direction === 'side'
        ? nameOf(quad, step)
        : `vec4<f32>(${range(vectorWidth)
            .map((k) => text(quad * vectorWidth + k, step))
            .join(', ')})`,
    steps: (side) => nameOf(side, 0),
    hoist: () => {
      for (const { lanes } of fetches) writer.hoist(lanes, 'k')
    },
    fetch: () => {
      for (const { name, lanes } of fetches) writer.line(`let ${name} = ${writer.spell(lanes).text};`)
      if (split === 'none') return
      for (const side of range(across)) for (const step of range(along)) writer.line(received(side, step))
    },
  }
}

/** The sums of a tile as text: an element, or four neighbours in a row. */
interface Sums {
  element(m: number, n: number): string
  vector(m: number, quad: number): string
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** Where a tile begins: the last one early if the tiles do not fit, so that no tile reaches outside. */
function firstOf(name: string, extent: number, size: number): Affine {
  const tile = loop(name, Math.ceil(extent / size))
  if (extent % size === 0) return times(tile, size)
  const unit = gcd(extent, size)
  const last = (extent - size) / unit
  const first = scalar.min(scalar.position(times(tile, size / unit)), last)
  return times(indexFrom(first, last + 1), unit)
}

export function writeProduct(writer: Writer, nest: ProductNest, store: Store, tiling: Tiling): Body {
  const { batch, rows, columns, half } = nest
  const { height, width, quads } = tileOf(nest, tiling)
  const [tilesDown, tilesAcross] = [Math.ceil(rows / height), Math.ceil(columns / width)]
  const { shares, workgroup } = gridOf([tilesAcross, tilesDown, batch], quads)
  const [across, down, deep] = workgroup

  // What four threads share has one number in a workgroup. They go on together to the end, so that they can exchange values:
  // threads behind the last tile compute that tile again, and store nothing.
  const threads = { n: tilesAcross, m: tilesDown, b: batch }
  const guards: string[] = []
  for (const [k, name] of (['n', 'm', 'b'] as const).entries()) {
    const [tiles, size, axis] = [threads[name], workgroup[k]!, part[k]]
    const isUneven = tiles % size !== 0
    const id = size === 1 && shares !== null ? `group.${axis}` : `id.${axis}`
    if (isUneven) guards.push(`${shares === null ? name : id} >= ${tiles}u`)
    writer.line(`let ${name} = ${isUneven && shares !== null ? `min(${id}, ${tiles - 1}u)` : id};`)
  }
  if (shares !== null) {
    writer.usesQuads = true
    writer.line('let lane = thread & 3u;')
  } else if (guards.length > 0) writer.line(`if (${guards.join(' || ')}) { return; }`)
  const b = loop('b', batch)
  const firstRow = firstOf('m', rows, height)
  /** The column at a side of the tile; a tile of two halves has four columns and their partners. */
  const columnAt = (side: Affine): Affine => {
    if (half === null) return plus(firstOf('n', columns, width), side)
    const [quads, tile] = [half / vectorWidth, loop('n', tilesAcross)]
    const first = plus(times(quotient(tile, quads), 2 * half), times(remainder(tile, quads), vectorWidth))
    return plus(first, plus(times(quotient(side, vectorWidth), half), remainder(side, vectorWidth)))
  }

  /** Writes the loop over the depth of some sums; their results are then known by the texts of their elements. */
  const writeSums = (sums: readonly (readonly [string, Sum])[]): Sums[] => {
    const { depth } = sums[0]![1]
    const steps = depth % vectorWidth === 0 ? vectorWidth : 1
    const step = (k: Affine): Affine => plus(times(loop('k', depth / steps), steps), k)
    const operands: Operand[] = []
    const known: { readonly first: Scalar; readonly operand: Operand; readonly isLeft: boolean }[] = []
    const operandOf = (at: At, isLeft: boolean): Operand => {
      const first = at(whole(0), whole(0))
      const same = known.find((other) => other.isLeft === isLeft && alike(other.first, first))
      if (same !== undefined) return same.operand
      const number = known.filter((other) => other.isLeft === isLeft).length
      const name = `${isLeft ? 'x' : 'y'}${number === 0 ? '' : 'abcdefgh'[number - 1]}`
      const made = operand(
        writer,
        name,
        isLeft ? height : width,
        steps,
        at,
        shares === (isLeft ? 'lhs' : 'rhs'),
      )
      known.push({ first, operand: made, isLeft })
      operands.push(made)
      return made
    }
    const written = sums.map(([name, { lhs, rhs }]) => {
      const left = operandOf((side, k) => lhs(b, plus(firstRow, side), step(k)), true)
      const right = operandOf((side, k) => rhs(b, columnAt(side), step(k)), false)
      const dots = left.direction === 'depth' && right.direction === 'depth'
      const wide = !dots && width % vectorWidth === 0
      const columnsOfSums = range(wide ? width / vectorWidth : width)
      const type = wide ? 'vec4<f32>' : 'f32'
      for (const m of range(height))
        writer.line(columnsOfSums.map((n) => `var ${name}${m}_${n}: ${type};`).join(' '))
      const add = (): void => {
        for (const m of range(height))
          for (const n of columnsOfSums) {
            const sum = `${name}${m}_${n}`
            if (dots) writer.line(`${sum} += dot(${left.steps(m)}, ${right.steps(n)});`)
            else
              for (const k of range(steps)) {
                const x = left.element(m, k)
                const y = wide ? right.vector(n, k) : right.element(n, k)
                writer.line(`${sum} = fma(${wide ? `vec4<f32>(${x})` : x}, ${y}, ${sum});`)
              }
          }
      }
      const element = (m: number, n: number): string =>
        wide ? `${name}${m}_${n >> 2}.${part[n % 4]}` : `${name}${m}_${n}`
      const vector = (m: number, quad: number): string =>
        wide
          ? `${name}${m}_${quad}`
          : `vec4<f32>(${range(vectorWidth)
              .map((k) => element(m, vectorWidth * quad + k))
              .join(', ')})`
      return { add, element, vector }
    })
    for (const operand of operands) operand.hoist()
    const turn = (): void => {
      for (const operand of operands) operand.fetch()
      for (const { add } of written) add()
    }
    if (depth === steps) writer.block('', turn)
    else writer.loop('k', depth / steps, turn)
    return written
  }
  const names = nest.sums.map((_, k) => (nest.sums.length === 1 ? 'sum' : `sum${k}_`))
  const found: Sums[] = []
  const first = (sum: Sum): readonly [Scalar, Scalar] => [
    sum.lhs(b, firstRow, loop('k', sum.depth)),
    sum.rhs(b, columnAt(whole(0)), loop('k', sum.depth)),
  ]
  for (const [k, sum] of nest.sums.entries()) {
    if (found[k] !== undefined) continue
    // Sums that share an operand are done together: it is fetched once.
    const [lhs, rhs] = first(sum)
    const together = [...nest.sums.keys()].filter((other) => {
      if (found[other] !== undefined || nest.sums[other]!.depth !== sum.depth) return false
      const [otherLhs, otherRhs] = first(nest.sums[other]!)
      return other === k || alike(lhs, otherLhs) || alike(rhs, otherRhs)
    })
    const written = writeSums(together.map((other) => [names[other]!, nest.sums[other]!]))
    for (const [position, other] of together.entries()) found[other] = written[position]!
  }

  // The sums are stored in a loop, so that an epilogue is written once; its bound depends on the tile, or drivers unroll it.
  const storedRow = plus(firstRow, loop('row', height))
  const storedColumn = (quad: number, k = 0): Affine =>
    columnAt(plus(times(loop('column', width / quad), quad), whole(k)))
  const place = (quad: number): Affine[] =>
    range(quad).map((k) => nest.place(b, storedRow, storedColumn(quad, k)))
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
  if (shares !== null && guards.length > 0) writer.line(`if (${guards.join(' || ')}) { return; }`)
  // A last tile that begins early has results of the tile before, which are stored already.
  writer.line(`let fresh = min(${height}u, ${rows}u - m * ${height}u);`)
  writer.block(`for (var r = (${height}u - fresh) * ${stored}u; r < ${height * stored}u; r++)`, () => {
    writer.line(`let row = ${quotientText('r', stored)};`)
    writer.line(`let column = ${remainderText('r', stored)};`)
    const write = (): void => {
      const at = place(lanes)
      const sumsAt = (r: string): Scalar[] =>
        found.map((_, k) => {
          const sum = scalar.reduced('f32')
          writer.define(sum, `${listOf(k)}[${r}]`, storesVectors ? 4 : 1)
          return sum
        })
      const sums = sumsAt('r')
      const partners = half === null ? sums : sumsAt(`r ^ ${vectorWidth / lanes}u`)
      const elements = at.map((place) => nest.finish(place, sums, partners))
      for (const k of elements[0]!.keys())
        store(
          k,
          at[0]!,
          elements.map((outputs) => outputs[k]!),
        )
    }
    if (columns % width === 0) write()
    else writer.block(`if (${writer.index(storedColumn(lanes))} >= n * ${width}u)`, write)
  })
  return {
    workgroup: [across, down, deep],
    workgroups: [Math.ceil(tilesAcross / across), Math.ceil(tilesDown / down), Math.ceil(batch / deep)],
    storesVectors: () => storesVectors,
  }
}
