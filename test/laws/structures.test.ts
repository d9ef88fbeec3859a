// The laws of primitives, on programs that hold programs: scans, branches, loops, one in another. Each is also compared with
// the same thing written out.

import { describe, expect, test } from 'vitest'
import {
  add,
  cast,
  checkpoint,
  checkpointName,
  concatenate,
  cond,
  cos,
  customJvp,
  customVjp,
  debug,
  exp,
  expandDims,
  foriLoop,
  full,
  grad,
  jit,
  lower,
  map,
  matmul,
  mean,
  mul,
  ones,
  scan,
  sin,
  stack,
  sub,
  sum,
  switchCase,
  synchronize,
  take,
  tanh,
  tensor,
  type Value,
  vjp,
  vmap,
  where,
  whileLoop,
  zeros,
} from '../../index.ts'
import { expectClose } from '../support/close.ts'
import { toHost, toTensors } from '../support/host.ts'
import { between, bools, type Domain, floats, generator, integers } from '../support/inputs.ts'
import { oracle } from '../support/oracle.ts'
import { describeLaws, type Row } from './laws.ts'

interface Structure extends Row {
  /** The same function without structure. */
  readonly plain: Row['f']
}

const at = (x: Value, k: number): Value => take(x, full([], k, 'i32'))
const rows = (x: Value): Value[] => Array.from({ length: x.shape[0]! }, (_, k) => at(x, k))
const few = { relative: 4e-6, absolute: 2e-6 }
const step = (w: Value, h: Value, x: Value): Value => tanh(add(matmul(w, h), x))

const structure = (
  name: string,
  inputs: readonly Domain[],
  f: Row['f'],
  plain: Row['f'],
  rest: Pick<Row, 'linearIn' | 'differentiable' | 'reversible'> = {},
): Structure => ({ name, f, plain, inputs, budget: few, ...rest })

const cube = (x: Value, y: Value): Value => add(mul(mul(x, x), x), sin(y))
const cubed = customJvp(cube, ([x, y], [dx, dy]) => [
  cube(x, y),
  add(mul(mul(mul(x, x), 3), dx), mul(cos(y), dy)),
])

const scale =
  (by: Value) =>
  (x: Value, m: Value): Value =>
    sum(mul(mul(m, sin(x)), cast(by, 'f32')), { axis: 0 })
const scaled = (by: Value) =>
  customVjp(
    scale(by),
    (x, m) => [scale(by)(x, m), { x, m }],
    ({ x, m }, ct) => {
      const slope = mul(ct, cast(by, 'f32'))
      return [mul(mul(sum(m, { axis: 0 }), cos(x)), slope), mul(ones(m.shape), mul(sin(x), slope))]
    },
  )

/** What reverse mode makes of a function of `x` and `m`. */
function pulled(f: ReturnType<typeof scale>, x: Value, m: Value): Value {
  const [y, pullback] = vjp((x: Value, m: Value) => mul(f(x, m), f(cos(x), m)), x, m)
  const [dx, dm] = pullback(y)
  return concatenate([expandDims(dx, 0), dm])
}

const policies = ['nothing', 'everything', 'products', { names: ['product'] }] as const

const structures: readonly Structure[] = [
  structure(
    'scan: a recurrent network, its last state and all states',
    [floats([2, 2]), floats([2]), floats([4, 2])],
    (w, h, xs) => {
      const [last, all] = scan((h: Value, x: Value) => [step(w, h, x), mul(h, x)], h, xs)
      return concatenate([last, sum(all, { axis: 0 })])
    },
    (w, h, xs) => {
      const products: Value[] = []
      for (const x of rows(xs)) {
        products.push(mul(h, x))
        h = step(w, h, x)
      }
      return concatenate([h, sum(stack(products), { axis: 0 })])
    },
  ),
  structure(
    'scan backwards, with trees, a carry that stays and one that swaps',
    [floats([3]), floats([3]), floats([5, 3])],
    (a, b, xs) => {
      const [{ a: x, b: y }, ys] = scan(
        ({ a, b, kept }: { a: Value; b: Value; kept: Value }, { x }: { x: Value }) => [
          { a: b, b: add(mul(a, 0.5), x), kept },
          [mul(kept, x), a] as const,
        ],
        { a, b, kept: a },
        { x: xs },
        { reverse: true },
      )
      return add(add(x, mul(y, 2)), add(sum(mul(ys[0], ys[0]), { axis: 0 }), at(ys[1], 0)))
    },
    (a, b, xs) => {
      const kept = a
      const products: Value[] = []
      let first = a
      for (const x of rows(xs).reverse()) {
        products.push(mul(kept, x))
        first = a
        ;[a, b] = [b, add(mul(a, 0.5), x)]
      }
      return add(add(a, mul(b, 2)), add(sum(mul(stack(products), stack(products)), { axis: 0 }), first))
    },
  ),
  structure(
    'scan in a scan',
    [floats([2]), floats([3, 2])],
    (c, xs) =>
      scan(
        (c: Value, x: Value) => [scan((d: Value, y: Value) => [add(mul(d, y), sin(c)), null], c, x)[0], null],
        at(c, 0),
        xs,
      )[0],
    (c, xs) => {
      let carry = at(c, 0)
      for (const x of rows(xs)) {
        let inner = carry
        for (const y of rows(x)) inner = add(mul(inner, y), sin(carry))
        carry = inner
      }
      return carry
    },
  ),
  structure(
    'scan of a linear body',
    [floats([2, 2]), floats([3, 2])],
    (w, xs) => scan((h: Value, x: Value) => [add(matmul(w, h), x), null], zeros([2]), xs)[0],
    (w, xs) => rows(xs).reduce((h, x) => add(matmul(w, h), x), zeros([2]) as Value),
    { linearIn: [1] },
  ),
  structure(
    'scan without turns, and with integers in the carry',
    [floats([2]), integers(0, 3, [4])],
    (x, ids) => {
      const [none] = scan((c: Value) => [mul(c, 2), null], x, null, { length: 0 })
      const [[n, y]] = scan(
        ([n, y]: readonly [Value, Value], id: Value) => [[add(n, id), mul(y, cast(n, 'f32'))] as const, null],
        [full([], 1, 'i32'), none] as readonly [Value, Value],
        ids,
      )
      return add(y, cast(n, 'f32'))
    },
    (x, ids) => {
      let [n, y]: [Value, Value] = [full([], 1, 'i32'), x]
      for (const id of rows(ids)) [n, y] = [add(n, id), mul(y, cast(n, 'f32'))]
      return add(y, cast(n, 'f32'))
    },
  ),
  structure(
    'cond on data, with closures',
    [floats([]), floats([3]), floats([3])],
    (c, x, y) =>
      cond(
        c.greater(0),
        (x: Value) => mul(sin(x), y),
        (x: Value) => add(x, c),
        x,
      ),
    (c, x, y) => where(c.greater(0), mul(sin(x), y), add(x, c)),
  ),
  structure(
    'switchCase of trees, out of range too',
    [integers(-2, 5, []), floats([2, 2]), floats([2])],
    (k, w, x) => {
      const [a, { b }] = switchCase(
        k,
        [
          (x: Value) => [matmul(w, x), { b: exp(x) }] as const,
          (x: Value) => [x, { b: x }] as const,
          (x: Value) => [zeros([2]), { b: mul(x, sum(w)) }] as const,
        ],
        x,
      )
      return add(a, mul(b, 2))
    },
    (k, w, x) => {
      const first = add(matmul(w, x), mul(exp(x), 2))
      const [second, third] = [add(x, mul(x, 2)), mul(mul(x, sum(w)), 2)]
      return where(k.lessEqual(0), first, where(k.equal(1), second, third))
    },
  ),
  structure(
    'cond in a scan, and a scan in a cond',
    [bools([]), floats([2, 2]), floats([4, 2])],
    (p, w, xs) =>
      cond(
        p,
        () =>
          scan(
            (h: Value, x: Value) => [
              cond(
                sum(x).greater(0),
                () => matmul(w, h),
                () => add(h, x),
              ),
              null,
            ],
            at(xs, 0),
            xs,
          )[0],
        () => cos(at(xs, 1)),
      ),
    (p, w, xs) => {
      let h = at(xs, 0)
      for (const x of rows(xs)) h = where(sum(x).greater(0), matmul(w, h), add(h, x))
      return where(p, h, cos(at(xs, 1)))
    },
  ),
  structure(
    'whileLoop, forward',
    [between(1, 2, []), floats([2])],
    (x, y) =>
      whileLoop(
        ([x]: readonly [Value, Value]) => x.less(20),
        ([x, y]) => [mul(x, 2), add(mul(y, x), 0.25)] as const,
        [x, y] as readonly [Value, Value],
      )[1],
    (x, y) => {
      for (let k = 0; k < 6; k++) {
        const goes = x.less(20)
        ;[x, y] = [where(goes, mul(x, 2), x), where(goes, add(mul(y, x), 0.25), y)]
      }
      return y
    },
    { reversible: false },
  ),
  structure(
    'whileLoop with a bound, in reverse',
    [between(1, 2, []), floats([2])],
    (x, y) =>
      whileLoop(
        ([x]: readonly [Value, Value]) => x.less(20),
        ([x, y]) => [mul(x, 2), add(mul(y, x), 0.25)] as const,
        [x, y] as readonly [Value, Value],
        { maxIterations: 6 },
      )[1],
    (x, y) => {
      for (let k = 0; k < 6; k++) {
        const goes = x.less(20)
        ;[x, y] = [where(goes, mul(x, 2), x), where(goes, add(mul(y, x), 0.25), y)]
      }
      return y
    },
  ),
  structure(
    'whileLoop in a scan, in a cond',
    [floats([3]), integers(0, 2, [])],
    (xs, k) =>
      cond(
        k.greater(0),
        () =>
          scan(
            (c: Value, x: Value) => [
              whileLoop(
                (c: Value) => c.less(10),
                (c) => add(mul(c, 2), 1),
                add(mul(c, 0.25), mul(x, 0.1)),
              ),
              null,
            ],
            full([], 1),
            xs,
          )[0],
        () => sum(xs),
      ),
    (xs, k) => {
      let c: Value = full([], 1)
      for (const x of rows(xs)) {
        c = add(mul(c, 0.25), mul(x, 0.1))
        for (let n = 0; n < 8; n++) c = where(c.less(10), add(mul(c, 2), 1), c)
      }
      return where(k.greater(0), c, sum(xs))
    },
    { reversible: false },
  ),
  structure(
    'foriLoop with fixed bounds',
    [floats([4]), floats([])],
    (xs, y) => foriLoop(1, 4, (i, y) => add(mul(y, take(xs, i)), cast(i, 'f32')), y),
    (xs, y) => [1, 2, 3].reduce((y, i) => add(mul(y, at(xs, i)), i), y),
  ),
  structure(
    'foriLoop with bounds of data',
    [integers(0, 4, []), floats([])],
    (n, y) => foriLoop(0, n, (i, y) => add(mul(y, 0.5), cast(i, 'f32')), y),
    (n, y) => {
      for (let i = 0; i < 4; i++) y = where(n.greater(i), add(mul(y, 0.5), i), y)
      return y
    },
    { reversible: false },
  ),
  structure(
    'map',
    [floats([3, 2]), floats([2])],
    (xs, y) => map((x) => mul(sin(x), mean(y)), xs),
    (xs, y) => stack(rows(xs).map((x) => mul(sin(x), mean(y)))),
  ),
  structure(
    'whileLoop of a batch whose examples take differing turns',
    [between(1, 40, [4])],
    vmap((x: Value) =>
      whileLoop(
        (x: Value) => x.less(50),
        (x) => mul(x, 2),
        x,
      ),
    ),
    (xs) => {
      for (let n = 0; n < 6; n++) xs = where(xs.less(50), mul(xs, 2), xs)
      return xs
    },
    { reversible: false },
  ),
  structure(
    'scan of bf16 slices that begin within a word',
    [integers(-9, 9, [3]), integers(-9, 9, [5, 3])],
    (h, xs) => {
      const [last, ys] = scan(
        (h: Value, x: Value) => [x, sub(mul(h, 2), x)],
        cast(h, 'bf16'),
        cast(xs, 'bf16'),
        { reverse: true },
      )
      return cast(concatenate([expandDims(last, 0), ys]), 'f32')
    },
    (h, xs) => {
      const steps = [...rows(xs), h].map((x) => cast(x, 'f32'))
      const ys = steps.slice(0, 5).map((x, k) => sub(mul(steps[k + 1]!, 2), x))
      return stack([steps[0]!, ...ys])
    },
  ),
  structure(
    'customJvp of two arguments',
    [floats([3]), floats([3])],
    (x, y) => cubed(mul(cubed(x, y), x), y),
    (x, y) => cube(mul(cube(x, y), x), y),
  ),
  structure(
    'the pullback of customVjp with residuals, of a function that closes over an array',
    [floats([3]), floats([2, 3]), integers(1, 4, [3])],
    (x, m, by) => pulled(scaled(by), x, m),
    (x, m, by) => pulled(scale(by), x, m),
  ),
  ...policies.map((policy) =>
    structure(
      `checkpoint that keeps ${JSON.stringify(policy)}`,
      [floats([2, 2]), floats([2])],
      (w, x) => {
        const layer = checkpoint(
          (w: Value, x: Value) => mul(sin(checkpointName(matmul(w, cos(x)), 'product')), exp(x)),
          { policy },
        )
        return layer(w, layer(w, x))
      },
      (w, x) => {
        const layer = (x: Value) => mul(sin(matmul(w, cos(x))), exp(x))
        return layer(layer(x))
      },
    ),
  ),
]

for (const [k, row] of structures.entries()) describeLaws(row, k, false)

describe('as written out', () => {
  test.each(structures.map((row, k) => [row.name, row, k] as const))('%s', async (_, row, k) => {
    const random = generator(100 + k)
    const xs = row.inputs.map((domain) => domain.draw(random))
    const expected = oracle(row.plain, xs)(...xs)
    expectClose(oracle(row.f, xs)(...xs), expected, { relative: 1e-12, absolute: 1e-12 }, 'reference')
    expectClose(await toHost(jit(row.f)(...toTensors(xs))), expected, few, 'device')
  })

  test('the body of a scan is compiled once, however many turns there are', async () => {
    const run = jit(
      (x: Value) => scan((c: Value) => [add(mul(c, 0.999), 1), null], x, null, { length: 5000 })[0],
    )
    const [y] = await run(zeros([])).data()
    expect(y).toBeCloseTo(1000 * (1 - 0.999 ** 5000), 1)
  })

  test('a number that a carry begins with takes the dtype that comes out', async () => {
    const xs = cast(tensor([1, 2, 3]), 'bf16')
    const [sum, partial] = scan((c: Value, x: Value) => [add(c, x), add(c, x)], 0 as unknown as Value, xs)
    expect([`${sum.aval}`, `${partial.aval}`, await sum.item()]).toEqual(['bf16[]', 'bf16[3]', 6])
    const doubled = (options?: { maxIterations: number }) =>
      whileLoop(
        ({ x }: { x: Value }) => x.less(20),
        ({ x }) => ({ x: mul(add(x, x), take(xs, full([], 0, 'i32'))) }),
        { x: 3 as unknown as Value },
        options,
      ).x
    for (const x of [doubled(), doubled({ maxIterations: 6 })])
      expect([`${x.aval}`, await x.item()]).toEqual(['bf16[]', 24])
    const count = scan((_: Value, x: Value) => [cast(x, 'i32'), null], 0 as unknown as Value, xs)[0]
    expect(`${count.aval}`).toBe('i32[]')
    expect(() => scan((_: Value, x: Value) => [cast(x, 'i32'), null], 0.5 as unknown as Value, xs)).toThrow(
      'scan: carry goes in as f32[]* and comes out as i32[]; keep its structure and types',
    )
  })

  test('callbacks run as often and in the order that scan and cond say', async () => {
    const seen: number[] = []
    const run = jit(
      (xs: Value) =>
        scan(
          (c: Value, x: Value) => {
            debug.callback((c) => seen.push(c.data[0]!), c)
            const next = cond(
              x.greater(0),
              (c: Value, x: Value) => {
                debug.callback((x) => seen.push(100 * x.data[0]!), x)
                return add(c, x)
              },
              (c: Value) => c,
              c,
              x,
            )
            return [next, null]
          },
          full([], 0),
          xs,
        )[0],
    )
    expect(await run(tensor([1, -1, 2, -1])).item()).toBe(3)
    await synchronize()
    expect(seen).toEqual([0, 100, 1, 1, 200, 3])
  })

  test('checkpoint saves memory', () => {
    const layer = (w: Value, x: Value): Value => {
      for (let k = 0; k < 4; k++) x = tanh(sin(matmul(w, x)))
      return x
    }
    const planned = (layer: (w: Value, x: Value) => Value): number => {
      const loss = (ws: readonly Value[], x: Value) => sum(ws.reduce((x, w) => layer(w, x), x))
      const ws = Array.from({ length: 8 }, () => zeros([16, 16]))
      return lower((x: Value, ...ws: Value[]) => grad(loss)(ws, x))(zeros([16, 256]), ...ws).plannedBytes
    }
    expect(planned(checkpoint(layer))).toBeLessThan(0.6 * planned(layer))
  })
})
