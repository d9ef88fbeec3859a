// While Node waits for the GPU it does not spin, and nobody else's `setImmediate` is another than before.

import { promisify } from 'node:util'
import { tensor } from 'cotangent'
import { expect, test } from 'vitest'
import { expectNews, spreading } from '../../core/device/polling.ts'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('a native function that waits for long waits for a timer', async () => {
  const asked: unknown[] = []
  const spread = spreading(((f: () => void) => asked.push(f)) as never)
  let calls = 0
  const poll = new Proxy(class {} as unknown as () => void, { apply: () => calls++ }) // looks as native code does
  expectNews()
  spread(poll)
  expect(asked).toEqual([poll])
  await pause(5)
  spread(poll)
  expect(asked).toEqual([poll])
  expect(calls).toBe(0)
  await pause(20)
  expect(calls).toBe(1)
})

test('what waits for a timer looks at once when news may come soon', async () => {
  const spread = spreading(setImmediate)
  let calls = 0
  const poll = new Proxy(class {} as unknown as () => void, { apply: () => calls++ })
  await pause(5)
  spread(poll)
  expectNews()
  await new Promise(setImmediate)
  expect(calls).toBe(1)
  expectNews()
  await pause(20)
  expect(calls).toBe(1)
})

test('the functions of others are called as before', async () => {
  const spread = spreading(setImmediate)
  await pause(5)
  const args = await new Promise<unknown[]>((resolve) => spread((...args) => resolve(args), 1, 2))
  expect(args).toEqual([1, 2])
  expect(await promisify(spread)('x')).toBe('x')
  const never = spread(() => expect.unreachable())
  clearImmediate(never)
  await pause(5)
})

test('opening a device spreads', async () => {
  const before = globalThis.setImmediate
  expect(await tensor([1, 2]).add(1).data()).toEqual(new Float32Array([2, 3]))
  expect(globalThis.setImmediate).not.toBe(before)
  const after = globalThis.setImmediate
  await tensor([1, 2]).add(1).data()
  expect(globalThis.setImmediate).toBe(after)
})
