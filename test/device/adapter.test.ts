// The chosen adapter computes, in the main thread and in workers, whatever Vulkan the machine has; a process that used
// one ends by itself. Child processes stand for users' programs, with environments of their own.

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { chooseAdapter, chooseFrom, type Offer } from '../../core/device/adapter.ts'
import { squares } from './adapter.squares.ts'

const expected = [0, 1, 4, 9, 16, 25, 36, 49]

/** Whether SwiftShader can be had: what the fallback needs. */
const hasFallback = ((): boolean => {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false
  try {
    return createRequire(import.meta.url).resolve('@sparticuz/chromium') !== ''
  } catch {
    return false
  }
})()

/** JavaScript that computes the squares and prints them, for `node -e` and for workers, which load no .ts alone. */
const program = `
  import('tsx/esm/api').then(({ register }) => {
    register()
    return import(${JSON.stringify(new URL('./adapter.squares.ts', import.meta.url).href)})
  }).then(({ squares }) => squares()).then((result) => console.log(JSON.stringify(result)))
`
const worker = `new (require('node:worker_threads').Worker)(${JSON.stringify(program)}, { eval: true })`
const programs = {
  'the main thread': program,
  'a worker': worker,
  'two workers at once': `${worker}; ${worker}`,
  'the main thread, then a worker': `${program}.then(() => ${worker})`,
}

/** Runs a program in a process of its own; the results it printed, and how long it lived on after the last. */
async function run(code: string, env: Readonly<Record<string, string>>) {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', code], {
    env: { ...process.env, ...env },
    timeout: 30_000,
  })
  const ended = Date.now()
  const results: Awaited<ReturnType<typeof squares>>[] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  return { results, lingered: ended - Math.max(...results.map(({ at }) => at)) }
}

afterEach(() => vi.unstubAllEnvs())

describe('chooseAdapter', () => {
  it('gives an adapter that computes, and a fresh one each time', async () => {
    expect((await squares()).numbers).toEqual(expected)
    expect((await squares()).numbers).toEqual(expected)
  })

  it('says what it asked and why it stopped', async () => {
    vi.stubEnv('COTANGENT_ADAPTER', '')
    const { candidates, source, name, reason } = await chooseAdapter()
    const last = candidates.at(-1)
    expect(last).toMatchObject({ source, name })
    expect(last?.outcome).toMatch(/^chosen: (hardware|software)$/)
    expect(reason).toContain('navigator.gpu (absent)')
  })

  it('takes the adapter given, however it is forced', async () => {
    const { adapter } = await chooseAdapter()
    vi.stubEnv('COTANGENT_ADAPTER', 'swiftshader')
    expect(await chooseAdapter(adapter)).toMatchObject({
      adapter,
      source: 'given',
      reason: 'given by the caller',
    })
  })

  it('names the sources when COTANGENT_ADAPTER is none of them', async () => {
    vi.stubEnv('COTANGENT_ADAPTER', 'cuda')
    await expect(chooseAdapter()).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RangeError: device: COTANGENT_ADAPTER is "cuda"; set it to webgpu, wasm, navigator, system, swiftshader]`,
    )
  })
})

describe.each([
  ['the machine as it is', {}],
  ['no usable Vulkan driver', { VK_DRIVER_FILES: '/nonexistent', VK_ICD_FILENAMES: '/nonexistent' }],
  ['SwiftShader asked for', { COTANGENT_ADAPTER: 'swiftshader' }],
])('with %s', (_, env) => {
  it.runIf(hasFallback || Object.keys(env).length === 0).each(Object.entries(programs))(
    'computes in %s, and the process ends by itself',
    async (_, code) => {
      const { results, lingered } = await run(code, env)
      for (const { numbers, source } of results) {
        expect(numbers).toEqual(expected)
        if (Object.keys(env).length > 0) expect(source).toBe('swiftshader')
      }
      expect(lingered).toBeLessThan(2_000)
    },
  )
})

describe('chooseFrom', () => {
  const info = { vendor: 'acme', architecture: 'one', device: '', description: '', isFallbackAdapter: false }
  const gives = (source: Offer['source'], about: Partial<GPUAdapterInfo>): Offer => ({
    source,
    name: source,
    request: async () => ({ info: { ...info, ...about } }) as GPUAdapter,
  })
  const lacks = (source: Offer['source'], name: string, fact: string): Offer => ({
    source,
    name,
    request: () => Promise.reject(new Error(fact)),
  })

  it('takes the first adapter that comes and reports those before it', async () => {
    const choice = await chooseFrom([
      lacks('navigator', 'navigator.gpu', 'absent'),
      gives('system', { device: 'llvmpipe-256-bits-', description: 'llvmpipe: Mesa 25' }),
      gives('swiftshader', {}),
    ])
    expect(choice).toMatchObject({
      source: 'system',
      name: 'llvmpipe-256-bits, llvmpipe: Mesa 25',
      reason: 'software; navigator.gpu (absent)',
      candidates: [
        { source: 'navigator', name: 'navigator.gpu', fallback: false, outcome: 'absent' },
        { source: 'system', fallback: true, outcome: 'chosen: software' },
      ],
    })
  })

  it('calls an adapter by what a browser tells', async () => {
    expect(await chooseFrom([gives('navigator', {})])).toMatchObject({ name: 'acme one', reason: 'hardware' })
  })

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'says what was tried and what to install when there is no adapter',
    async () => {
      const nothing = chooseFrom([
        lacks('navigator', 'navigator.gpu', 'absent'),
        lacks('system', 'npm webgpu', 'no Vulkan loader, libvulkan.so.1'),
        lacks('swiftshader', '@sparticuz/chromium', 'not installed'),
      ])
      await expect(nothing).rejects.toThrowErrorMatchingInlineSnapshot(
        `[Error: device: no WebGPU adapter; tried navigator.gpu (absent), npm webgpu (no Vulkan loader, libvulkan.so.1), @sparticuz/chromium (not installed); install a Vulkan driver such as mesa-vulkan-drivers, or npm install --save-dev @sparticuz/chromium@147.0.0]`,
      )
    },
  )
})
