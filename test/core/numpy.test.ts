// NumPy's functions against JAX: `test/golden/arrays.py` says what a row is. The rows of one operation are one program, which
// runs in double precision and on the device.

import { describe, expect, test } from 'vitest'
import { grad } from '../../autodiff/index.ts'
import * as core from '../../core/index.ts'
import { jit, tensor, Value, zeros } from '../../core/index.ts'
import { type Budget, expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { type HostArray, toHosts, toTensors } from '../support/host.ts'
import { generator } from '../support/inputs.ts'
import { oracle } from '../support/oracle.ts'

interface Row {
  readonly name: string
  readonly op: string
  readonly in: readonly GoldenArray[]
  readonly args: readonly unknown[]
  readonly out: readonly GoldenArray[]
  readonly weights?: readonly (GoldenArray | null)[]
  readonly grads?: readonly GoldenArray[]
}

const { rows } = golden<{ rows: readonly Row[] }>('numpy.json')

/** An argument with the arrays in their places. */
function filled(arg: unknown, xs: readonly Value[]): unknown {
  if (Array.isArray(arg)) return arg.map((part) => filled(part, xs))
  if (typeof arg === 'object' && arg !== null) {
    if ('in' in arg) return xs[arg.in as number]
    return Object.fromEntries(Object.entries(arg).map(([key, value]) => [key, filled(value, xs)]))
  }
  return typeof arg === 'string' && arg.endsWith('Infinity') ? Number(arg) : arg
}

type Call = (...args: readonly unknown[]) => Value | readonly Value[]
const calls = new Map(Object.entries(core)) as ReadonlyMap<string, unknown>

/** The call that a row is, as a function of its arrays. */
const callOf =
  ({ op, args }: Row) =>
  (...xs: readonly Value[]): readonly Value[] => {
    const found = (calls.get(op) as Call)(...args.map((arg) => filled(arg, xs)))
    return found instanceof Value ? [found] : found
  }

/** All that is asked of a row: the results, and the gradients of their weighted sum. */
function ask(row: Row, xs: readonly Value[], weights: readonly Value[]): readonly Value[] {
  const f = callOf(row)
  const results = f(...xs)
  if (!row.weights) return results
  const wanted = row.in.flatMap(({ dtype }, k) => (dtype === 'float32' ? [k] : []))
  const loss = (...xs: Value[]): Value =>
    f(...xs)
      .filter(({ dtype }) => dtype === 'f32')
      .map((out, k) => core.sum(core.mul(out, weights[k]!)))
      .reduce((a, b) => core.add(a, b))
  return [...results, ...(grad(loss, { argnums: wanted })(...xs) as readonly Value[])]
}

/** A few roundings, of numbers as large as these. */
const roundings = ({ data }: HostArray): Budget => {
  const finite = [...data].filter(Number.isFinite).map(Math.abs)
  return { relative: 2e-6, absolute: 1e-6 * Math.max(1, ...finite) }
}

describe('JAX', () => {
  test('has rows', () => expect(rows.length).toBeGreaterThan(400))

  for (const op of new Set(rows.map(({ op }) => op)))
    describe(op, () => {
      const group = rows.filter((row) => row.op === op)
      const arrays = group.map((row) => row.in.map(ofGolden))
      const weights = group.map(({ weights = [] }) => weights.flatMap((w) => (w ? [ofGolden(w)] : [])))
      const all = (xs: readonly (readonly Value[])[], weights: readonly (readonly Value[])[]) =>
        group.map((row, k) => ask(row, xs[k]!, weights[k]!))
      const args: [HostArray[][], HostArray[][]] = [arrays, weights]
      const device = (async () =>
        toHosts(jit(all)(...(toTensors(args) as unknown as Parameters<typeof all>))))()
      device.catch(() => {}) // reported by the tests

      test.each(group.map((row, k) => [row.name, row, k] as const))('%s', async (_, row, k) => {
        const mine = [arrays[k]!, weights[k]!] as [HostArray[], HostArray[]]
        const meaning = oracle(
          (xs: readonly Value[], weights: readonly Value[]) => ask(row, xs, weights),
          mine,
        )(...mine)
        const expected = [...row.out, ...(row.grads ?? [])].map(ofGolden)
        const check = (actual: readonly HostArray[], where: string): void => {
          expect(actual.length).toBe(expected.length)
          for (const [n, y] of expected.entries()) {
            const what = n < row.out.length ? `result ${n}` : `gradient ${n - row.out.length}`
            expectClose(actual[n]!, y, roundings(y), `${what} ${where}`)
          }
        }
        check(meaning, 'in double precision')
        check((await device)[k]!, 'on the device')
      })
    })
})

describe('by hand', () => {
  const numbers = async (x: Value): Promise<number[]> => [...(await x.data())]

  test('split cuts anywhere, as NumPy', async () => {
    const parts = core.split(tensor([1, 2, 3, 4]), [3, 1, -1, 9])
    expect(parts.map(({ size }) => size)).toEqual([3, 0, 2, 1, 0])
    expect(await numbers(parts[2]!)).toEqual([2, 3])
  })

  test('the ends of linspace are exact', async () => {
    const ends = [1 / 3, 1e7 / 7].map(Math.fround) as [number, number]
    for (const n of [2, 3, 50, 1000]) {
      const list = await numbers(core.linspace(...ends, n))
      expect([list[0], list.at(-1)]).toEqual(ends)
    }
  })

  test('long lists sort, and their gradients are gathered', async () => {
    const random = generator(5)
    const data = Float32Array.from({ length: 3000 }, () => Math.floor(random() * 2000) - 1000)
    const weights = tensor(Float32Array.from(data, (_, k) => k))
    const f = jit((x: Value, weights: Value) => [
      core.sort(x),
      core.argsort(x),
      grad((x: Value) => core.sum(core.mul(core.sort(x), weights)))(x),
    ])
    const [sorted, order, places] = await Promise.all(f(tensor(data), weights).map(numbers))
    const expected = [...data.keys()].sort((a, b) => data[a]! - data[b]!)
    expect(order).toEqual(expected)
    expect(sorted).toEqual(expected.map((k) => data[k]!))
    expect(places).toEqual([...data.keys()].map((k) => expected.indexOf(k)))
    const { equations } = core.makeGraph((x: Value) => grad((x: Value) => core.sum(core.sort(x)))(x))(
      zeros([9]),
    )
    expect(equations.map(({ primitive }) => primitive.name)).not.toContain('scatter_add')
  })

  test('what has no elements can be computed and read', async () => {
    const f = jit((x: Value) => {
      const none = core.exp(x)
      return [
        core.pad(none, { before: [1, 0], after: [1, 0] }),
        core.sum(none, { axis: 0 }),
        core.prod(core.sort(none), { axis: 0 }),
        core.einsum('ij,ik->jk', none, none),
        core.all(none.greater(0)),
      ]
    })
    const [padded, sums, products, grams, all] = await Promise.all(f(zeros([0, 2])).map(numbers))
    expect({ padded, sums, products, grams, all }).toEqual({
      padded: [0, 0, 0, 0],
      sums: [0, 0],
      products: [1, 1],
      grams: [0, 0, 0, 0],
      all: [1],
    })
  })
})

/** What the types forbid, as it comes from JavaScript. */
const anything = (x: unknown) => x as never
const [x23, v3, none] = [zeros([2, 3]), zeros([3]), zeros([2, 0])]

const failures: Readonly<Record<string, () => unknown>> = {
  'a scan of nothing': () => core.associativeScan((a) => a, []),
  'a scan of different lengths': () => core.associativeScan((a) => a, [v3, zeros([4])]),
  'a scan along no axis': () => core.cumsum(v3, { axis: 1 }),
  'sorting along no axis': () => core.sort(x23, { axis: 2 }),
  'an order along no axis': () => core.argsort(zeros([])),
  'more than there are': () => core.topK(x23, 4),
  'a fraction of an element': () => core.topK(x23, 0.5),
  'a sorted matrix': () => core.searchSorted(x23, v3),
  'the largest of nothing': () => core.max(none, { axis: 1 }),
  'the smallest of nothing': () => core.min(none),
  'the place of nothing': () => core.argmax(none, { axis: -1 }),
  'the first place of nothing': () => core.argmin(none),
  'the spread of nothing': () => core.ptp(none),
  'weights of another shape': () => core.average(x23, { axis: 0, weights: v3 }),
  'shares in a matrix': () => core.quantile(v3, x23),
  'a quantile of nothing': () => core.quantile(none, 0.5, { axis: 1 }),
  'a median of nothing': () => core.median(none),
  'an unknown method': () => core.quantile(v3, 0.5, { method: anything('cubic') }),
  'the second norm of a matrix': () => core.norm(x23, { ord: 2 }),
  'Frobenius of a vector': () => core.norm(v3, { ord: 'fro' }),
  'a norm over three axes': () => core.norm(zeros([1, 2, 3]), { ord: 1 }),
  'a norm over one axis twice': () => core.norm(x23, { ord: 1, axis: [0, -2] }),
  'a range without end': () => core.arange(0, 5, 0),
  'a range beyond integers': () => core.arange(-1, 3, { dtype: 'u32' }),
  'less than no numbers': () => core.linspace(0, 1, -1),
  'half a number': () => core.linspace(0, 1, 2.5),
  'a grid of matrices': () => core.meshgrid([v3, x23]),
  'an axis that is not there': () => core.swapaxes(x23, 0, 2),
  'parts that are not equal': () => core.split(x23, 2, { axis: 1 }),
  'no parts': () => core.split(x23, 0),
  'shifts without axes': () => core.roll(x23, [1, 2, 3], { axis: [0, 1] }),
  'copies below none': () => core.tile(v3, [2, -1]),
  'half a repetition': () => core.repeat(v3, 0.5),
  'a turn about nothing': () => core.rot90(x23, 1, { axes: [1, -1] }),
  'the triangle of a vector': () => core.tril(v3),
  'the upper triangle of a number': () => core.triu(1),
  'differences below none': () => core.diff(v3, { n: -1 }),
  'a diagonal of one axis': () => core.diagonal(x23, { axes: [0, -2] }),
  'a diagonal of a vector': () => core.diagonal(v3),
  'the diagonal of a cube': () => core.diag(zeros([2, 2, 2])),
  'no index expression': () => core.einsum('i k, k -> -> i', v3),
  'dots that are two': () => core.einsum('..i', v3),
  'too few operands': () => core.einsum('ij,jk', x23),
  'too few letters': () => core.einsum('i,i', x23, v3),
  'dots for less than nothing': () => core.einsum('...ij', v3),
  'letters that disagree': () => core.einsum('ij,kj->ik', x23, zeros([2, 4])),
  'a diagonal that is not square': () => core.einsum('aa', x23),
  'dots that disagree': () => core.einsum('...j,...j', x23, zeros([4, 3])),
  'a result from nowhere': () => core.einsum('ij->iz', x23),
  'a result twice': () => core.einsum('ij->ii', x23),
  'too many axes': () => core.einsum('abcdefghijklm...', zeros(Array<number>(30).fill(1))),
  'axes that do not pair': () => core.tensordot(x23, x23, 1),
  'more axes than there are': () => core.tensordot(v3, v3, 2),
  'an axis paired twice': () =>
    core.tensordot(x23, x23, [
      [0, 0],
      [0, 1],
    ]),
  'vectors of different lengths': () => core.dot(v3, zeros([4])),
  'rows of different lengths': () => core.inner(x23, zeros([2, 4])),
  'different numbers of elements': () => core.vdot(x23, v3),
  'vectors of two': () => core.cross(zeros([2]), v3),
}

describe('messages', () => {
  const messageOf = (f: () => unknown): string => {
    try {
      f()
    } catch (error) {
      return `${(error as Error).name} ${(error as Error).message}`
    }
    return 'no error'
  }

  test.each(Object.entries(failures))('%s: have the form `op: fact; remedy`', (_, f) => {
    expect(messageOf(f)).toMatch(/^(Type|Range)?Error [^:;]+: [^;]+; [^;]*[^;.]$/)
  })

  test('read', () => {
    const messages = Object.entries(failures).map(([name, f]) => `${name}\n  ${messageOf(f)}`)
    expect(messages.join('\n')).toMatchInlineSnapshot(`
      "a scan of nothing
        TypeError associativeScan: no arrays; pass at least one
      a scan of different lengths
        TypeError associativeScan: f32[3] and f32[4] differ along axis 0; give all the same extent there
      a scan along no axis
        RangeError cumsum: axis 1 is outside an array of rank 1; use -1 to 0
      sorting along no axis
        RangeError sort: axis 2 is outside an array of rank 2; use -2 to 1
      an order along no axis
        RangeError argsort: axis -1 is outside an array of rank 0; it has none
      more than there are
        RangeError topK: 4 of the 3 elements of f32[2,3]; k is a whole number up to 3
      a fraction of an element
        RangeError topK: 0.5 of the 3 elements of f32[2,3]; k is a whole number up to 3
      a sorted matrix
        TypeError searchSorted: the sorted array is f32[2,3]; pass one of rank 1, or vmap
      the largest of nothing
        RangeError max: axis 1 of f32[2,0] has no elements to choose from; give it some
      the smallest of nothing
        RangeError min: axis 1 of f32[2,0] has no elements to choose from; give it some
      the place of nothing
        RangeError argmax: axis 1 of f32[2,0] has no elements to choose from; give it some
      the first place of nothing
        RangeError argmin: axis 0 of f32[0] has no elements to choose from; give it some
      the spread of nothing
        RangeError max: axis 1 of f32[2,0] has no elements to choose from; give it some
      weights of another shape
        TypeError average: weights f32[3] do not fit f32[2,3]; they must have its shape, or the extents of the averaged axes
      shares in a matrix
        TypeError quantile: q is f32[2,3]; pass a number or a vector
      a quantile of nothing
        RangeError quantile: f32[2,0] has no elements over the axes; give it some
      a median of nothing
        RangeError quantile: f32[2,0] has no elements over the axes; give it some
      an unknown method
        TypeError quantile: "cubic" is no method; use linear, lower, higher, nearest, midpoint
      the second norm of a matrix
        RangeError norm: ord 2 is not defined over 2 axes of f32[2,3]; of vectors use a number, of matrices 1, -1, Infinity, -Infinity or 'fro'
      Frobenius of a vector
        RangeError norm: ord fro is not defined over 1 axes of f32[3]; of vectors use a number, of matrices 1, -1, Infinity, -Infinity or 'fro'
      a norm over three axes
        RangeError norm: ord 1 is not defined over 3 axes of f32[1,2,3]; of vectors use a number, of matrices 1, -1, Infinity, -Infinity or 'fro'
      a norm over one axis twice
        RangeError norm: axes [0,-2] name one axis twice; name each once
      a range without end
        RangeError arange: from 0 to 5 in steps of 0 is no range; use finite numbers and a step that is not 0
      a range beyond integers
        RangeError full: -1 is not a u32; use a whole number from 0 to 4294967295
      less than no numbers
        RangeError linspace: -1 is no count; use a whole number from 0 up
      half a number
        RangeError linspace: 2.5 is no count; use a whole number from 0 up
      a grid of matrices
        TypeError meshgrid: f32[2,3] is no vector; pass arrays of rank 1
      an axis that is not there
        RangeError swapaxes: axis 2 is outside an array of rank 2; use -2 to 1
      parts that are not equal
        RangeError split: axis 1 of f32[2,3] is not divided by 2; give a divisor of 3, or the places to cut at
      no parts
        RangeError split: axis 0 of f32[2,3] is not divided by 0; give a divisor of 2, or the places to cut at
      shifts without axes
        TypeError roll: shifts [1,2,3] do not fit axes [0,1]; give one for each axis
      copies below none
        RangeError tile: -1 is no count; use a whole number from 0 up
      half a repetition
        RangeError repeat: 0.5 is no count; use a whole number from 0 up
      a turn about nothing
        RangeError rot90: axes [1,-1] are one axis of f32[2,3]; name two
      the triangle of a vector
        TypeError tril: f32[3] is no matrix; it needs two axes
      the upper triangle of a number
        TypeError triu: f32[]* is no matrix; it needs two axes
      differences below none
        RangeError diff: -1 is no count; use a whole number from 0 up
      a diagonal of one axis
        RangeError diagonal: axes [0,-2] are one axis of f32[2,3]; name two
      a diagonal of a vector
        RangeError diagonal: axis 1 is outside an array of rank 1; use -1 to 0
      the diagonal of a cube
        TypeError diag: f32[2,2,2] is neither vector nor matrix; use diagonal
      no index expression
        TypeError einsum: "i k, k -> -> i" is no index expression; write it as "ik,kj->ij"
      dots that are two
        TypeError einsum: "..i" is no index expression; write it as "ik,kj->ij"
      too few operands
        TypeError einsum ij,jk: 1 arrays for 2 groups of letters; pass one for each
      too few letters
        TypeError einsum i,i: operand 0 has 2 axes, [2,3], but the letters "i"; write one for each axis
      dots for less than nothing
        TypeError einsum ...ij: operand 0 has 1 axes, [3], but the letters "...ij"; write one for each axis
      letters that disagree
        TypeError einsum ij,kj->ik: index j is 3 in operand 0 but 4 in operand 1; they must agree
      a diagonal that is not square
        TypeError einsum aa: index a is 2 in operand 0 but 3 in operand 0; they must agree
      dots that disagree
        TypeError einsum ...j,...j: index ... is 2 in operand 0 but 4 in operand 1; they must agree
      a result from nowhere
        TypeError einsum ij->iz: the result repeats a letter or has one of no operand; name each once
      a result twice
        TypeError einsum ij->ii: the result repeats a letter or has one of no operand; name each once
      too many axes
        RangeError einsum abcdefghijklm...: 30 different axes; at most 26 can be told apart
      axes that do not pair
        TypeError tensordot: axes [1] of f32[2,3] do not pair with axes [0] of f32[2,3]; name each once, and equal extents
      more axes than there are
        TypeError tensordot: axes [-1,0] of f32[3] do not pair with axes [0,1] of f32[3]; name each once, and equal extents
      an axis paired twice
        TypeError tensordot: axes [0,0] of f32[2,3] do not pair with axes [0,1] of f32[2,3]; name each once, and equal extents
      vectors of different lengths
        TypeError dot: axes [0] of f32[3] do not pair with axes [0] of f32[4]; name each once, and equal extents
      rows of different lengths
        TypeError inner: axes [1] of f32[2,3] do not pair with axes [1] of f32[2,4]; name each once, and equal extents
      different numbers of elements
        TypeError vdot: axes [0] of f32[6] do not pair with axes [0] of f32[3]; name each once, and equal extents
      vectors of two
        TypeError cross: axis 0 of f32[2] has extent 2; vectors have three components"
    `)
  })
})
