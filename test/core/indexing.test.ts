// Indexing against JAX: `test/golden/indexing.py` says what a row is. Each row runs in double precision and on the device.

import { describe, expect, test } from 'vitest'
import { scan, vjp, vmap } from '../../autodiff/index.ts'
import { fuse } from '../../core/compile/fuse.ts'
import { inline } from '../../core/compile/inline.ts'
import { simplify } from '../../core/compile/simplify.ts'
import * as core from '../../core/index.ts'
import {
  at,
  type DType,
  dynamicSlice,
  index,
  jit,
  lower,
  makeGraph,
  tensor,
  type Value,
  zeros,
} from '../../core/index.ts'
import type { IndexItem } from '../../core/ops/at.ts'
import type { TakeOptions } from '../../core/ops/indexing.ts'
import { runNests } from '../laws/nests.ts'
import { expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { type HostArray, toHost, toHosts, toNdArray, toTensors } from '../support/host.ts'
import { floats, generator, integers } from '../support/inputs.ts'
import { oracle, referenceOf } from '../support/oracle.ts'

type GoldenItem =
  | number
  | null
  | '...'
  | { readonly slice: readonly (number | null)[] }
  | { readonly ids: number }

interface Row {
  readonly name: string
  readonly op: string
  readonly in: readonly GoldenArray[]
  readonly items?: readonly GoldenItem[]
  readonly options?: TakeOptions
  readonly sizes?: readonly number[]
  readonly n?: number
  readonly dtype?: DType
  readonly out: GoldenArray
  readonly weights?: GoldenArray
  readonly grads?: readonly GoldenArray[]
}

const { rows } = golden<{ rows: readonly Row[] }>('indexing.json')

/** The items of a row, whose index arrays are `arrays`. */
const itemsOf = ({ items }: Row, arrays: readonly Value[]): IndexItem[] =>
  items!.map((item) => {
    if (typeof item !== 'object' || item === null) return item
    if ('ids' in item) return arrays[item.ids]!
    const [start, stop, step] = item.slice.map((x) => x ?? undefined)
    return { start, stop, step }
  })

/** The call that a row is, as a function of its arrays. */
function callOf(row: Row): (...xs: Value[]) => Value {
  const { op, options, sizes, n, dtype } = row
  const [family, method] = op.split('.')
  if (family === 'at')
    return (x, u, ...arrays) => core.at(x!, ...itemsOf(row, arrays))[method as 'set' | 'add'](u!)
  const calls: Readonly<Record<string, (...xs: Value[]) => Value>> = {
    take: (x, ids) => core.take(x!, ids!, options),
    takeAlongAxis: (x, ids) => core.takeAlongAxis(x!, ids!, options),
    index: (x, ...arrays) => core.index(x!, ...itemsOf(row, arrays)),
    dynamicSlice: (x, starts) => core.dynamicSlice(x!, starts!, sizes!),
    dynamicUpdateSlice: (x, u, starts) => core.dynamicUpdateSlice(x!, u!, starts!),
    oneHot: (ids) => core.oneHot(ids!, n!, dtype ? { dtype } : {}),
    bincount: (ids, weights) => core.bincount(ids!, { length: n!, ...(weights && { weights }) }),
    segmentSum: (x, ids) => core.segmentSum(x!, ids!, n!),
  }
  return calls[op]!
}

const rounded = { relative: 1e-6, absolute: 1e-6 }

describe('JAX', () => {
  test('has rows', () => expect(rows.length).toBeGreaterThan(250))

  test.each(rows.map((row) => [row.name, row] as const))('%s', async (_, row) => {
    const xs = row.in.map(ofGolden)
    const f = callOf(row)
    const wanted = xs.flatMap(({ dtype }, k) => (dtype === 'f32' ? [k] : []))
    const weights = row.weights && ofGolden(row.weights)
    const ask = (xs: readonly Value[], weights: readonly Value[]): readonly Value[] => {
      const [out, pullback] = weights.length > 0 ? vjp(f, ...xs) : [f(...xs), null]
      return pullback ? [out, ...wanted.map((k) => pullback(weights[0]!)[k]!)] : [out]
    }
    const args: Parameters<typeof oracle<Parameters<typeof ask>, readonly Value[]>>[1] = [
      xs,
      weights ? [weights] : [],
    ]
    const expected = [row.out, ...(row.grads ?? [])].map(ofGolden)
    const meaning = oracle(ask, args)(...args)
    const device = await toHosts(jit(ask)(...(toTensors(args) as unknown as Parameters<typeof ask>)))
    for (const [k, y] of expected.entries()) {
      const what = k === 0 ? 'result' : `gradient ${k - 1}`
      expectClose(meaning[k]!, y, rounded, `${what} in double precision`)
      expectClose(device[k]!, y, rounded, `${what} on the device`)
    }
  })
})

describe('by hand', () => {
  const i32 = (...data: number[]): Value => tensor(data, { dtype: 'i32' })

  test('sums have the same bits in every run, and updates of one place the same winner', async () => {
    const random = generator(3)
    const n = 5000
    const ids = i32(...Array.from({ length: n }, () => Math.floor(random() * 5)))
    const updates = tensor(Float32Array.from({ length: n }, () => random() - 0.5))
    const run = async () => toHosts([at(zeros([4]), ids).add(updates), at(zeros([4]), ids).set(updates)])
    const [sums, winners] = await run()
    const [host, indices] = [await updates.data(), await ids.data()]
    expect([...winners!.data]).toEqual([0, 1, 2, 3].map((id) => host[indices.lastIndexOf(id)]))
    for (let k = 0; k < 5; k++) expect(await run()).toEqual([sums, winners])
  })

  test('into long arrays, the updates are gone over once', async () => {
    const random = generator(4)
    const draws = [floats([2, 600, 8]), floats([2, 3, 4, 8]), integers(-610, 610, [3, 4])] as const
    const [x, u, ids] = draws.map((domain) => domain.draw(random)) as [HostArray, HostArray, HostArray]
    ids.data.set([5, 5, 599, 5, -1, 600]) // several of one place
    const taken = (mode: 'clip' | 'wrap' | 'fill') => (x: Value, u: Value, ids: Value) =>
      vjp((x: Value) => core.take(x, ids, { axis: 1, mode }), x)[1](u)[0]!
    const segments = (u: Value, ids: Value) => core.segmentSum(u, ids, 600)
    const f = (x: Value, u: Value, ids: Value) => [
      at(x, {}, ids).add(u),
      taken('clip')(x, u, ids),
      taken('wrap')(x, u, ids),
      taken('fill')(x, u, ids),
      vmap((u: Value) => segments(u, core.cast(ids, 'u32')))(u),
      vmap(segments)(u, core.stack([ids, core.add(ids, 1)])),
      segments(core.cast(core.mul(u, 100), 'i32').index(0), ids),
      segments(core.reshape(u, [3, 4, 16]), ids).index({}, 3), // of which nobody has a multiple of four
      segments(u.index(0, {}, {}, 2), core.abs(ids)), // one column
      scan((sum: Value, u: Value) => [core.add(sum, 1), segments(u, ids)], zeros([]), u)[1],
    ]
    const [a, b, c] = toTensors([x, u, ids]) as [Value, Value, Value]
    const meaning = oracle(f, [x, u, ids])(x, u, ids)
    const device = await toHosts(jit(f)(a, b, c))
    const graph = simplify(inline(makeGraph(f)(a, b, c)))
    const way = { groups: fuse, maxArrays: 8, garbage: 0 }
    const nests = runNests(graph, [x, u, ids], way)
    for (const [k, y] of meaning.entries()) {
      expectClose(device[k]!, y, { ulps: 2, absolute: 1e-6 }, `result ${k}`)
      expectClose({ ...y, data: nests[k]! }, y, { ulps: 2, absolute: 1e-6 }, `result ${k} in kernels`)
    }
    const half = core.cast(b, 'bf16').index(0)
    const ofHalves = await referenceOf(segments, [half, c])
    expectClose(await toHost(jit(segments)(half, c)), ofHalves, { relative: 2 ** -8 }, 'in bf16')
  })

  test.each([
    ['a vector', [], [12]],
    ['matrices', [8], [12]],
    ['ids of two axes', [8], [3, 4]],
  ])('the work of adding %s grows with the updates, not with the array', (_name, after, before) => {
    const flops = (size: number) =>
      lower((u: Value, ids: Value) => core.segmentSum(u, ids, size))(
        zeros([...before, ...after]),
        zeros(before, 'i32'),
      ).flops
    expect(flops(1 << 16)).toBe(12 * (after[0] ?? 1))
  })

  test('places may differ between examples', async () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ])
    const f = vmap((x: Value, i: Value) => [at(x, i).set(0), at(x, i).get(), dynamicSlice(x, [i], [2])])
    const [set, got, part] = await toHosts(f(x, i32(2, -3)))
    expect([...set!.data]).toEqual([1, 2, 0, 0, 5, 6])
    expect([...got!.data]).toEqual([3, 4])
    expect([...part!.data]).toEqual([2, 3, 4, 5])
  })

  test('a product counts every update, and so do its derivatives', async () => {
    const f = (x: Value, u: Value) => at(x, i32(1, 1, 0, 1)).mul(u)
    const [x, u] = [tensor([2, 3]), tensor([0, 5, 7, 11])]
    const [y, pullback] = vjp(f, x, u)
    const [dx, du] = await toHosts(pullback(tensor([1, 1])))
    expect([...(await y.data())]).toEqual([14, 0])
    expect([...dx!.data]).toEqual([7, 0])
    expect([...du!.data]).toEqual([165, 0, 2, 0])
  })

  test('what is applied sees the elements that are named, and nothing else', async () => {
    const f = (x: Value) => at(x, i32(2, -1, 2, 9)).apply((x) => x.log())
    const [y, pullback] = vjp(f, tensor([0, -1, 2, 4]))
    expectClose(await toHost(y), toNdArray([0, -1, Math.log(2), Math.log(4)]), rounded)
    expectClose(await toHost(pullback(tensor([1, 1, 1, 1]))[0]!), toNdArray([1, 1, 0.5, 0.25]), rounded)
  })

  test('starts that are numbers make a slice, and no work', () => {
    const { equations } = makeGraph((x: Value) => dynamicSlice(x, [-9, 1], [1, 2]))(zeros([3, 4]))
    expect(equations.map(({ primitive }) => primitive.name)).toEqual(['slice'])
  })

  test('nothing to read or to update', async () => {
    const none = tensor([], { shape: [0], dtype: 'i32' })
    expect(index(tensor([1, 2]), none).shape).toEqual([0])
    expect([
      ...(await at(tensor([1, 2]), none)
        .add(1)
        .data()),
    ]).toEqual([1, 2])
    expect([
      ...(await at(tensor([1, 2]), { start: 2 })
        .set(5)
        .data()),
    ]).toEqual([1, 2])
    expect([
      ...(await at(tensor([1, 2]), 2)
        .set(5)
        .data()),
    ]).toEqual([1, 2])
  })

  test('methods of values', async () => {
    const x = tensor([1, 2, 3])
    expect(await x.index(-1).item()).toBe(3)
    expect([...(await x.at({ step: 2 }).mul(10).data())]).toEqual([10, 2, 30])
  })
})

/** What the types forbid, as it comes from JavaScript. */
const anything = (x: unknown) => x as never
const x23 = zeros([2, 3])
const ids3 = zeros([3], 'i32')

const failures: Readonly<Record<string, () => unknown>> = {
  'a mask': () => at(x23, x23.greater(0)).set(0),
  'floats as indices': () => index(x23, '...', x23),
  'a fraction': () => index(x23, 0.5),
  'a list': () => index(x23, anything([0, 1])),
  'a boolean': () => index(x23, anything(true)),
  'a word': () => index(x23, anything(':')),
  'too many items': () => index(x23, 0, 0, 0),
  'dots twice': () => index(x23, '...', 0, '...'),
  'a step of zero': () => index(x23, { step: 0 }),
  'a start that is an array': () => index(x23, { start: anything(ids3) }),
  'indices that do not broadcast': () => index(x23, ids3, zeros([2], 'i32')),
  'an element of nothing': () => index(zeros([2, 0]), '...', 0),
  'an update that does not fit': () => at(x23, 0).set(zeros([2])),
  'an update of another dtype': () => at(ids3, 0).add(zeros([])),
  'a fraction into integers': () => at(ids3, 0).add(0.5),
  'a change of shape': () => at(x23, 0).apply((x) => x.reshape([3, 1])),
  'taking from nothing': () => core.take(zeros([0, 3]), ids3),
  'taking at floats': () => core.take(x23, x23),
  'other ranks along an axis': () => core.takeAlongAxis(x23, ids3),
  'ids that do not fit': () => core.segmentSum(x23, ids3, 4),
  'a sum of bools': () => core.segmentSum(x23.greater(0), zeros([2], 'i32'), 4),
  'counts of a matrix': () => core.bincount(zeros([2, 2], 'i32'), { length: 3 }),
  'classes that are floats': () => core.oneHot(x23, 3),
  'too few starts': () => dynamicSlice(x23, [0], [1, 1]),
  'a slice that is too long': () => dynamicSlice(x23, [0, 0], [1, 4]),
  'a start that is a vector': () => dynamicSlice(x23, [ids3, 0], [1, 1]),
  'a start that is a fraction': () => dynamicSlice(x23, [0.5, 0], [1, 1]),
  'starts that are floats': () => dynamicSlice(x23, zeros([2]), [1, 1]),
  'an update of another rank': () => core.dynamicUpdateSlice(x23, zeros([3]), [0, 0]),
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
    expect(messageOf(f)).toMatch(/^(Type|Range)?Error [\w.]+: [^;]+; [^;]*[^;.]$/)
  })

  test('read', () => {
    const messages = Object.entries(failures).map(([name, f]) => `${name}\n  ${messageOf(f)}`)
    expect(messages.join('\n')).toMatchInlineSnapshot(`
      "a mask
        TypeError at: item 0 is the mask bool[2,3]; a shape cannot depend on data, choose with where() instead
      floats as indices
        TypeError index: item 1 is f32[2,3]; cast it to i32
      a fraction
        TypeError index: item 0 is 0.5; use a whole number, an i32 array, a slice { start, stop, step }, null or '...'
      a list
        TypeError index: item 0 is 0,1; use a whole number, an i32 array, a slice { start, stop, step }, null or '...'
      a boolean
        TypeError index: item 0 is true; use a whole number, an i32 array, a slice { start, stop, step }, null or '...'
      a word
        TypeError index: item 0 is ":"; use a whole number, an i32 array, a slice { start, stop, step }, null or '...'
      too many items
        RangeError index: 3 items for the 2 axes of f32[2,3]; give at most one for each
      dots twice
        TypeError index: '...' stands in two places; it can stand for axes in one only
      a step of zero
        TypeError index: item 0 is the slice ::0; use whole numbers and a step that is not 0, or dynamicSlice
      a start that is an array
        TypeError index: item 0 is the slice i32[3]::1; use whole numbers and a step that is not 0, or dynamicSlice
      indices that do not broadcast
        TypeError index: shapes [3] and [2] do not broadcast: axis 0 is 3 on the left and 2 on the right; make them equal, or one of them 1
      an element of nothing
        RangeError index: axis 1 of f32[2,0] is empty; there is no element to index
      an update that does not fit
        TypeError at.set: the update f32[2] does not broadcast to the indexed [3]; from the right, its axes must be 1 or equal
      an update of another dtype
        TypeError at.add: the update is f32[] but the array i32[3]; cast one of them
      a fraction into integers
        RangeError full: 0.5 is not a i32; use a whole number from -2147483648 to 2147483647
      a change of shape
        TypeError at.apply: the function made f32[3,1] of f32[3]; keep the type
      taking from nothing
        RangeError take: axis 0 of f32[0,3] is empty; there is nothing to read
      taking at floats
        TypeError take: indices are f32[2,3]; cast them to i32
      other ranks along an axis
        TypeError takeAlongAxis: indices i32[3] and f32[2,3] have different ranks; make them equal
      ids that do not fit
        TypeError segmentSum: ids i32[3] do not fit f32[2,3]; there must be one for each slice of the data
      a sum of bools
        TypeError segmentSum: the data is bool[2,3]; cast it to i32
      counts of a matrix
        TypeError bincount: i32[2,2] is no vector; reshape it to [4]
      classes that are floats
        TypeError oneHot: indices are f32[2,3]; cast them to i32
      too few starts
        TypeError dynamicSlice: 1 starts and sizes [1,1] do not fit f32[2,3]; give one of each for every axis
      a slice that is too long
        RangeError dynamicSlice: size 4 does not fit axis 1 of f32[2,3]; use at most 3
      a start that is a vector
        TypeError dynamicSlice: the start along axis 0 is i32[3]; it must be an i32 scalar or a number
      a start that is a fraction
        TypeError dynamicSlice: the start along axis 0 is 0.5; use a whole number
      starts that are floats
        TypeError dynamicSlice: the start along axis 0 is f32[]; it must be an i32 scalar or a number
      an update of another rank
        TypeError dynamicUpdateSlice: the update f32[3] does not fit f32[2,3]; ranks and dtypes must agree"
    `)
  })
})
