// `jit` and the device under it: one submission a call, programs made once, memory that comes back, and shapes at the edges.

import { describe, expect, test } from 'vitest'
import { grad } from '../../autodiff/index.ts'
import * as core from '../../core/index.ts'
import { jit, statistics, tensor, type Value } from '../../core/index.ts'
import { expectClose } from '../support/close.ts'
import { collectGarbage } from '../support/garbage.ts'
import { type HostArray, toHost, toHosts, toNdArray, toTensor, toTensors } from '../support/host.ts'
import { floats, generator } from '../support/inputs.ts'
import { oracle, referenceOf } from '../support/oracle.ts'

/** What the device did meanwhile. Arrays of earlier tests are collected before, so that they do not go meanwhile. */
async function during(
  work: () => unknown,
): Promise<{ submits: number; pipelines: number; liveBytes: number }> {
  await collectGarbage()
  const before = await statistics()
  await work()
  const after = await statistics()
  return {
    submits: after.submits - before.submits,
    pipelines: after.pipelines - before.pipelines,
    liveBytes: after.liveBytes - before.liveBytes,
  }
}

const draw = (shape: readonly number[], seed = 1): HostArray => floats(shape).draw(generator(seed))

describe('a program', () => {
  const loss = (p: { w: Value; b: Value }, x: Value): Value =>
    core.mean(core.square(core.tanh(core.add(core.matmul(x, p.w), p.b))))
  const params = () => ({ w: toTensor(draw([4, 3])), b: toTensor(draw([3])) })

  test('is one submission, made once for each type', async () => {
    const step = jit(grad(loss))
    const [p, x] = [params(), toTensor(draw([5, 4]))]
    const first = await during(() => step(p, x))
    expect(first).toMatchObject({ submits: 1 })
    expect(first.pipelines).toBeGreaterThan(0)
    expect(await during(() => step(p, x))).toMatchObject({ submits: 1, pipelines: 0 })
    expect(await during(() => jit(grad(loss))(p, x))).toMatchObject({ submits: 1, pipelines: 0 })
    expect((await during(() => step(p, toTensor(draw([6, 4]))))).pipelines).toBeGreaterThan(0)
  })

  test('gives the same bits in two runs', async () => {
    const step = jit(grad(loss))
    const [p, x] = [params(), toTensor(draw([5, 4]))]
    expect(await toHosts(step(p, x))).toEqual(await toHosts(step(p, x)))
  })

  test('gives its memory back', async () => {
    const [p, x] = [params(), toTensor(draw([5, 4]))]
    const step = jit(grad(loss))
    core.dispose(step(p, x))
    expect(await during(() => core.dispose(step(p, x)))).toMatchObject({ liveBytes: 0 })
    const { liveBytes } = await during(() => core.dispose([p, x]))
    expect(liveBytes).toBe(-3 * 256)
  })

  test('of numbers holds no memory for them', async () => {
    const scale = jit((x: Value, by: Value) => core.mul(x, by))
    const x = toTensor(draw([5]))
    core.dispose(scale(x, 2 as unknown as Value))
    expect(await during(() => core.dispose(scale(x, 3 as unknown as Value)))).toMatchObject({ liveBytes: 0 })
  })
})

describe('donation', () => {
  test('frees the memory of the arguments, even of results still to come', async () => {
    const next = jit((x: Value) => core.add(x, 1), { donate: [0] })
    const start = toTensor(draw([64]))
    await start.data()
    let x: Value = next(start)
    await core.synchronize()
    expect(
      await during(() => {
        for (let k = 0; k < 10; k++) x = next(x)
      }),
    ).toMatchObject({ submits: 10, liveBytes: 0 })
    expectClose(await toHost(x), toNdArray(draw([64]).data.map((x) => x + 11)), { ulps: 8 })
    await expect(async () => start.data()).rejects.toThrow('was donated')
  })

  test('of an array that is returned keeps a copy', async () => {
    const keep = jit((x: Value, y: Value) => [y, core.add(x, y)], { donate: [0, 1] })
    const [x, y] = [tensor([1, 2]), tensor([3, 4])]
    expect(await toHosts(keep(x, y))).toEqual([toNdArray([3, 4]), toNdArray([4, 6])])
    expect(() => keep(x, y)).toThrow('was donated')
  })

  test('of one array twice', async () => {
    const twice = jit((p: { a: Value; b: Value }) => core.add(p.a, p.b), { donate: [0] })
    const x = tensor([1, 2])
    expect(await toHost(twice({ a: x, b: x }))).toEqual(toNdArray([2, 4]))
  })
})

describe('what a function closes over', () => {
  const scaled = (by: Value) => jit((x: Value) => core.mul(x, by))

  test('is an input: other arrays need no other program', async () => {
    const x = tensor([1, 2, 3])
    const [twice, thrice] = [scaled(tensor([2, 2, 2])), scaled(tensor([3, 3, 3]))]
    expect(await toHost(twice(x))).toEqual(await referenceOf(twice, [x]))
    expect(await during(() => thrice(x))).toMatchObject({ pipelines: 0 })
    expect(await toHost(thrice(x))).toEqual(await referenceOf(thrice, [x]))
    expect(await toHost(twice(x))).toEqual(toNdArray([2, 4, 6]))
  })

  test('is read at each call', async () => {
    const by = tensor([2])
    const f = scaled(by)
    const x = tensor([5])
    await f(x).data()
    by.dispose()
    expect(() => f(x)).toThrow('a captured array was disposed of')
  })
})

test.each<readonly [string, (x: Value) => unknown, unknown]>([
  ['an argument', (x) => x, toNdArray([1, 2])],
  ['the argument twice, and a copy', (x) => [x, x, core.add(x, 0)], Array(3).fill(toNdArray([1, 2]))],
  [
    'one result twice',
    (x) => {
      const y = core.neg(x)
      return { a: y, b: [y, core.neg(x)] }
    },
    { a: toNdArray([-1, -2]), b: Array(2).fill(toNdArray([-1, -2])) },
  ],
  ['a constant', () => core.ones([2]), toNdArray([1, 1])],
  [
    'a number and a boolean',
    (x) => [3, true, core.neg(x)],
    [toNdArray([3], []), toNdArray([1], [], 'bool'), toNdArray([-1, -2])],
  ],
  [
    'a captured array',
    (() => {
      const y = tensor([7, 8])
      return () => y
    })(),
    toNdArray([7, 8]),
  ],
  ['nothing', () => null, null],
  [
    'a result of which a part is read again',
    (x) => {
      const y = core.exp(x)
      return [core.sum(y), core.log(y).slice({ start: [1], end: [2] })].map((z) =>
        core.cast(core.add(z, 0.5), 'i32'),
      )
    },
    [toNdArray([10], [], 'i32'), toNdArray([2], [1], 'i32')],
  ],
])('returns %s', async (_, f, expected) => {
  expect(await toHosts(jit(f)(tensor([1, 2])))).toEqual(expected)
})

describe('static arguments', () => {
  const power = jit((x: Value, n: number) => core.integerPow(x, n), { staticArgnums: [1] })

  test('are values while tracing, and make a program each', async () => {
    const x = tensor([2, 3])
    expect(await toHosts([power(x, 2), power(x, 3), power(x, 2)])).toEqual(
      [
        [4, 9],
        [8, 27],
        [4, 9],
      ].map((data) => toNdArray(data)),
    )
  })

  test('may be objects', async () => {
    const pick = jit((config: { flip: boolean }, x: Value) => (config.flip ? core.flip(x) : x), {
      staticArgnums: [0],
    })
    const x = tensor([2, 3])
    expect(await toHosts([pick({ flip: true }, x), pick({ flip: false }, x)])).toEqual([
      toNdArray([3, 2]),
      toNdArray([2, 3]),
    ])
  })

  test('that are functions are told apart', async () => {
    const apply = jit((f: (x: Value) => Value, x: Value) => f(x), { staticArgnums: [0] })
    const x = tensor([2, 3])
    expect(await toHosts([apply(core.neg, x), apply(core.square, x)])).toEqual([
      toNdArray([-2, -3]),
      toNdArray([4, 9]),
    ])
  })
})

describe('sizes', () => {
  const rowwise = (x: Value) => ({
    sum: core.sum(x, { axis: 0 }),
    all: core.sum(core.square(x)),
    shifted: core.add(core.exp(core.sub(x, core.max(x, { axis: 1, keepDims: true }))), 1),
    turned: core.transpose(core.mul(x, 2)),
    joined: core.concatenate([x, core.neg(x)], { axis: 1 }),
    padded: core.pad(x, { before: [1, 0], after: [0, 3] }),
  })
  test.each([[[1, 1]], [[1, 5]], [[7, 3]], [[2, 4]], [[5, 8]]])('%j', async (shape) => {
    const x = draw(shape)
    const expected = oracle(rowwise, [x])(x)
    const found = await toHosts(jit(rowwise)(toTensor(x)))
    for (const [key, y] of Object.entries(expected))
      expectClose(found[key as keyof typeof found], y, { relative: 2e-6, absolute: 2e-6 }, key)
  })

  test.each([[[0]], [[0, 3]], [[2, 0]]])('%j, which is empty', async (shape) => {
    const f = (x: Value) => [
      core.neg(x),
      core.sum(x),
      core.max(core.pad(x, { before: shape.map(() => 1), after: shape.map(() => 0) })),
      core.transpose(x),
      core.concatenate([x, core.ones([1, ...shape.slice(1)])]),
      core.matmul(core.ones([2, shape[0]!]), x),
    ]
    const x = toNdArray([], shape)
    expect(await toHosts(jit(f)(toTensor(x)))).toEqual(oracle(f, [x])(x))
  })

  // Longer than a block of turns, than what one thread folds, and not a multiple of either.
  test.each([[[3, 200]], [[200, 3]], [[2, 1037]], [[1037, 2]]])(
    '%j, which is long to fold',
    async (shape) => {
      const folds = (x: Value) =>
        [0, 1].flatMap((axis) => [
          core.add(core.mean(core.square(x), { axis }), 1),
          core.max(core.sin(x), { axis }),
          core.argmax(x, { axis }),
          core.logSumExp(x, { axis }),
          core.variance(core.concatenate([x, core.mul(x, 2)]), { axis }),
        ])
      const x = draw(shape)
      const found = await toHosts(jit(folds)(toTensor(x)))
      for (const [k, y] of oracle(folds, [x])(x).entries())
        expectClose(found[k]!, y, { relative: 2e-6, absolute: 1e-6 }, `fold ${k}`)
    },
  )

  test('more arrays in one expression than a kernel can read', async () => {
    const xs = Array.from({ length: 40 }, (_, k) => draw([6], k))
    const total = (...xs: Value[]) => xs.reduce((a, b) => core.add(a, b))
    const inputs = xs.map(toTensor)
    expectClose(await toHost(jit(total)(...inputs)), oracle(total, xs)(...xs), { absolute: 1e-5 })
    const stacked = (...xs: Value[]) => core.sum(core.stack(xs), { axis: 0 })
    expectClose(await toHost(jit(stacked)(...inputs)), oracle(total, xs)(...xs), { absolute: 1e-5 })
  })

  test('more elements than one row of workgroups has', async () => {
    const size = 65_536 * 64 * 4 + 4
    const ends = jit(() => {
      const x = core.mul(core.iota([size]), 1)
      return [x, core.slice(x, { start: [size - 3], end: [size] })]
    })
    const [all, last] = ends()
    const data = await all!.data()
    expect([data[0], data[65_536 * 256 - 1], data[size - 1]]).toEqual([0, 65_536 * 256 - 1, size - 1])
    expect(data.every((x, i) => x === i)).toBe(true)
    expect([...(await last!.data())]).toEqual([size - 3, size - 2, size - 1])
    core.dispose([all, last])
  })
})

describe('products', () => {
  const extents = [1, 2, 3, 5, 7, 8, 9, 16, 33]
  const specs = [
    ...['ik,kj->ij', 'ki,kj->ij', 'ik,jk->ij', 'ki,jk->ij', 'ik,kj->ji', 'ki,jk->ji'],
    ...['bik,bkj->bij', 'bik,bjk->bji', 'ibk,kj->bji', 'ik,kbj->bij', 'kbi,bkj->jbi'],
    ...['ik,ik->', 'i,j->ij', 'bi,bj->bij', 'bk,bk->b', 'ijk,jk->i'],
  ]

  // Every extent stands in every place once, beside chance ones.
  test.each(specs)('%s', async (spec) => {
    const random = generator(spec.length)
    const sizes = extents.map((_, n) =>
      Object.fromEntries(
        [...'ijk'].map((letter, k) => [letter, extents[(n * (k + 1) + Math.floor(random() * 9) * k) % 9]!]),
      ),
    )
    const [lhs, rhs] = spec.split('->')[0]!.split(',')
    const shapeOf = (letters: string, size: Readonly<Record<string, number>>) =>
      [...letters].map((letter) => size[letter] ?? 3)
    const inputs = sizes.map(
      (size, n) => [draw(shapeOf(lhs!, size), n), draw(shapeOf(rhs!, size), n + 100)] as const,
    )
    const all = (pairs: readonly (readonly [Value, Value])[]) =>
      pairs.map(([x, y], n) => {
        const product = core.contract(spec, n % 2 === 0 ? x : core.square(x), y)
        return n % 3 === 0 ? product : core.add(core.mul(product, 0.5), 1)
      })
    const expected = oracle(all, [inputs])(inputs)
    const found = await toHosts(jit(all)(toTensors(inputs)))
    for (const [n, y] of expected.entries())
      expectClose(found[n]!, y, { relative: 1e-5, absolute: 1e-5 }, JSON.stringify(sizes[n]))
  })
})
