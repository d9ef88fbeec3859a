// Spells scalar expressions in WGSL. Several lanes of one expression are written as vectors: the lanes have the same form
// and differ only in their indices, so loads of neighbours become one load of a `vec4`.

import { type Affine, type IndexAtom, largest, partition, quotient } from '../../affine.ts'
import { type DType, isHalf, type MachineType, machineType } from '../../dtype.ts'
import type { Half } from '../../halves.ts'
import { changesWith, type Scalar } from '../../scalar.ts'
import { largestValue } from '../bounds.ts'
import { areNeighbours, vectorWidth } from '../lanes.ts'

/** A WGSL expression and its number of components. */
export interface Spelled {
  readonly text: string
  readonly width: 1 | 4
}

const infix = new Set(['+', '-', '*', '/', '%', '&', '|', '^', '<<', '>>', '==', '!=', '<', '<='])

/** How a body is run: over how many threads, in workgroups of what size, and what it stores at a time. */
export interface Body {
  readonly workgroup: readonly number[]
  readonly workgroups: readonly [number, number, number]
  /** Whether an output is written by four elements at a time. */
  storesVectors(output: number): boolean
}

/** Writes the lanes of an output to a place in it, which is that of the first lane. */
export type Store = (output: number, at: Affine, lanes: readonly Scalar[]) => void

/** The element or the four elements at a place of an output, as text. */
export type Target = (output: number, at: Affine, width: 1 | 4) => string

/** How an array input is bound: by elements, or by vectors of four. */
type Grain = 'element' | 'vector'

/** An array that a kernel reads: how it is bound, and its elements. */
export interface Source {
  readonly grain: Grain
  readonly size: number
}

/** Elements in a buffer of `size` elements at least: buffers end at a multiple of four words. */
const padded = (size: number): number => Math.ceil(size / vectorWidth) * vectorWidth

/** Fails if `count` elements from a place on might not all lie in an array: nothing else keeps a kernel inside of it. */
export function requireInside(what: string, at: Affine, count: number, size: number): void {
  const last = largest(at) + count - 1
  if (last >= (count === 1 ? size : padded(size)))
    throw new Error(
      `compile: ${what} has ${size} elements, and element ${last} of it is used; this is a defect of the compiler`,
    )
}

export const typeName = (dtype: MachineType, width: 1 | 4 = 1): string =>
  width === 1 ? dtype : `vec4<${dtype}>`

/** What a buffer holds; it cannot hold bools. */
export const storageType = (dtype: MachineType): 'f32' | 'i32' | 'u32' => (dtype === 'bool' ? 'u32' : dtype)

/** The array that a buffer is: of elements or of four together; 16-bit floats lie two in a word. */
export function arrayName(dtype: DType, width: 1 | 4): string {
  if (isHalf(dtype)) return width === 1 ? 'array<u32>' : 'array<vec2<u32>>'
  return `array<${typeName(storageType(dtype), width)}>`
}

/** Numbers that WGSL has no literal for are made of bits that it does not know at compile time. */
function literal(value: number, dtype: MachineType): string {
  if (dtype === 'bool') return value !== 0 ? 'true' : 'false'
  if (dtype === 'u32') return `${value >>> 0}u`
  if (dtype === 'i32') return value === -(2 ** 31) ? 'i32(-2147483647 - 1)' : `${value}i`
  if (Number.isNaN(value)) return 'nan'
  const single = Math.fround(value)
  if (!Number.isFinite(single)) return single > 0 ? 'infinity' : '-infinity'
  if (Object.is(single, -0)) return '-0.0f'
  const digits = String(single)
  return /[.e]/.test(digits) ? `${digits}f` : `${digits}.0f`
}

/** `spelled` with `width` components. */
export const widen = ({ text, width }: Spelled, dtype: MachineType, to: 1 | 4): string =>
  width === to ? text : `${typeName(dtype, to)}(${text})`

function operation(op: string, type: string, args: readonly string[]): string {
  const [a, b, c] = args as [string, string, string]
  if (op === 'negate') return `-(${a})`
  if (op === 'not') return `!(${a})`
  if (op === 'cast') return `${type}(${a})`
  if (op === 'bitcast') return `bitcast<${type}>(${a})`
  if (op === 'select') return `select(${c}, ${b}, ${a})`
  return infix.has(op) ? `${a} ${op} ${b}` : `${op}(${args.join(', ')})`
}

const isPowerOfTwo = (n: number): boolean => (n & (n - 1)) === 0

/** `text / by` of u32s; adapters without a divider of vectors are grateful for shifts. */
export const quotientText = (text: string, by: number): string =>
  isPowerOfTwo(by) ? `${text} >> ${Math.log2(by)}u` : `${text} / ${by}u`

/** `text % by` of u32s. */
export const remainderText = (text: string, by: number): string =>
  isPowerOfTwo(by) ? `${text} & ${by - 1}u` : `${text} % ${by}u`

const isConstant = ({ kind }: Scalar): boolean => kind === 'constant'
const isFiniteConstant = (element: Scalar): boolean =>
  element.kind === 'constant' && Number.isFinite(element.value)

const multiplying = new Set(['*', '/', 'fma'])
const isZero = (element: Scalar): boolean => element.kind === 'constant' && element.value === 0

const typeNames = new Set(['i32', 'u32', 'f32', 'f16'])

/** The body of a kernel: statements, and the names of what is known. */
export class Writer {
  readonly lines: string[] = []
  /** Inputs of which some load is a vector; they are bound as arrays of vectors. */
  readonly vectors = new Set<number>()
  /** Inputs of which some load is a single element. */
  readonly elements = new Set<number>()
  readonly #spelled = new Map<string, Spelled>()
  readonly #names = new Map<string, string>()
  readonly #scopes: { readonly spelled: string[]; readonly names: string[] }[] = []
  /** By loop, what was named of indices before it. */
  readonly #bases = new Map<
    string,
    { changes(index: Affine): boolean; readonly names: Map<string, string> }
  >()
  #named = 0
  #indent = 1
  usesSpecial = false
  usesZero = false
  usesQuads = false
  usesGroup = false
  usesOnce = false
  /** The functions of the 16-bit floats that the body calls. */
  readonly halves = new Set<string>()
  readonly #sourceOf: (input: number) => Source
  readonly #hidesTurns: boolean

  /** `sourceOf` says how an input is bound; a first pass finds out by writing and looking at `vectors`. */
  constructor(sourceOf: (input: number) => Source, { hidesTurns }: { readonly hidesTurns: boolean }) {
    this.#sourceOf = sourceOf
    this.#hidesTurns = hidesTurns
  }

  line(text: string): void {
    this.lines.push('  '.repeat(this.#indent) + text)
  }

  /** Writes `head {`, the body and `}`. What is named inside is unknown outside. */
  block(head: string, body: () => void): void {
    this.line(`${head} {`)
    this.#indent++
    this.#scopes.push({ spelled: [], names: [] })
    body()
    const { spelled, names } = this.#scopes.pop()!
    for (const key of spelled) this.#spelled.delete(key)
    for (const text of names) this.#names.delete(text)
    this.#indent--
    this.line('}')
  }

  /** Writes a loop of `turns` turns, or its body alone if it has one turn. */
  loop(name: string, turns: number, body: () => void): void {
    if (turns === 1) body()
    else this.block(`for (var ${name} = 0u; ${name} < ${this.turns(turns)}; ${name}++)`, body)
  }

  /** How often a loop turns. */
  turns(count: number): string {
    if (!this.#hidesTurns) return `${count}u`
    this.usesOnce = true
    return `${count}u * once`
  }

  /** Makes an expression known under a name, such as the accumulator of a loop. */
  define(element: Scalar, text: string, width: 1 | 4): void {
    this.#spelled.set(element.key, { text, width })
    this.#scopes.at(-1)?.spelled.push(element.key)
  }

  /** A name for an expression, the same name for the same text. */
  name(text: string, prefix = 'v'): string {
    const known = this.#names.get(text)
    if (known !== undefined) return known
    if (typeNames.has(`${prefix}${this.#named}`)) this.#named++ // a name would hide the type
    const name = `${prefix}${this.#named++}`
    this.line(`let ${name} = ${text};`)
    this.#names.set(text, name)
    this.#scopes.at(-1)?.names.push(text)
    return name
  }

  #variable(text: string): string {
    const name = `c${this.#named++}`
    this.line(`var ${name} = ${text};`)
    return name
  }

  /** Spells the lanes of an expression. */
  spell(lanes: readonly Scalar[]): Spelled {
    const key = lanes.every((lane) => lane.key === lanes[0]!.key)
      ? lanes[0]!.key
      : lanes.map((lane) => lane.key).join()
    const known = this.#spelled.get(key)
    if (known !== undefined) return known
    const spelled = this.#spell(lanes)
    this.#spelled.set(key, spelled)
    this.#scopes.at(-1)?.spelled.push(key)
    return spelled
  }

  #spell(lanes: readonly Scalar[]): Spelled {
    const [first] = lanes as [Scalar, ...Scalar[]]
    switch (first.kind) {
      case 'constant': {
        const text = literal(first.value, first.dtype)
        if (/nan|infinity/.test(text)) this.usesSpecial = true
        return { text, width: 1 }
      }
      case 'position':
        return this.#spellPosition(lanes.map((lane) => (lane as typeof first).index))
      case 'load':
        return this.#spellLoad(
          first.input,
          first.stored,
          lanes.map((lane) => (lane as typeof first).offset),
        )
      case 'reduced':
        throw new Error('compile: a reduction was read before it was done; this is a defect of the compiler')
      case 'apply':
        return this.#spellApply(first, this.#apart(lanes, this.#argsOf(lanes)))
    }
  }

  #argsOf(lanes: readonly Scalar[]): Spelled[] {
    const [first] = lanes as [Scalar & { kind: 'apply' }]
    return first.args.map((_, k) => this.spell(lanes.map((lane) => (lane as typeof first).args[k]!)))
  }

  /**
   * The factors of a product, or the parts of a quotient, so that no optimizer takes `(a / b) * b` or `(a * b) / b` for `a`,
   * which it is not if `b` is 0, an infinity or NaN: there `b` is spelled in two ways.
   */
  #apart(lanes: readonly Scalar[], args: readonly Spelled[]): readonly Spelled[] {
    const [first] = lanes as [Scalar & { kind: 'apply' }]
    if (first.dtype !== 'f32' || (first.op !== '*' && first.op !== '/')) return args
    const undone = first.op === '*' ? '/' : '*'
    const partsOf = (k: number): readonly Spelled[] => {
      const inner = lanes.map((lane) => (lane as typeof first).args[k]!)
      const [arg] = inner as [Scalar]
      if (arg.kind !== 'apply' || arg.op !== undone) return []
      const parts = this.#argsOf(inner)
      return undone === '/' ? parts.slice(1) : parts
    }
    return args.map((arg, k) => {
      if (first.op === '/' && k === 0) return arg
      if (isConstant(first.args[k]!)) return arg
      const other = args[1 - k]!
      const meets =
        partsOf(1 - k).some(({ text }) => text === arg.text) || (first.op === '/' && other.text === arg.text)
      if (!meets) return arg
      const type = typeName('f32', arg.width)
      const bits = typeName('u32', arg.width)
      const hidden = arg.width === 1 ? 'id.x >> 31u' : `${bits}(id.x >> 31u)`
      return {
        text: this.name(`bitcast<${type}>(bitcast<${bits}>(${arg.text}) | (${hidden}))`),
        width: arg.width,
      }
    })
  }

  #spellPosition(indices: readonly Affine[]): Spelled {
    const [first] = indices as [Affine, ...Affine[]]
    if (indices.every((index) => index.key === first.key))
      return { text: `u32(${this.index(first)})`, width: 1 }
    return { text: this.name(`vec4<u32>(${indices.map((index) => this.index(index)).join(', ')})`), width: 4 }
  }

  #spellLoad(input: number, dtype: DType, offsets: readonly Affine[]): Spelled {
    const [first] = offsets as [Affine, ...Affine[]]
    const { size } = this.#sourceOf(input)
    if (size === 0) {
      // There is nothing to be read, and a loop of no turns that would.
      const width = isVector(offsets) ? 4 : 1
      return {
        text: widen({ text: literal(0, machineType(dtype)), width: 1 }, machineType(dtype), width),
        width,
      }
    }
    if (isVector(offsets)) requireInside(`input ${input}`, first, vectorWidth, size)
    else for (const offset of offsets) requireInside(`input ${input}`, offset, 1, size)
    if (isHalf(dtype)) return this.#spellHalves(input, dtype, offsets)
    const decode = (text: string, width: 1 | 4): Spelled => {
      const zero = width === 1 ? '0u' : 'vec4<u32>()'
      return { text: this.name(dtype === 'bool' ? `${text} != ${zero}` : text), width }
    }
    if (offsets.every((offset) => offset.key === first.key)) return decode(this.#element(input, first), 1)
    if (isVector(offsets)) {
      this.vectors.add(input)
      return decode(`in${input}[${this.index(quarter(first))}]`, 4)
    }
    const type = typeName(storageType(dtype), 4)
    return decode(`${type}(${offsets.map((offset) => this.#element(input, offset)).join(', ')})`, 4)
  }

  #spellHalves(input: number, dtype: Half, offsets: readonly Affine[]): Spelled {
    const [first] = offsets as [Affine, ...Affine[]]
    const element = (offset: Affine): string => {
      this.elements.add(input)
      const at = this.name(this.index(offset), 'at')
      const word =
        this.#sourceOf(input).grain === 'element'
          ? `in${input}[${at} >> 1u]`
          : `in${input}[${at} >> 2u][(${at} >> 1u) & 1u]`
      return `${this.half('load', dtype, 1)}(${word}, ${at})`
    }
    if (offsets.every((offset) => offset.key === first.key))
      return { text: this.name(element(first)), width: 1 }
    if (!isVector(offsets))
      return { text: this.name(`vec4<f32>(${offsets.map(element).join(', ')})`), width: 4 }
    this.vectors.add(input)
    const words = `in${input}[${this.index(quarter(first))}]`
    return { text: this.name(`${this.half('load', dtype, 4)}(${words})`), width: 4 }
  }

  /** The name of a function of `halves.ts`, which the module then has. */
  half(what: 'load' | 'store' | 'round', dtype: DType, width: 1 | 4): string {
    const name = `${what}${width === 4 ? '4' : ''}_${dtype}`
    this.halves.add(name)
    return name
  }

  #element(input: number, offset: Affine): string {
    this.elements.add(input)
    if (this.#sourceOf(input).grain === 'element') return `in${input}[${this.index(offset)}]`
    if (isMultiple(offset)) return `in${input}[${this.index(quarter(offset))}].x`
    const at = this.name(this.index(offset), 'at')
    return `in${input}[${at} >> 2u][${at} & 3u]`
  }

  #spellApply({ op, dtype, args }: Scalar & { kind: 'apply' }, spelled: readonly Spelled[]): Spelled {
    const width = spelled.some((arg) => arg.width === 4) ? 4 : 1
    const hides = dtype === 'f32' && multiplying.has(op)
    const texts = spelled.map((arg, k) =>
      widen(hides && isZero(args[k]!) ? this.#hiddenZero() : arg, args[k]!.dtype, width),
    )
    const [, half] = /^round_(.*)$/.exec(op) ?? []
    if (half !== undefined)
      return { text: this.name(`${this.half('round', half as Half, width)}(${texts[0]})`), width }
    // WGSL refuses to evaluate constants to an infinity or NaN, so one of them has to be no constant.
    if (dtype === 'f32' && args.every(isFiniteConstant)) texts[0] = this.#variable(texts[0]!)
    return { text: this.name(operation(op, typeName(dtype, width), texts)), width }
  }

  /** A zero that no optimizer sees: one may take `x * 0` and `0 / x` for 0, even where x is an infinity or NaN. */
  #hiddenZero(): Spelled {
    this.usesZero = true
    return { text: 'zero', width: 1 }
  }

  /** Spells what does not change with the loop to come: values, and parts of indices. */
  hoist(lanes: readonly Scalar[], loop: string): void {
    const changes = changesWith(loop)
    const done = new Set<string>()
    const visit = (lanes: readonly Scalar[]): void => {
      const [first] = lanes as [Scalar]
      if (done.has(first.key)) return
      done.add(first.key)
      if (!lanes.some(changes.scalar)) {
        if (first.kind !== 'constant') this.spell(lanes)
      } else if (first.kind === 'apply')
        for (const k of first.args.keys()) visit(lanes.map((lane) => (lane as typeof first).args[k]!))
      else if (first.kind === 'load') {
        const offsets = lanes.map((lane) => (lane as typeof first).offset)
        this.#hoistIndex(isVector(offsets) ? quarter(first.offset) : first.offset, loop, changes.index)
      }
    }
    visit(lanes)
  }

  #hoistIndex(index: Affine, loop: string, changes: (index: Affine) => boolean): void {
    const [fixed] = partition(index, (term) => !changes(term))
    const text = this.#sum(fixed)
    if (/^\w+$/.test(text)) return
    const bases = this.#bases.get(loop) ?? { changes, names: new Map() }
    this.#bases.set(loop, bases)
    bases.names.set(fixed.key, this.name(text, 'base'))
  }

  /** Spells an index; divisions, and parts that are read from data, become names first. */
  index(index: Affine): string {
    for (const { changes, names } of this.#bases.values()) {
      const [fixed, rest] = partition(index, (term) => !changes(term))
      const base = names.get(fixed.key)
      if (base === undefined) continue
      return rest.terms.length === 0 && rest.offset === 0 ? base : `${base} + ${this.#sum(rest)}`
    }
    return this.#sum(index)
  }

  #sum(index: Affine): string {
    const terms = index.terms.map(({ atom, by }) => {
      const text = this.#atom(atom)
      return by === 1 ? text : `${text} * ${by}u`
    })
    if (index.offset !== 0 || terms.length === 0) terms.push(`${index.offset}u`)
    return terms.join(' + ')
  }

  #atom(atom: IndexAtom): string {
    if (atom.kind === 'loop') return atom.name
    if (atom.kind === 'value') {
      const { text } = this.spell([atom.value])
      // What is read from data is kept within the array: nobody else does.
      return largestValue(atom.value) < atom.extent
        ? text
        : this.name(`min(${text}, ${Math.max(atom.extent - 1, 0)}u)`, 'i')
    }
    const inner = this.index(atom.of)
    const grouped = /^\w+$/.test(inner) ? inner : `(${inner})`
    return this.name(
      atom.kind === 'quotient' ? quotientText(grouped, atom.by) : remainderText(grouped, atom.by),
      'i',
    )
  }
}

/** Whether an index is a multiple of four at every turn. */
const isMultiple = (index: Affine): boolean =>
  index.offset % vectorWidth === 0 && index.terms.every(({ by }) => by % vectorWidth === 0)

/** Whether four offsets are neighbours that begin at a multiple of four. */
export const isVector = (offsets: readonly Affine[]): boolean =>
  isMultiple(offsets[0]!) && areNeighbours(offsets)

/** A multiple of four, divided by four. */
export const quarter = (index: Affine): Affine => quotient(index, vectorWidth)
