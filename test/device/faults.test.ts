// What a user sees when something breaks: each read, pending or later, rejects with a typed error that names the array and the
// user's own line; nothing is zeros, nothing hangs, and new work goes on.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  CompileError,
  DeviceLostError,
  dispose,
  evaluate,
  grad,
  jit,
  matmul,
  mean,
  memory,
  OutOfMemoryError,
  readTensors,
  square,
  sub,
  synchronize,
  type Tensor,
  tensor,
  tree,
  type Value,
  writeTensors,
  zeros,
} from 'cotangent'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Device, openDevice } from '../../core/device/device.ts'
import { inFolder } from '../support/folder.ts'

const own = fileURLToPath(import.meta.url)
const text = (await readFile(own, 'utf8')).split('\n')

/** Where the comment `// here: mark` stands, as errors show places; the column is that of a call on the line. */
const lineOf = (mark: string): RegExp =>
  new RegExp(
    `^test/device/faults\\.test\\.ts:${text.findIndex((line) => line.endsWith(`// here: ${mark}`)) + 1}:\\d+$`,
  )

/** The error that a promise brings, with its class; fails where it brings none. */
async function rejection<E extends Error>(
  promise: Promise<unknown>,
  type: new (...args: never[]) => E,
): Promise<E> {
  const error = await promise.then(
    (value) => new Error(`resolved with ${value}`),
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(type)
  return error as E
}

/** A message without line numbers and bytes, for snapshots. */
const shown = ({ name, message }: Error): string =>
  `${name} ${message.replaceAll(/\.ts:\d+:\d+/g, '.ts:L:C').replaceAll(/\d{4,}/g, 'N')}`

const form = /^[\w.]+: [^;]+; [^;]*[^;.]$/

/** Ends the device, as a driver that is reset does. */
async function lose(): Promise<void> {
  const { gpu } = await openDevice()
  gpu.destroy()
}

const step = jit(function step(x: Value) {
  return matmul(x, x).mul(0.5)
})
const halves = () => tensor(new Float32Array(128 * 128).fill(1 / 64), { shape: [128, 128] })

afterEach(() => vi.restoreAllMocks())

describe('a device that is lost', () => {
  test('in mid-step rejects what is pending and what comes later, then new arrays compute', async () => {
    const old = tensor([1, 2, 3]) // here: old
    await old.add(1).data()
    const first = step(halves()) // here: first
    const second = step(first)
    const reads = [first, second].map((y) => y.data())
    const settled = Promise.allSettled(reads)
    await lose()
    expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    const pending = await rejection(reads[0]!, DeviceLostError)
    expect(pending).toMatchObject({
      operation: 'step',
      tensor: 'f32[128,128]',
      bytes: 65536,
      reason: 'destroyed',
      source: expect.stringMatching(lineOf('first')),
    })
    expect(pending.liveBytes).toBeGreaterThanOrEqual(256)

    const later = await rejection(old.data(), DeviceLostError)
    expect(later.source).toMatch(lineOf('old'))
    const used = await rejection(old.add(1).data(), DeviceLostError) // here: used
    expect(used.source).toMatch(lineOf('used'))
    expect((used.cause as DeviceLostError).source).toMatch(lineOf('old'))
    for (const error of [pending, later, used]) expect(error.message).toMatch(form)
    expect([later, used].map(shown).join('\n')).toMatchInlineSnapshot(`
      "DeviceLostError tensor: f32[3] (test/device/faults.test.ts:L:C) is lost, as the device was lost (destroyed: device was destroyed); make arrays anew, from a checkpoint
      DeviceLostError add: f32[3] (test/device/faults.test.ts:L:C) was not computed, as the device was lost (destroyed: device was destroyed); make arrays anew, from a checkpoint"
    `)

    expect((await step(halves()).data())[0]).toBe(128 / 64 / 64 / 2)
    await synchronize()
    await rejection(old.data(), DeviceLostError) // still
    dispose([old, first, second])
    expect((await memory()).live.buffers).toBeLessThan(8)
  })

  test('leaves arrays that it never had: those are still on the host', async () => {
    const x = tensor([1, 2])
    await step(halves()).data()
    await lose()
    expect([...(await x.add(1).data())]).toEqual([2, 3])
  })

  test('rejects synchronize once; the next work gets another device', async () => {
    await step(halves()).data()
    const before = await openDevice()
    await lose()
    await setTimeout(20)
    await rejection(synchronize(), DeviceLostError)
    await step(halves()).data()
    await synchronize()
    expect(await openDevice()).not.toBe(before)
  })

  test('between steps: training resumes from its checkpoint with the same bits', async () => {
    const inputs = tensor(
      Float32Array.from({ length: 24 }, (_, k) => Math.sin(k)),
      { shape: [8, 3] },
    )
    type State = { readonly w: Value; readonly momentum: Value }
    const loss = (w: Value, x: Value): Value => mean(square(sub(matmul(x, w), 1)))
    const train = jit(function train({ w, momentum }: State, x: Value): State {
      const next = momentum.mul(0.9).add(grad(loss)(w, x))
      return { w: w.sub(next.mul(0.1)), momentum: next }
    })
    const start = (): State => ({ w: tensor([[0.1], [0.2], [0.3]]), momentum: zeros([3, 1]) })
    const bits = async (state: State) =>
      (await Promise.all(tree.leaves(state).map((x) => (x as Value).data()))).map(String)
    const data = await inputs.data()
    const batch = () => tensor(data, { shape: [8, 3] })

    let expected = start()
    for (let k = 0; k < 12; k++) expected = train(expected, batch())
    const wanted = await bits(expected)

    await inFolder(async (folder) => {
      const file = (k: number) => join(folder, `${k}.safetensors`)
      const run = async (state: State, from: number, failAt: number): Promise<State> => {
        for (let k = from; k < 12; k++) {
          if (k === failAt) await lose()
          state = train(state, batch())
          if ((k + 1) % 4 === 0) await writeTensors(file(k + 1), Object.entries(state))
        }
        return state
      }
      await rejection(run(start(), 0, 6), DeviceLostError)
      const saved = [12, 8, 4].find((k) => existsSync(file(k)))!
      expect(saved).toBe(4)
      const state = Object.fromEntries(await readTensors(file(saved))) as unknown as State
      expect(await bits(await run(state, saved, -1))).toEqual(wanted)
    })
  })
})

describe('an invalid shader', () => {
  test('rejects what it should have made and all that needs it, and nothing else', async () => {
    const { pipeline } = Device.prototype
    vi.spyOn(Device.prototype, 'pipeline').mockImplementation(function (this: Device, wgsl, name, ...arrays) {
      return pipeline.call(this, `${wgsl}\nfn broken() -> f32 { return nothing; }`, name, ...arrays)
    })
    const broken = jit(function broken(x: Value) {
      return x.mul(3).sub(7)
    })
    const x = tensor([1, 2])
    const y = broken(x) // here: broken
    const error = await rejection(y.data(), CompileError)
    vi.restoreAllMocks()
    expect(error).toMatchObject({
      operation: 'broken',
      tensor: 'f32[2]',
      source: expect.stringMatching(lineOf('broken')),
    })
    expect(error.wgsl).toContain('fn broken()')
    expect(error.cause).toContain('nothing')
    const dependent = await rejection(y.add(1).data(), CompileError)
    expect(dependent.operation).toBe('add')
    for (const { message } of [error, dependent]) expect(message).toMatch(form)
    expect(shown(error)).toMatchInlineSnapshot(
      `"CompileError broken: f32[2] (test/device/faults.test.ts:L:C) was not computed, as kernel mul_sub did not compile (Error while parsing WGSL: :12:29 error: unresolved value 'nothing'); this is a defect of the compiler, report it"`,
    )
    expect([...(await x.add(1).data())]).toEqual([2, 3])
  })

  test('that only running shows ends the device', async () => {
    const x = tensor([1, 2])
    const y = x.add(1)
    await y.data()
    const { gpu } = await openDevice()
    gpu.createBuffer({ size: 3, usage: 0 }) // what WebGPU forbids, outside of any program
    await setTimeout(20)
    expect(shown(await rejection(y.data(), DeviceLostError))).toMatchInlineSnapshot(
      `"DeviceLostError add: f32[2] (test/device/faults.test.ts:L:C) is lost, as the device was lost (invalid: Buffer usages must not be 0); make arrays anew, from a checkpoint"`,
    )
    expect([...(await tensor([1]).add(1).data())]).toEqual([2])
  })
})

/** The most bytes of one array here. */
async function limitOf(): Promise<number> {
  const { maxBufferSize, maxStorageBufferBindingSize } = (await openDevice()).gpu.limits
  return Math.min(maxBufferSize, maxStorageBufferBindingSize)
}

describe('too much memory', () => {
  test('for the adapter fails before anything is allocated, and names the array', async () => {
    const limit = await limitOf()
    const size = Math.ceil(limit / 4) + 64
    const x = tensor([1])
    await x.add(1).data()
    const { peak } = await memory()
    const error = await rejection(evaluate(() => x.add(zeros([size]))).data(), OutOfMemoryError) // here: huge
    expect(error).toMatchObject({
      wantedBytes: size * 4,
      limit,
      source: expect.stringMatching(lineOf('huge')),
    })
    expect(error.message).toMatch(form)
    expect(shown(error)).toMatchInlineSnapshot(
      `"OutOfMemoryError evaluate: f32[N] (test/device/faults.test.ts:L:C) was not computed, as f32[N] has N bytes, but an array can have N here; split it"`,
    )
    expect((await memory()).peak).toBe(peak)
  })

  test('in an intermediate of a program names that', async () => {
    const rows = Math.ceil((await limitOf()) / 4 / 1024) + 1
    const wide = jit(function wide(a: Value, b: Value) {
      return matmul(matmul(a, b), b.transpose())
    })
    const y = wide(zeros([rows, 1]), zeros([1, 1024]))
    expect(shown(await rejection(y.data(), OutOfMemoryError))).toMatchInlineSnapshot(
      `"OutOfMemoryError wide: f32[N,1] (test/device/faults.test.ts:L:C) was not computed, as the intermediate f32[N,N] of kernel contract has N bytes, but an array can have N here; split it"`,
    )
  })

  // The address space of a process of its own is limited, so that the driver's allocations fail for real.
  test.runIf(process.platform === 'linux' && existsSync('/usr/bin/prlimit'))(
    'for the machine rejects, and what is disposed of can be used again',
    async () => {
      const result = await runProgram('faults.memory.ts')
      expect(result).toMatchObject({
        error: {
          name: 'OutOfMemoryError',
          tensor: 'f32[134217728]',
          wantedBytes: 2 ** 29,
          limit: null,
          operation: 'evaluate',
        },
        values: [1, 1],
        later: 1,
      })
      const { error } = result as { error: OutOfMemoryError }
      expect(error.liveBytes).toBeGreaterThanOrEqual(2 ** 29)
      expect(error.source).toMatch(/^test\/device\/faults\.memory\.ts:\d+:\d+$/)
      expect(error.message).toMatch(form)
      expect(shown(error)).toMatchInlineSnapshot(
        `"OutOfMemoryError evaluate: f32[N] (test/device/faults.memory.ts:L:C) was not computed, as there is no memory for f32[N], N bytes, beside N in use; dispose of arrays or use smaller ones"`,
      )
    },
  )
})

test.each(['throws', 'exits', 'is terminated'])(
  'a worker that %s leaves other threads computing',
  async (how) => {
    expect(await runProgram('faults.worker.ts', how)).toEqual({ ended: true, before: 2, after: 3 })
  },
)

describe('a host that is slow to read', () => {
  test('blocked for a while, finds what was computed', async () => {
    let x: Value = tensor([0])
    for (let k = 0; k < 50; k++) x = x.add(1)
    await setTimeout(1)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    const read = x.data()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    expect((await read)[0]).toBe(50)
  })

  test('keeps its arrays whatever is computed meanwhile', async () => {
    const kept = Array.from({ length: 20 }, (_, k) => tensor([k]).mul(2))
    for (let k = 0; k < 50; k++) dispose(tensor([k]).add(1))
    await synchronize()
    expect(await Promise.all(kept.map((x) => x.item()))).toEqual(kept.map((_, k) => 2 * k))
  })

  test('reads that wait for one array get it each, though it is disposed of meanwhile', async () => {
    const x: Tensor = tensor([3])
    const y = x.add(1) as Tensor
    const reads = [y.data(), y.data()]
    y.dispose()
    expect((await Promise.all(reads)).map((data) => [...data])).toEqual([[4], [4]])
    await expect(y.data()).rejects.toThrow('was disposed of')
  })
})

/** What a program of this folder prints as JSON, in a process of its own. */
async function runProgram(name: string, ...args: readonly string[]): Promise<unknown> {
  const program = fileURLToPath(new URL(name, import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program, ...args], {
    timeout: 120_000,
  })
  return JSON.parse(stdout)
}
