// The doctor: what it finds, how that reads, and what it says where there is no adapter.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { deviceReport } from 'cotangent'
import { expect, test } from 'vitest'
import { type Diagnosis, doctor, show } from '../../examples/doctor.ts'

const script = fileURLToPath(new URL('../../examples/doctor.ts', import.meta.url))

test('what it finds', async () => {
  const { device, bandwidth, products, others } = await doctor()
  expect(device).toEqual(await deviceReport())
  expect(bandwidth).toBeGreaterThan(0)
  expect(products.map(({ size }) => size)).toEqual([512, 1024])
  for (const { rate } of products) expect(rate).toBeGreaterThan(0)
  // The others are asked one by one; the CPU is always among them.
  const sources = [device, ...others.map(({ device }) => device)].map(({ source }) => source)
  expect(sources).toContain('wasm')
  expect(new Set(sources).size).toBe(sources.length)
})

const found: Diagnosis = {
  device: {
    name: 'llvmpipe, Mesa 25.0.7 with a name that is far too long for what is left of one line',
    source: 'system',
    software: true,
    reason: 'software; navigator.gpu (absent)',
    candidates: [
      { source: 'navigator', name: 'navigator.gpu', fallback: false, outcome: 'absent' },
      { source: 'system', name: 'llvmpipe, Mesa 25.0.7', fallback: true, outcome: 'chosen: software' },
    ],
    limits: { maxBufferSize: 2 ** 30, maxStorageBuffersPerShaderStage: 12 },
    features: ['core-features-and-limits', 'shader-f16', 'subgroups', 'timestamp-query'],
  },
  bandwidth: 2.84,
  products: [{ size: 512, rate: 11.25 }],
  others: [
    {
      device: {
        name: 'WebAssembly SIMD, 2 threads',
        source: 'wasm',
        software: true,
        reason: 'asked for',
        candidates: [],
        limits: {},
        features: [],
      },
      bandwidth: 31,
      products: [{ size: 512, rate: 50 }],
    },
  ],
}

test('how it reads', () => {
  const text = show(found)
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  expect(text).toMatchInlineSnapshot(`
    "adapter    llvmpipe, Mesa 25.0.7 with a name that is far too long for what is
               left of one line
    source     system; software; navigator.gpu (absent)
    asked      navigator.gpu: absent
               llvmpipe, Mesa 25.0.7: chosen: software
    limits     maxBufferSize 1,073,741,824
               maxStorageBuffersPerShaderStage 12
    features   core-features-and-limits, shader-f16, subgroups, timestamp-query
    speed      copy 2.8 GB/s
               matmul 512² 11.3 GFLOP/s
    or         WebAssembly SIMD, 2 threads (COTANGENT_ADAPTER=wasm): copy 31.0 GB/s,
               matmul 512² 50.0 GFLOP/s"
  `)
})

test('no adapter', async () => {
  const env = { ...process.env, COTANGENT_ADAPTER: 'navigator' }
  const run = promisify(execFile)(process.execPath, ['--import', 'tsx', script], { env })
  const { code, stdout, stderr } = await run.then(
    () => expect.unreachable('it found an adapter'),
    (error) => error,
  )
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^device: no WebGPU adapter; tried navigator\.gpu \(absent\); .+\n$/)
})
