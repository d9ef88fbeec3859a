// Functions as the bytes of a WebAssembly module, and as text for people.

import { codeOf, type Instruction } from './instructions.ts'

/** The types that locals have. */
export type LocalType = 'i32' | 'f32' | 'v128'

/** A function without results. */
export interface Func {
  readonly name: string
  /** The names of its parameters, which are all i32. */
  readonly params: readonly string[]
  /** The locals behind the parameters. */
  readonly locals: readonly LocalType[]
  readonly code: readonly Instruction[]
}

const typeCodes = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const

/** Bytes that grow. */
class Bytes {
  #data = new Uint8Array(1024)
  #length = 0

  byte(value: number): void {
    if (this.#length === this.#data.length) {
      const larger = new Uint8Array(2 * this.#length)
      larger.set(this.#data)
      this.#data = larger
    }
    this.#data[this.#length++] = value
  }

  /** A number of up to 32 bits, seven at a time. */
  unsigned(value: number): void {
    let rest = value >>> 0
    for (; rest >= 0x80; rest >>>= 7) this.byte((rest & 0x7f) | 0x80)
    this.byte(rest)
  }

  signed(value: number): void {
    let rest = value | 0
    for (;;) {
      const low = rest & 0x7f
      rest >>= 7
      const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
      this.byte(isLast ? low : low | 0x80)
      if (isLast) return
    }
  }

  word(bits: number): void {
    for (let k = 0; k < 4; k++) this.byte((bits >>> (8 * k)) & 0xff)
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.unsigned(bytes.length)
    for (const byte of bytes) this.byte(byte)
  }

  append(other: Bytes): void {
    for (const byte of other.view) this.byte(byte)
  }

  get view(): Uint8Array<ArrayBuffer> {
    return this.#data.subarray(0, this.#length)
  }

  get length(): number {
    return this.#length
  }
}

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!

/** Where an access may lie: atomic ones at a multiple of their size, others anywhere. */
const alignmentOf = (name: string): number => (name.includes('atomic') ? 2 : 0)

function encode(bytes: Bytes, [name, ...numbers]: Instruction): void {
  const { first, second, follows } = codeOf(name)
  bytes.byte(first)
  if (second !== null) bytes.unsigned(second)
  const place = (): void => {
    bytes.unsigned(alignmentOf(name))
    bytes.unsigned(numbers[0]!)
  }
  if (follows === 'block') bytes.byte(0x40)
  else if (follows === 'index') bytes.unsigned(numbers[0]!)
  else if (follows === 'i32') bytes.signed(numbers[0]!)
  else if (follows === 'f32') bytes.word(bitsOf(numbers[0]!))
  else if (follows === 'memory') place()
  else if (follows === 'memory lane') {
    place()
    bytes.byte(numbers[1]!)
  } else if (follows === 'lane' || follows === 'lanes') for (const lane of numbers) bytes.byte(lane)
  else if (follows === 'vector') for (let k = 0; k < 4; k++) bytes.word(numbers[0]!)
  else if (follows === 'memories') {
    bytes.byte(0)
    bytes.byte(0)
  }
}

/** A section: its number, and how many of what it has. */
function section(module: Bytes, id: number, count: number, write: (bytes: Bytes) => void): void {
  const bytes = new Bytes()
  bytes.unsigned(count)
  write(bytes)
  module.byte(id)
  module.unsigned(bytes.length)
  module.append(bytes)
}

/** What a module asks for: its memory, and a function of the host of one number. */
const imports = { module: 'env', memory: 'memory', host: 'host' } as const

/** Pages of 64 KiB that a memory may have: 4 GiB. */
const maxPages = 65536

/** A module of functions, of which the last is exported as `run`; number 0 is the host's. Threads share its memory. */
export function moduleOf(functions: readonly Func[]): Uint8Array<ArrayBuffer> {
  const module = new Bytes()
  for (const byte of [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]) module.byte(byte)
  const arities = [...new Set([1, ...functions.map(({ params }) => params.length)])]
  section(module, 1, arities.length, (bytes) => {
    for (const arity of arities) {
      bytes.byte(0x60)
      bytes.unsigned(arity)
      for (let k = 0; k < arity; k++) bytes.byte(typeCodes.i32)
      bytes.unsigned(0)
    }
  })
  section(module, 2, 2, (bytes) => {
    bytes.text(imports.module)
    bytes.text(imports.memory)
    bytes.byte(0x02)
    bytes.byte(0x03) // shared, with a limit
    bytes.unsigned(1)
    bytes.unsigned(maxPages)
    bytes.text(imports.module)
    bytes.text(imports.host)
    bytes.byte(0x00)
    bytes.unsigned(arities.indexOf(1))
  })
  section(module, 3, functions.length, (bytes) => {
    for (const { params } of functions) bytes.unsigned(arities.indexOf(params.length))
  })
  section(module, 7, 1, (bytes) => {
    bytes.text('run')
    bytes.byte(0x00)
    bytes.unsigned(functions.length)
  })
  section(module, 10, functions.length, (bytes) => {
    for (const { locals, code } of functions) {
      const body = new Bytes()
      const runs: { type: LocalType; count: number }[] = []
      for (const type of locals) {
        if (runs.at(-1)?.type === type) runs.at(-1)!.count++
        else runs.push({ type, count: 1 })
      }
      body.unsigned(runs.length)
      for (const { type, count } of runs) {
        body.unsigned(count)
        body.byte(typeCodes[type])
      }
      for (const instruction of code) encode(body, instruction)
      body.byte(0x0b)
      bytes.unsigned(body.length)
      bytes.append(body)
    }
  })
  return module.view
}

const infix: Readonly<Record<string, string>> = {
  'i32.add': '+',
  'i32.sub': '-',
  'i32.mul': '*',
  'i32.and': '&',
  'i32.or': '|',
  'i32.xor': '^',
  'i32.eq': '==',
  'i32.ne': '!=',
  'i32.lt_u': '<',
  'i32.le_u': '<=',
  'f32.add': '+',
  'f32.sub': '-',
  'f32.mul': '*',
  'f32.div': '/',
}

/** A function as text: what leaves a value stands where that is used. `calls` are the names of other functions. */
export function show({ name, params, code }: Func, calls: readonly string[] = []): string {
  const lines = [`func ${name}(${params.join(', ')})`]
  const stack: string[] = []
  let indent = '  '
  const nameOf = (local: number): string => params[local] ?? `v${local - params.length}`
  for (const [op, ...numbers] of code) {
    const { takes, gives, follows } = codeOf(op)
    const args = op === 'call' ? stack.splice(0) : stack.splice(stack.length - takes, takes)
    const numeral = follows === 'vector' ? `0x${(numbers[0]! >>> 0).toString(16)}` : numbers.join(' ')
    let text: string
    if (op === 'local.get') text = nameOf(numbers[0]!)
    else if (op.endsWith('.const')) text = op === 'i32.const' ? numeral : `${op} ${numeral}`
    else if (infix[op] !== undefined) text = `(${args[0]} ${infix[op]} ${args[1]})`
    else if (op === 'local.set') text = `${nameOf(numbers[0]!)} = ${args[0]}`
    else if (op === 'local.tee') text = `(${nameOf(numbers[0]!)} = ${args[0]})`
    else if (op === 'call') text = `${calls[numbers[0]!] ?? `function ${numbers[0]}`}(${args.join(', ')})`
    else if (op === 'if') text = `if ${args[0]}`
    else if (op === 'br_if') text = `br_if ${numeral} ${args[0]}`
    else if (takes === 0) text = [op, ...numbers].join(' ')
    else if (follows === 'memory')
      text = `${op}(${args[0]} + ${numbers[0]}${args
        .slice(1)
        .map((arg) => `, ${arg}`)
        .join('')})`
    else text = `${op}${numbers.length > 0 ? ` ${numeral}` : ''}(${args.join(', ')})`
    if (gives) {
      stack.push(text)
      continue
    }
    if (op === 'end' || op === 'else') indent = indent.slice(2)
    lines.push(indent + text)
    if (follows === 'block' || op === 'else') indent += '  '
  }
  return [...lines, 'end'].join('\n')
}
