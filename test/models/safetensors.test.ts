import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { writeFileAtomic } from '../../core/files.ts'
import { Aval, Tensor } from '../../core/index.ts'
import { decodeSafetensors, encodeSafetensors, type HostArray } from '../../core/safetensors.ts'

const origin = { operation: 'test', site: null }

const f32 = (shape: readonly number[], values: readonly number[]): HostArray => ({
  dtype: 'f32',
  shape,
  data: Float32Array.from(values),
})

/** A file with the given header, which may be anything, and data. */
function file(header: unknown, data: ArrayLike<number> = []): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const bytes = new Uint8Array(8 + json.length + data.length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(json, 8)
  bytes.set(data, 8 + json.length)
  return bytes
}

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer)

function read(dtype: string, data: Uint8Array, shape: readonly number[]): HostArray {
  const { tensors } = decodeSafetensors(
    file({ w: { dtype, shape, data_offsets: [0, data.length] } }, data),
    'w',
  )
  return tensors.get('w')!
}

describe('the format', () => {
  const word = fc.integer({ min: 0, max: 2 ** 32 - 1 })
  const arrays = {
    f32: (words: number[]) => new Float32Array(Uint32Array.from(words).buffer),
    i32: (words: number[]) => Int32Array.from(words),
    u32: (words: number[]) => Uint32Array.from(words),
    bool: (words: number[]) => Uint32Array.from(words, (w) => w & 1),
  }
  const hostArray = fc
    .tuple(
      fc.constantFrom('f32', 'i32', 'u32', 'bool'),
      fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
    )
    .chain(([dtype, shape]) => {
      const length = shape.reduce((product, n) => product * n, 1)
      return fc
        .array(word, { minLength: length, maxLength: length })
        .map((words): HostArray => ({ dtype, shape, data: arrays[dtype](words) }))
    })
  const name = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('__proto__', '1', '0', 'a.b', 'toString'),
  )
  const tensors = fc.uniqueArray(fc.tuple(name, hostArray), { selector: ([key]) => key })
  const metadata = fc.dictionary(fc.string(), fc.string())

  test('reads back what it wrote, to the bit', () => {
    fc.assert(
      fc.property(tensors, metadata, (written, notes) => {
        const bytes = encodeSafetensors(written, notes)
        const { tensors: found, metadata: foundNotes } = decodeSafetensors(bytes, 'it')
        expect(foundNotes).toEqual({ ...notes })
        expect(found.size).toBe(written.length)
        for (const [key, { dtype, shape, data }] of written) {
          const array = found.get(key)!
          expect([array.dtype, array.shape, array.data.constructor]).toEqual([dtype, shape, data.constructor])
          expect(bytesOf(array.data.slice())).toEqual(bytesOf(data))
        }
      }),
    )
  })

  test('does not depend on the order of the tensors, nor on where the bytes lie', () => {
    fc.assert(
      fc.property(tensors, fc.integer({ min: 0, max: 9 }), (written, shift) => {
        const bytes = encodeSafetensors(written)
        expect(encodeSafetensors(written.toReversed())).toEqual(bytes)
        const moved = Buffer.concat([new Uint8Array(shift), bytes]).subarray(shift)
        expect(decodeSafetensors(moved, 'it').tensors).toEqual(decodeSafetensors(bytes, 'it').tensors)
      }),
    )
  })

  // The bytes that the Python library's save() gives for the same arrays.
  test('lays a file out as the reference library does', () => {
    const bytes = encodeSafetensors(
      [
        ['on', { dtype: 'bool', shape: [3], data: Uint32Array.of(1, 0, 1) }],
        ['n', { dtype: 'i32', shape: [], data: Int32Array.of(-1) }],
        ['b', f32([2], [1, 2])],
        ['a', f32([1, 2], [3, 4])],
        ['u', { dtype: 'u32', shape: [1], data: Uint32Array.of(7) }],
      ],
      { format: 'pt' },
    )
    expect(new TextDecoder().decode(bytes.subarray(8, -27))).toBe(
      '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"u":{"dtype":"U32","shape":[1],"data_offsets":[16,20]},"n":{"dtype":"I32","shape":[],"data_offsets":[20,24]},"on":{"dtype":"BOOL","shape":[3],"data_offsets":[24,27]}}     ',
    )
    expect((bytes.length - 27) % 8).toBe(0)
  })

  test('an aligned tensor is a view of the file, not a copy', () => {
    const bytes = encodeSafetensors([['w', f32([2], [1, 2])]])
    expect(decodeSafetensors(bytes, 'w').tensors.get('w')!.data.buffer).toBe(bytes.buffer)
  })
})

describe('dtypes', () => {
  const numbers = [0, 1, -2.5, 65504, 2 ** -24, -(2 ** -14), Number.POSITIVE_INFINITY, Number.NaN]
  const words16 = (...words: number[]) => bytesOf(Uint16Array.from(words))

  test.each([
    ['F64', bytesOf(Float64Array.from(numbers)), numbers],
    ['F32', bytesOf(Float32Array.from(numbers)), numbers],
  ])('%s is read as f32', (dtype, data, values) => {
    expect(read(dtype, data, [values.length])).toEqual(f32([values.length], values))
  })

  test.each([
    ['F16', 'f16', [0, 0x3c00, 0xc100, 0x7bff, 1, 0x8400, 0x7c00, 0x7e00], numbers],
    ['BF16', 'bf16', [0x3f80, 0xc020, 0x4049, 0xff80], [1, -2.5, 3.140625, Number.NEGATIVE_INFINITY]],
  ] as const)('%s is read and written as %s, bit for bit', async (name, dtype, bits, values) => {
    const found = read(name, words16(...bits), [bits.length])
    expect(found).toEqual({ dtype, shape: [bits.length], data: Uint16Array.from(bits) })
    expect(await new Tensor(new Aval([bits.length], dtype), found.data, origin).data()).toEqual(
      Float32Array.from(values),
    )
    const again = decodeSafetensors(encodeSafetensors([['w', found]]), 'w').tensors.get('w')!
    expect(again).toEqual(found)
  })

  test('every finite f16 is exact', async () => {
    const { data: bits } = read('F16', bytesOf(Uint16Array.from({ length: 65536 }, (_, i) => i)), [65536])
    const data = await new Tensor(new Aval([65536], 'f16'), bits, origin).data()
    const rising = data.slice(0, 0x7c00)
    expect(rising.every((x, i) => i === 0 || x > rising[i - 1]!)).toBe(true)
    expect(data.slice(0x8001, 0xfc00)).toEqual(data.slice(1, 0x7c00).map((x) => -x))
  })

  test('integers and booleans', () => {
    expect(read('I64', bytesOf(BigInt64Array.of(-1n, 2n ** 31n - 1n, -(2n ** 31n))), [3]).data).toEqual(
      Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31)),
    )
    expect(read('U8', Uint8Array.of(0, 255), [2])).toEqual({
      dtype: 'u32',
      shape: [2],
      data: Uint32Array.of(0, 255),
    })
    expect(read('BOOL', Uint8Array.of(0, 1), [2])).toEqual({
      dtype: 'bool',
      shape: [2],
      data: Uint32Array.of(0, 1),
    })
  })
})

describe('errors name the file', () => {
  const decode = (bytes: Uint8Array) => () => decodeSafetensors(bytes, 'model.safetensors')
  const w = (entry: object) => ({ w: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...entry } })

  test('a file cut short', () => {
    const bytes = encodeSafetensors([['w', f32([2], [1, 2])]])
    expect(decode(bytes.subarray(0, 5))).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: model.safetensors has 5 bytes, too few for a header; fetch it again]`,
    )
    expect(decode(bytes.subarray(0, 20))).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: model.safetensors has 20 bytes but its header ends at 64; fetch it again]`,
    )
    expect(decode(bytes.subarray(0, -3))).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: model.safetensors has 69 bytes but its header describes 72; fetch it again]`,
    )
  })

  test('another kind of file', () => {
    const pointer = new TextEncoder().encode('version https://git-lfs.github.com/spec/v1')
    expect(decode(pointer)).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: model.safetensors announces a header of 2336927755350992400 bytes, over 25000000; it is not a safetensors file]`,
    )
    expect(decode(file('{"w": '))).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: model.safetensors has a header that is not a JSON object; it is not a safetensors file]`,
    )
    expect(decode(file('[]'))).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: model.safetensors has a header that is not a JSON object; it is not a safetensors file]`,
    )
  })

  test('a header that does not fit its data', () => {
    const data = new Uint8Array(8)
    expect(decode(file(w({ shape: [3] }), data))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: safetensors: model.safetensors: "w" has 8 bytes but F32[3] takes 12; save it again]`,
    )
    expect(decode(file(w({ shape: [-2] }), data))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: safetensors: model.safetensors: "w" lacks a dtype, a shape or data_offsets; save it again]`,
    )
    expect(decode(file(w({ dtype: 'F8_E4M3' }), data))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: safetensors: model.safetensors: "w" has dtype F8_E4M3; convert it to one of F64, F32, F16, BF16, I64, I32, U32, U8, BOOL]`,
    )
    expect(decode(file(w({ data_offsets: [4, 12] }), data))).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: model.safetensors puts "w" at byte 4 of its data, not at 0; tensors may neither overlap nor leave gaps]`,
    )
    const overlapping = { ...w({}), x: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } }
    expect(decode(file(overlapping, data))).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: model.safetensors puts "x" at byte 4 of its data, not at 8; tensors may neither overlap nor leave gaps]`,
    )
    expect(decode(file(w({ data_offsets: [8, 0] }), data))).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: safetensors: model.safetensors: "w" has -8 bytes but F32[2] takes 8; save it again]`,
    )
  })

  test('an i64 beyond i32', () => {
    const data = bytesOf(BigInt64Array.of(0n, 2n ** 31n))
    expect(
      decode(file({ ids: { dtype: 'I64', shape: [2], data_offsets: [0, 16] } }, data)),
    ).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: safetensors: model.safetensors: "ids" holds 2147483648, beyond i32; store it in a narrower dtype]`,
    )
  })

  test('tensors that cannot be written', () => {
    const array = f32([1], [0])
    expect(() => encodeSafetensors([['w', f32([3], [1, 2])]])).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: safetensors: "w" has 2 numbers, not those of f32[3]; fix its shape]`,
    )
    expect(() =>
      encodeSafetensors([
        ['w', array],
        ['w', array],
      ]),
    ).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: the name "w" is taken; give each tensor its own]`,
    )
    expect(() => encodeSafetensors([['__metadata__', array]])).toThrowErrorMatchingInlineSnapshot(
      `[Error: safetensors: the name "__metadata__" is taken; give each tensor its own]`,
    )
  })
})

test('a file is written whole, in new folders, and a failure leaves nothing behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cotangent-'))
  try {
    await writeFileAtomic(join(folder, 'a/b/c.txt'), 'old')
    await writeFileAtomic(join(folder, 'a/b/c.txt'), new TextEncoder().encode('new'))
    expect(await readFile(join(folder, 'a/b/c.txt'), 'utf8')).toBe('new')
    await expect(writeFileAtomic(join(folder, 'a/b'), 'a folder is in the way')).rejects.toThrow()
    expect(await readdir(join(folder, 'a'), { recursive: true })).toEqual(['b', 'b/c.txt'])
  } finally {
    await rm(folder, { recursive: true })
  }
})
