// The compiler's loop nests, run on the host: what a graph computes once it is split into kernels, without a device. Each machine
// operation is rounded to f32 and sums go in order, so that the same nests have the same bits however they are grouped. What
// no kernel may do is an error: read what is not written yet or lies outside of an array, write an element twice or leave one.

import { type Affine, loop } from '../../core/affine.ts'
import { largestValue } from '../../core/compile/bounds.ts'
import { fuse, type Group, runsAlone } from '../../core/compile/fuse.ts'
import { inline } from '../../core/compile/inline.ts'
import {
  type Kernel,
  kernelsOf,
  type PairsNest,
  type ProductNest,
  type ReduceNest,
  type ScatterNest,
  type Slices,
} from '../../core/compile/kernels.ts'
import { simplify } from '../../core/compile/simplify.ts'
import { type DType, type HostData, hostArray, isHalf, type MachineType, wrap } from '../../core/dtype.ts'
import { type Atom, type Equation, type Graph, Literal, Var } from '../../core/graph.ts'
import { Aval, type NdArray, sizeOf } from '../../core/index.ts'
import type { Scalar } from '../../core/scalar.ts'
import * as scalar from '../../core/scalar.ts'

/** How graphs are split into kernels that bind so many arrays, and what is left where a guard skips a kernel. */
export interface Way {
  groups(graph: Graph, maxArrays: number, isBody: boolean): readonly Group[]
  readonly maxArrays: number
  readonly garbage: number
}

/** Each equation in a kernel of its own. */
export const apart = ({ equations }: Graph): Group[] =>
  equations.flatMap((equation) =>
    fuse({ inputs: [], captures: [], equations: [equation], outputs: equation.outputs }, 64),
  )

interface Stored {
  readonly data: HostData
  readonly isWritten: Uint8Array
}

type Arrays = Map<Var, Stored>

const emptyArray = (dtype: DType, size: number): Stored => ({
  data: hostArray(dtype, size),
  isWritten: new Uint8Array(size),
})
const filledArray = ({ dtype, size }: Aval, value: number): Stored => ({
  data: hostArray(dtype, size).fill(value),
  isWritten: new Uint8Array(size).fill(1),
})

// ---- machine operations

const words = new Uint32Array(1)
const views = {
  u32: words,
  bool: words,
  i32: new Int32Array(words.buffer),
  f32: new Float32Array(words.buffer),
}

function roundEven(x: number): number {
  const below = Math.floor(x)
  if (x - below !== 0.5) return Math.round(x)
  return below % 2 === 0 ? below : below + 1
}

function divided(a: number, b: number, type: MachineType): number {
  if (type === 'f32') return a / b
  return b === 0 ? a : Math.trunc(a / b)
}

/** To the integer towards zero, or the nearest there is. */
function converted(x: number, from: MachineType, to: MachineType): number {
  if (to === 'bool') return Number(x !== 0)
  if (from !== 'f32' || to === 'f32') return x
  const [low, high] = to === 'i32' ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1]
  return Math.min(Math.max(Math.trunc(x), low), high)
}

/** By name, on numbers of the first operand's type; results are rounded, or lose their high bits, as they are kept. */
const operations: Readonly<
  Record<string, (a: number, b: number, c: number, from: MachineType, to: MachineType) => number>
> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b, _, type) => (type === 'f32' ? a * b : Math.imul(a, b)),
  '/': (a, b, _, type) => divided(a, b, type),
  '%': (a, b, _, type) => (type !== 'f32' && b === 0 ? 0 : a % b),
  '&': (a, b) => a & b,
  '|': (a, b) => a | b,
  '^': (a, b) => a ^ b,
  '<<': (a, b) => a << b,
  '>>': (a, b, _, type) => (type === 'u32' ? a >>> b : a >> b),
  '==': (a, b) => Number(a === b),
  '!=': (a, b) => Number(a !== b),
  '<': (a, b) => Number(a < b),
  '<=': (a, b) => Number(a <= b),
  negate: (a) => -a,
  not: (a) => Number(a === 0),
  fma: (a, b, c) => a * b + c,
  abs: Math.abs,
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundEven,
  sqrt: Math.sqrt,
  countOneBits: (a) => (a >>> 0).toString(2).replaceAll('0', '').length,
  countLeadingZeros: Math.clz32,
  select: (condition, yes, no) => (condition === 0 ? no : yes),
  cast: (a, _b, _c, from, to) => converted(a, from, to),
  round_f16: wrap.f16,
  round_bf16: wrap.bf16,
}

// ---- elements at all turns of some loops

/** Evaluates elements for each turn of nested loops, the last of which is the fastest. */
class Turns {
  readonly count: number
  readonly #read: (input: number) => Stored
  readonly #loops = new Map<string, Int32Array>()
  readonly #values = new Map<Scalar, HostData>()
  readonly #indices = new Map<Affine, Int32Array>()

  constructor(read: (input: number) => Stored, loops: Readonly<Record<string, number>>) {
    this.#read = read
    this.count = sizeOf(Object.values(loops))
    let inner = this.count
    for (const [name, extent] of Object.entries(loops)) {
      inner /= extent
      const each = inner
      this.#loops.set(
        name,
        Int32Array.from({ length: this.count }, (_, t) => Math.floor(t / each) % extent),
      )
    }
  }

  /** Says what an element is that loops before have come to: a number for each of so many turns of this. */
  define(element: Scalar, values: HostData): void {
    const each = this.count / values.length
    const all = hostArray(element.dtype, this.count)
    for (let t = 0; t < this.count; t++) all[t] = values[Math.floor(t / each)]!
    this.#values.set(element, all)
  }

  of(element: Scalar): HostData {
    const known = this.#values.get(element) ?? this.#evaluate(element)
    this.#values.set(element, known)
    return known
  }

  #evaluate(element: Scalar): HostData {
    if (element.kind === 'reduced') throw new Error('a fold is read before it is done')
    const result = hostArray(element.dtype, this.count)
    if (element.kind === 'load') return this.#load(element.input, element.offset, result)
    if (element.kind === 'constant') return result.fill(element.value)
    if (element.kind === 'position') {
      result.set(this.index(element.index))
      return result
    }
    const { op, args } = element
    const [from, to] = [args[0]!.dtype, element.dtype]
    const [a, b = a, c = b] = args.map((arg) => this.of(arg)) as [HostData, HostData?, HostData?]
    if (op === 'bitcast') {
      for (let t = 0; t < this.count; t++) {
        views[from][0] = a[t]!
        result[t] = views[to][0]!
      }
      return result
    }
    const operation = operations[op]
    if (operation === undefined) throw new Error(`no machine has the operation ${op}`)
    for (let t = 0; t < this.count; t++) result[t] = operation(a[t]!, b[t]!, c[t]!, from, to)
    return result
  }

  #load(input: number, offset: Affine, into: HostData): HostData {
    const { data, isWritten } = this.#read(input)
    for (const [t, at] of this.index(offset).entries()) {
      if (isWritten[at] !== 1)
        throw new Error(
          `element ${at} of ${data.length} of input ${input} is ${at < data.length ? 'not written yet' : 'none'}`,
        )
      into[t] = data[at]!
    }
    return into
  }

  index(index: Affine): Int32Array {
    const known = this.#indices.get(index)
    if (known !== undefined) return known
    const result = new Int32Array(this.count).fill(index.offset)
    for (const { atom, by } of index.terms) {
      const values = this.#atom(atom)
      for (let t = 0; t < this.count; t++) {
        if (values[t]! >= atom.extent) throw new Error(`index ${atom.key} is ${values[t]} of ${atom.extent}`)
        result[t]! += by * values[t]!
      }
    }
    this.#indices.set(index, result)
    return result
  }

  #atom(atom: Affine['terms'][number]['atom']): ArrayLike<number> {
    if (atom.kind === 'loop') {
      const turns = this.#loops.get(atom.name)
      if (turns === undefined) throw new Error(`there is no loop ${atom.name} here`)
      return turns
    }
    if (atom.kind === 'value') {
      const values = this.of(atom.value)
      // As it is spelled: kept within the array unless that is proven.
      return largestValue(atom.value) < atom.extent
        ? values
        : Uint32Array.from(values, (x) => Math.min(x, Math.max(atom.extent - 1, 0)))
    }
    const { kind, by } = atom
    return this.index(atom.of).map((x) => (kind === 'quotient' ? Math.floor(x / by) : x % by))
  }
}

// ---- nests

/** Writes elements, one for each output from the `first` on, to the same place of each. */
type Store = (first: number, place: Int32Array, elements: readonly HostData[]) => void

type Over = (loops: Readonly<Record<string, number>>) => Turns

/** Folds so many neighbours into one, in order. */
function folded(
  values: HostData,
  turns: number,
  rows: number,
  { combine, identity }: ReduceNest['folds'][number],
): HostData {
  const [a, b] = [scalar.reduced(identity.dtype), scalar.reduced(identity.dtype)]
  const combined = combine(a, b)
  let sums = new Turns(noArrays, { i: rows }).of(identity)
  for (let turn = 0; turn < turns; turn++) {
    const next = new Turns(noArrays, { i: rows })
    next.define(a, sums)
    next.define(b, hostArray(identity.dtype, rows).map((_, row) => values[row * turns + turn]!) as HostData)
    sums = next.of(combined)
  }
  return sums
}

const noArrays = (): never => {
  throw new Error('what combines two numbers reads an array')
}

function runReduce({ size, turns, folds, finish, each }: ReduceNest, over: Over, store: Store): void {
  const [row, turn] = [loop('i', size), loop('r', turns)]
  const [rows, cells] = [over({ i: size }), over({ i: size, r: turns })]
  const results = folds.map(({ identity }) => scalar.reduced(identity.dtype))
  for (const [k, fold] of folds.entries()) {
    const element = cells.of(fold.element(row, turn, results.slice(0, k)))
    const found = folded(element, turns, size, fold)
    rows.define(results[k]!, found)
    cells.define(results[k]!, found)
  }
  const ofRows = finish(row, results).map((element) => rows.of(element))
  store(0, rows.index(row), ofRows)
  const flat = Int32Array.from({ length: size * turns }, (_, t) => t)
  store(
    ofRows.length,
    flat,
    each(row, turn, results).map((element) => cells.of(element)),
  )
}

/** Sums of `x · y` over so many neighbours each, in order. */
function products(x: HostData, y: HostData, depth: number): Float32Array {
  const sums = new Float32Array(x.length / depth)
  for (let t = 0; t < x.length; t++) {
    const at = Math.floor(t / depth)
    sums[at] = x[t]! * y[t]! + sums[at]!
  }
  return sums
}

function runProduct(
  { batch, rows, columns, sums, half, place, finish }: ProductNest,
  over: Over,
  store: Store,
): void {
  const cells = over({ b: batch, m: rows, n: columns })
  const [b, m, n] = [loop('b', batch), loop('m', rows), loop('n', columns)]
  const results = sums.map(({ depth, lhs, rhs }) => {
    const turns = over({ b: batch, m: rows, n: columns, k: depth })
    const k = loop('k', depth)
    const result = scalar.reduced('f32')
    const found =
      depth === 0
        ? new Float32Array(cells.count)
        : products(turns.of(lhs(b, m, k)), turns.of(rhs(b, n, k)), depth)
    cells.define(result, found)
    return result
  })
  const at = place(b, m, n)
  const places = cells.index(at)
  const cellAt = new Map(Array.from(places, (place, t) => [place, t]))
  const partners =
    half === null
      ? results
      : results.map((result) => {
          const partner = scalar.reduced('f32')
          const of = (place: number) => place + (Math.floor(place / half) % 2 === 0 ? half : -half)
          const data = cells.of(result)
          cells.define(
            partner,
            Float32Array.from(places, (place) => data[cellAt.get(of(place))!]!),
          )
          return partner
        })
  store(
    0,
    places,
    finish(at, results, partners).map((element) => cells.of(element)),
  )
}

function runScatter(nest: ScatterNest, over: Over, store: Store): void {
  const { outer, extent, inner, turns, identity, combine } = nest
  const [b, r, n] = [loop('b', outer), loop('r', turns), loop('n', inner)]
  const updates = over({ b: outer, r: turns, n: inner })
  const [places, elements] = [updates.of(nest.place(b, r)), updates.of(nest.element(b, r, n))]
  const [before, next] = [scalar.reduced(identity.dtype), scalar.reduced(identity.dtype)]
  const combined = combine(before, next)
  const found = hostArray(identity.dtype, outer * extent * inner).fill(
    identity.kind === 'constant' ? identity.value : 0,
  )
  for (let t = 0; t < updates.count; t++) {
    const at = (Math.floor(t / (turns * inner)) * extent + places[t]!) * inner + (t % inner)
    if (places[t]! >= extent) continue
    const one = new Turns(noArrays, {})
    one.define(before, hostArray(identity.dtype, 1).fill(found[at]!) as HostData)
    one.define(next, hostArray(identity.dtype, 1).fill(elements[t]!) as HostData)
    found[at] = one.of(combined)[0]!
  }
  store(
    0,
    Int32Array.from(found, (_, at) => at),
    [found],
  )
}

function runPairs(nest: PairsNest, over: Over, store: Store): void {
  const { batch, rows, columns, turns, size, behind, ahead, dots, softmax, sums, totals } = nest
  const [b, m, n] = [loop('b', batch), loop('m', rows), loop('n', columns)]
  const [turn, d] = [loop('turn', turns), loop('d', size)]
  const ofRow = over({ b: batch, m: rows })
  const pairs = over({ b: batch, m: rows, turn: turns, n: columns })
  const components = over({ b: batch, m: rows, turn: turns, n: columns, d: size })
  const found = dots.map(({ row, column }) => {
    const dot = scalar.reduced('f32')
    pairs.define(dot, products(components.of(row(b, m, d)), components.of(column(b, turn, n, d)), size))
    return dot
  })
  const [row, column] = [pairs.index(m), pairs.index(n)]
  const isSeen = Array.from(row, (m, t) => column[t]! >= m - behind && column[t]! <= m + ahead)
  const each = turns * columns
  const top = softmax && scalar.reduced('f32')
  if (softmax !== null && top !== null) {
    const scores = pairs.of(softmax.score(found))
    const most = new Float32Array(ofRow.count).fill(Number.NEGATIVE_INFINITY)
    for (const [t, score] of scores.entries())
      if (isSeen[t]) most[Math.floor(t / each)] = Math.max(most[Math.floor(t / each)]!, score)
    pairs.define(top, most)
    ofRow.define(top, most)
  }
  const weights = nest
    .weights(found, { batch: b, row: m, turn, column: n }, top)
    .map((weight) => pairs.of(weight).map((x, t) => (isSeen[t] ? x : 0)))
  const foundTotals = totals.map((k) => {
    const total = scalar.reduced('f32')
    ofRow.define(total, products(weights[k]!, new Float32Array(pairs.count).fill(1), each))
    return total
  })
  const results = over({ b: batch, m: rows, d: size })
  const vectors = sums.map((terms) => {
    const sum = scalar.reduced('f32')
    const found = new Float32Array(results.count)
    const read = terms.map(({ vector }) => components.of(vector(b, turn, n, d)))
    for (let t = 0; t < components.count; t++) {
      const at = Math.floor(t / (each * size)) * size + (t % size)
      for (const [k, { weight }] of terms.entries())
        found[at] = weights[weight]![Math.floor(t / size)]! * read[k]![t]! + found[at]!
    }
    results.define(sum, found)
    return sum
  })
  for (const known of [...foundTotals, ...(top ? [top] : [])]) results.define(known, ofRow.of(known))
  const sum = { totals: foundTotals, top }
  const at = { batch: b, row: m }
  const written = nest.vectors(at, d, vectors, sum).map((element) => results.of(element))
  store(0, results.index(nest.placeOfVector(at, d)), written)
  store(
    written.length,
    ofRow.index(nest.placeOfNumber(at)),
    nest.numbers(at, sum).map((element) => ofRow.of(element)),
  )
}

// ---- programs

function runKernel(kernel: Kernel, arrays: Arrays, maxArrays: number, garbage: number): void {
  const { name, inputs, outputs, nest, guard, slices } = kernel
  const read = (input: number): Stored => {
    const array = arrays.get(inputs[input]!)
    if (array === undefined) throw new Error(`${name} reads an array that is not there yet`)
    return array
  }
  const over: Over = (loops) => new Turns(read, loops)
  const once = over({})
  const targets = outputs.map(({ variable, start }) => {
    const { dtype, size } = variable.aval
    const isSlice = slices?.variables.has(variable)
    if (arrays.has(variable) && !isSlice) throw new Error(`${name} writes an array that is there already`)
    const array = isSlice ? arrays.get(variable)! : emptyArray(dtype, size)
    return { variable, array, dtype, size, start: once.index(start)[0]! }
  })
  const store: Store = (first, places, elements) => {
    for (const [k, element] of elements.entries()) {
      const { array, dtype, size, start } = targets[first + k]!
      const { data, isWritten } = array
      for (const [t, place] of places.entries()) {
        if (place >= size) throw new Error(`${name} writes element ${place} of ${size}`)
        if (isWritten[start + place] === 1) throw new Error(`${name} writes element ${place} twice`)
        data[start + place] = isHalf(dtype) ? wrap[dtype](element[t]!) : element[t]!
        isWritten[start + place] = 1
      }
    }
  }
  if (guard !== null && arrays.get(guard)!.data[0] === 0) {
    for (const { array, start, size } of targets) {
      array.data.fill(garbage, start, start + size)
      array.isWritten.fill(1, start, start + size)
    }
  } else if (nest.kind === 'map') {
    const turns = over({ i: nest.size })
    const place = loop('i', nest.size)
    store(
      0,
      turns.index(place),
      nest.element(place).map((element) => turns.of(element)),
    )
  } else if (nest.kind === 'reduce') runReduce(nest, over, store)
  else if (nest.kind === 'product') runProduct(nest, over, store)
  else if (nest.kind === 'scatter') runScatter(nest, over, store)
  else runPairs(nest, over, store)
  for (const { variable, array, start, size } of targets) {
    if (array.isWritten.subarray(start, start + size).includes(0))
      throw new Error(`${name} leaves elements of ${variable.aval}`)
    if (inputs.includes(variable)) throw new Error(`${name} reads what it writes`)
    arrays.set(variable, array)
  }
  const count = inputs.length + outputs.length + (guard ? 1 : 0)
  if (count > maxArrays) throw new Error(`${name} binds ${count} arrays of ${maxArrays}`)
}

/** An atom as an array of its own. */
function arrayOf(atom: Atom, arrays: Arrays, slices: Slices | null): Stored {
  if (atom instanceof Literal) return filledArray(atom.aval, atom.value)
  const array = arrays.get(atom)
  if (array === undefined) throw new Error(`an array of type ${atom.aval} is never made`)
  if (!slices?.variables.has(atom)) return array
  const { size } = atom.aval
  const start = arrays.get(slices.turn)!.data[0]! * size
  return {
    data: array.data.slice(start, start + size),
    isWritten: array.isWritten.slice(start, start + size),
  }
}

function runLoop(equation: Equation, arrays: Arrays, way: Way, around: Slices | null): void {
  const { primitive, params, inputs, outputs, guard } = equation
  const { lower, name } = primitive
  if (lower.kind !== 'loop') throw new Error(`${name} runs alone, and is no loop`)
  if (guard !== undefined && arrays.get(guard)!.data[0] === 0) {
    for (const output of outputs) arrays.set(output, filledArray(output.aval, way.garbage))
    return
  }
  const [turns, constants, state] = [lower.turns(params), lower.constants(params), lower.state(params)]
  const given = inputs.map((atom) => arrayOf(atom, arrays, around))
  const body = simplify(
    guard === undefined || turns === null ? inline(lower.body(params)) : gated(lower.body(params)),
  )
  const gates = body.inputs.length - given.length
  const before = body.inputs.slice(gates)
  const stacks = outputs.slice(state).map(({ aval }) => emptyArray(aval.dtype, aval.size))
  // Results that are nothing else are written to their place at once.
  const others = new Set<Atom>([...body.inputs, ...body.outputs.slice(0, state)])
  for (const { primitive, outputs, guard } of body.equations)
    for (const variable of [...(guard ? [guard] : []), ...(runsAlone(primitive) ? outputs : [])])
      others.add(variable)
  const isPiece = body.outputs.slice(state).map((atom) => {
    const isOwn = atom instanceof Var && !others.has(atom) && !isHalf(atom.aval.dtype)
    others.add(atom)
    return isOwn
  })
  const pieces = body.outputs.slice(state).map((atom, k) => (isPiece[k] ? (atom as Var) : null))
  const turn = new Var(new Aval([], 'u32'))
  const variables = new Set([...before.slice(constants + state), ...pieces.filter((piece) => piece !== null)])
  const inside: Slices = { variables, turn, turns: turns ?? 0 }
  const groups = way.groups(body, way.maxArrays - 1, true)

  let carry = given.slice(constants, constants + state)
  for (let k = 0; turns === null ? carry[0]!.data[0] !== 0 : k < turns; k++) {
    const at = lower.reverse(params) ? turns! - 1 - k : k
    const local: Arrays = new Map([[turn, filledArray(turn.aval, at)]])
    for (const gate of body.inputs.slice(0, gates)) local.set(gate, arrays.get(guard!)!)
    for (const [k, variable] of before.entries()) {
      const isState = k >= constants && k < constants + state
      local.set(variable, isState ? carry[k - constants]! : given[k]!)
    }
    for (const [k, piece] of pieces.entries()) if (piece !== null) local.set(piece, stacks[k]!)
    runGroups(groups, local, way, inside)
    carry = body.outputs.slice(0, state).map((atom) => arrayOf(atom, local, inside))
    for (const [k, atom] of body.outputs.slice(state).entries()) {
      if (pieces[k] !== null) continue
      stacks[k]!.data.set(arrayOf(atom, local, inside).data, at * atom.aval.size)
      stacks[k]!.isWritten.fill(1, at * atom.aval.size, (at + 1) * atom.aval.size)
    }
  }
  for (const [k, output] of outputs.entries()) arrays.set(output, [...carry, ...stacks][k]!)
}

/** A graph with a guard for everything in it as its first input. */
function gated(graph: Graph): Graph {
  const guard = new Var(new Aval([], 'bool'))
  return inline({ ...graph, inputs: [guard, ...graph.inputs] }, guard)
}

/** How many arrays an equation needs by itself. */
const arraysOf = ({ inputs, outputs, guard }: Equation): number =>
  new Set([...inputs.filter((atom) => atom instanceof Var), ...outputs]).size + (guard ? 1 : 0)

function runGroups(groups: readonly Group[], arrays: Arrays, way: Way, slices: Slices | null): void {
  for (const group of groups) {
    const { root, outputs } = group
    if (runsAlone(root.primitive)) runLoop(root, arrays, way, slices)
    else if (outputs.every(({ aval }) => aval.size === 0))
      for (const output of outputs) arrays.set(output, emptyArray(output.aval.dtype, 0))
    else {
      const most = Math.max(way.maxArrays, arraysOf(root) + (slices ? 1 : 0))
      for (const kernel of kernelsOf(group, slices)) runKernel(kernel, arrays, most, way.garbage)
    }
  }
}

/** The results of a graph, written out and simplified, as the kernels compute them that one way makes of it. */
export function runNests(graph: Graph, inputs: readonly NdArray[], way: Way): HostData[] {
  const arrays: Arrays = new Map()
  for (const [k, variable] of [...graph.inputs, ...graph.captures].entries()) {
    const array = filledArray(variable.aval, 0)
    array.data.set(inputs[k]!.data)
    arrays.set(variable, array)
  }
  runGroups(way.groups(graph, way.maxArrays, false), arrays, way, null)
  return graph.outputs.map((atom) => arrayOf(atom, arrays, null).data)
}
