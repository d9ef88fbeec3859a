// Loop nests as WebAssembly: each kernel is a function that does some of its units of work, so that threads can share it out.
// What a unit computes does not depend on which thread does it, or on how many there are.

import { type Affine, indexFrom, loop, plus, quotient, remainder, times, whole } from '../../affine.ts'
import { isHalf } from '../../dtype.ts'
import type { Var } from '../../graph.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'
import type { Fold, Kernel, MapNest, ReduceNest, ScatterNest } from '../kernels.ts'
import { areNeighbours, gainOf, vectorWidth } from '../lanes.ts'
import type { Func } from './encoder.ts'
import { toHalf } from './halves.ts'
import { writePairs } from './pairs.ts'
import { writeProduct } from './product.ts'
import {
  fromParam,
  getter,
  type Source,
  type Store,
  toParam,
  type Units,
  type Value,
  type Work,
  Writer,
} from './writer.ts'

/** A kernel as a function of addresses: (scratch, from, to, guard?, outputs…, inputs…). */
export interface WasmKernel {
  readonly function: Func
  /** Units of work; a thread does those from `from` to before `to`. */
  readonly units: number
  /** Bytes that a thread needs for itself. */
  readonly scratch: number
  /** Whether the last of its inputs is a guard. */
  readonly isGuarded: boolean
}

export function emit(kernel: Kernel): WasmKernel {
  const { inputs, outputs, guard, nest, name } = kernel
  const firstOutput = guard === null ? 3 : 4
  const firstInput = firstOutput + outputs.length
  const writer = new Writer((input) => ({
    address: firstInput + input,
    size: extentOf(kernel, inputs[input]!),
  }))
  if (guard !== null)
    writer.write(['local.get', 3], ['i32.load', 0], ['i32.eqz'], ['if'], ['return'], ['end'])
  const target = (k: number): Source => ({
    address: firstOutput + k,
    size: extentOf(kernel, outputs[k]!.variable),
  })
  const store: Store = (k, place, lanes) => {
    const { variable, start } = outputs[k]!
    const { dtype } = variable.aval
    const width = lanes.length === vectorWidth ? 4 : 1
    const { base, offset } = writer.address(target(k), dtype, plus(start, place), width, `output ${k}`)
    if (isHalf(dtype)) {
      const bits = writer.spellWith(
        lanes.map((lane) => scalar.unrounded(lane, dtype)),
        (x) => toHalf(dtype, x),
      )
      if (width === 1) writer.write(getter(base), getter(bits), ['i32.store16', offset])
      else {
        const vector = getter(writer.widen(bits, 'u32'))
        const halves = [0, 1, 4, 5, 8, 9, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0]
        writer.write(
          getter(base),
          vector,
          vector,
          ['i8x16.shuffle', ...halves],
          ['v128.store64_lane', offset, 0],
        )
      }
      return
    }
    const stored = lanes.map((lane) => (dtype === 'bool' ? scalar.cast(lane, 'u32') : lane))
    const value = writer.spell(stored)
    const type = dtype === 'bool' ? 'u32' : dtype
    if (width === 1) writer.write(getter(base), getter(value), [`${value.type}.store`, offset])
    else writer.write(getter(base), getter(writer.widen(value, type)), ['v128.store', offset])
  }
  const units = { from: writer.param(fromParam), to: writer.param(toParam) }
  const work: Work =
    nest.kind === 'map'
      ? writeMap(writer, nest, store, units)
      : nest.kind === 'reduce'
        ? writeReduce(writer, nest, store, units)
        : nest.kind === 'scatter'
          ? writeScatter(writer, nest, store, units, (place) =>
              writer.address(target(0), outputs[0]!.variable.aval.dtype, place, 1, 'output 0'),
            )
          : nest.kind === 'pairs'
            ? writePairs(writer, nest, store, units)
            : writeProduct(writer, nest, store, units)
  const params = [
    ...['scratch', 'from', 'to'],
    ...(guard === null ? [] : ['guard']),
    ...outputs.map((_, k) => `out${k}`),
    ...inputs.map((_, k) => `in${k}`),
  ]
  return {
    function: { name, params, locals: writer.locals, code: writer.codeWith(params.length) },
    units: work.units,
    scratch: work.scratch ?? 0,
    isGuarded: guard !== null,
  }
}

/** Elements of the array that a variable is, or is a slice of. */
const extentOf = ({ slices }: Kernel, variable: Var): number =>
  variable.aval.size * (slices?.variables.has(variable) ? slices.turns : 1)

/** The four lanes of a loop that runs over quarters. */
const lanesOf = (name: string, turns: number): Affine[] =>
  [0, 1, 2, 3].map((lane) => plus(times(loop(name, turns), vectorWidth), whole(lane)))

/** Stores what some lanes have for each output. */
function storeLanes(
  lanes: readonly Affine[],
  element: (index: Affine) => readonly Scalar[],
  store: (output: number, lanes: readonly Scalar[]) => void,
): void {
  const elements = lanes.map(element)
  for (const k of elements[0]!.keys())
    store(
      k,
      elements.map((outputs) => outputs[k]!),
    )
}

/** A unit is four elements; the last one may have fewer. */
function writeMap(writer: Writer, { size, element }: MapNest, store: Store, { from, to }: Units): Work {
  const [fours, rest] = [Math.floor(size / vectorWidth), size % vectorWidth]
  const units = fours + Math.sign(rest)
  const some = (places: readonly Affine[]): void =>
    storeLanes(places, element, (k, lanes) => store(k, places[0]!, lanes))
  if (fours > 0) {
    const end = rest === 0 ? to : writer.lesser(to, writer.constant(fours, 'i32'))
    writer.range('i', from, end, () => some(lanesOf('i', fours)))
  }
  if (rest > 0) {
    const last = writer.make('i32', 1, writer.depth, ['i32.const', fours], getter(to), ['i32.lt_u'])
    writer.when(last, () =>
      writer.loop('t', rest, () => some([plus(whole(vectorWidth * fours), loop('t', rest))])),
    )
  }
  return { units }
}

/** A unit is a row, which goes by four elements a turn; or four rows; or a row one by one. */
function writeReduce(writer: Writer, nest: ReduceNest, store: Store, { from, to }: Units): Work {
  const { size, turns, folds, finish, each } = nest
  const index = loop('i', size)
  const results = folds.map(({ identity }) => scalar.reduced(identity.dtype))
  const ofTurn = (index: Affine, turn: Affine): readonly Scalar[] => [
    ...folds.map(({ element }, k) => element(index, turn, results.slice(0, k))),
    ...each(index, turn, results),
  ]
  const hasEach = each(index, loop('r', Math.max(turns, 1)), results).length > 0
  const gain = (lanes: readonly (readonly Scalar[])[]): number =>
    lanes[0]!.reduce(
      (sum, _, k) =>
        sum +
        gainOf(
          lanes.map((lane) => lane[k]!),
          areNeighbours,
        ),
      0,
    )
  const [fours, rest] = [Math.floor(turns / vectorWidth), turns % vectorWidth]
  const along = fours > 0 && gain(lanesOf('r', fours).map((turn) => ofTurn(index, turn))) > 0
  const across =
    !along &&
    !hasEach &&
    size % vectorWidth === 0 &&
    gain(lanesOf('i', size / vectorWidth).map((lane) => ofTurn(lane, loop('r', Math.max(turns, 1))))) > 0
  const units = across ? size / vectorWidth : size
  const rows = across ? lanesOf('i', units) : [index]
  const tail = (name: string): Affine => plus(whole(vectorWidth * fours), loop(name, rest))
  writer.range('i', from, to, () => {
    for (const [k, fold] of folds.entries()) {
      const before = results.slice(0, k)
      if (across) {
        const value = writeFold(
          writer,
          fold,
          turns,
          rows.map((row) => fold.element(row, loop('r', turns), before)),
        )
        writer.define(results[k]!, value)
        continue
      }
      if (!along) {
        writer.define(
          results[k]!,
          writeFold(writer, fold, turns, [fold.element(index, loop('r', Math.max(turns, 1)), before)]),
        )
        continue
      }
      const lanes = writeFold(
        writer,
        fold,
        fours,
        lanesOf('r', fours).map((turn) => fold.element(index, turn, before)),
      )
      const joined = joinLanes(writer, fold, lanes)
      if (rest > 0)
        writer.loop('t', rest, () =>
          accumulate(writer, fold, joined, writer.spell([fold.element(index, tail('t'), before)])),
        )
      writer.define(results[k]!, joined)
    }
    const perRow = finish(rows[0]!, results).length
    storeLanes(
      rows,
      (row) => finish(row, results),
      (k, lanes) => store(k, rows[0]!, lanes),
    )
    if (!hasEach) return
    const some = (places: readonly Affine[]): void =>
      storeLanes(
        places,
        (turn) => each(index, turn, results),
        (k, lanes) => store(perRow + k, plus(times(index, turns), places[0]!), lanes),
      )
    if (fours > 0) writer.loop('r', fours, () => some(lanesOf('r', fours)))
    if (rest > 0) writer.loop('t', rest, () => some([tail('t')]))
  })
  return { units }
}

/** `into = combine(into, next)`, of a local that holds the result so far. */
function accumulate(writer: Writer, { combine, identity }: Fold, into: Value, next: Value): void {
  const [sum, more] = [scalar.reduced(identity.dtype), scalar.reduced(identity.dtype)]
  writer.define(sum, { ...into, depth: writer.depth })
  writer.define(more, next.constant === null ? next : writer.make(next.type, 1, writer.depth, getter(next)))
  const combined = writer.spell([combine(sum, more)])
  const value = into.width === 4 ? writer.widen(combined, identity.dtype) : combined
  writer.write(getter(value), ['local.set', into.local])
}

/** Turns that are added up before another partial sum is started, so that rounding errors grow with a square root. */
const blockOfTurns = 64

/** Folds lanes over a loop `r` of so many turns; what they come to, in a local. */
function writeFold(writer: Writer, fold: Fold, turns: number, lanes: readonly Scalar[]): Value {
  const { identity } = fold
  const width = lanes.length === vectorWidth ? 4 : 1
  const type = width === 4 ? 'v128' : identity.dtype === 'f32' ? 'f32' : 'i32'
  const start = (): Value => {
    const zero = writer.spell([identity])
    const local = writer.local(type)
    writer.write(getter(width === 4 ? writer.widen(zero, identity.dtype) : zero), ['local.set', local])
    return { type, width, depth: writer.depth, local, constant: null }
  }
  const turn = (into: Value): void => accumulate(writer, fold, into, spellWide(writer, lanes, width))
  const total = start()
  if (turns <= 2 * blockOfTurns) {
    writer.loop('r', turns, () => turn(total))
    return total
  }
  writer.range(
    'block',
    writer.constant(0, 'i32'),
    writer.constant(turns, 'i32'),
    (block) => {
      const part = start()
      const end = writer.sum(block, writer.constant(blockOfTurns, 'i32'))
      writer.range('r', block, writer.lesser(end, writer.constant(turns, 'i32')), () => turn(part))
      accumulate(writer, fold, total, part)
    },
    blockOfTurns,
  )
  return total
}

const spellWide = (writer: Writer, lanes: readonly Scalar[], width: 1 | 4): Value => {
  const value = writer.spell(lanes)
  return width === 4 ? writer.widen(value, lanes[0]!.dtype) : value
}

/** One result from the four that the lanes of a fold came to, in a local. */
function joinLanes(writer: Writer, { combine, identity }: Fold, vector: Value): Value {
  const type = identity.dtype === 'f32' ? 'f32' : 'i32'
  const parts = [0, 1, 2, 3].map((lane) => {
    const part = scalar.reduced(identity.dtype)
    const value = writer.make(type, 1, writer.depth, getter(vector), [`${type}x4.extract_lane`, lane])
    if (identity.dtype !== 'bool') writer.define(part, value)
    else
      writer.define(part, writer.make('i32', 1, writer.depth, getter(value), ['i32.const', 1], ['i32.and']))
    return part
  })
  const [x, y, z, w] = parts as [Scalar, Scalar, Scalar, Scalar]
  const joined = writer.spell([combine(combine(x, y), combine(z, w))])
  return writer.make(type, 1, writer.depth, getter(joined))
}

/** Units among which columns of updates are shared out, at least if the columns are long. */
const scatterUnits = 8

/** A unit is a column or a strip of one: it goes over all updates, and takes those that are its own. */
function writeScatter(
  writer: Writer,
  nest: ScatterNest,
  store: Store,
  { from, to }: Units,
  addressOf: (place: Affine) => { readonly base: Value; readonly offset: number },
): Work {
  const { outer, extent, inner, turns, identity } = nest
  const strips = Math.max(1, Math.min(Math.ceil(scatterUnits / Math.max(outer, 1)), extent >> 4))
  const length = Math.ceil(extent / strips)
  const units = outer * strips
  const type = identity.dtype === 'f32' ? 'f32' : 'i32'
  const [fours, rest] = [Math.floor(inner / vectorWidth), inner % vectorWidth]
  /** Calls with the lanes of the inner axis, in loops. */
  const inside = (body: (parts: readonly Affine[]) => void): void => {
    if (fours > 0) writer.loop('n', fours, () => body(lanesOf('n', fours)))
    if (rest > 0) writer.loop('t', rest, () => body([plus(whole(vectorWidth * fours), loop('t', rest))]))
  }
  writer.range('i', from, to, () => {
    const unit = loop('i', units)
    const batch = quotient(unit, strips)
    const at = (place: Affine, part: Affine): Affine =>
      plus(times(plus(times(batch, extent), place), inner), part)
    const first = writer.index(times(remainder(unit, strips), length))
    const end = writer.lesser(
      writer.sum(first, writer.constant(length, 'i32')),
      writer.constant(extent, 'i32'),
    )
    writer.range('p', first, end, () =>
      inside((parts) =>
        store(
          0,
          at(loop('p', extent), parts[0]!),
          parts.map(() => identity),
        ),
      ),
    )
    writer.loop('r', turns, () => {
      const turn = loop('r', turns)
      const place = writer.spell([nest.place(batch, turn)])
      const { depth } = writer
      const isMine = writer.make(
        'i32',
        1,
        depth,
        getter(first),
        getter(place),
        ['i32.le_u'],
        getter(place),
        getter(end),
        ['i32.lt_u'],
        ['i32.and'],
      )
      writer.when(isMine, () => {
        const known = scalar.reduced('u32')
        writer.define(known, place.constant === null ? place : writer.make('i32', 1, depth, getter(place)))
        inside((parts) => {
          const into = at(indexFrom(known, extent), parts[0]!)
          const { base, offset } = addressOf(into)
          const before = scalar.reduced(identity.dtype)
          const isWide = parts.length === vectorWidth
          writer.define(
            before,
            isWide
              ? writer.make('v128', 4, writer.depth, getter(base), ['v128.load', offset])
              : writer.make(type, 1, writer.depth, getter(base), [`${type}.load`, offset]),
          )
          store(
            0,
            into,
            parts.map((part) => nest.combine(before, nest.element(batch, turn, part))),
          )
        })
      })
    })
  })
  return { units }
}
