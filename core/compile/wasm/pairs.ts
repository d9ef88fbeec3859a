// Loops over pairs as WebAssembly: a unit has four rows, the lanes of its vectors, and goes over the columns they see, sixteen at
// a time. Rows and sums lie in the memory of the thread with the four rows of a component together.

import { type Affine, indexFrom, loop, plus, quotient, remainder, times, whole } from '../../affine.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'
import type { PairsNest } from '../kernels.ts'
import { vectorWidth } from '../lanes.ts'
import type { Instruction } from './instructions.ts'
import { getter, type Store, scratchParam, type Units, type Value, type Work, type Writer } from './writer.ts'

/** Below every score; finite, so that differences are. */
const lowest = -2.3819763e38

const height = vectorWidth
const width = 16
const vectorBytes = 16

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)

export function writePairs(writer: Writer, nest: PairsNest, store: Store, { from, to }: Units): Work {
  const { batch, rows, columns, turns, size, behind, ahead, dots, softmax, sums } = nest
  const tiles = Math.ceil(rows / height)
  const blocks = Math.ceil(columns / width)
  const units = tiles * batch
  const unit = loop('u', units)
  const [b, m] = [quotient(unit, Math.max(tiles, 1)), remainder(unit, Math.max(tiles, 1))]
  const turn = loop('turn', Math.max(turns, 1))
  const d = loop('d', Math.max(size, 1))
  const clamped = (index: Affine, extent: number, divides: boolean): Affine =>
    divides ? index : indexFrom(scalar.min(scalar.position(index), extent - 1), extent)
  const rowAt = range(height).map((k) => plus(times(m, height), whole(k)))
  const row = rowAt.map((index) => clamped(index, rows, rows % height === 0))
  const columnAt = (c: Affine): Affine => plus(times(loop('n', blocks), width), c)
  const column = (c: Affine): Affine => clamped(columnAt(c), columns, columns % width === 0)

  // The thread's memory: the rows of each inner product, the sums, the products of a block.
  const own = writer.param(scratchParam)
  let scratch = 0
  const take = (bytes: number): number => {
    scratch += bytes
    return scratch - bytes
  }
  const rowsOf = dots.map(() => take(size * vectorBytes))
  const sumsOf = sums.map(() => take(size * vectorBytes))
  const productsOf = range(Math.max(dots.length, 1)).map(() => take(width * vectorBytes))

  const wide = (lanes: readonly Scalar[]): Value => writer.widen(writer.spell(lanes), lanes[0]!.dtype)
  const vector = (...code: readonly Instruction[]): Value => writer.make('v128', 4, writer.depth, ...code)
  const number = (value: Value): Scalar => {
    const element = scalar.reduced('f32')
    writer.define(element, value)
    return element
  }
  const variable = (start: Instruction): Value => {
    const local = writer.local('v128')
    writer.write(start, ['local.set', local])
    return { type: 'v128', width: 4, depth: writer.depth, local, constant: null }
  }
  const now = (value: Value): Value => ({ ...value, depth: writer.depth })
  const set = (to: Value, ...code: readonly Instruction[]): void =>
    writer.write(...code, ['local.set', to.local])
  /** Where the vector of a counter lies in the thread's memory. */
  const placeOf = (counter: Value): Value => writer.partOf(own, counter, vectorBytes)
  const zero: Instruction = ['v128.const', 0]
  const lowestBits = new Uint32Array(Float32Array.of(lowest).buffer)[0]!

  const hidesBefore = behind < rows - 1
  const hidesAfter = ahead < columns - 1
  /** Which rows see a column of the block; null if all do. */
  const seen = (c: Affine): Value | null => {
    const index = scalar.position(columnAt(c))
    const later = (index: Scalar, by: number): Scalar => (by === 0 ? index : scalar.add(index, by))
    const tests = rowAt.map((row) => [
      ...(hidesBefore ? [scalar.le(scalar.position(row), later(index, behind))] : []),
      ...(hidesAfter ? [scalar.le(index, later(scalar.position(row), ahead))] : []),
      ...(columns % width === 0 ? [] : [scalar.lt(index, columns)]),
    ])
    if (tests[0]!.length === 0) return null
    return wide(tests.map((all) => all.reduce((x, y) => scalar.and(x, y))))
  }
  const onlySeen = (value: Value, shown: Value | null, otherwise: Instruction): Value =>
    shown === null
      ? value
      : writer.make('v128', 4, writer.depth, getter(value), otherwise, getter(shown), ['v128.bitselect'])

  const alongVector = (body: (place: Value) => void): void =>
    writer.loop('d', size, (counter) => body(placeOf(counter)))

  writer.range('u', from, to, () => {
    for (const [j, dot] of dots.entries())
      alongVector((place) => {
        const x = wide(row.map((index) => dot.row(b, index, d)))
        writer.write(getter(place), getter(x), ['v128.store', rowsOf[j]!])
      })
    for (const at of sumsOf) alongVector((place) => writer.write(getter(place), zero, ['v128.store', at]))
    const top = softmax && variable(['v128.const', lowestBits])
    const totals = nest.totals.map(() => variable(zero))

    // The blocks of columns that some row sees.
    const firstRow = writer.index(times(m, height))
    const { depth } = writer
    const before: Instruction = ['i32.const', behind]
    const first = hidesBefore
      ? writer.make(
          'i32',
          1,
          depth,
          before,
          getter(firstRow),
          getter(firstRow),
          before,
          ['i32.lt_u'],
          ['select'],
          before,
          ['i32.sub'],
          ['i32.const', width],
          ['i32.div_u'],
        )
      : writer.constant(0, 'i32')
    const all = writer.constant(blocks, 'i32')
    let last = all
    if (hidesAfter) {
      const end = writer.make(
        'i32',
        1,
        depth,
        getter(firstRow),
        ['i32.const', height - 1 + ahead],
        ['i32.add'],
        ['i32.const', width],
        ['i32.div_u'],
        ['i32.const', 1],
        ['i32.add'],
      )
      last = writer.lesser(end, all)
    }

    writer.loop('turn', turns, () =>
      writer.range('n', first, last, () => {
        // The inner products of the rows with each column.
        const products = dots.map((dot, j) => {
          const found = range(width).map(() => variable(zero))
          alongVector((place) => {
            const x = vector(getter(place), ['v128.load', rowsOf[j]!])
            for (const [c, sum] of found.entries()) {
              const y = wide([dot.column(b, turn, column(whole(c)), d)])
              set(sum, getter(sum), getter(x), getter(y), ['f32x4.mul'], ['f32x4.add'])
            }
          })
          return found
        })
        // The largest score so far, which the sums are relative to.
        let shrink: Value | null = null
        if (softmax !== null && top !== null) {
          const above = variable(getter(top))
          for (const c of range(width)) {
            const score = wide([softmax.score(products.map((found) => number(now(found[c]!))))])
            const shown = onlySeen(score, seen(whole(c)), ['v128.const', lowestBits])
            set(above, getter(shown), getter(above), ['f32x4.pmax'])
          }
          const lower = vector(getter(top), getter(above), ['f32x4.sub'])
          shrink = wide([softmax.exp(number(lower))])
          set(top, getter(above))
          for (const total of totals) set(total, getter(total), getter(shrink), ['f32x4.mul'])
        }
        // The weights of the columns, in a loop, so that they are written once.
        for (const [j, found] of products.entries())
          for (const [c, value] of found.entries())
            writer.write(getter(own), getter(value), ['v128.store', productsOf[j]! + c * vectorBytes])
        writer.loop('c', width, (counter) => {
          const c = loop('c', width)
          const place = placeOf(counter)
          const made = dots.map((_, j) => number(vector(getter(place), ['v128.load', productsOf[j]!])))
          const relative = top && number(now(top))
          const lanes = row.map((row) => [
            ...nest.weights(made, { batch: b, row, turn, column: column(c) }, relative),
          ])
          const shown = seen(c)
          const weights = lanes[0]!.map((_, k) => onlySeen(wide(lanes.map((all) => all[k]!)), shown, zero))
          for (const [k, weight] of nest.totals.entries())
            set(totals[k]!, getter(totals[k]!), getter(weights[weight]!), ['f32x4.add'])
          for (const [k, weight] of weights.entries())
            writer.write(getter(place), getter(weight), ['v128.store', productsOf[k]!])
        })
        // The vectors of the columns, weighted.
        const used = [...new Set(sums.flatMap((terms) => terms.map(({ weight }) => weight)))]
        const weights = new Map(
          used.map((k) => [
            k,
            range(width).map((c) => vector(getter(own), ['v128.load', productsOf[k]! + c * vectorBytes])),
          ]),
        )
        for (const [k, terms] of sums.entries())
          alongVector((place) => {
            const sum = variable(zero)
            set(sum, getter(place), ['v128.load', sumsOf[k]!])
            if (shrink !== null) set(sum, getter(sum), getter(shrink), ['f32x4.mul'])
            for (const { weight, vector: at } of terms)
              for (const c of range(width)) {
                const y = wide([at(b, turn, column(whole(c)), d)])
                set(
                  sum,
                  getter(sum),
                  getter(weights.get(weight)![c]!),
                  getter(y),
                  ['f32x4.mul'],
                  ['f32x4.add'],
                )
              }
            writer.write(getter(place), getter(sum), ['v128.store', sumsOf[k]!])
          })
      }),
    )

    // The results of each row, which is a lane.
    for (const r of range(height)) {
      const inside = writer.make(
        'i32',
        1,
        writer.depth,
        getter(firstRow),
        ['i32.const', r],
        ['i32.add'],
        ['i32.const', rows],
        ['i32.lt_u'],
      )
      const lane = (value: Value): Value =>
        writer.make('f32', 1, writer.depth, getter(value), ['f32x4.extract_lane', r])
      writer.when(inside, () => {
        const found = {
          totals: totals.map((total) => number(lane(now(total)))),
          top: top && number(lane(now(top))),
        }
        const at = { batch: b, row: row[r]! }
        let outputs = 0
        alongVector((place) => {
          const values = sums.map((_, k) =>
            number(writer.make('f32', 1, writer.depth, getter(place), ['f32.load', sumsOf[k]! + 4 * r])),
          )
          const elements = nest.vectors(at, d, values, found)
          outputs = elements.length
          for (const [k, element] of elements.entries()) store(k, nest.placeOfVector(at, d), [element])
        })
        for (const [k, element] of nest.numbers(at, found).entries())
          store(outputs + k, nest.placeOfNumber(at), [element])
      })
    }
  })
  return { units, scratch }
}
