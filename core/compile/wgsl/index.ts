// Kernels as WGSL modules. Maps and folds compute four neighbours a thread where they can; `product.ts` has products.

import { type Affine, loop, plus, times, whole } from '../../affine.ts'
import { isHalf } from '../../dtype.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'
import type { Kernel, MapNest, ReduceNest } from '../kernels.ts'
import { functionsOf } from './halves.ts'
import { writeProduct } from './product.ts'
import { inlineNames } from './tidy.ts'
import {
  arrayName,
  type Body,
  isVector,
  quarter,
  type Store,
  storageType,
  typeName,
  vectorWidth,
  Writer,
  widen,
} from './writer.ts'

/** A WGSL module with an entry point `main`, and how many workgroups to dispatch. */
export interface Module {
  readonly wgsl: string
  readonly workgroups: readonly [number, number, number]
}

/** The most workgroups along one dimension of a dispatch. */
const maxWorkgroups = 65535

/** Workgroups small enough that few threads still spread over the cores of a software adapter. */
const workgroupSize = (threads: number): number => (threads >= 512 ? 64 : threads >= 128 ? 32 : 16)

export function emit(kernel: Kernel): Module {
  const vectors = new Set<number>()
  const grainOf = (input: number) => (vectors.has(input) ? 'vector' : 'element')
  const dry = new Writer(grainOf)
  writeBody(dry, kernel)
  for (const input of dry.vectors) vectors.add(input)
  const writer = new Writer(grainOf)
  const body = writeBody(writer, kernel)
  const bindings = kernel.inputs.map(
    ({ aval }, k) =>
      `@group(0) @binding(${k}) var<storage, read> in${k}: ${arrayName(aval.dtype, vectors.has(k) ? 4 : 1)};`,
  )
  const { length } = kernel.inputs
  const guard =
    kernel.guard === null ? [] : [`@group(0) @binding(${length}) var<storage, read> guard: array<u32>;`]
  const output = `@group(0) @binding(${length + guard.length}) var<storage, read_write> out: ${arrayName(kernel.output.aval.dtype, body.storesVectors ? 4 : 1)};`
  const special = writer.usesSpecial
    ? ['var<private> infinity_bits: u32 = 0x7f800000u;', 'var<private> nan_bits: u32 = 0x7fc00000u;']
    : []
  const wgsl = [
    `// ${kernel.name}`,
    ...bindings,
    ...guard,
    output,
    ...special,
    ...functionsOf(writer.halves),
    '',
    `@compute @workgroup_size(${body.workgroup.join(', ')})`,
    'fn main(@builtin(global_invocation_id) id: vec3<u32>) {',
    ...guard.map(() => '  if (guard[0] == 0u) { return; }'),
    ...(writer.usesZero ? ['  let zero = f32(id.x >> 31u);'] : []),
    ...(special.length > 0
      ? ['  let infinity = bitcast<f32>(infinity_bits);', '  let nan = bitcast<f32>(nan_bits);']
      : []),
    ...inlineNames(writer.lines),
    '}',
    '',
  ].join('\n')
  return { wgsl, workgroups: body.workgroups }
}

function writeBody(writer: Writer, kernel: Kernel): Body {
  const { nest, start } = kernel
  const { dtype } = kernel.output.aval
  const store = (at: string, lanes: readonly Scalar[]): void => {
    const width = lanes.length === vectorWidth ? 4 : 1
    if (isHalf(dtype)) {
      const spelled = writer.spell(lanes.map((lane) => scalar.unrounded(lane, dtype)))
      writer.line(`out[${at}] = ${writer.half('store', dtype, 4)}(${widen(spelled, 'f32', 4)});`)
      return
    }
    const stored = lanes.map((lane) => (dtype === 'bool' ? scalar.cast(lane, 'u32') : lane))
    const from = start.terms.length === 0 ? '' : `${writer.index(width === 4 ? quarter(start) : start)} + `
    writer.line(`out[${from}${at}] = ${widen(writer.spell(stored), storageType(dtype), width)};`)
  }
  if (nest.kind === 'map') return writeMap(writer, nest, store, isHalf(dtype))
  if (nest.kind === 'reduce') return writeReduce(writer, nest, store)
  return writeProduct(writer, nest, store)
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

/** With `packs`, a thread always has four elements: a buffer ends at a multiple of them, and what lies behind `size` is no matter. */
function writeMap(writer: Writer, { size, element }: MapNest, store: Store, packs: boolean): Body {
  const wide = size % vectorWidth === 0 || packs
  const threads = wide ? Math.ceil(size / vectorWidth) : size
  const grid = overThreads(writer, 'i', threads)
  store('i', (wide ? lanesOf('i', vectorWidth * threads) : [loop('i', size)]).map(element))
  return { ...grid, storesVectors: wide }
}

function writeReduce(writer: Writer, nest: ReduceNest, store: Store): Body {
  const { size, turns } = nest
  const index = loop('i', size)
  const alongTurns =
    turns % vectorWidth === 0 ? lanesOf('r', turns).map((turn) => nest.element(index, turn)) : null
  if (alongTurns !== null && gainOf(alongTurns) > 0) {
    const grid = overThreads(writer, 'i', size)
    const folded = writeFold(writer, nest, turns / vectorWidth, alongTurns)
    const parts = ['x', 'y', 'z', 'w'].map((part) => {
      const lane = scalar.reduced(nest.identity.dtype)
      writer.define(lane, `${folded}.${part}`, 1)
      return lane
    })
    const [x, y, z, w] = parts as [Scalar, Scalar, Scalar, Scalar]
    store('i', [nest.finish(index, nest.combine(nest.combine(x, y), nest.combine(z, w)))])
    return { ...grid, storesVectors: false }
  }
  const wide =
    size % vectorWidth === 0 &&
    gainOf(lanesOf('i', size).map((lane) => nest.element(lane, loop('r', turns)))) > 0
  const grid = overThreads(writer, 'i', wide ? size / vectorWidth : size)
  const lanes = wide ? lanesOf('i', size) : [index]
  const folded = writeFold(
    writer,
    nest,
    turns,
    lanes.map((lane) => nest.element(lane, loop('r', turns))),
  )
  const result = scalar.reduced(nest.identity.dtype)
  writer.define(result, folded, wide ? 4 : 1)
  store(
    'i',
    lanes.map((lane) => nest.finish(lane, result)),
  )
  return { ...grid, storesVectors: wide }
}

/** Turns a thread adds up before it starts another partial sum, so that rounding errors grow with a square root. */
const blockOfTurns = 64

/** Folds the lanes over a loop `r`, and returns the name of the result. */
function writeFold(writer: Writer, nest: ReduceNest, turns: number, lanes: readonly Scalar[]): string {
  const width = lanes.length === vectorWidth ? 4 : 1
  const { dtype } = nest.identity
  const type = typeName(dtype, width)
  const identity = writer.spell([nest.identity])
  writer.hoist(lanes, 'r')
  const accumulate = (into: string, next: Scalar, nextWidth: 1 | 4, text?: string): void => {
    const sum = scalar.reduced(dtype)
    writer.define(sum, into, width)
    if (text !== undefined) writer.define(next, text, nextWidth)
    writer.line(`${into} = ${widen(writer.spell([nest.combine(sum, next)]), dtype, width)};`)
  }
  const turn = (into: string): void => {
    const spelled = writer.spell(lanes)
    accumulate(into, scalar.reduced(dtype), spelled.width, spelled.text)
  }
  writer.line(`var folded = ${type}(${identity.text});`)
  if (turns <= 2 * blockOfTurns) {
    writer.loop('r', turns, () => turn('folded'))
    return 'folded'
  }
  writer.block(`for (var start = 0u; start < ${turns}u; start += ${blockOfTurns}u)`, () => {
    writer.line(`var part = ${type}(${identity.text});`)
    writer.block(`for (var r = start; r < min(start + ${blockOfTurns}u, ${turns}u); r++)`, () => turn('part'))
    accumulate('folded', scalar.reduced(dtype), width, 'part')
  })
  return 'folded'
}

/** Loads saved by taking four lanes at once: neighbours count for it, scattered elements against it. */
function gainOf(lanes: readonly Scalar[]): number {
  const seen = new Set<string>()
  const visit = (lanes: readonly Scalar[]): number => {
    const [first] = lanes as [Scalar]
    if (seen.has(first.key)) return 0
    seen.add(first.key)
    if (first.kind === 'load') {
      const offsets = lanes.map((lane) => (lane as typeof first).offset)
      if (offsets.every(({ key }) => key === offsets[0]!.key)) return 0
      return isVector(offsets) ? 1 : -1
    }
    if (first.kind !== 'apply') return 0
    return first.args.reduce(
      (sum, _, k) => sum + visit(lanes.map((lane) => (lane as typeof first).args[k]!)),
      0,
    )
  }
  return visit(lanes)
}
