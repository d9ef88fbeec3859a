// Loops over pairs as WGSL: each thread has four rows, the lanes of its vectors, and goes over the columns they see. It makes
// their inner products, weights of them, and adds weighted vectors to the sums of its rows, all in registers.

import { type Affine, indexFrom, loop, plus, times, whole } from '../../affine.ts'
import * as scalar from '../../scalar.ts'
import { changesWith, type Scalar } from '../../scalar.ts'
import type { PairsNest } from '../kernels.ts'
import { vectorWidth } from '../lanes.ts'
import type { Tiling } from './tiling.ts'
import { type Body, isVector, type Store, type Writer } from './writer.ts'

/** Below every score; finite, so that differences are. */
const lowest = 'vec4<f32>(-2.3819763e38f)'

/** Rows of a thread. */
const height = vectorWidth
/** Columns that a thread takes together. */
const width = 16

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)
const part = 'xyzw'
/** Swap a value with the thread whose number among four differs by 1, 2 and 3. */
const swaps = ['quadSwapX', 'quadSwapY', 'quadSwapDiagonal']

/** Threads of a workgroup along rows where four go together: all of them go over the columns that one sees. */
const threadsTogether = (tiles: number): number => (tiles >= 256 ? 16 : tiles >= 128 ? 8 : 4)

export function writePairs(writer: Writer, nest: PairsNest, store: Store, { quads }: Tiling): Body {
  const { batch, rows, columns, turns, size, behind, ahead, dots, softmax, sums } = nest
  const tiles = Math.ceil(rows / height)
  const step = size % vectorWidth === 0 ? vectorWidth : 1
  const steps = size / step
  const type = step === vectorWidth ? 'vec4<f32>' : 'f32'
  const blocks = Math.ceil(columns / width)
  const together = quads && tiles >= vectorWidth

  const b = loop('b', batch)
  const turn = loop('turn', turns)
  const d = loop('d', steps)
  const clamped = (index: Affine, extent: number, divides: boolean): Affine =>
    divides ? index : indexFrom(scalar.min(scalar.position(index), extent - 1), extent)
  const rowAt = range(height).map((k) => plus(times(loop('m', tiles), height), whole(k)))
  const row = rowAt.map((index) => clamped(index, rows, rows % height === 0))
  /** A column of a block. Four threads go over each four columns in orders of their own, in which they can swap what they fetch. */
  const columnAt = (c: Affine): Affine => {
    const lane = scalar.position(loop('lane', vectorWidth))
    const turned = together ? indexFrom(scalar.xor(scalar.position(c), lane), width) : c
    return plus(times(loop('n', blocks), width), turned)
  }
  const column = (c: Affine): Affine => clamped(columnAt(c), columns, columns % width === 0)
  const components = (d: Affine): Affine[] => range(step).map((k) => plus(times(d, step), whole(k)))

  const threads = tiles * batch
  const group = threads >= 512 ? 32 : threads >= 64 ? 16 : 8
  const across = together ? threadsTogether(tiles) : Math.min(16, 2 ** Math.ceil(Math.log2(tiles)))
  const deep = together ? 1 : Math.max(1, 2 ** Math.floor(Math.log2(Math.min(batch, group / across))))
  if (together) {
    // Threads behind the last tile compute that tile again, and store nothing.
    writer.usesQuads = true
    writer.line(tiles % across === 0 ? 'let m = id.x;' : `let m = min(id.x, ${tiles - 1}u);`)
    writer.line('let b = group.y;')
    writer.line('let lane = thread & 3u;')
  } else {
    writer.line('let m = id.x;')
    writer.line('let b = id.y;')
    const guards = [
      ...(tiles % across === 0 ? [] : [`m >= ${tiles}u`]),
      ...(batch % deep === 0 ? [] : [`b >= ${batch}u`]),
    ]
    if (guards.length > 0) writer.line(`if (${guards.join(' || ')}) { return; }`)
  }

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
  const fetch = (read: (d: Affine) => Scalar): string => {
    const lanes = components(d).map(read)
    return step === 1 ? writer.spell(lanes).text : spell(lanes)
  }
  /** As much of the vectors of a block's columns; four threads fetch a quarter each. */
  const fetchColumns = (name: string, read: (column: Affine, d: Affine) => Scalar): string[] => {
    if (!together) return range(width).map((c) => fetch((d) => read(column(whole(c)), d)))
    return range(width / vectorWidth).flatMap((q) => {
      const [own, ...others] = range(vectorWidth).map((k) => `${name}${vectorWidth * q + k}`)
      const place = plus(
        times(loop('n', blocks), width),
        plus(whole(vectorWidth * q), loop('lane', vectorWidth)),
      )
      const index = clamped(place, columns, columns % width === 0)
      writer.line(`let ${own} = ${fetch((d) => read(index, d))};`)
      for (const [k, other] of others.entries()) writer.line(`let ${other} = ${swaps[k]}(${own});`)
      return [own!, ...others]
    })
  }

  const suffix = (k: number, of: readonly unknown[]): string => (of.length > 1 ? `${k}` : '')
  const sumsOf = (k: number): string => `sums${suffix(k, sums)}`
  const totalOf = (k: number): string => `total${suffix(k, nest.totals)}`
  const dotOf = (j: number, c: number): string => `dot${suffix(j, dots)}_${c}`
  const productsOf = (k: number): string => `products${suffix(k, dots)}`
  const weightOf = (k: number, c: number): string => `w${suffix(k, dots)}_${c}`
  const list = `array<${type}, ${height * steps}>`
  const at = (r: number): string => (steps === 1 ? `${r}u` : `d * ${height}u + ${r}u`)
  for (const k of sums.keys()) writer.line(`var ${sumsOf(k)}: ${list};`)
  if (softmax) writer.line(`var top = ${lowest};`)
  for (const k of nest.totals.keys()) writer.line(`var ${totalOf(k)}: vec4<f32>;`)

  // The blocks of columns that some row sees, of the thread or of all that go together, and what is to be asked of a column in them.
  const hidesBefore = behind < rows - 1
  const hidesAfter = ahead < columns - 1
  const tall = together ? across * height : height
  const firstRow = `${together ? 'group.x' : 'm'} * ${tall}u`
  const firstSeen = behind === 0 ? firstRow : `(max(${firstRow}, ${behind}u) - ${behind}u)`
  const first = hidesBefore ? `${firstSeen} / ${width}u` : '0u'
  const lastSeen = `(${firstRow} + ${tall - 1 + ahead}u)`
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

  const alongVector = (body: () => void): void =>
    writer.block(steps === 1 ? '' : `for (var d = 0u; d < ${writer.turns(steps)}; d++)`, body)

  /** The inner products of the rows with each column of a block: `dot_2` is that of the third column. */
  const writeDots = (): void => {
    for (const [j, dot] of dots.entries()) {
      writer.line(
        range(width)
          .map((c) => `var ${dotOf(j, c)} = vec4<f32>();`)
          .join(' '),
      )
      alongVector(() => {
        const xs = row.map((index, r) => {
          writer.line(`let x${r} = ${fetch((d) => dot.row(b, index, d))};`)
          return `x${r}`
        })
        for (const [c, y] of fetchColumns('y', (column, d) => dot.column(b, turn, column, d)).entries()) {
          const all = xs.map((x) => (step === 1 ? `${x} * ${y}` : `dot(${x}, ${y})`)).join(', ')
          writer.line(`${dotOf(j, c)} += vec4<f32>(${all});`)
        }
      })
    }
  }

  const weightsAt = (products: readonly Scalar[], c: Affine, top: Scalar | null): Scalar[][] =>
    row.map((row) => [...nest.weights(products, { batch: b, row, turn, column: c }, top)])

  /** Makes the largest score so far what the sums are relative to. */
  const writeTop = (): void => {
    if (softmax === null) return
    const scores = range(width).map((c) => {
      const score = spell([softmax.score(dots.map((_, j) => number(dotOf(j, c), 4)))])
      return onlySeen(score, seen(whole(c)), lowest)
    })
    writer.line(`let above = ${scores.reduce((text, score) => `max(${text}, ${score})`, 'top')};`)
    writer.line(`let shrink = ${spell([softmax.exp(number('(top - above)', 4))])};`)
    writer.line('top = above;')
    for (const k of nest.totals.keys()) writer.line(`${totalOf(k)} *= shrink;`)
  }

  /** Makes the weights of the block's columns of their products, in a loop, so that they are written once. */
  const writeWeights = (): void => {
    for (const j of dots.keys()) {
      const all = range(width).map((c) => dotOf(j, c))
      writer.line(`var ${productsOf(j)} = array<vec4<f32>, ${width}>(${all.join(', ')});`)
    }
    writer.loop('c', width, () => {
      const c = loop('c', width)
      const shown = seen(c)
      const products = dots.map((_, j) => number(`${productsOf(j)}[c]`, 4))
      const lanes = weightsAt(products, column(c), softmax && number('top', 4))
      const made = lanes[0]!.map((_, k) => {
        const text = writer.name(spell(lanes.map((all) => all[k]!)), 'w')
        return onlySeen(text, shown, 'vec4<f32>()')
      })
      for (const [k, weight] of nest.totals.entries()) writer.line(`${totalOf(k)} += ${made[weight]};`)
      for (const [k, text] of made.entries()) writer.line(`${productsOf(k)}[c] = ${text};`)
    })
  }

  /** Adds the vectors of the block's columns, weighted. */
  const writeSums = (): void => {
    const used = [...new Set(sums.flatMap((terms) => terms.map(({ weight }) => weight)))]
    for (const k of used)
      for (const c of range(width)) writer.line(`let ${weightOf(k, c)} = ${productsOf(k)}[${c}];`)
    for (const [k, terms] of sums.entries())
      alongVector(() => {
        for (const r of range(height)) {
          const before = `${sumsOf(k)}[${at(r)}]`
          writer.line(`var sum${r} = ${before}${softmax ? ` * shrink.${part[r]}` : ''};`)
        }
        for (const [t, { weight, vector }] of terms.entries()) {
          const ys = fetchColumns(`y${suffix(t, terms)}`, (column, d) => vector(b, turn, column, d))
          for (const [c, y] of ys.entries())
            for (const r of range(height)) {
              const w = `${weightOf(weight, c)}.${part[r]}`
              writer.line(`sum${r} = fma(${step === 1 ? w : `vec4<f32>(${w})`}, ${y}, sum${r});`)
            }
        }
        for (const r of range(height)) writer.line(`${sumsOf(k)}[${at(r)}] = sum${r};`)
      })
  }

  // What the rows alone say of weights is read once.
  const unknown = dots.map(() => scalar.reduced('f32'))
  hoistLoads(writer, weightsAt(unknown, column(loop('c', width)), scalar.reduced('f32')))
  writer.loop('turn', turns, () => {
    writer.line(`let last = ${last};`)
    writer.block(`for (var n = ${first}; n < last; n++)`, () => {
      writeDots()
      writeTop()
      writeWeights()
      writeSums()
    })
  })
  if (together && tiles % across !== 0) writer.line(`if (id.x >= ${tiles}u) { return; }`)

  // The results of each row.
  const found = {
    totals: nest.totals.map((_, k) => number(`${totalOf(k)}[r]`, 1)),
    top: softmax && number('top[r]', 1),
  }
  let outputs = 0
  const wide = new Map<number, boolean>()
  writer.line(`let fresh = min(${height}u, ${rows}u - m * ${height}u);`)
  writer.block('for (var r = 0u; r < fresh; r++)', () => {
    const ofRow = plus(times(loop('m', tiles), height), loop('r', height))
    const at = { batch: b, row: clamped(ofRow, rows, rows % height === 0) }
    hoistLoads(writer, [
      nest.vectors(
        at,
        d,
        sums.map(() => scalar.reduced('f32')),
        found,
      ),
    ])
    alongVector(() => {
      const place = steps === 1 ? 'r' : `d * ${height}u + r`
      const values = sums.map((_, k) => number(`${sumsOf(k)}[${place}]`, step === 1 ? 1 : 4))
      const ds = components(d)
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
    })
    for (const [k, element] of nest.numbers(at, found).entries())
      store(outputs + k, nest.placeOfNumber(at), [element])
  })
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
