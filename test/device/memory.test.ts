// Memory stays bounded: in eager loops, over a thousand steps, with scopes and `using`; and few programs are in flight.

import { setTimeout } from 'node:timers/promises'
import { dispose, jit, memory, scope, synchronize, type Tensor, tensor, type Value } from 'cotangent'
import { afterEach, expect, test, vi } from 'vitest'
import { Device, openDevice } from '../../core/device/device.ts'
import { collectGarbage } from '../support/garbage.ts'

/** What is in use once everything unreachable has been collected. */
async function inUse() {
  await synchronize()
  await collectGarbage()
  return (await memory()).live
}

afterEach(() => vi.restoreAllMocks())

test('ten thousand operations in a row, without await, hold few arrays at a time', async () => {
  const before = await memory()
  let x: Value = tensor(new Float32Array(1024))
  for (let k = 0; k < 10_000; k++) x = x.add(1)
  expect((await x.data())[0]).toBe(10_000)
  const { peak } = await memory()
  expect(peak - before.peak).toBeLessThan(4096 * 4096) // of 40 MB made
  dispose(x)
  expect((await inUse()).buffers).toBeLessThanOrEqual(before.live.buffers)
})

const train = jit(
  function train(w: Value, x: Value) {
    return [w.sub(w.mul(x).mul(0.01)), w.sum()] as const
  },
  { donate: [0] },
)
const steps: Readonly<Record<string, (w: Value, x: Value) => Promise<Value> | Value>> = {
  donated: (w, x) => train(w, x)[0],
  scoped: (w, x) => scope(() => train(w, x)[0]),
  eager: (w, x) => w.sub(w.mul(x).mul(0.01)),
}
test.each(Object.entries(steps))('a thousand %s steps neither grow nor leak', async (_, step) => {
  const x = tensor([1, 2, 3])
  let w: Value = tensor([1, 1, 1])
  let early: unknown = null
  for (let k = 1; k <= 1000; k++) {
    w = await step(w, x)
    if (k === 10) early = await inUse()
  }
  expect(await inUse()).toEqual(early)
  dispose([w, x])
})

test('at most three programs are in flight', async () => {
  await openDevice()
  const { submit } = Device.prototype
  let [flying, most] = [0, 0]
  vi.spyOn(Device.prototype, 'submit').mockImplementation(function (this: Device, commands, dispatches) {
    submit.call(this, commands, dispatches)
    most = Math.max(most, ++flying)
    this.gpu.queue.onSubmittedWorkDone().then(() => flying--)
  })
  let x: Value = tensor(new Float32Array(2 ** 18))
  for (let k = 0; k < 40; k++) x = x.add(1)
  await x.data()
  expect(most).toBeGreaterThan(1)
  expect(most).toBeLessThanOrEqual(3)
})

test('a scope gives back all but what it returns, across await, nested, at once, and when it fails', async () => {
  const outside = tensor([1])
  const made: Value[] = []
  const keep = (x: Value): Value => {
    made.push(x)
    return x
  }
  const one = (k: number) =>
    scope(async () => {
      keep(tensor([k]))
      await setTimeout(1)
      const inner = await scope(async () => ({ y: keep(outside.add(k)), z: keep(keep(tensor([5])).mul(2)) }))
      await inner.z.data()
      return { y: inner.y }
    })
  const results = await Promise.all([one(1), one(2)])
  expect(await Promise.all(results.map(({ y }) => y.item()))).toEqual([2, 3])
  expect(await outside.item()).toBe(1)
  const gone = made.filter((x) => (x as Tensor).storage.gone !== null)
  expect(gone).toHaveLength(made.length - 2)
  await expect(gone[0]!.data()).rejects.toThrow(
    'data: f32[1] was made in a scope that has ended; return it from the scope',
  )
  const failing = scope(() => {
    keep(tensor([1]))
    throw new Error('on purpose')
  })
  await expect(failing).rejects.toThrow('on purpose')
  expect((made.at(-1) as Tensor).storage.gone).toContain('scope')
})

test('using disposes at the end of the block', async () => {
  let escaped: Tensor | null = null
  {
    using x = tensor([1, 2])
    escaped = x
    expect(await x.sum().item()).toBe(3)
  }
  await expect(escaped.data()).rejects.toThrow('was disposed of')
})
