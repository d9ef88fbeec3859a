// Loops over pairs as WGSL: each thread has some rows and goes over the columns they see, a few at a time. It makes their inner
// products, weights of them, and adds weighted vectors to the sums of its rows, all in registers.

import { type Affine, indexFrom, loop, plus, times, whole } from '../../affine.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'
import type { PairsNest } from '../kernels.ts'
import { type Body, isVector, quarter, type Store, vectorWidth, type Writer } from './writer.ts'

/** Below every score; finite, so that differences are. */
const lowest = '-2.3819763e38f'

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)
const part = 'xyzw'

/** Rows of a thread. */
const rowsOfThread = 4
/** Components that are written out one after the other; longer vectors are gone over in a loop. */
const longestUnrolled = 16

export function writePairs(writer: Writer, nest: PairsNest, store: Store): Body {
  const { batch, rows, columns, turns, size, behind, ahead, dots, softmax, sums } = nest
  const height = Math.min(rows, rowsOfThread)
  const tiles = Math.ceil(rows / height)
  const blocks = Math.ceil(columns / vectorWidth)
  const step = size % vectorWidth === 0 ? vectorWidth : 1
  const steps = size / step
  const unrolled = steps <= longestUnrolled
  const type = step === vectorWidth ? 'vec4<f32>' : 'f32'

  const b = loop('b', batch)
  const turn = loop('turn', turns)
  const clamped = (index: Affine, extent: number, divides: boolean): Affine =>
    divides ? index : indexFrom(scalar.min(scalar.position(index), extent - 1), extent)
  const rowAt = (k: number): Affine => plus(times(loop('m', tiles), height), whole(k))
  const row = range(height).map((k) => clamped(rowAt(k), rows, rows % height === 0))
  const columnAt = range(vectorWidth).map((k) => plus(times(loop('n', blocks), vectorWidth), whole(k)))
  const column = columnAt.map((index) => clamped(index, columns, columns % vectorWidth === 0))
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

  /** Does something for each step along vectors: with `d`, and what of a list that is kept along them is at this step. */
  const along = (body: (d: Affine, at: string) => void): void => {
    if (unrolled) for (const d of range(steps)) body(whole(d), String(d))
    else writer.loop('d', steps, () => body(loop('d', steps), 'd'))
  }
  const sumAt = (k: number, row: number, at: string): string =>
    unrolled ? `sum${k}_${row}_${at}` : `sum${k}_${row}[${at}]`
  for (const k of sums.keys())
    for (const row of range(height))
      if (unrolled)
        writer.line(
          range(steps)
            .map((d) => `var ${sumAt(k, row, String(d))}: ${type};`)
            .join(' '),
        )
      else writer.line(`var sum${k}_${row}: array<${type}, ${steps}>;`)
  for (const row of range(height)) {
    if (softmax) writer.line(`var top${row} = ${lowest};`)
    for (const k of nest.totals.keys()) writer.line(`var total${k}_${row}: vec4<f32>;`)
  }

  // The blocks of columns that some row of the thread sees, and what is to be asked of a column in them.
  const hidesBefore = behind < rows - 1
  const hidesAfter = ahead < columns - 1
  const lastRow = `m * ${height}u + ${height - 1 + ahead}u`
  const first = hidesBefore ? `(max(m * ${height}u, ${behind}u) - ${behind}u) / ${vectorWidth}u` : '0u'
  const last = hidesAfter ? `min((${lastRow}) / ${vectorWidth}u + 1u, ${blocks}u)` : `${blocks}u`
  const seen = (k: number): Scalar[] | null => {
    const tests = columnAt.map((index) => {
      const [r, c] = [scalar.position(rowAt(k)), scalar.position(index)]
      return [
        ...(hidesBefore ? [scalar.le(r, scalar.add(c, behind))] : []),
        ...(hidesAfter ? [scalar.le(c, scalar.add(r, ahead))] : []),
        ...(columns % vectorWidth === 0 ? [] : [scalar.lt(c, columns)]),
      ]
    })
    return tests[0]!.length === 0 ? null : tests.map((all) => all.reduce((x, y) => scalar.and(x, y)))
  }

  const found = (k: number): string[] => range(height).map((r) => `dot${k}_${r}`)
  const number = (text: string, width: 1 | 4): Scalar => {
    const element = scalar.reduced('f32')
    writer.define(element, text, width)
    return element
  }
  const fetch = (read: (d: Affine) => Scalar, d: Affine): string => writer.spell(components(d).map(read)).text

  /** The inner products of all rows with the columns of a block, as vectors of four columns. */
  const writeDots = (): void => {
    for (const j of dots.keys())
      for (const name of found(j))
        writer.line(
          range(vectorWidth)
            .map((c) => `var ${name}_${c} = 0.0f;`)
            .join(' '),
        )
    along((d) => {
      for (const [j, dot] of dots.entries()) {
        const xs = row.map((row) => fetch((d) => dot.row(b, row, d), d))
        const ys = column.map((column) => fetch((d) => dot.column(b, turn, column, d), d))
        for (const [r, x] of xs.entries())
          for (const [c, y] of ys.entries()) {
            const sum = `${found(j)[r]}_${c}`
            writer.line(step === 1 ? `${sum} = fma(${x}, ${y}, ${sum});` : `${sum} += dot(${x}, ${y});`)
          }
      }
    })
    for (const j of dots.keys())
      for (const name of found(j))
        writer.line(
          `let ${name} = vec4<f32>(${range(vectorWidth)
            .map((c) => `${name}_${c}`)
            .join(', ')});`,
        )
  }

  const spellLanes = (lanes: readonly Scalar[]): string => {
    const { text, width } = writer.spell(lanes)
    return width === 4 ? text : `vec4<f32>(${text})`
  }

  /** The weights of a row for the columns of a block. */
  const writeWeights = (r: number): string[] => {
    const products = dots.map((_, j) => number(`dot${j}_${r}`, 4))
    const visible = seen(r)
    const shown = visible && writer.spell(visible).text
    let top: Scalar | null = null
    if (softmax) {
      const score = spellLanes([softmax.score(products)])
      const scores = shown ? writer.name(`select(vec4<f32>(${lowest}), ${score}, ${shown})`) : score
      const largest = `max(max(${scores}.x, ${scores}.y), max(${scores}.z, ${scores}.w))`
      writer.line(`let above${r} = max(top${r}, ${largest});`)
      const shrink = softmax.exp(number(`(top${r} - above${r})`, 1))
      writer.line(`let shrink${r} = ${writer.spell([shrink]).text};`)
      writer.line(`top${r} = above${r};`)
      top = number(`above${r}`, 1)
    }
    const weights = column.map((column) =>
      nest.weights(products, { batch: b, row: row[r]!, turn, column }, top),
    )
    return weights[0]!.map((_, k) => {
      const text = spellLanes(weights.map((all) => all[k]!))
      return shown ? writer.name(`select(vec4<f32>(), ${text}, ${shown})`) : writer.name(text)
    })
  }

  const writeBlock = (): void => {
    writeDots()
    const weights = range(height).map(writeWeights)
    for (const [r, all] of weights.entries())
      for (const [k, weight] of nest.totals.entries()) {
        const total = `total${k}_${r}`
        writer.line(
          softmax
            ? `${total} = fma(${total}, vec4<f32>(shrink${r}), ${all[weight]});`
            : `${total} += ${all[weight]};`,
        )
      }
    along((d, at) => {
      for (const [k, terms] of sums.entries()) {
        const vectors = terms.map(({ vector }) =>
          column.map((column) => fetch((d) => vector(b, turn, column, d), d)),
        )
        for (const r of range(height)) {
          const sum = sumAt(k, r, at)
          const start = softmax ? `${sum} * shrink${r}` : sum
          const added = terms.flatMap(({ weight }, n) =>
            range(vectorWidth).map((c) => [`${weights[r]![weight]}.${part[c]}`, vectors[n]![c]!] as const),
          )
          writer.line(
            `${sum} = ${added.reduce((text, [w, v]) => `fma(${step === 1 ? w : `vec4<f32>(${w})`}, ${v}, ${text})`, start)};`,
          )
        }
      }
    })
  }

  if (unrolled)
    for (const d of range(steps))
      for (const dot of dots) for (const index of row) fetch((d) => dot.row(b, index, d), whole(d))
  writer.loop('turn', turns, () => {
    writer.line(`let last = ${last};`)
    writer.block(`for (var n = ${first}; n < last; n++)`, writeBlock)
  })

  // The results of each row.
  const vectorOutputs = new Map<number, boolean>()
  const at = (r: number) => ({ batch: b, row: rowAt(r) })
  for (const r of range(height)) {
    const write = (): void => {
      const totals = nest.totals.map((_, k) => {
        const name = `total${k}_${r}`
        return number(writer.name(`(${name}.x + ${name}.y) + (${name}.z + ${name}.w)`), 1)
      })
      const sumsOfRow = { totals, top: softmax && number(`top${r}`, 1) }
      let k = 0
      along((d, step) => {
        const values = sums.map((_, k) => number(sumAt(k, r, step), type === 'f32' ? 1 : 4))
        const ds = components(d)
        const places = ds.map((d) => nest.placeOfVector(at(r), d))
        const elements = ds.map((d) => nest.vectors(at(r), d, values, sumsOfRow))
        const wide = isVector(places)
        for (k = 0; k < elements[0]!.length; k++) {
          vectorOutputs.set(k, wide)
          if (wide)
            store(
              k,
              writer.index(quarter(places[0]!)),
              elements.map((all) => all[k]!),
            )
          else
            for (const [lane, place] of places.entries()) {
              const text = writer.spell(elements.map((all) => all[k]!))
              const one = number(text.width === 4 ? `${text.text}.${part[lane]}` : text.text, 1)
              store(k, writer.index(place), [one])
            }
        }
      })
      for (const element of nest.numbers(at(r), sumsOfRow))
        store(k++, writer.index(nest.placeOfNumber(at(r))), [element])
    }
    if (rows % height === 0) write()
    else writer.block(`if (${writer.index(rowAt(r))} < ${rows}u)`, write)
  }
  return {
    workgroup: [across, deep],
    workgroups: [Math.ceil(tiles / across), Math.ceil(batch / deep), 1],
    storesVectors: (k) => vectorOutputs.get(k) ?? false,
  }
}
