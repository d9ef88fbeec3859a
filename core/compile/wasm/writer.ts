// Spells scalar expressions as WebAssembly. Each value has a local; it is computed in the outermost loop that knows what it is
// made of, so nothing is computed again that a loop does not change. Four lanes of one expression are one vector.

import { type Affine, type IndexAtom, largest, times } from '../../affine.ts'
import { type DType, isHalf, type MachineType } from '../../dtype.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'
import { largestValue } from '../bounds.ts'
import { areNeighbours, vectorWidth } from '../lanes.ts'
import type { LocalType } from './encoder.ts'
import { fromHalf, toHalf } from './halves.ts'
import type { Instruction } from './instructions.ts'

/** A value: a constant, or what a local holds, which is known in the loops from `depth` on. */
export interface Value {
  readonly type: LocalType
  readonly width: 1 | 4
  readonly depth: number
  readonly local: number
  readonly constant: number | null
}

/** An array in memory: the local with its address, and how many elements it has. */
export interface Source {
  readonly address: number
  readonly size: number
}

/** Units of a nest, and the memory that a thread needs for it. */
export interface Work {
  readonly units: number
  readonly scratch?: number
}

/** Writes the lanes of an output to a place in it, which is that of the first lane. */
export type Store = (output: number, at: Affine, lanes: readonly Scalar[]) => void

/** The parameters of every kernel. */
export const [scratchParam, fromParam, toParam] = [0, 1, 2]

/** The units of a thread. */
export interface Units {
  readonly from: Value
  readonly to: Value
}

/** A place in memory: what a local holds, plus so many bytes. */
export interface Address {
  readonly base: Value
  readonly offset: number
}

/** Locals are numbered from here until it is known how many parameters there are. */
const firstLocal = 2 ** 20

interface Scope {
  readonly code: Instruction[]
  readonly keys: string[]
}

const scalarType = (dtype: MachineType): 'f32' | 'i32' => (dtype === 'f32' ? 'f32' : 'i32')

/** Bytes of an element in memory. */
const bytesOf = (dtype: DType): number => (isHalf(dtype) ? 2 : 4)

export class Writer {
  readonly locals: LocalType[] = []
  readonly #scopes: Scope[] = [{ code: [], keys: [] }]
  readonly #known = new Map<string, Value>()
  readonly #sourceOf: (input: number) => Source

  constructor(sourceOf: (input: number) => Source) {
    this.#sourceOf = sourceOf
  }

  /** The instructions of a function with so many parameters. */
  codeWith(params: number): Instruction[] {
    return this.#scopes[0]!.code.map((instruction): Instruction => {
      const [name, number] = instruction
      return name.startsWith('local.') && number! >= firstLocal
        ? [name, number! - firstLocal + params]
        : instruction
    })
  }

  /** The depth of what is written now. */
  get depth(): number {
    return this.#scopes.length - 1
  }

  /** Writes instructions where the writer is. */
  write(...instructions: readonly Instruction[]): void {
    this.#scopes.at(-1)!.code.push(...instructions)
  }

  local(type: LocalType): number {
    this.locals.push(type)
    return firstLocal + this.locals.length - 1
  }

  param(local: number): Value {
    return { type: 'i32', width: 1, depth: 0, local, constant: null }
  }

  constant(value: number, type: 'i32' | 'f32'): Value {
    return { type, width: 1, depth: 0, local: -1, constant: value }
  }

  /** A value in a local of its own, by instructions in the loop at `depth`. */
  make(type: LocalType, width: 1 | 4, depth: number, ...instructions: readonly Instruction[]): Value {
    const local = this.local(type)
    this.#scopes[depth]!.code.push(...instructions, ['local.set', local])
    return { type, width, depth, local, constant: null }
  }

  #remember(key: string, value: Value): Value {
    this.#known.set(key, value)
    this.#scopes[value.depth]!.keys.push(key)
    return value
  }

  #once(key: string, make: () => Value): Value {
    return this.#known.get(key) ?? this.#remember(key, make())
  }

  /** Makes an expression known, such as the sum of a loop that is done. */
  define(element: Scalar, value: Value): void {
    this.#remember(element.key, value)
  }

  /** Makes the counter of a loop known. */
  defineLoop(name: string, value: Value): void {
    this.#remember(`loop ${name}`, value)
  }

  /** Writes what is done within; what becomes known there is unknown afterwards. */
  #inside(body: () => void): readonly Instruction[] {
    this.#scopes.push({ code: [], keys: [] })
    body()
    const { code, keys } = this.#scopes.pop()!
    for (const key of keys) this.#known.delete(key)
    return code
  }

  /** A loop called `name` from one value to before another; `by` more each turn. It has no turn if there is none. */
  range(name: string, from: Value, to: Value, body: (counter: Value) => void, by = 1): void {
    const counter = this.local('i32')
    const inner = this.#inside(() => {
      const value: Value = { type: 'i32', width: 1, depth: this.depth, local: counter, constant: null }
      this.defineLoop(name, value)
      body(value)
    })
    this.write(
      getter(from),
      ['local.tee', counter],
      getter(to),
      ['i32.lt_u'],
      ['if'],
      ['loop'],
      ...inner,
      ['local.get', counter],
      ['i32.const', by],
      ['i32.add'],
      ['local.tee', counter],
      getter(to),
      ['i32.lt_u'],
      ['br_if', 0],
      ['end'],
      ['end'],
    )
  }

  /** A loop of `turns` turns. */
  loop(name: string, turns: number, body: (counter: Value) => void): void {
    this.range(name, this.constant(0, 'i32'), this.constant(turns, 'i32'), body)
  }

  /** What is done if a value is not zero. */
  when(condition: Value, body: () => void): void {
    const inner = this.#inside(body)
    this.write(getter(condition), ['if'], ...inner, ['end'])
  }

  /** The sum of values that are no vectors. */
  sum(a: Value, b: Value): Value {
    if (a.constant !== null && b.constant !== null) return this.constant(a.constant + b.constant, 'i32')
    if (a.constant === 0) return b
    if (b.constant === 0) return a
    return this.make('i32', 1, Math.max(a.depth, b.depth), getter(a), getter(b), ['i32.add'])
  }

  /** The lesser of two values. */
  lesser(a: Value, b: Value): Value {
    const parts = [getter(a), getter(b)]
    return this.make('i32', 1, Math.max(a.depth, b.depth), ...parts, ...parts, ['i32.lt_u'], ['select'])
  }

  /** The place of a counter in an array at `base` whose parts have so many bytes. */
  partOf(base: Value, counter: Value, bytes: number): Value {
    const scaled: Instruction[] = [getter(counter), ['i32.const', bytes], ['i32.mul']]
    return this.make('i32', 1, this.depth, ...scaled, getter(base), ['i32.add'])
  }

  /** An index as an i32. */
  index(index: Affine): Value {
    return this.#plus(this.constant(0, 'i32'), '', index, true)
  }

  /** The terms of an index on top of a base, those of outer loops first, and its offset if that is wanted. */
  #plus(base: Value, baseKey: string, index: Affine, withOffset: boolean): Value {
    const terms = index.terms
      .map(({ atom, by }) => ({ atom, by, value: this.#atom(atom) }))
      .sort((a, b) => a.value.depth - b.value.depth)
    let [sum, key] = [base, `index ${baseKey}`]
    for (const { atom, by, value } of terms) {
      key += ` ${by}*${atom.key}`
      const before = sum
      sum = this.#once(key, () => {
        const scaled = by === 1 ? value : this.#times(value, by, atom.key)
        return this.sum(before, scaled)
      })
    }
    return withOffset && index.offset > 0 ? this.sum(sum, this.constant(index.offset, 'i32')) : sum
  }

  #times(value: Value, by: number, atom: string): Value {
    return this.#once(`times ${by} ${atom}`, () =>
      this.make('i32', 1, value.depth, getter(value), ['i32.const', by], ['i32.mul']),
    )
  }

  #atom(atom: IndexAtom): Value {
    if (atom.kind === 'loop') {
      const value = this.#known.get(`loop ${atom.name}`)
      if (value === undefined)
        throw new Error(`compile: loop ${atom.name} is not open; this is a defect of the compiler`)
      return value
    }
    return this.#once(`atom ${atom.key}`, () => {
      if (atom.kind === 'value') {
        const value = this.spell([atom.value])
        // What is read from data is kept within the array: nobody else does.
        if (largestValue(atom.value) < atom.extent) return value
        const most = this.constant(Math.max(atom.extent - 1, 0), 'i32')
        return this.lesser(value, most)
      }
      const of = this.index(atom.of)
      const op = atom.kind === 'quotient' ? 'i32.div_u' : 'i32.rem_u'
      return this.make('i32', 1, of.depth, getter(of), ['i32.const', atom.by], [op])
    })
  }

  /** Where `count` elements from a place of an array on lie. */
  address(array: Source, dtype: DType, at: Affine, count: number, what: string): Address {
    const last = largest(at) + count - 1
    if (last >= array.size)
      throw new Error(
        `compile: ${what} has ${array.size} elements, and element ${last} of it is used; this is a defect of the compiler`,
      )
    const bytes = bytesOf(dtype)
    const base = this.#plus(this.param(array.address), `@${array.address}`, times(at, bytes), false)
    return { base, offset: bytes * at.offset }
  }

  /** A value with four lanes. */
  widen(value: Value, dtype: MachineType): Value {
    if (value.width === 4) return value
    if (value.constant !== null) {
      const number = dtype === 'bool' ? -Number(value.constant !== 0) : value.constant
      return this.#once(`constant ${dtype} ${number} ${Object.is(number, -0)}`, () =>
        this.make('v128', 4, 0, ['v128.const', dtype === 'f32' ? bitsOf(number) : number >>> 0]),
      )
    }
    return this.#once(`splat ${dtype === 'bool'} ${value.local}`, () => {
      if (dtype === 'bool')
        return this.make(
          'v128',
          4,
          value.depth,
          ['i32.const', 0],
          getter(value),
          ['i32.sub'],
          ['i32x4.splat'],
        )
      return this.make('v128', 4, value.depth, getter(value), [`${value.type}x4.splat`])
    })
  }

  /** The lanes of an expression as a value: one number if they are all the same. */
  spell(lanes: readonly Scalar[]): Value {
    const isOne = lanes.every(({ key }) => key === lanes[0]!.key)
    const key = isOne ? lanes[0]!.key : lanes.map((lane) => lane.key).join()
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const value = this.#spell(lanes)
    return value.constant === null ? this.#remember(key, value) : value
  }

  #spell(lanes: readonly Scalar[]): Value {
    const [first] = lanes as [Scalar]
    switch (first.kind) {
      case 'constant':
        return this.constant(first.value, scalarType(first.dtype))
      case 'position': {
        const indices = lanes.map((lane) => (lane as typeof first).index)
        if (indices.every(({ key }) => key === indices[0]!.key)) return this.index(indices[0]!)
        return this.#lanes(
          indices.map((index) => this.index(index)),
          'i32',
        )
      }
      case 'load':
        return this.#load(
          first.input,
          first.stored,
          lanes.map((lane) => (lane as typeof first).offset),
        )
      case 'reduced':
        throw new Error('compile: a reduction was read before it was done; this is a defect of the compiler')
      case 'apply': {
        const half = /^round_(.*)$/.exec(first.op)?.[1] as 'f16' | 'bf16' | undefined
        if (half !== undefined) {
          const whole = lanes.map((lane) => (lane as typeof first).args[0]!)
          return this.spellWith(whole, (x) => fromHalf(half, toHalf(half, x)))
        }
        const args = first.args.map((_, k) =>
          this.spell(lanes.map((lane) => (lane as typeof first).args[k]!)),
        )
        return this.apply(first, args)
      }
    }
  }

  /** What `f` makes of the lanes of an expression. */
  spellWith(lanes: readonly Scalar[], f: (x: Scalar) => Scalar): Value {
    const value = this.spell(lanes)
    const known = scalar.reduced(lanes[0]!.dtype)
    if (value.constant !== null) {
      const local = this.make(value.type, 1, 0, getter(value))
      this.define(known, local)
    } else this.define(known, value)
    return this.spell([f(known)])
  }

  /** Four numbers as a vector. */
  #lanes(values: readonly Value[], type: 'i32' | 'f32'): Value {
    const depth = Math.max(...values.map((value) => value.depth))
    return this.make(
      'v128',
      4,
      depth,
      getter(values[0]!),
      [`${type}x4.splat`],
      ...values
        .slice(1)
        .flatMap((value, k): Instruction[] => [getter(value), [`${type}x4.replace_lane`, k + 1]]),
    )
  }

  #load(input: number, dtype: DType, offsets: readonly Affine[]): Value {
    const [first] = offsets as [Affine]
    const array = this.#sourceOf(input)
    const isVector = areNeighbours(offsets)
    const isOne = offsets.every(({ key }) => key === first.key)
    if (array.size === 0) {
      // There is nothing to be read, and a loop of no turns that would.
      const zero = this.constant(0, scalarType(isHalf(dtype) ? 'f32' : dtype))
      return isOne
        ? this.make(zero.type, 1, 0, getter(zero))
        : this.widen(zero, isHalf(dtype) ? 'f32' : dtype)
    }
    const what = `input ${input}`
    if (isHalf(dtype)) return this.#loadHalves(array, dtype, offsets, what)
    if (isOne || isVector) {
      const { base, offset } = this.address(array, dtype, first, isOne ? 1 : vectorWidth, what)
      if (isOne) {
        const type = scalarType(dtype)
        return this.make(type, 1, base.depth, getter(base), [`${type}.load`, offset])
      }
      const load: Instruction[] = [getter(base), ['v128.load', offset]]
      if (dtype === 'bool') load.push(['v128.const', 0], ['i32x4.ne'])
      return this.make('v128', 4, base.depth, ...load)
    }
    const places = offsets.map((offset) => this.address(array, dtype, offset, 1, what))
    const depth = Math.max(...places.map(({ base }) => base.depth))
    const code: Instruction[] = [getter(places[0]!.base), ['v128.load32_splat', places[0]!.offset]]
    const vector = this.local('v128')
    code.push(['local.set', vector])
    for (const [lane, { base, offset }] of places.entries())
      if (lane > 0)
        code.push(
          getter(base),
          ['local.get', vector],
          ['v128.load32_lane', offset, lane],
          ['local.set', vector],
        )
    code.push(['local.get', vector])
    if (dtype === 'bool') code.push(['v128.const', 0], ['i32x4.ne'])
    return this.make('v128', 4, depth, ...code)
  }

  #loadHalves(array: Source, dtype: 'f16' | 'bf16', offsets: readonly Affine[], what: string): Value {
    const [first] = offsets as [Affine]
    const one = (offset: Affine): Value => {
      const place = this.address(array, dtype, offset, 1, what)
      return this.make('i32', 1, place.base.depth, getter(place.base), ['i32.load16_u', place.offset])
    }
    const bits = scalar.reduced('u32')
    if (offsets.every(({ key }) => key === first.key)) this.define(bits, one(first))
    else if (areNeighbours(offsets)) {
      const { base, offset } = this.address(array, dtype, first, vectorWidth, what)
      this.define(
        bits,
        this.make(
          'v128',
          4,
          base.depth,
          getter(base),
          ['v128.load64_zero', offset],
          ['i32x4.extend_low_i16x8_u'],
        ),
      )
    } else this.define(bits, this.#lanes(offsets.map(one), 'i32'))
    return this.spell([fromHalf(dtype, bits)])
  }

  /** An operation on values. */
  apply({ op, dtype, args: types }: Scalar & { kind: 'apply' }, args: readonly Value[]): Value {
    const depth = Math.max(...args.map((arg) => arg.depth))
    const from = types[0]!.dtype
    if (args.every(({ width }) => width === 1))
      return this.make(scalarType(dtype), 1, depth, ...scalarOperation(op, dtype, from, args.map(getter)))
    if (laneByLane(op, dtype, args)) {
      const lanes = [0, 1, 2, 3].map((lane) =>
        this.apply(
          { kind: 'apply', op, dtype, args: types, key: '' },
          args.map((arg) => this.#lane(arg, lane)),
        ),
      )
      return this.#lanes(lanes, 'i32')
    }
    if (op === '<<' || op === '>>') {
      const kind = op === '<<' ? 'shl' : dtype === 'i32' ? 'shr_s' : 'shr_u'
      return this.make('v128', 4, depth, getter(args[0]!), getter(args[1]!), [`i32x4.${kind}`])
    }
    const wide = args.map((arg, k) => getter(this.widen(arg, types[k]!.dtype)))
    return this.make('v128', 4, depth, ...vectorOperation(op, dtype, from, wide))
  }

  #lane(value: Value, lane: number): Value {
    if (value.width === 1) return value
    return this.make('i32', 1, value.depth, getter(value), ['i32x4.extract_lane', lane])
  }
}

/** The instruction that puts a value on the stack. */
export const getter = (value: Value): Instruction =>
  value.constant === null ? ['local.get', value.local] : [`${value.type}.const`, value.constant]

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!

/** Operations without an instruction for vectors. */
function laneByLane(op: string, dtype: MachineType, args: readonly Value[]): boolean {
  if (op === '<<' || op === '>>') return args[1]!.width === 4 || args[0]!.width === 1
  if (op === 'countLeadingZeros') return true
  return dtype !== 'f32' && (op === '/' || op === '%')
}

const floats: Readonly<Record<string, string>> = {
  '+': 'add',
  '-': 'sub',
  '*': 'mul',
  '/': 'div',
  '==': 'eq',
  '!=': 'ne',
  '<': 'lt',
  '<=': 'le',
  negate: 'neg',
  abs: 'abs',
  floor: 'floor',
  ceil: 'ceil',
  round: 'nearest',
  sqrt: 'sqrt',
}

const integers: Readonly<Record<string, string>> = {
  '+': 'add',
  '-': 'sub',
  '*': 'mul',
  '&': 'and',
  '|': 'or',
  '^': 'xor',
  '<<': 'shl',
  '==': 'eq',
  '!=': 'ne',
}

/** The instruction of an operation of numbers or of vectors of them. */
function named(names: Readonly<Record<string, string>>, op: string, of: string, dtype: string): Instruction {
  const name = names[op]
  if (name === undefined)
    throw new Error(`compile: there is no ${op} of ${dtype} here; this is a defect of the compiler`)
  return [`${of}.${name}`]
}

function scalarOperation(
  op: string,
  dtype: MachineType,
  from: MachineType,
  args: readonly Instruction[],
): readonly Instruction[] {
  const [a, b, c] = args as [Instruction, Instruction, Instruction]
  if (op === 'select') return [b, c, a, ['select']]
  if (op === 'bitcast') {
    if (from !== 'f32' && dtype !== 'f32') return [a]
    return [a, [dtype === 'f32' ? 'f32.reinterpret_i32' : 'i32.reinterpret_f32']]
  }
  if (op === 'cast') {
    if (dtype === 'bool')
      return from === 'f32' ? [a, ['f32.const', 0], ['f32.ne']] : [a, ['i32.const', 0], ['i32.ne']]
    if (from === 'f32') return [a, [dtype === 'i32' ? 'i32.trunc_sat_f32_s' : 'i32.trunc_sat_f32_u']]
    if (dtype === 'f32') return [a, [from === 'i32' ? 'f32.convert_i32_s' : 'f32.convert_i32_u']]
    return [a]
  }
  const isSigned = from === 'i32'
  const less = from === 'f32' ? 'f32.lt' : isSigned ? 'i32.lt_s' : 'i32.lt_u'
  if (op === 'min') return [b, a, b, a, [less], ['select']]
  if (op === 'max') return [b, a, a, b, [less], ['select']]
  if (from === 'f32') {
    if (op === 'fma') return [a, b, ['f32.mul'], c, ['f32.add']]
    return [...args, named(floats, op, 'f32', from)]
  }
  switch (op) {
    case 'not':
      return from === 'bool' ? [a, ['i32.eqz']] : [a, ['i32.const', -1], ['i32.xor']]
    case 'negate':
      return [['i32.const', 0], a, ['i32.sub']]
    case 'abs':
      if (!isSigned) return [a]
      return [a, ['i32.const', 0], a, ['i32.sub'], ['i32.const', -1], a, ['i32.lt_s'], ['select']]
    case '<':
      return [a, b, [less]]
    case '<=':
      return [a, b, [isSigned ? 'i32.le_s' : 'i32.le_u']]
    case '>>':
      return [a, b, [isSigned ? 'i32.shr_s' : 'i32.shr_u']]
    case 'countOneBits':
      return [a, ['i32.popcnt']]
    case 'countLeadingZeros':
      return [a, ['i32.clz']]
    case '/':
    case '%': {
      // What machines refuse: by zero, and the least number by -1; the divisor is 1 there.
      const isZero: Instruction[] = [b, ['i32.eqz']]
      const overflows: Instruction[] = isSigned
        ? [
            a,
            ['i32.const', -(2 ** 31)],
            ['i32.eq'],
            b,
            ['i32.const', -1],
            ['i32.eq'],
            ['i32.and'],
            ['i32.or'],
          ]
        : []
      const name = `i32.${op === '/' ? 'div' : 'rem'}_${isSigned ? 's' : 'u'}`
      return [a, ['i32.const', 1], b, ...isZero, ...overflows, ['select'], [name]]
    }
  }
  return [a, b, named(integers, op, 'i32', from)]
}

const oneBits = 0x3f800000

function vectorOperation(
  op: string,
  dtype: MachineType,
  from: MachineType,
  args: readonly Instruction[],
): readonly Instruction[] {
  const [a, b, c] = args as [Instruction, Instruction, Instruction]
  if (op === 'select') return [b, c, a, ['v128.bitselect']]
  if (op === 'bitcast') return [a]
  if (op === 'cast') {
    if (from === 'bool') return [a, ['v128.const', dtype === 'f32' ? oneBits : 1], ['v128.and']]
    if (dtype === 'bool') return [a, ['v128.const', 0], [from === 'f32' ? 'f32x4.ne' : 'i32x4.ne']]
    if (from === 'f32') return [a, [dtype === 'i32' ? 'i32x4.trunc_sat_f32x4_s' : 'i32x4.trunc_sat_f32x4_u']]
    if (dtype === 'f32') return [a, [from === 'i32' ? 'f32x4.convert_i32x4_s' : 'f32x4.convert_i32x4_u']]
    return [a]
  }
  if (from === 'f32') {
    if (op === 'fma') return [a, b, ['f32x4.mul'], c, ['f32x4.add']]
    if (op === 'min') return [a, b, ['f32x4.pmin']]
    if (op === 'max') return [a, b, ['f32x4.pmax']]
    return [...args, named(floats, op, 'f32x4', from)]
  }
  const sign = from === 'i32' ? 's' : 'u'
  switch (op) {
    case 'not':
      return [a, ['v128.not']]
    case 'negate':
      return [a, ['i32x4.neg']]
    case 'abs':
      return sign === 's' ? [a, ['i32x4.abs']] : [a]
    case '<':
      return [a, b, [`i32x4.lt_${sign}`]]
    case '<=':
      return [a, b, [`i32x4.le_${sign}`]]
    case 'min':
      return [a, b, [`i32x4.min_${sign}`]]
    case 'max':
      return [a, b, [`i32x4.max_${sign}`]]
    case '&':
      return [a, b, ['v128.and']]
    case '|':
      return [a, b, ['v128.or']]
    case '^':
      return [a, b, ['v128.xor']]
    case 'countOneBits':
      return [a, ['i8x16.popcnt'], ['i16x8.extadd_pairwise_i8x16_u'], ['i32x4.extadd_pairwise_i16x8_u']]
  }
  return [a, b, named(integers, op, 'i32x4', from)]
}
