// Kernels as WGSL modules. Maps and folds compute four neighbours a thread where they can; `product.ts` has products.

import {
  type Affine,
  indexFrom,
  largest,
  loop,
  plus,
  quotient,
  remainder,
  times,
  whole,
} from '../../affine.ts'
import { isHalf } from '../../dtype.ts'
import type { Var } from '../../graph.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'
import type { Fold, Kernel, MapNest, ReduceNest, ScatterNest } from '../kernels.ts'
import { gainOf, vectorWidth } from '../lanes.ts'
import { functionsOf } from './halves.ts'
import { writePairs } from './pairs.ts'
import { writeProduct } from './product.ts'
import { inlineNames } from './tidy.ts'
import { isLarge, plainTiling, type Tiling } from './tiling.ts'
import {
  arrayName,
  type Body,
  isVector,
  quarter,
  requireInside,
  type Source,
  type Store,
  storageType,
  type Target,
  typeName,
  Writer,
  widen,
} from './writer.ts'

/** A WGSL module with an entry point `main`, and how many workgroups to dispatch. */
export interface Module {
  readonly wgsl: string
  readonly workgroups: readonly [number, number, number]
  /** Whether its tile is the one that is measured. */
  readonly isLarge: boolean
}

/** The most workgroups along one dimension of a dispatch. */
const maxWorkgroups = 65535

/** Workgroups small enough that few threads still spread over the cores of a software adapter. */
const workgroupSize = (threads: number): number =>
  threads >= 2 ** 16 ? 256 : threads >= 512 ? 64 : threads >= 128 ? 32 : 16

export function emit(kernel: Kernel, tiling: Tiling = plainTiling): Module {
  const vectors = new Set<number>()
  const sourceOf = (input: number): Source => ({
    grain: vectors.has(input) ? 'vector' : 'element',
    size: extentOf(kernel, kernel.inputs[input]!),
  })
  let writer = new Writer(sourceOf, tiling)
  let body = writeBody(writer, kernel, tiling)
  for (const input of writer.vectors) vectors.add(input)
  if ([...writer.elements].some((input) => vectors.has(input))) {
    // What is also read by vectors has other elements.
    writer = new Writer(sourceOf, tiling)
    body = writeBody(writer, kernel, tiling)
  }
  const bindings = kernel.inputs.map(
    ({ aval }, k) =>
      `@group(0) @binding(${k}) var<storage, read> in${k}: ${arrayName(aval.dtype, vectors.has(k) ? 4 : 1)};`,
  )
  let binding = kernel.inputs.length
  const guard =
    kernel.guard === null ? [] : [`@group(0) @binding(${binding++}) var<storage, read> guard: array<u32>;`]
  const outputs = kernel.outputs.map(({ variable: { aval } }, k) => {
    const array = arrayName(aval.dtype, body.storesVectors(k) ? 4 : 1)
    return `@group(0) @binding(${binding++}) var<storage, read_write> ${outputName(kernel, k)}: ${array};`
  })
  const special = writer.usesSpecial
    ? ['var<private> infinity_bits: u32 = 0x7f800000u;', 'var<private> nan_bits: u32 = 0x7fc00000u;']
    : []
  const wgsl = [
    `// ${kernel.name}`,
    ...(writer.usesQuads ? ['enable subgroups;'] : []),
    ...bindings,
    ...guard,
    ...outputs,
    ...special,
    ...functionsOf(writer.halves),
    '',
    `@compute @workgroup_size(${body.workgroup.join(', ')})`,
    ...(writer.usesQuads || writer.usesGroup || writer.usesOnce
      ? [
          'fn main(',
          '  @builtin(global_invocation_id) id: vec3<u32>,',
          ...(writer.usesQuads || writer.usesGroup ? ['  @builtin(workgroup_id) group: vec3<u32>,'] : []),
          ...(writer.usesQuads ? ['  @builtin(subgroup_invocation_id) thread: u32,'] : []),
          ...(writer.usesOnce ? ['  @builtin(num_workgroups) launched: vec3<u32>,'] : []),
          ') {',
        ]
      : ['fn main(@builtin(global_invocation_id) id: vec3<u32>) {']),
    ...guard.map(() => '  if (guard[0] == 0u) { return; }'),
    ...(writer.usesOnce ? ['  let once = min(launched.x, 1u); // 1, which drivers do not know'] : []),
    ...(writer.usesZero ? ['  let zero = f32(id.x >> 31u);'] : []),
    ...(special.length > 0
      ? ['  let infinity = bitcast<f32>(infinity_bits);', '  let nan = bitcast<f32>(nan_bits);']
      : []),
    ...inlineNames(writer.lines),
    '}',
    '',
  ].join('\n')
  const { nest } = kernel
  return { wgsl, workgroups: body.workgroups, isLarge: nest.kind === 'product' && isLarge(nest) }
}

/** Elements of the array that a variable is, or is a slice of. */
const extentOf = ({ slices }: Kernel, variable: Var): number =>
  variable.aval.size * (slices?.variables.has(variable) ? slices.turns : 1)

const outputName = ({ outputs }: Kernel, k: number): string => (outputs.length === 1 ? 'out' : `out${k}`)

function writeBody(writer: Writer, kernel: Kernel, tiling: Tiling): Body {
  const { nest, outputs } = kernel
  const target: Target = (k, place, width) => {
    const { start, variable } = outputs[k]!
    const out = outputName(kernel, k)
    requireInside(out, plus(start, place), width, extentOf(kernel, variable))
    const at = (index: Affine): string => writer.index(width === 4 ? quarter(index) : index)
    return `${out}[${start.terms.length === 0 ? '' : `${at(start)} + `}${at(place)}]`
  }
  const store: Store = (k, place, lanes) => {
    const { dtype } = outputs[k]!.variable.aval
    const width = lanes.length === vectorWidth ? 4 : 1
    const at = target(k, place, width)
    if (isHalf(dtype)) {
      const spelled = writer.spell(lanes.map((lane) => scalar.unrounded(lane, dtype)))
      writer.line(`${at} = ${writer.half('store', dtype, 4)}(${widen(spelled, 'f32', 4)});`)
      return
    }
    const stored = lanes.map((lane) => (dtype === 'bool' ? scalar.cast(lane, 'u32') : lane))
    writer.line(`${at} = ${widen(writer.spell(stored), storageType(dtype), width)};`)
  }
  if (nest.kind === 'map') {
    const packs = outputs.some(({ variable }) => isHalf(variable.aval.dtype))
    return writeMap(writer, nest, store, packs)
  }
  if (nest.kind === 'reduce') return writeReduce(writer, nest, store)
  if (nest.kind === 'scatter') return writeScatter(writer, nest, store, target)
  if (nest.kind === 'pairs') return writePairs(writer, nest, store, tiling)
  return writeProduct(writer, nest, store, tiling)
}

/** One thread an element, or four; the grid folds into a second dimension when it is too long. */
function overThreads(writer: Writer, name: string, threads: number): Omit<Body, 'storesVectors'> {
  const size = workgroupSize(threads)
  const groups = Math.ceil(threads / size)
  const rows = Math.ceil(groups / maxWorkgroups)
  const columns = Math.ceil(groups / rows)
  writer.line(rows === 1 ? `let ${name} = id.x;` : `let ${name} = id.x + id.y * ${columns * size}u;`)
  if (columns * rows * size !== threads) writer.line(`if (${name} >= ${threads}u) { return; }`)
  return { workgroup: [size], workgroups: [columns, rows, 1] }
}

/** The four lanes of a loop that runs over quarters. */
const lanesOf = (name: string, size: number): Affine[] =>
  [0, 1, 2, 3].map((lane) => plus(times(loop(name, size / vectorWidth), vectorWidth), whole(lane)))

/** In a map of many turns a thread takes a few: to start one costs software adapters as much as a turn. */
const manyTurns = 2 ** 16
const turnsOfThread = 4
/** Threads of a workgroup that share out its turns. */
const together = 256
/** Longer elements are written once, in a loop; it costs them little. */
const shortElement = 12

/** With `packs`, a thread always has four elements: a buffer ends at a multiple of them, and what lies behind `size` is no matter. */
function writeMap(writer: Writer, { size, element }: MapNest, store: Store, packs: boolean): Body {
  const wide = size % vectorWidth === 0 || packs
  const turns = wide ? Math.ceil(size / vectorWidth) : size
  const places = wide ? lanesOf('i', vectorWidth * turns) : [loop('i', size)]
  // Behind the end there is nothing to be read: there the last element is computed again.
  const inside = (place: Affine): Affine =>
    largest(place) < size ? place : indexFrom(scalar.min(scalar.position(place), size - 1), size)
  const body = (): void => storeLanes(places.map(inside), element, (k, lanes) => store(k, places[0]!, lanes))
  if (turns < manyTurns || turns % turnsOfThread !== 0) {
    const grid = overThreads(writer, 'i', turns)
    body()
    return { ...grid, storesVectors: () => wide }
  }
  const ofGroup = together * turnsOfThread
  const nodes = new Set<string>()
  for (const output of element(places[0]!)) countNodes(output, nodes)
  if (turns % ofGroup === 0 && turns / ofGroup <= maxWorkgroups && nodes.size <= shortElement) {
    writer.usesGroup = true
    writer.line(`let first = group.x * ${ofGroup}u + id.x % ${together}u;`)
    const first = loop('first', turns - ofGroup + together)
    for (let turn = 0; turn < turnsOfThread; turn++) {
      const lanes = places.map((_, lane) =>
        plus(times(plus(first, whole(turn * together)), wide ? vectorWidth : 1), whole(lane)),
      )
      storeLanes(lanes.map(inside), element, (k, spelled) => store(k, lanes[0]!, spelled))
    }
    return { workgroup: [together], workgroups: [turns / ofGroup, 1, 1], storesVectors: () => wide }
  }
  const grid = overThreads(writer, 'thread', turns / turnsOfThread)
  writer.block(`for (var i = thread; i < ${turns}u; i += ${turns / turnsOfThread}u)`, body)
  return { ...grid, storesVectors: () => wide }
}

/** Collects the operations of an element. */
function countNodes(element: Scalar, nodes: Set<string>): void {
  if (element.kind !== 'apply' || nodes.has(element.key)) return
  nodes.add(element.key)
  for (const arg of element.args) countNodes(arg, nodes)
}

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

/** One thread a row, which goes along it by four elements a turn; or four rows a thread; or one by one. */
function writeReduce(writer: Writer, nest: ReduceNest, store: Store): Body {
  const { size, turns, folds, finish, each } = nest
  const index = loop('i', size)
  const results = folds.map(({ identity }) => scalar.reduced(identity.dtype))
  const ofTurn = (index: Affine, turn: Affine): readonly Scalar[] => [
    ...folds.map(({ element }, k) => element(index, turn, results.slice(0, k))),
    ...each(index, turn, results),
  ]
  const hasEach = each(index, loop('r', turns), results).length > 0
  const gain = (lanes: readonly (readonly Scalar[])[]): number =>
    lanes[0]!.reduce(
      (sum, _, k) =>
        sum +
        gainOf(
          lanes.map((lane) => lane[k]!),
          isVector,
        ),
      0,
    )
  const along =
    turns % vectorWidth === 0 && (hasEach || gain(lanesOf('r', turns).map((turn) => ofTurn(index, turn))) > 0)
  const across =
    !along &&
    !hasEach &&
    size % vectorWidth === 0 &&
    gain(lanesOf('i', size).map((lane) => ofTurn(lane, loop('r', turns)))) > 0

  const grid = overThreads(writer, 'i', across ? size / vectorWidth : size)
  const rows = across ? lanesOf('i', size) : [index]
  const places = along ? lanesOf('r', turns) : [loop('r', turns)]
  const often = along ? turns / vectorWidth : turns
  for (const [k, fold] of folds.entries()) {
    const name = folds.length === 1 ? 'folded' : `folded${k}`
    const before = results.slice(0, k)
    const lanes = across
      ? rows.map((row) => fold.element(row, places[0]!, before))
      : places.map((turn) => fold.element(index, turn, before))
    writeFold(writer, fold, name, often, lanes)
    if (along) writer.define(results[k]!, joinLanes(writer, fold, name), 1)
    else writer.define(results[k]!, name, across ? 4 : 1)
  }
  const perRow = finish(rows[0]!, results).length
  storeLanes(
    rows,
    (row) => finish(row, results),
    (k, lanes) => store(k, rows[0]!, lanes),
  )
  if (hasEach) {
    const elements = places.map((turn) => each(index, turn, results))
    const flat = plus(times(index, turns), places[0]!)
    for (const k of elements[0]!.keys())
      writer.hoist(
        elements.map((outputs) => outputs[k]!),
        'r',
      )
    writer.loop('r', often, () => {
      for (const k of elements[0]!.keys())
        store(
          perRow + k,
          flat,
          elements.map((outputs) => outputs[k]!),
        )
    })
  }
  return { ...grid, storesVectors: (k) => (k < perRow ? across : along) }
}

/** One result from the four that the lanes of a fold came to. */
function joinLanes(writer: Writer, { combine, identity }: Fold, name: string): string {
  const parts = ['x', 'y', 'z', 'w'].map((part) => {
    const lane = scalar.reduced(identity.dtype)
    writer.define(lane, `${name}.${part}`, 1)
    return lane
  })
  const [x, y, z, w] = parts as [Scalar, Scalar, Scalar, Scalar]
  return writer.spell([combine(combine(x, y), combine(z, w))]).text
}

/** Turns a thread adds up before it starts another partial sum, so that rounding errors grow with a square root. */
const blockOfTurns = 64

/** Folds the lanes over a loop `r`, into a variable called `name`. */
function writeFold(
  writer: Writer,
  { combine, identity: zero }: Fold,
  name: string,
  turns: number,
  lanes: readonly Scalar[],
): void {
  const width = lanes.length === vectorWidth ? 4 : 1
  const { dtype } = zero
  const type = typeName(dtype, width)
  const identity = writer.spell([zero])
  writer.hoist(lanes, 'r')
  const accumulate = (into: string, next: Scalar, nextWidth: 1 | 4, text?: string): void => {
    const sum = scalar.reduced(dtype)
    writer.define(sum, into, width)
    if (text !== undefined) writer.define(next, text, nextWidth)
    writer.line(`${into} = ${widen(writer.spell([combine(sum, next)]), dtype, width)};`)
  }
  const turn = (into: string): void => {
    const spelled = writer.spell(lanes)
    accumulate(into, scalar.reduced(dtype), spelled.width, spelled.text)
  }
  writer.line(`var ${name} = ${type}(${identity.text});`)
  if (turns <= 2 * blockOfTurns) {
    writer.loop('r', turns, () => turn(name))
    return
  }
  writer.block(`for (var start = 0u; start < ${writer.turns(turns)}; start += ${blockOfTurns}u)`, () => {
    writer.line(`var part = ${type}(${identity.text});`)
    writer.block(`for (var r = start; r < min(start + ${blockOfTurns}u, ${writer.turns(turns)}); r++)`, () =>
      turn('part'),
    )
    accumulate(name, scalar.reduced(dtype), width, 'part')
  })
}

/** Threads among which columns of updates are shared out, at least if the columns are long. */
const scatterThreads = 128

/** One thread a column, or four of them, or a strip of such: it goes over all updates, and takes those that are its own. */
function writeScatter(writer: Writer, nest: ScatterNest, store: Store, target: Target): Body {
  const { outer, extent, inner, turns, identity } = nest
  const width = inner % vectorWidth === 0 ? vectorWidth : 1
  const across = inner / width
  const columns = outer * across
  const strips = Math.max(1, Math.min(Math.ceil(scatterThreads / Math.max(columns, 1)), extent >> 4))
  const length = Math.ceil(extent / strips)
  const grid = overThreads(writer, 'i', columns * strips)
  const i = loop('i', columns * strips)
  const column = remainder(i, columns)
  const batch = quotient(column, across)
  const parts = Array.from({ length: width }, (_, lane) =>
    plus(times(remainder(column, across), width), whole(lane)),
  )
  /** The flat place of an element of the thread's column. */
  const at = (place: Affine): Affine => plus(times(plus(times(batch, extent), place), inner), parts[0]!)
  const first = writer.name(writer.index(times(quotient(i, columns), length)), 'first')
  const end = writer.name(`min(${first} + ${length}u, ${extent}u)`, 'end')
  writer.block(`for (var p = ${first}; p < ${end}; p++)`, () =>
    store(
      0,
      at(loop('p', extent)),
      parts.map(() => identity),
    ),
  )
  writer.loop('r', turns, () => {
    const turn = loop('r', turns)
    const place = writer.name(writer.spell([nest.place(batch, turn)]).text, 'place')
    const known = scalar.reduced('u32')
    writer.define(known, place, 1)
    writer.block(`if (${place} >= ${first} && ${place} < ${end})`, () => {
      const into = at(indexFrom(known, extent))
      const before = scalar.reduced(identity.dtype)
      writer.define(before, target(0, into, width), width)
      store(
        0,
        into,
        parts.map((part) => nest.combine(before, nest.element(batch, turn, part))),
      )
    })
  })
  return { ...grid, storesVectors: () => width === vectorWidth }
}
