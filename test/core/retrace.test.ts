// A function that is traced at nearly each call says so once: what changed, where, and what to do.

import { jit, tensor, type Value, zeros } from 'cotangent'
import { expect, test, vi } from 'vitest'

function warnings(f: () => unknown): string[] {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  f()
  const said = warn.mock.calls.map(([message]) => String(message).replace(/\(.*?:\d+:\d+\)/, '(place)'))
  warn.mockRestore()
  return said
}

const times = (n: number, f: (k: number) => unknown): void => {
  for (let k = 1; k <= n; k++) f(k)
}
const x = tensor([1, 2])

test('nothing is said of seven types, or of one type often', () => {
  const step = jit((x: Value) => x.mul(2))
  expect(warnings(() => times(7, (k) => step(zeros([k]))))).toEqual([])
  expect(warnings(() => times(20, () => step(zeros([1]))))).toEqual([])
})

test('what changes most is named, once', () => {
  const step = jit(function step(p: { w: Value; b: readonly Value[] }, x: Value) {
    return p.w.sum().add(p.b[0]!.sum()).add(x.sum())
  })
  const call = (k: number) => step({ w: zeros([(k % 2) + 1]), b: [zeros([k, 3])] }, x)
  expect(warnings(() => times(30, call))).toMatchInlineSnapshot(`
    [
      "step: traced and compiled 8 times (place), as "b.0" of argument 0 was f32[6,3], f32[7,3], f32[8,3] last; pad it to a few sizes, so that few programs serve all calls",
    ]
  `)
})

test('an argument whose tree changes', () => {
  const total = jit(function total(xs: readonly Value[]) {
    return xs.reduce((a, b) => a.add(b))
  })
  expect(warnings(() => times(9, (k) => total(new Array<Value>(k).fill(x))))).toMatchInlineSnapshot(`
    [
      "total: traced and compiled 8 times (place), as the tree of its arguments changes; keep its structure, and let its arrays change",
    ]
  `)
})

test('a function made anew', () => {
  const apply = jit((x: Value, f: (x: Value) => Value) => f(x), { staticArgnums: [1] })
  expect(warnings(() => times(9, () => apply(x, (x) => x.neg())))).toMatchInlineSnapshot(`
    [
      "jit: traced and compiled 8 times (place), as static argument 1 was another object each time; make it once, and pass the same again",
    ]
  `)
})

test('options that take many values', () => {
  const scale = jit((x: Value, { rate }: { rate: number }) => x.mul(rate), { staticArgnums: [1] })
  expect(warnings(() => times(9, (k) => scale(x, { rate: k / 4 })))).toMatchInlineSnapshot(`
    [
      "jit: traced and compiled 8 times (place), as static argument 1 was {"rate":1.5}, {"rate":1.75}, {"rate":2} last; pass what takes many values as an array, not in staticArgnums",
    ]
  `)
})
