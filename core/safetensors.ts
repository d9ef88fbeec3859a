// The safetensors format as a pure codec over bytes: an 8-byte little-endian header length, a JSON header giving
// each tensor's dtype, shape and byte range, then the data without gaps. Every dtype is brought to one that WGSL
// can store; a tensor that already is one is a view of the file's bytes, not a copy.

import type { DType, Words } from './dtype.ts'

/** An array in host memory; a bool is stored as a word, 0 or 1, as in a WGSL buffer, and a 16-bit float as its bits. */
export interface HostArray {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly data: Words
}

/** What a safetensors file holds: its tensors in the order of their bytes, and its free-form metadata. */
export interface Safetensors {
  readonly tensors: Map<string, HostArray>
  readonly metadata: Record<string, string>
}

interface Entry {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

interface Format {
  readonly bytes: number
  readonly dtype: HostArray['dtype']
  readonly read: (bytes: Uint8Array) => HostArray['data']
}

const formats: Readonly<Record<string, Format>> = {
  F64: { bytes: 8, dtype: 'f32', read: (bytes) => Float32Array.from(view(Float64Array, bytes)) },
  F32: { bytes: 4, dtype: 'f32', read: (bytes) => view(Float32Array, bytes) },
  F16: { bytes: 2, dtype: 'f16', read: (bytes) => view(Uint16Array, bytes) },
  BF16: { bytes: 2, dtype: 'bf16', read: (bytes) => view(Uint16Array, bytes) },
  I64: { bytes: 8, dtype: 'i32', read: (bytes) => longs(view(Int32Array, bytes)) },
  I32: { bytes: 4, dtype: 'i32', read: (bytes) => view(Int32Array, bytes) },
  U32: { bytes: 4, dtype: 'u32', read: (bytes) => view(Uint32Array, bytes) },
  U8: { bytes: 1, dtype: 'u32', read: (bytes) => Uint32Array.from(bytes) },
  BOOL: { bytes: 1, dtype: 'bool', read: (bytes) => Uint32Array.from(bytes) },
}

// In the order in which the reference library lays them out: widest alignment first.
const written = {
  f32: { name: 'F32', Data: Float32Array },
  u32: { name: 'U32', Data: Uint32Array },
  i32: { name: 'I32', Data: Int32Array },
  bf16: { name: 'BF16', Data: Uint16Array },
  f16: { name: 'F16', Data: Uint16Array },
  bool: { name: 'BOOL', Data: Uint8Array },
} as const
const layout = Object.keys(written)

const headerLimit = 25e6

/** Reads a safetensors file's bytes; `name` is how errors call the file. */
export function decodeSafetensors(bytes: Uint8Array, name: string): Safetensors {
  const refuse = (fact: string) => new Error(`safetensors: ${name} ${fact}`)
  if (bytes.length < 8) throw refuse(`has ${bytes.length} bytes, too few for a header; fetch it again`)

  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  if (length > headerLimit)
    throw refuse(`announces a header of ${length} bytes, over ${headerLimit}; it is not a safetensors file`)
  const start = 8 + length
  if (bytes.length < start)
    throw refuse(`has ${bytes.length} bytes but its header ends at ${start}; fetch it again`)

  const { __metadata__: metadata = {}, ...entries } = parseHeader(bytes.subarray(8, start), refuse)
  const ranges = Object.entries(entries as Record<string, Entry>)
    .map(([tensor, entry]) => ({ tensor, ...checkEntry(entry, tensor, name) }))
    .sort((a, b) => a.begin - b.begin || a.end - b.end)
  let end = 0
  for (const { tensor, begin, end: next } of ranges) {
    if (begin !== end)
      throw refuse(
        `puts "${tensor}" at byte ${begin} of its data, not at ${end}; tensors may neither overlap nor leave gaps`,
      )
    end = next
  }
  if (bytes.length !== start + end)
    throw refuse(`has ${bytes.length} bytes but its header describes ${start + end}; fetch it again`)

  const tensors = new Map<string, HostArray>()
  for (const { tensor, format, shape, begin, end } of ranges) {
    try {
      const data = format.read(bytes.subarray(start + begin, start + end))
      tensors.set(tensor, { dtype: format.dtype, shape, data })
    } catch (error) {
      throw new RangeError(`safetensors: ${name}: "${tensor}" ${(error as Error).message}`)
    }
  }
  return { tensors, metadata: metadata as Record<string, string> }
}

/** The bytes of a safetensors file, laid out as the reference library does: wide dtypes first, then by name. */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, HostArray]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const sorted = [...tensors].sort(
    ([a, x], [b, y]) => layout.indexOf(x.dtype) - layout.indexOf(y.dtype) || (a < b ? -1 : 1),
  )
  const fields = Object.keys(metadata).length > 0 ? [field('__metadata__', metadata)] : []
  const names = new Set(['__metadata__'])
  let end = 0
  for (const [tensor, { dtype, shape, data }] of sorted) {
    if (names.has(tensor))
      throw new Error(`safetensors: the name "${tensor}" is taken; give each tensor its own`)
    if (size(shape) !== data.length)
      throw new TypeError(
        `safetensors: "${tensor}" has ${data.length} numbers, not those of ${dtype}[${shape}]; fix its shape`,
      )
    names.add(tensor)
    const { name, Data } = written[dtype]
    const begin = end
    end += data.length * Data.BYTES_PER_ELEMENT
    fields.push(field(tensor, { dtype: name, shape, data_offsets: [begin, end] }))
  }

  const json = new TextEncoder().encode(`{${fields.join(',')}}`)
  const start = 8 + 8 * Math.ceil(json.length / 8)
  const bytes = new Uint8Array(start + end).fill(0x20, 8, start)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true)
  bytes.set(json, 8)
  let at = start
  for (const [, { dtype, data }] of sorted) {
    const place = new written[dtype].Data(bytes.buffer, at, data.length)
    place.set(data)
    at += place.byteLength
  }
  return bytes
}

function parseHeader(bytes: Uint8Array, refuse: (fact: string) => Error): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {}
  if (!isRecord(header)) throw refuse('has a header that is not a JSON object; it is not a safetensors file')
  return header
}

function checkEntry(entry: Partial<Entry>, tensor: string, name: string) {
  const refuse = (fact: string) => new TypeError(`safetensors: ${name}: "${tensor}" ${fact}`)
  const { dtype, shape, data_offsets } = isRecord(entry) ? entry : {}
  if (
    typeof dtype !== 'string' ||
    !isNaturals(shape) ||
    !isNaturals(data_offsets) ||
    data_offsets.length !== 2
  )
    throw refuse('lacks a dtype, a shape or data_offsets; save it again')
  const format = Object.hasOwn(formats, dtype) ? formats[dtype] : undefined
  if (!format) throw refuse(`has dtype ${dtype}; convert it to one of ${Object.keys(formats).join(', ')}`)
  const [begin, end] = data_offsets as [number, number]
  const due = size(shape) * format.bytes
  if (end - begin !== due)
    throw refuse(`has ${end - begin} bytes but ${dtype}[${shape}] takes ${due}; save it again`)
  return { format, shape, begin, end }
}

interface View<T> {
  new (buffer: ArrayBufferLike, offset: number, length: number): T
  readonly BYTES_PER_ELEMENT: number
}

function view<T>(Data: View<T>, bytes: Uint8Array): T {
  const width = Data.BYTES_PER_ELEMENT
  // Not slice(): a Node Buffer's slice is a view, as unaligned as before.
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes)
  return new Data(aligned.buffer, aligned.byteOffset, aligned.byteLength / width)
}

function longs(words: Int32Array): Int32Array {
  const data = new Int32Array(words.length / 2)
  for (let i = 0; i < data.length; i++) {
    const [low, high] = [words[2 * i]!, words[2 * i + 1]!]
    if (high !== low >> 31)
      throw new RangeError(`holds ${high * 2 ** 32 + (low >>> 0)}, beyond i32; store it in a narrower dtype`)
    data[i] = low
  }
  return data
}

const field = (name: string, value: unknown) => `${JSON.stringify(name)}:${JSON.stringify(value)}`

const size = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1)

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isNaturals = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)
