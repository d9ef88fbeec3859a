// Loops over pairs as WGSL: each thread has four rows, the lanes of its vectors, and goes over the columns they see. It makes
// their inner products, weights of them, and adds weighted vectors to the sums of its rows, all in registers.

import { type Affine, indexFrom, loop, plus, times, whole } from '../../affine.ts'
import * as scalar from '../../scalar.ts'
import { changesWith, type Scalar } from '../../scalar.ts'
import type { PairsNest } from '../kernels.ts'
import { type Body, isVector, type Store, vectorWidth, type Writer } from './writer.ts'

/** Below every score; finite, so that differences are. */
const lowest = 'vec4<f32>(-2.3819763e38f)'

/** Rows of a thread. */
const height = vectorWidth
/** Steps along vectors of its rows that a thread keeps; longer vectors are read again for each block of columns. */
const mostKept = 32
/** Columns whose inner products are made together where rows are read again. */
const blockOfColumns = 8

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)
const part = 'xyzw'

export function writePairs(writer: Writer, nest: PairsNest, store: Store): Body {
  const { batch, rows, columns, turns, size, behind, ahead, dots, softmax, sums } = nest
  const tiles = Math.ceil(rows / height)
  const step = size % vectorWidth === 0 ? vectorWidth : 1
  const steps = size / step
  const type = step === vectorWidth ? 'vec4<f32>' : 'f32'
  const keepsRows = dots.length * height * steps <= mostKept
  const width = keepsRows ? 1 : blockOfColumns
  const blocks = Math.ceil(columns / width)

  const b = loop('b', batch)
  const turn = loop('turn', turns)
  const clamped = (index: Affine, extent: number, divides: boolean): Affine =>
    divides ? index : indexFrom(scalar.min(scalar.position(index), extent - 1), extent)
  const rowAt = range(height).map((k) => plus(times(loop('m', tiles), height), whole(k)))
  const row = rowAt.map((index) => clamped(index, rows, rows % height === 0))
  const columnAt = (c: Affine): Affine => plus(times(loop('n', blocks), width), c)
  const column = (c: Affine): Affine => clamped(columnAt(c), columns, columns % width === 0)
  const components = (d: Affine): Affine[] => range(step).map((k) => plus(times(d, step), whole(k)))

  const across = Math.min(16, 2 ** Math.ceil(Math.log2(tiles)))
  const threads = tiles * batch
  const group = threads >= 512 ? 32 : threads >= 64 ? 16 : 8
  const deep = Math.max(1, 2 ** Math.floor(Math.log2(Math.min(batch, group / across))))
  writer.line('let m = id.x;')
  writer.line('let b = id.y;')
  const guards = [
    ...(tiles % across === 0 ? [] : [`m >= ${tiles}u`]),
    ...(batch % deep === 0 ? [] : [`b >= ${batch}u`]),
  ]
  if (guards.length > 0) writer.line(`if (${guards.join(' || ')}) { return; }`)

  const number = (text: string, width: 1 | 4): Scalar => {
    const element = scalar.reduced('f32')
    writer.define(element, text, width)
    return element
  }
  const spell = (lanes: readonly Scalar[]): string => {
    const { text, width } = writer.spell(lanes)
    return width === 4 ? text : `vec4<f32>(${text})`
  }
  /** A vector, or as much of it as is read at once. */
  const fetch = (read: (d: Affine) => Scalar, d: Affine): string => {
    const lanes = components(d).map(read)
    return step === 1 ? writer.spell(lanes).text : spell(lanes)
  }

  const sumOf = (k: number, row: number, d: number): string => `sum${sums.length > 1 ? k : ''}_${row}_${d}`
  const totalOf = (k: number): string => `total${nest.totals.length > 1 ? k : ''}`
  const dotOf = (j: number): string => `dot${dots.length > 1 ? j : ''}`
  for (const k of sums.keys())
    for (const row of range(height))
      for (let d = 0; d < steps; d += 4)
        writer.line(
          range(Math.min(4, steps - d))
            .map((n) => `var ${sumOf(k, row, d + n)}: ${type};`)
            .join(' '),
        )
  if (softmax) writer.line(`var top = ${lowest};`)
  for (const k of nest.totals.keys()) writer.line(`var ${totalOf(k)}: vec4<f32>;`)

  // The blocks of columns that some row of the thread sees, and what is to be asked of a column in them.
  const hidesBefore = behind < rows - 1
  const hidesAfter = ahead < columns - 1
  const firstSeen = behind === 0 ? `m * ${height}u` : `(max(m * ${height}u, ${behind}u) - ${behind}u)`
  const first = hidesBefore ? `${firstSeen} / ${width}u` : '0u'
  const lastSeen = `(m * ${height}u + ${height - 1 + ahead}u)`
  const last = hidesAfter ? `min(${lastSeen} / ${width}u + 1u, ${blocks}u)` : `${blocks}u`
  /** Which rows see a column of the block; null if all do. */
  const seen = (c: Affine): string | null => {
    const index = scalar.position(columnAt(c))
    const tests = rowAt.map((row) => [
      ...(hidesBefore ? [scalar.le(scalar.position(row), later(index, behind))] : []),
      ...(hidesAfter ? [scalar.le(index, later(scalar.position(row), ahead))] : []),
      ...(columns % width === 0 ? [] : [scalar.lt(index, columns)]),
    ])
    if (tests[0]!.length === 0) return null
    return writer.spell(tests.map((all) => all.reduce((x, y) => scalar.and(x, y)))).text
  }
  const onlySeen = (text: string, shown: string | null, otherwise: string): string =>
    shown === null ? text : writer.name(`select(${otherwise}, ${text}, ${shown})`)

  /** The inner products of the rows with each column of a block: `dot_2` is that of the third column. */
  const writeDots = (): void => {
    const columnsOfBlock = range(width).map((c) => column(whole(c)))
    const products = (d: Affine, assign: string): void => {
      for (const [j, dot] of dots.entries()) {
        const xs = row.map((row) => fetch((d) => dot.row(b, row, d), d))
        for (const [c, column] of columnsOfBlock.entries()) {
          const y = fetch((d) => dot.column(b, turn, column, d), d)
          const all = xs.map((x) => (step === 1 ? `${x} * ${y}` : `dot(${x}, ${y})`)).join(', ')
          writer.line(`${assign.replace('dot', `${dotOf(j)}_${c}`)} vec4<f32>(${all});`)
        }
      }
    }
    if (keepsRows) {
      for (const d of range(steps)) products(whole(d), d === 0 ? 'var dot =' : 'dot +=')
      return
    }
    for (const j of dots.keys())
      writer.line(
        range(width)
          .map((c) => `var ${dotOf(j)}_${c} = vec4<f32>();`)
          .join(' '),
      )
    writer.loop('d', steps, () => products(loop('d', steps), 'dot +='))
  }

  const weightsAt = (products: readonly Scalar[], c: Affine, top: Scalar | null): Scalar[][] =>
    row.map((row) => [...nest.weights(products, { batch: b, row, turn, column: c }, top)])

  /** Makes the sums relative to the largest score so far. */
  const writeTop = (): void => {
    if (softmax === null) return
    const scores = range(width).map((c) => {
      const score = spell([softmax.score(dots.map((_, j) => number(`${dotOf(j)}_${c}`, 4)))])
      return onlySeen(score, seen(whole(c)), lowest)
    })
    writer.line(`let above = ${scores.reduce((text, score) => `max(${text}, ${score})`, 'top')};`)
    writer.block('if (any(above > top))', () => {
      writer.line(`let shrink = ${spell([softmax.exp(number('(top - above)', 4))])};`)
      writer.line('top = above;')
      for (const k of nest.totals.keys()) writer.line(`${totalOf(k)} *= shrink;`)
      for (const k of sums.keys())
        for (const r of range(height))
          for (const d of range(steps)) writer.line(`${sumOf(k, r, d)} *= shrink.${part[r]};`)
    })
  }

  /** Adds what a column of the block gives. */
  const writeColumn = (c: Affine, products: readonly Scalar[]): void => {
    const shown = seen(c)
    const index = column(c)
    const lanes = weightsAt(products, index, softmax && number('top', 4))
    const weights = lanes[0]!.map((_, k) => {
      const text = writer.name(spell(lanes.map((all) => all[k]!)), 'w')
      return onlySeen(text, shown, 'vec4<f32>()')
    })
    for (const [k, weight] of nest.totals.entries()) writer.line(`${totalOf(k)} += ${weights[weight]};`)
    for (const d of range(steps))
      for (const [k, terms] of sums.entries())
        for (const { weight, vector } of terms) {
          const y = fetch((d) => vector(b, turn, index, d), whole(d))
          for (const r of range(height)) {
            const [sum, w] = [sumOf(k, r, d), `${weights[weight]}.${part[r]}`]
            writer.line(`${sum} = fma(${step === 1 ? w : `vec4<f32>(${w})`}, ${y}, ${sum});`)
          }
        }
  }

  // What the rows alone say is read once.
  if (keepsRows)
    for (const d of range(steps))
      for (const dot of dots) for (const index of row) fetch((d) => dot.row(b, index, d), whole(d))
  const unknown = dots.map(() => scalar.reduced('f32'))
  hoistLoads(writer, weightsAt(unknown, column(loop('c', width)), scalar.reduced('f32')))
  writer.loop('turn', turns, () => {
    writer.line(`let last = ${last};`)
    writer.block(`for (var n = ${first}; n < last; n++)`, () => {
      writeDots()
      writeTop()
      const list = (j: number): string => `${dotOf(j)}s`
      if (width > 1)
        for (const j of dots.keys())
          writer.line(
            `var ${list(j)} = array<vec4<f32>, ${width}>(${range(width)
              .map((c) => `${dotOf(j)}_${c}`)
              .join(', ')});`,
          )
      writer.loop('c', width, () =>
        writeColumn(
          loop('c', width),
          dots.map((_, j) => number(width > 1 ? `${list(j)}[c]` : `${dotOf(j)}_0`, 4)),
        ),
      )
    })
  })

  // The results of each row.
  const wide = new Map<number, boolean>()
  for (const r of range(height)) {
    const write = (): void => {
      const at = { batch: b, row: row[r]! }
      const found = {
        totals: nest.totals.map((_, k) => number(`${totalOf(k)}.${part[r]}`, 1)),
        top: softmax && number(`top.${part[r]}`, 1),
      }
      let outputs = 0
      for (const d of range(steps)) {
        const values = sums.map((_, k) => number(sumOf(k, r, d), step === 1 ? 1 : 4))
        const ds = components(whole(d))
        const places = ds.map((d) => nest.placeOfVector(at, d))
        const elements = ds.map((d) => nest.vectors(at, d, values, found))
        outputs = elements[0]!.length
        for (const k of range(outputs)) {
          const lanes = elements.map((all) => all[k]!)
          wide.set(k, isVector(places))
          if (isVector(places)) store(k, places[0]!, lanes)
          else
            for (const [lane, place] of places.entries()) {
              const { text, width } = writer.spell(lanes)
              store(k, place, [number(width === 4 ? `${text}.${part[lane]}` : text, 1)])
            }
        }
      }
      for (const [k, element] of nest.numbers(at, found).entries())
        store(outputs + k, nest.placeOfNumber(at), [element])
    }
    if (rows % height === 0) write()
    else writer.block(`if (${writer.index(rowAt[r]!)} < ${rows}u)`, write)
  }
  return {
    workgroup: [across, deep],
    workgroups: [Math.ceil(tiles / across), Math.ceil(batch / deep), 1],
    storesVectors: (k) => wide.get(k) ?? false,
  }
}

const later = (index: Scalar, by: number): Scalar => (by === 0 ? index : scalar.add(index, by))

/** Spells the loads that no loop over columns changes. */
function hoistLoads(writer: Writer, lanes: readonly (readonly Scalar[])[]): void {
  const changes = ['turn', 'n', 'c'].map(changesWith)
  const visit = (lanes: readonly Scalar[]): void => {
    const [first] = lanes as [Scalar]
    if (first.kind === 'load' && !changes.some(({ scalar }) => scalar(first))) writer.spell(lanes)
    if (first.kind === 'apply')
      for (const k of first.args.keys()) visit(lanes.map((lane) => (lane as typeof first).args[k]!))
  }
  for (const k of lanes[0]!.keys()) visit(lanes.map((all) => all[k]!))
}
