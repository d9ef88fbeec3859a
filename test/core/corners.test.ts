// Corners that a table of rows does not reach: constants alone, static arguments that look alike, long chains, odd shapes.

import {
  add,
  bitcast,
  cbrt,
  div,
  full,
  grad,
  integerPow,
  jit,
  jvp,
  linearize,
  log,
  logSumExp,
  makeGraph,
  matmul,
  max,
  mul,
  reference,
  softmax,
  sqrt,
  statistics,
  sub,
  sum,
  tensor,
  type Value,
  variance,
  vjp,
  vmap,
  where,
  zeros,
} from 'cotangent'
import { expect, test } from 'vitest'
import { toHosts } from '../support/host.ts'

const first = async (x: Value): Promise<number> => (await x.data())[0]!

test.each<readonly [string, () => Value, number]>([
  ['1 / 0', () => div(1, 0), Number.POSITIVE_INFINITY],
  ['√-1', () => sqrt(-1), Number.NaN],
  ['3e38 · 10', () => full([], 3e38).mul(10), Number.POSITIVE_INFINITY],
  ['1e30²', () => integerPow(full([], 1e30), 2), Number.POSITIVE_INFINITY],
  ['0⁻¹', () => integerPow(full([], 0), -1), Number.POSITIVE_INFINITY],
  ['the bits of infinity', () => bitcast(full([], 0x7f800000, 'u32'), 'f32'), Number.POSITIVE_INFINITY],
])('constants alone may overflow: %s', async (_name, f, expected) => {
  expect(await first(f())).toBe(expected)
  expect(await first(jit((x: Value) => add(f(), mul(x, 0)))(tensor([1])))).toBe(expected)
})

test('so may constants under transforms, and in the branch not taken', async () => {
  expect(await first(grad((x: Value) => div(1, x))(zeros([])))).toBe(Number.NEGATIVE_INFINITY)
  expect(await first(vmap((x: Value) => x.mul(div(1, zeros([]))))(tensor([1])))).toBe(
    Number.POSITIVE_INFINITY,
  )
  const safe = jit((x: Value) => where(x.greater(0), x, div(1, full([], 0))))
  expect(await first(safe(tensor([2])))).toBe(2)
})

test('static arguments that look alike are told apart', async () => {
  const seen: unknown[] = []
  const f = jit(
    (x: Value, kind: unknown) => {
      seen.push(kind)
      return mul(x, 2)
    },
    { staticArgnums: [1] },
  )
  const [a, b] = [() => 1, () => 1]
  const kinds = [
    1,
    '1',
    null,
    undefined,
    {},
    { a: undefined },
    Number.NaN,
    'NaN',
    0,
    -0,
    [1],
    ['1'],
    a,
    b,
    2n,
  ]
  const maps = [new Map([['k', 2]]), new Map([['k', 3]]), tensor([1]), tensor([2]), new Float32Array([2])]
  for (const kind of [...kinds, ...maps, ...kinds, ...maps]) f(tensor([1]), kind)
  expect(seen).toHaveLength(kinds.length + maps.length)
  expect(() => jit((x: Value) => x, { donate: [-1] })).toThrow('jit: there is no argument -1; count from 0')
})

test('long chains of operations compile', async () => {
  const chain = jit((x: Value) =>
    Array.from({ length: 3000 }, (_, k) => k % 3).reduce<Value>((y, k) => y.add(k), x),
  )
  expect(await first(chain(tensor([0.5])))).toBe(3000.5)
})

test('empty batches broadcast', () => {
  expect(matmul(zeros([0, 2, 3]), zeros([1, 3, 4])).shape).toEqual([0, 2, 4])
  expect(() => matmul(zeros([2, 2, 3]), zeros([3, 3, 4]))).toThrow(
    /^matmul: shapes \[2\] and \[3\] do not broadcast/,
  )
})

test('the oracle folds long arrays', () => {
  const graph = makeGraph((x: Value) => max(x))(zeros([200_000]))
  const data = Float64Array.from({ length: 200_000 }, (_, k) => k)
  expect(reference(graph, [{ shape: [200_000], dtype: 'f32', data }])[0]!.data[0]).toBe(199_999)
})

test.each([[[1.5]], [[-1]], [[-1, -2]]])('[%s] is no shape', (shape) => {
  expect(() => zeros(shape)).toThrow(`shape: [${shape}] is no shape; extents are whole numbers from 0 up`)
})

test('tangents and cotangents must form the trees of what they belong to', () => {
  const f = (p: { readonly a: Value; readonly b: Value }) => mul(p.a, p.b)
  const p = { a: tensor([1]), b: tensor([2]) }
  const odd = { a: tensor([1]), c: tensor([1]) } as unknown as typeof p
  expect(() => jvp(f, [p], [odd])).toThrow(/^jvp: the tangents form \[\{"a":\*,"c":\*\}\], not /)
  expect(() => linearize(f, p)[1](odd)).toThrow(/^linearize: the tangents form /)
  expect(() => linearize(f, p)[1]({ a: tensor([1, 2]), b: tensor([1]) })).toThrow(
    /^linearize: tangent 0 is f32\[2\]/,
  )
  expect(() => vjp(f, p)[1]([tensor([1])] as unknown as Value)).toThrow(
    /^vjp: the cotangents form \[\*\], not \*; /,
  )
})

test('a tracer that a failed trace left behind is refused', () => {
  let leaked: Value | null = null
  const failing = jit((x: Value) => {
    leaked = x
    throw new Error('on purpose')
  })
  expect(() => failing(tensor([1]))).toThrow('on purpose')
  expect(() => mul(leaked!, 2)).toThrow(/escaped its trace/)
})

test('programs that fail leave no memory behind', async () => {
  const x = tensor(new Float32Array(2 ** 18))
  await x.add(1).data()
  const huge = jit(
    function huge(x: Value) {
      const all = x.sum().add(zeros([2 ** 30]))
      return [x.add(2), all.exp().add(x.sum())]
    },
    { donate: [0] },
  )
  const before = (await statistics()).liveBytes
  for (let k = 0; k < 3; k++) {
    const [small] = huge(x.add(k))
    await expect(small!.data()).rejects.toThrow(
      /^huge: f32\[262144\] \(test\/core\/corners.test.ts:\d+:\d+\) was not computed, as f32\[1073741824\] has \d+ bytes, but an array can have \d+ here; /,
    )
  }
  expect((await statistics()).liveBytes).toBeLessThanOrEqual(before) // less if others were collected meanwhile
})

test('a zero that is written in a program multiplies infinities and NaN like any other', async () => {
  const x = tensor([Number.NaN, Number.POSITIVE_INFINITY, 2])
  const [product, quotient, slope] = await toHosts(
    jit(
      (x: Value) =>
        [
          mul(x, 0),
          div(0, sub(x, 2)),
          grad((x: Value) => sum(mul(log(x), 0)))(zeros([1]).add(x.index(2).mul(0))),
        ] as const,
    )(x),
  )
  expect([...product!.data]).toEqual([Number.NaN, Number.NaN, 0])
  expect([...quotient!.data]).toEqual([Number.NaN, 0, Number.NaN])
  expect([...slope!.data]).toEqual([Number.NaN])
})

test('derivatives at zero and of the variance of one number are those of JAX', async () => {
  const nan = Number.NaN
  const [root, spread] = await toHosts([
    grad((x: Value) => cbrt(x))(tensor(0)),
    grad((x: Value) => variance(x, { ddof: 1 }))(tensor([1])),
  ])
  expect([...root!.data]).toEqual([Number.POSITIVE_INFINITY])
  expect([...spread!.data]).toEqual([nan])
})

test('empty arrays, and products of whole numbers', async () => {
  const [none, whole, flags] = await toHosts([
    logSumExp(zeros([0])),
    matmul(tensor([[16777217]], { dtype: 'i32' }), tensor([[1]], { dtype: 'i32' })),
    matmul(tensor([true, false]), tensor([true, true])),
  ])
  expect([...none!.data]).toEqual([Number.NEGATIVE_INFINITY])
  expect([whole!.dtype, ...whole!.data]).toEqual(['i32', 16777217])
  expect([flags!.dtype, ...flags!.data]).toEqual(['bool', 1])
  expect(softmax(zeros([2, 0])).shape).toEqual([2, 0])
})
