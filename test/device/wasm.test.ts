// The CPU by WebAssembly: its memory, its threads, and what happens when a program fails. What programs compute there is held
// by the laws.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { add, DeviceLostError, deviceReport, OutOfMemoryError, tensor, type Value } from 'cotangent'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { type Func, moduleOf } from '../../core/compile/wasm/encoder.ts'
import { barrier } from '../../core/compile/wasm/program.ts'
import { chooseHardware } from '../../core/device/adapter.ts'
import { launch, Program } from '../../core/device/index.ts'
import { openMachine } from '../../core/device/open.ts'
import { openWasm, WasmDevice } from '../../core/device/wasm-device.ts'
import { WasmProgram } from '../../core/device/wasm-program.ts'
import { Aval } from '../../core/shape.ts'
import { Tensor } from '../../core/tensor.ts'

beforeAll(() => void vi.stubEnv('COTANGENT_ADAPTER', 'wasm'))

const run = promisify(execFile)

test.each([1, 2, 4])(
  'twenty steps of training have the bits of the golden file with %i threads',
  async (threads) => {
    const program = fileURLToPath(new URL('wasm.train.ts', import.meta.url))
    const env = { ...process.env, COTANGENT_ADAPTER: 'wasm', COTANGENT_THREADS: String(threads) }
    const { stdout } = await run(process.execPath, ['--import', 'tsx', program], { env })
    const golden = await readFile(new URL('../golden/wasm-training.json', import.meta.url), 'utf8')
    expect(JSON.parse(stdout)).toEqual({ threads, training: JSON.parse(golden) })
  },
)

describe('what computes', () => {
  const adapterOf = (info: object) => ({ gpu: { requestAdapter: async () => ({ info }) } })
  const info = {
    vendor: 'acme',
    architecture: 'x1',
    device: '',
    description: 'GPU',
    isFallbackAdapter: false,
  }

  test('is a GPU where there is one', async () => {
    vi.stubGlobal('navigator', adapterOf(info))
    expect(await chooseHardware()).toMatchObject({ source: 'navigator', name: 'acme x1, GPU' })
    vi.stubGlobal('navigator', adapterOf({ ...info, isFallbackAdapter: true }))
    expect(await chooseHardware()).toContainEqual(expect.objectContaining({ outcome: 'software' }))
    vi.unstubAllGlobals()
  })

  test('else it is the CPU, which says what was asked before', async ({ skip }) => {
    vi.stubEnv('COTANGENT_ADAPTER', '')
    const found = await chooseHardware()
    skip('adapter' in found, 'there is a GPU')
    expect(found).toContainEqual(expect.objectContaining({ source: 'navigator', outcome: 'absent' }))
    expect(await openMachine()).toBeInstanceOf(WasmDevice)
    expect((await deviceReport()).candidates).toEqual([
      ...(found as readonly unknown[]),
      expect.objectContaining({ source: 'wasm', outcome: 'chosen: the CPU, as there is no GPU' }),
    ])
    vi.stubEnv('COTANGENT_ADAPTER', 'wasm')
  })
})

describe('memory', () => {
  test('what is given back is taken again, also in other sizes', () => {
    const device = new WasmDevice()
    const taken = [1000, 2000, 3000, 4000].map((bytes) => device.take(bytes, 'a test'))
    const end = Math.max(...taken.map(({ address, size }) => address + size))
    for (const k of [1, 3, 2, 0]) device.give(taken[k]!)
    const whole = device.take(9000, 'a test')
    expect(whole.address).toBe(taken[0]!.address)
    expect(whole.address + whole.size).toBeLessThanOrEqual(end)
  })

  test('it grows, and no two arrays overlap', () => {
    const device = new WasmDevice()
    const first = device.memory.buffer.byteLength
    const regions = Array.from({ length: 40 }, (_, k) => device.take(2 ** 18 + 1000 * k, 'a test'))
    for (let k = 0; k < 40; k += 3) device.give(regions[k]!)
    const more = Array.from({ length: 20 }, () => device.take(2 ** 17, 'a test'))
    const held = [...regions.filter((_, k) => k % 3 !== 0), ...more].sort((a, b) => a.address - b.address)
    expect(device.memory.buffer.byteLength).toBeGreaterThan(first)
    for (const [k, { address, size }] of held.entries())
      expect(address + size).toBeLessThanOrEqual(held[k + 1]?.address ?? device.memory.buffer.byteLength)
  })

  test('what there is no memory for is an error that names it, and takes nothing', () => {
    const device = new WasmDevice()
    expect(() => device.requireFit(2 ** 32, 'f32[32768,32768]')).toThrow(OutOfMemoryError)
    device.take(3 * 2 ** 30, 'a test')
    expect(() => device.take(2 * 2 ** 30, 'f32[536870912]')).toThrow(/no memory for f32\[536870912\]/)
    const { address, size } = device.take(2 ** 20, 'a test')
    expect(address + size).toBeLessThanOrEqual(device.memory.buffer.byteLength)
  })
})

/** A program of two threads in which one traps, and the other waits for it. */
function failing(thread: number): Program {
  const entry: Func = {
    name: 'run',
    params: ['thread', 'threads', 'frame'],
    locals: [],
    code: [
      ['local.get', 0],
      ['i32.const', thread],
      ['i32.eq'],
      ['if'],
      ['unreachable'],
      ['end'],
      ['local.get', 2],
      ['i32.load', 4],
      ['local.get', 1],
      ['call', 1],
    ],
  }
  const nothing = {
    starts: { input: 0, output: 0, slot: 0, pack: 0, table: 0 },
    scratch: 0,
    sync: 1,
    words: 2,
  }
  return new Program(
    async (machine) =>
      new WasmProgram(machine as WasmDevice, {
        bytes: moduleOf([barrier(), entry]),
        frame: { ...nothing, starts: { ...nothing.starts, output: 2 }, words: 3 },
        scratch: 0,
        isShared: true,
        dispatches: 1,
        slots: [],
        packs: [],
        tables: [],
        host: [],
        timed: [],
      }),
  )
}

describe('a program that fails', () => {
  test.each([
    ['in the thread that asks', 0],
    ['in another thread', 1],
  ])('%s rejects what it should have made, and the next work gets a new machine', async (_, thread) => {
    vi.stubEnv('COTANGENT_THREADS', '2')
    const before = await openWasm([])
    while (before.threads.count < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    const made = new Tensor(new Aval([4], 'f32'), null, { operation: 'test', site: null })
    launch(failing(thread), [], [made.storage], [])
    await expect(made.data()).rejects.toThrow(DeviceLostError)
    expect(await openWasm([])).not.toBe(before)
    const x: Value = add(tensor([1, 2]), 1)
    expect(await x.data()).toEqual(new Float32Array([2, 3]))
  })
})
