// Products as WebAssembly: a tile of sums in registers goes along the depth. The columns of the right operand that a tile needs
// are packed first, a step of the depth behind the other, and serve all tiles below each other.

import { type Affine, indexFrom, loop, plus, quotient, remainder, times, whole } from '../../affine.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'
import type { ProductNest, Sum } from '../kernels.ts'
import { areNeighbours, vectorWidth } from '../lanes.ts'
import type { Instruction } from './instructions.ts'
import { getter, type Store, scratchParam, type Units, type Value, type Work, type Writer } from './writer.ts'

/** Rows and columns of a tile. */
const tallest = 4
const widest = 16

/** Tiles of so many rows at least share packed columns. */
const worthPacking = 16

/** Fewer units than this leave threads idle; a unit has so many rows at least. */
const enoughUnits = 8
const fewestRows = 32

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)
const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** Where a tile begins: the last one early if the tiles do not fit, so that no tile reaches outside. */
function firstOf(tile: Affine, tiles: number, extent: number, size: number): Affine {
  if (extent % size === 0 || tiles === 1) return times(tile, size)
  const unit = gcd(extent, size)
  const last = (extent - size) / unit
  const first = scalar.min(scalar.position(times(tile, size / unit)), last)
  return times(indexFrom(first, last + 1), unit)
}

export function writeProduct(writer: Writer, nest: ProductNest, store: Store, { from, to }: Units): Work {
  const { batch, rows, columns, half, sums } = nest
  if (batch * rows * columns === 0) return { units: 0 }
  const height = Math.min(tallest, rows)
  const width = half !== null ? 2 * vectorWidth : columns >= widest ? widest : columns > 4 ? 8 : 4
  const across = Math.ceil(columns / width)
  const down = Math.ceil(rows / height)
  const packs = rows >= worthPacking
  // A unit is a column of tiles, or a part of one.
  const most = Math.ceil(enoughUnits / (batch * across))
  const each = packs ? Math.max(Math.ceil(fewestRows / height), Math.ceil(down / most)) : 1
  const parts = Math.ceil(down / each)
  const units = batch * across * parts

  const unit = loop('u', units)
  const part = remainder(unit, parts)
  const column = remainder(quotient(unit, parts), across)
  const b = quotient(unit, parts * across)
  const fitsColumns = columns >= width
  const firstColumn = firstOf(column, across, columns, width)
  const clamped = new Map<string, Affine>()
  /** The column at a side of the tile; a tile of two halves has four columns and their partners. */
  const columnAt = (side: Affine): Affine => {
    if (half === null) {
      const at = plus(firstColumn, side)
      if (fitsColumns) return at
      const known = clamped.get(at.key) ?? indexFrom(scalar.min(scalar.position(at), columns - 1), columns)
      clamped.set(at.key, known)
      return known
    }
    const quads = half / vectorWidth
    const first = plus(times(quotient(column, quads), 2 * half), times(remainder(column, quads), vectorWidth))
    return plus(first, plus(times(quotient(side, vectorWidth), half), remainder(side, vectorWidth)))
  }
  const quads = width / vectorWidth
  const lanesOf = (side: Affine): Affine[] => range(vectorWidth).map((k) => plus(side, whole(k)))

  // In the memory of a thread: what the sums of a tile came to, and the packed columns of each.
  const tileBytes = 4 * height * width
  const panels: number[] = []
  let scratch = sums.length * tileBytes
  for (const { depth } of sums) {
    panels.push(scratch)
    if (packs) scratch += 4 * depth * width
  }
  const own = writer.param(scratchParam)

  const pack = ({ depth, rhs }: Sum, panel: number): void =>
    writer.loop('k', depth, (k) => {
      const at = writer.partOf(own, k, 4 * width)
      for (const quad of range(quads)) {
        const lanes = lanesOf(whole(quad * vectorWidth)).map((side) =>
          rhs(b, columnAt(side), loop('k', depth)),
        )
        const value = writer.widen(writer.spell(lanes), 'f32')
        writer.write(getter(at), getter(value), ['v128.store', panel + 4 * quad * vectorWidth])
      }
    })

  const tile = loop('m', down)
  const firstRow = firstOf(tile, down, rows, height)

  const splat = (element: Scalar): Value => writer.widen(writer.spell([element]), 'f32')
  const zeros = (count: number): number[] =>
    range(count).map(() => {
      const local = writer.local('v128')
      writer.write(['v128.const', 0], ['local.set', local])
      return local
    })
  const addTo = (sum: number, x: Value, y: Value): void =>
    writer.write(['local.get', sum], getter(x), getter(y), ['f32x4.mul'], ['f32x4.add'], ['local.set', sum])

  /** Leaves the sums of a tile in the thread's memory. */
  const writeSums = ({ depth, lhs, rhs }: Sum, at: number, panel: number): void => {
    const left = (r: number, k: Affine): Scalar => lhs(b, plus(firstRow, whole(r)), k)
    const right = (side: Affine, k: Affine): Scalar => rhs(b, columnAt(side), k)
    const steps = depth % vectorWidth === 0 ? vectorWidth : 1
    const along = (k: Affine): Affine[] => range(vectorWidth).map((step) => plus(k, whole(step)))
    const inVectors = (lanes: readonly Scalar[]): boolean => {
      const offsets = lanes.flatMap((lane) => (lane.kind === 'load' ? [lane.offset] : []))
      return offsets.length === vectorWidth && areNeighbours(offsets)
    }
    const turn = times(loop('k', Math.max(depth / steps, 1)), steps)
    const dots = !packs && steps === vectorWidth && inVectors(along(turn).map((k) => right(whole(0), k)))
    if (dots) {
      // Few rows: four steps of the depth at a time, of each column of a few.
      for (const quad of range(quads)) {
        const locals = zeros(height * vectorWidth)
        writer.loop('k', depth / steps, () => {
          const ys = lanesOf(whole(quad * vectorWidth)).map((side) =>
            writer.widen(writer.spell(along(turn).map((k) => right(side, k))), 'f32'),
          )
          for (const r of range(height)) {
            const x = writer.widen(writer.spell(along(turn).map((k) => left(r, k))), 'f32')
            for (const [n, y] of ys.entries()) addTo(locals[r * vectorWidth + n]!, x, y)
          }
        })
        for (const r of range(height))
          for (const n of range(vectorWidth)) {
            const local = locals[r * vectorWidth + n]!
            const lane = (k: number): Instruction[] => [
              ['local.get', local],
              ['f32x4.extract_lane', k],
            ]
            writer.write(
              getter(own),
              ...lane(0),
              ...lane(1),
              ['f32.add'],
              ...lane(2),
              ...lane(3),
              ['f32.add'],
              ['f32.add'],
              ['f32.store', at + 4 * (r * width + quad * vectorWidth + n)],
            )
          }
      }
      return
    }
    const locals = zeros(height * quads)
    writer.loop('k', depth / steps, (k) => {
      const packed = packs ? writer.partOf(own, k, 4 * width * steps) : own
      for (const step of range(steps)) {
        const ys = range(quads).map((quad): Value => {
          if (packs)
            return writer.make('v128', 4, writer.depth, getter(packed), [
              'v128.load',
              panel + 4 * (step * width + quad * vectorWidth),
            ])
          const lanes = lanesOf(whole(quad * vectorWidth)).map((side) => right(side, plus(turn, whole(step))))
          return writer.widen(writer.spell(lanes), 'f32')
        })
        for (const r of range(height)) {
          const x = splat(left(r, plus(turn, whole(step))))
          for (const [quad, y] of ys.entries()) addTo(locals[r * quads + quad]!, x, y)
        }
      }
    })
    for (const [k, local] of locals.entries())
      writer.write(getter(own), ['local.get', local], ['v128.store', at + 16 * k])
  }

  /** Makes of the sums what is stored. */
  const writeEpilogue = (): void => {
    writer.loop('row', height, (row) => {
      const storedRow = plus(firstRow, loop('row', height))
      const some = (name: string, lanes: number, count: number): void =>
        writer.loop(name, count, (counter) => {
          const side = times(loop(name, count), lanes)
          const sides = range(lanes).map((k) => plus(side, whole(k)))
          const places = sides.map((side) => nest.place(b, storedRow, columnAt(side)))
          const sumsAt = (swapped: boolean): Scalar[] => {
            const { depth } = writer
            const at = writer.make(
              'i32',
              1,
              depth,
              getter(row),
              ['i32.const', 4 * width],
              ['i32.mul'],
              getter(counter),
              ...(swapped ? ([['i32.const', 1], ['i32.xor']] as Instruction[]) : []),
              ['i32.const', 4 * lanes],
              ['i32.mul'],
              ['i32.add'],
              getter(own),
              ['i32.add'],
            )
            return sums.map((_, k) => {
              const sum = scalar.reduced('f32')
              const load: Instruction = [lanes === 1 ? 'f32.load' : 'v128.load', k * tileBytes]
              writer.define(
                sum,
                lanes === 1
                  ? writer.make('f32', 1, depth, getter(at), load)
                  : writer.make('v128', 4, depth, getter(at), load),
              )
              return sum
            })
          }
          const found = sumsAt(false)
          const partners = half === null ? found : sumsAt(true)
          const elements = places.map((place) => nest.finish(place, found, partners))
          for (const k of elements[0]!.keys()) {
            const values = elements.map((outputs) => outputs[k]!)
            if (lanes === 1 || areNeighbours(places)) store(k, places[0]!, values)
            else
              for (const [lane, place] of places.entries()) {
                const { dtype } = values[0]!
                const one = scalar.reduced(dtype)
                const wide = writer.widen(writer.spell(values), dtype)
                const type = dtype === 'f32' ? 'f32' : 'i32'
                writer.define(
                  one,
                  writer.make(type, 1, writer.depth, getter(wide), [`${type}x4.extract_lane`, lane]),
                )
                store(k, place, [one])
              }
          }
        })
      if (fitsColumns) some('column', vectorWidth, quads)
      else some('column', 1, columns)
    })
  }

  writer.range('u', from, to, () => {
    if (packs) for (const [k, sum] of sums.entries()) pack(sum, panels[k]!)
    const tiles = (): void => {
      for (const [k, sum] of sums.entries()) writeSums(sum, k * tileBytes, panels[k]!)
      writeEpilogue()
    }
    const first = writer.index(times(part, each))
    const end = writer.sum(first, writer.constant(each, 'i32'))
    const all = writer.constant(down, 'i32')
    const last = down % each === 0 ? end : writer.lesser(end, all)
    writer.range('m', first, last, tiles)
  })
  return { units, scratch }
}
