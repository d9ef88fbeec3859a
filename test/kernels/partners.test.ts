// Products that are read at their elements and at the partners of these, as by rotary embeddings: in one tile, if halves fit.

import { add, concatenate, flip, jit, makeGraph, mul, neg, reshape, slice, type Value } from 'cotangent'
import { linear, rotate } from 'cotangent/nn'
import { expect, test } from 'vitest'
import { fuse } from '../../core/compile/fuse.ts'
import { compile } from '../../core/compile/index.ts'
import { inline } from '../../core/compile/inline.ts'
import { simplify } from '../../core/compile/simplify.ts'
import { apart, runNests } from '../laws/nests.ts'
import { expectClose } from '../support/close.ts'
import { type HostArray, toHosts, toTensors } from '../support/host.ts'
import { floats, generator } from '../support/inputs.ts'
import { oracle } from '../support/oracle.ts'

type F = (...args: Value[]) => Value | Value[]

/** Turns heads by a table that is any. */
const turned = (x: Value, [batch, time, heads, size]: readonly number[], cos: Value, sin: Value): Value =>
  rotate(reshape(x, [batch!, time!, heads!, size!]), { cos, sin })
const swap = (x: Value, half: number): Value =>
  reshape(flip(reshape(x, [...x.shape.slice(0, -1), -1, 2, half]), { axis: -2 }), x.shape)
const part = (x: Value, from: number): Value =>
  slice(x, { start: [0, 0, from], end: [...x.shape.slice(0, 2), from + 4] })

/** Name, function, shapes of its arguments, and how many kernels there are. */
const rows: readonly (readonly [string, F, readonly (readonly number[])[], number])[] = [
  [
    'heads of 8',
    (x, w, c, s) => turned(linear(x, w), [2, 5, 3, 8], c, s),
    [
      [2, 5, 8],
      [24, 8],
      [5, 8],
      [5, 8],
    ],
    1,
  ],
  [
    'heads of 16, rows that no tile divides',
    (x, w, c, s) => turned(linear(x, w), [1, 11, 2, 16], c, s),
    [
      [1, 11, 6],
      [32, 6],
      [11, 16],
      [11, 16],
    ],
    1,
  ],
  [
    'one head of all columns',
    (x, w, c, s) => turned(linear(x, w), [1, 9, 1, 32], c, s),
    [
      [1, 9, 4],
      [32, 4],
      [9, 32],
      [9, 32],
    ],
    1,
  ],
  [
    'queries and keys, with an adapter',
    (x, w, a, b, v, c, s) => [
      turned(add(linear(x, w), mul(linear(linear(x, a), b), 0.5)), [2, 6, 4, 8], c, s),
      turned(linear(x, v), [2, 6, 4, 8], c, s),
    ],
    [
      [2, 6, 8],
      [32, 8],
      [4, 8],
      [32, 4],
      [32, 8],
      [6, 8],
      [6, 8],
    ],
    2,
  ],
  [
    'fewer heads of keys',
    (x, w, v, c, s) => [turned(linear(x, w), [1, 6, 4, 8], c, s), turned(linear(x, v), [1, 6, 2, 8], c, s)],
    [
      [1, 6, 8],
      [32, 8],
      [16, 8],
      [6, 8],
      [6, 8],
    ],
    2,
  ],
  [
    'one row',
    (x, w, c, s) => turned(linear(x, w), [1, 1, 2, 8], c, s),
    [
      [1, 1, 8],
      [16, 8],
      [1, 8],
      [1, 8],
    ],
    1,
  ],
  [
    'partners of partners',
    (x, w) => add(linear(x, w), swap(swap(linear(x, w), 8), 8)),
    [
      [5, 8],
      [16, 8],
    ],
    1,
  ],
  [
    'halves of two kinds',
    (x, w) => add(swap(linear(x, w), 4), swap(linear(x, w), 8)),
    [
      [5, 8],
      [16, 8],
    ],
    2,
  ],
  [
    'halves that are no vectors',
    (x, w, c, s) => turned(linear(x, w), [1, 4, 2, 6], c, s),
    [
      [1, 4, 8],
      [12, 8],
      [4, 6],
      [4, 6],
    ],
    2,
  ],
  [
    'what others read too',
    (x, w) => [swap(linear(x, w), 4), linear(x, w)],
    [
      [5, 8],
      [8, 8],
    ],
    2,
  ],
  [
    'halves that are slices',
    (x, w) => {
      const y = reshape(linear(x, w), [5, 2, 8])
      return concatenate([neg(part(y, 4)), part(y, 0)], { axis: 2 })
    },
    [
      [5, 8],
      [16, 8],
    ],
    3,
  ],
]

test.each(rows)('%s', async (_name, f, shapes, kernels) => {
  const random = generator(9)
  const hosts = shapes.map((shape) => floats(shape).draw(random)) as HostArray[]
  const args = toTensors(hosts) as Value[]
  const list = (...args: Value[]): Value[] => [f(...args)].flat()

  const graph = makeGraph(list)(...args)
  const { steps } = compile(graph, 12)
  expect(steps.filter(({ kind }) => kind === 'dispatch')).toHaveLength(kernels)

  const meaning = oracle(list, hosts)(...hosts)
  const simple = simplify(inline(graph))
  const device = await toHosts(jit(list)(...args))
  for (const [k, y] of meaning.entries())
    expectClose(device[k]!, y, { relative: 1e-5, absolute: 1e-5 }, `result ${k}`)
  const [fused, unfused] = [fuse, apart].map((groups) =>
    runNests(simple, hosts, { groups, maxArrays: 64, garbage: 0 }),
  )
  expect(fused).toEqual(unfused)
})
