// Element types as in JAX: casts between all of them bit for bit, the table of promotion with weak types, and 16-bit arrays
// on their way between host, device and files.

import { describe, expect, test } from 'vitest'
import { grad, jvp, vmap } from '../../autodiff/index.ts'
import * as core from '../../core/index.ts'
import { type DType, jit, type Value } from '../../core/index.ts'
import { expectClose } from '../support/close.ts'
import { golden } from '../support/golden.ts'
import { toHost, toNdArray } from '../support/host.ts'

type Bits = readonly number[]
type Table = Readonly<Record<string, Readonly<Record<string, string>>>>
interface Stored {
  readonly shape: readonly number[]
  readonly bits: Bits
}
interface Golden {
  readonly cast: readonly {
    readonly from: DType
    readonly to: DType
    readonly in: Bits
    readonly out: Bits
  }[]
  readonly promotion: { readonly pairs: Readonly<Record<string, Table>>; readonly single: Table }
  readonly rounded: { readonly numbers: readonly number[]; readonly f16: Bits; readonly bf16: Bits }
  readonly arithmetic: Readonly<
    Record<'f16' | 'bf16', { readonly in: readonly Stored[]; readonly out: Readonly<Record<string, Stored>> }>
  >
}
const jax = golden<Golden>('dtypes.json')

const dtypes = ['f32', 'f16', 'bf16', 'i32', 'u32', 'bool'] as const

const origin = { operation: 'test', site: null }

/** An array of these bit patterns. */
function ofBits(dtype: DType, bits: Bits, shape: readonly number[] = [bits.length]): core.Tensor {
  if (dtype === 'f16' || dtype === 'bf16')
    return new core.Tensor(
      new core.Aval(shape, dtype),
      Uint16Array.from([...bits, 0]).subarray(0, even(bits)),
      origin,
    )
  const words = Uint32Array.from(bits)
  const views = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, bool: Uint32Array }
  return new core.Tensor(new core.Aval(shape, dtype), new views[dtype](words.buffer), origin)
}

const even = ({ length }: Bits): number => length + (length % 2)

const float = (shape: readonly number[], dtype: DType): Value => core.ones(shape, dtype)

describe('casts', () => {
  test.each(dtypes.flatMap((from) => dtypes.filter((to) => to !== from).map((to) => [from, to] as const)))(
    '%s to %s: every bit is that of JAX',
    async (from, to) => {
      const row = jax.cast.find((row) => row.from === from && row.to === to)!
      const found = await jit((x: Value) => core.cast(x, to))(ofBits(from, row.in)).data()
      const expected = await ofBits(to, row.out).data()
      expectClose({ data: found, dtype: to }, { data: expected, dtype: to }, {}, `${from} to ${to}`)
      expect(found.length).toBe(row.out.length)
    },
  )

  test('constants and the oracle cast alike', async () => {
    for (const { from, to, in: bits, out } of jax.cast) {
      const numbers = [...(await ofBits(from, bits).data())]
      const expected = toNdArray(await ofBits(to, out).data(), [out.length], to)
      const { graph } = core.trace('cast', (x: Value) => core.cast(x, to), [
        new core.Aval([bits.length], from) as unknown as Value,
      ])
      const [meant] = core.reference(graph, [toNdArray(numbers, [bits.length], from)])
      const data = meant!.data.map((x) => (to === 'f32' ? Math.fround(x) : x))
      expectClose({ ...meant!, data }, expected, {}, `the oracle, ${from} to ${to}`)
      const constants = numbers.map(
        (x) => (core.cast(new core.Constant(x, new core.Aval([], from)), to) as core.Constant).value,
      )
      expectClose(toNdArray(constants, [bits.length], to), expected, {}, `constants, ${from} to ${to}`)
    }
  })

  test('there and back: f16 and bf16 are exact in f32', async () => {
    for (const dtype of ['f16', 'bf16'] as const) {
      const all = Array.from({ length: 65536 }, (_, bits) => bits).filter((bits) => {
        const size = bits & 0x7fff
        return dtype === 'f16' || size === 0 || size >= 0x80 // an f32 would be subnormal
      })
      const x = ofBits(dtype, all)
      const back = jit((x: Value) => core.cast(core.mul(core.cast(x, 'f32'), 1), dtype))
      expect(await back(x).data()).toEqual(await x.data())
    }
  })

  test('between floats they are linear; to integers they have no derivative', async () => {
    const x = core.tensor([1.5, -2], { dtype: 'bf16' })
    const slope = grad((x: Value) => core.sum(core.mul(core.cast(x, 'f32'), core.tensor([3, 0.1]))))(x)
    expect([String(slope), await slope.data()]).toEqual(['bf16[2]', Float32Array.of(3, 0.10009765625)])
    const [y, t] = jvp((x: Value) => core.cast(x, 'f16'), [core.tensor([2])], [core.tensor([1 / 3])])
    expect([String(y), String(t), await t.item()]).toEqual(['f16[1]', 'f16[1]', 0.333251953125])
    const none = grad((x: Value) => core.sum(core.mul(core.cast(core.cast(x, 'i32'), 'f32'), 2)))(x)
    expect([String(none), await none.data()]).toEqual(['bf16[2]', Float32Array.of(0, 0)])
  })
})

describe('promotion', () => {
  const names: Readonly<Record<string, DType>> = {
    float32: 'f32',
    float16: 'f16',
    bfloat16: 'bf16',
    int32: 'i32',
    uint32: 'u32',
    bool: 'bool',
  }
  const short = (name: string): string =>
    (names[name.replace('*', '')] ?? name) + (name.endsWith('*') ? '*' : '')
  const typeOf = ({ aval: { dtype, weak } }: Value): string => dtype + (weak ? '*' : '')
  const operands: Readonly<Record<string, Value | number | boolean>> = {
    ...Object.fromEntries(dtypes.map((dtype) => [dtype, core.ones([1], dtype)])),
    '2': 2,
    '2.5': 2.5,
    True: true,
    'weak i32': core.mul(core.ones([1], 'bool'), 2),
    'weak f32': core.toArray(2.5),
  }
  const isNumber = (name: string): boolean => name === '2' || name === '2.5'
  type Pair = (x: core.ArrayLike, y: core.ArrayLike) => Value
  const pairs: Readonly<Record<string, Pair>> = {
    add: core.add,
    mul: core.mul,
    div: core.div,
    maximum: core.maximum,
    equal: core.equal,
    where: (x, y) => core.where(core.ones([1], 'bool'), x, y),
  }

  test.each(Object.entries(pairs))('%s of two', (name, f) => {
    for (const [a, row] of Object.entries(jax.promotion.pairs[name]!))
      for (const [b, type] of Object.entries(row)) {
        // A JavaScript number does not say whether it is whole by intent: numbers among themselves are floats.
        const ofNumbers = isNumber(a) && isNumber(b) && name !== 'equal'
        const expected = ofNumbers ? 'f32*' : short(type.replace('bool*', 'bool')) // a weak bool is a bool
        expect(typeOf(f(operands[a]!, operands[b]!)), `${name}(${a}, ${b})`).toBe(expected)
      }
  })

  test('products', () => {
    for (const a of dtypes)
      for (const b of dtypes) {
        const expected = short(jax.promotion.pairs.matmul![a]![b]!)
        const found = typeOf(core.matmul(core.ones([1], a), core.ones([1], b)))
        expect(found).toBe(expected)
      }
  })

  const single: Readonly<Record<string, (x: Value) => Value>> = {
    exp: core.exp,
    neg: core.neg,
    sum: (x) => core.sum(x),
    max: (x) => core.max(x),
    mean: (x) => core.mean(x),
    argmax: (x) => core.argmax(x),
    reshape: (x) => core.reshape(x, [1, 1]),
    zerosLike: core.zerosLike,
    'cast to its own': (x) => core.cast(x, x.dtype),
  }
  test.each(Object.entries(single))('%s of one', (name, f) => {
    for (const [k, type] of Object.entries(jax.promotion.single[name]!)) {
      const x = core.reshape(operands[k]!, [1])
      const found = (): string => typeOf(f(x))
      if (type === 'TypeError') expect(found).toThrow(TypeError)
      else expect(found(), `${name}(${k})`).toBe(short(type))
    }
  })

  test('numbers as arguments are weak inside', () => {
    const types: string[] = []
    const see = (x: Value): Value => {
      types.push(typeOf(x), typeOf(core.mul(x, core.ones([], 'bf16'))))
      return x
    }
    const [three, batch] = [3, core.reshape(core.toArray(3), [1])] as unknown as [Value, Value]
    jit(see)(three)
    grad(see)(three)
    vmap(see)(batch)
    jvp(see, [three], [three])
    expect(types).toEqual(['f32*', 'bf16', 'f32*', 'bf16', 'f32*', 'bf16', 'f32*', 'bf16'])
    expect(String(jit((x: Value) => core.mul(x, 2))(three))).toBe('f32[]*')
  })

  test('a weak argument and a strong one are different programs', () => {
    const f = jit((x: Value) => core.mul(x, core.ones([1], 'f16')))
    expect([String(f(3 as unknown as Value)), String(f(core.tensor(3)))]).toEqual(['f16[1]', 'f32[1]'])
  })

  test('in a program as text', () => {
    const f = (x: Value, ids: Value) => core.add(core.mul(x, 2), core.mul(ids, 0.5))
    const types = [new core.Aval([2], 'bf16'), new core.Aval([2], 'i32')] as unknown as [Value, Value]
    expect(core.printGraph(core.makeGraph(f)(...types))).toMatchInlineSnapshot(`
      "graph(a: bf16[2], b: i32[2]) {
        c: bf16[2] = mul a 2:bf16[2]
        d: f32[2]* = cast[dtype=f32 weak=true] b
        e: f32[2]* = mul d 0.5:f32[2]*
        f: bf16[2] = cast[dtype=bf16] e
        g: bf16[2] = add c f
        return g
      }"
    `)
  })
})

describe('16-bit arrays', () => {
  test.each(['f16', 'bf16'] as const)('%s: numbers are rounded once, ties to even', async (dtype) => {
    const { numbers, [dtype]: bits } = jax.rounded
    const expected = await ofBits(dtype, bits).data()
    expect(await core.tensor([...numbers], { dtype }).data()).toEqual(expected)
    expect(numbers.map((x) => core.full([], x, dtype).value)).toEqual([...expected])
  })

  const operations: Readonly<Record<string, (x: Value, y: Value) => Value>> = {
    add: core.add,
    mul: core.mul,
    div: core.div,
    exp: core.exp,
    tanh: core.tanh,
    sum: (x) => core.sum(x, { axis: 0 }),
    mean: (x) => core.mean(x, { axis: 1 }),
    var: (x) => core.variance(x, { axis: 1 }),
    max: (x) => core.max(x, { axis: 1 }),
    softmax: (x) => core.softmax(x),
    matmul: (x, y) => core.matmul(x, core.transpose(y)),
    'grad of sum(tanh(x) y)': (x, y) => grad((x: Value) => core.sum(core.mul(core.tanh(x), y)))(x),
    'grad of sum(sin(f32(x)))': (x) => grad((x: Value) => core.sum(core.sin(core.cast(x, 'f32'))))(x),
  }
  test.each(['f16', 'bf16'] as const)('%s: arithmetic as in JAX', async (dtype) => {
    const { in: inputs, out } = jax.arithmetic[dtype]
    const [x, y] = inputs.map(({ bits, shape }): Value => ofBits(dtype, bits, shape)) as [Value, Value]
    for (const [name, { bits, shape }] of Object.entries(out)) {
      const found = await toHost(jit(operations[name]!)(x, y))
      const expected = await toHost(ofBits(dtype, bits, shape))
      const isExact = ['add', 'mul', 'div', 'max', 'sum', 'matmul'].includes(name)
      expectClose(
        found,
        expected,
        isExact ? {} : { ulps: name.startsWith('grad') ? 2 : 1 },
        `${dtype} ${name}`,
      )
    }
  })

  test('take two bytes an element, in whole words', async () => {
    expect([1, 2, 3, 4, 5].map((n) => new core.Aval([n], 'bf16').bytes)).toEqual([4, 4, 8, 8, 12])
    const n = 2 ** 21 // so large that it is no matter if others are collected meanwhile
    const before = (await core.statistics()).liveBytes
    const x = core.tensor(new Float32Array(n).fill(1), { dtype: 'bf16' })
    const y = core.add(x, x)
    expect((await y.data()).at(-1)).toBe(2)
    expect(Math.round(((await core.statistics()).liveBytes - before) / n)).toBe(2 * 2)
    core.dispose([x, y])
  })

  test.each([0, 1, 2, 3, 4, 5, 7, 9, 1023])('%i elements: through every kind of kernel', async (n) => {
    const numbers = Array.from({ length: n }, (_, k) => (k % 17) / 8 - 1)
    const results = jit((x: Value) => ({
      map: core.mul(x, 2),
      copy: x,
      view: core.flip(x),
      joined: core.concatenate([x, x]),
      shifted: core.pad(x, { before: [1], after: [2] }),
      sums: core.sum(core.broadcastTo(x, [3, n]), { axis: 0 }),
      product: core.matmul(core.reshape(x, [n, 1]), core.ones([1, 1], 'f16')),
      whole: core.cast(core.mul(x, 8), 'i32'),
    }))(core.tensor(numbers, { dtype: 'f16' }))
    const read = core.tree.map((value: Value) => value.data(), results)
    const found = Object.fromEntries(
      await Promise.all(Object.entries(read).map(async ([name, data]) => [name, [...(await data)]] as const)),
    )
    expect(found).toEqual({
      map: numbers.map((x) => 2 * x),
      copy: numbers,
      view: numbers.toReversed(),
      joined: [...numbers, ...numbers],
      shifted: [0, ...numbers, 0, 0],
      sums: numbers.map((x) => 3 * x),
      product: numbers,
      whole: numbers.map((x) => 8 * x),
    })
  })

  test('long sums are accumulated in f32 and rounded once', async () => {
    const x = core.tensor(new Float32Array(2 ** 16).fill(0.125), { dtype: 'bf16' })
    expect(await core.sum(x).item()).toBe(8192)
    expect(await core.mean(x).item()).toBe(0.125)
  })

  test('a product reads 16-bit operands as they are, with no f32 copy', async () => {
    const weights = core.ones([64, 64], 'bf16')
    const program = core.makeGraph((x: Value, w: Value) => core.matmul(x, core.mul(w, 1)))
    expect(core.printGraph(program(float([8, 64], 'f32'), weights))).toContain('cast[dtype=f32]')
    const w = core.tensor(new Float32Array(4096).fill(0.5), { dtype: 'bf16' })
    const x = core.tensor(new Float32Array(512).fill(0.25), { shape: [8, 64] })
    const f = jit((x: Value, w: Value) => core.matmul(x, core.reshape(w, [64, 64])))
    const kernels = async (): Promise<number> => (await core.statistics()).dispatches
    await f(x, w).data()
    const before = await kernels()
    expect((await f(x, w).data())[0]).toBe(8)
    expect((await kernels()) - before).toBe(1)
  })
})

describe('errors', () => {
  const failures: Readonly<Record<string, () => unknown>> = {
    'a number too large for i32': () => core.tensor([1, 2 ** 31], { dtype: 'i32' }),
    'a negative u32': () => core.tensor(Float32Array.of(0, -1), { dtype: 'u32' }),
    'NaN as an integer': () => core.tensor([Number.NaN], { dtype: 'i32' }),
    'a large number beside i32': () => core.add(core.ones([3], 'i32'), 2 ** 31),
    'a negative number beside u32': () => core.mul(core.ones([3], 'u32'), -1),
    'a large number beside bools': () => core.mul(core.ones([3], 'bool'), 2 ** 31),
    'the bits of a bf16': () => core.bitcast(core.ones([3], 'bf16'), 'u32'),
    'bits of a bool and a bf16': () => core.bitwiseAnd(core.ones([3], 'bool'), core.ones([3], 'bf16')),
  }
  test('read', () => {
    const messages = Object.entries(failures).map(([name, f]) => {
      try {
        f()
      } catch (error) {
        return `${name}\n  ${(error as Error).name} ${(error as Error).message}`
      }
      return `${name}\n  no error`
    })
    expect(messages.join('\n')).toMatchInlineSnapshot(`
      "a number too large for i32
        RangeError tensor: element 1 is 2147483648, which is no i32; use numbers from -2147483648 to 2147483647
      a negative u32
        RangeError tensor: element 1 is -1, which is no u32; use numbers from 0 to 4294967295
      NaN as an integer
        RangeError tensor: element 0 is NaN, which is no i32; use numbers from -2147483648 to 2147483647
      a large number beside i32
        RangeError add: 2147483648 is no i32, as the array beside it; cast that to f32
      a negative number beside u32
        RangeError mul: -1 is no u32, as the array beside it; cast that to f32
      a large number beside bools
        RangeError mul: 2147483648 is no i32, as the array beside it; cast that to f32
      the bits of a bf16
        TypeError bitcast: bf16[3] has no 32 bits of its own; cast it first
      bits of a bool and a bf16
        TypeError and: not defined on bf16[3] and bf16[3]; cast to i32 or u32 or bool"
    `)
  })
})
