// What takes trees of one structure apart agrees with the structure as text, on all pairs of trees that differ little.

import { expect, test } from 'vitest'
import { tree } from '../../core/index.ts'
import { leavesLike } from '../../core/levels.ts'

class Pair {
  readonly one: unknown
  readonly tag: string

  constructor(one: unknown, tag: string) {
    this.one = one
    this.tag = tag
  }
}
tree.register(Pair, {
  flatten: ({ one, tag }) => [[one], tag],
  unflatten: (tag, [one]) => new Pair(one, tag),
})

const trees: readonly unknown[] = [
  1,
  2,
  null,
  undefined,
  [],
  {},
  [1],
  [[1]],
  [1, null],
  [1, undefined],
  { a: 1 },
  { a: null },
  { a: undefined },
  { b: 1 },
  { a: 1, b: 2 },
  { b: 3, a: 4 },
  Object.assign(Object.create(null), { a: 5, b: 6 }),
  Object.assign(Object.create({ b: 1 }), { a: 1 }),
  { a: [1], b: 2 },
  { '0': 1 },
  new Pair(1, 'x'),
  new Pair(2, 'x'),
  new Pair(1, 'y'),
  new Pair([1], 'x'),
  new Date(0),
  () => 1,
]

test.each(trees.map((like, k) => [k, like] as const))('tree %i', (_, like) => {
  const leavesOf = leavesLike(like)
  for (const other of trees) {
    const isLike = tree.structure(other) === tree.structure(like)
    expect(leavesOf(other)).toEqual(isLike ? tree.leaves(other) : null)
  }
})
