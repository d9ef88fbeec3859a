// The choice of a tile: measured once for an adapter, remembered on disk, and of no consequence for the bits of a result.

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Aval, makeGraph, matmul, random, type Value, zeros } from 'cotangent'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compile, trialOf } from '../../core/compile/index.ts'
import { type Device, openDevice } from '../../core/device/device.ts'
import { fastest, GpuProgram, launch, Program } from '../../core/device/index.ts'
import { Tensor } from '../../core/tensor.ts'
import { remembered, type Tile, tilesFor } from '../../core/tiles.ts'

const tiles = [
  { height: 8, width: 8, quads: true },
  { height: 4, width: 8, quads: false },
]
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tiles-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('a tile is measured once for an adapter', async () => {
  let measured = 0
  const choose = (adapter: string) =>
    remembered(adapter, tiles, folder, async () => {
      measured++
      return tiles[1]!
    })
  expect(await choose('one')).toBe(tiles[1])
  expect(await choose('one')).toBe(tiles[1])
  expect(measured).toBe(1)
  await choose('another, with a driver: 2.0')
  expect(measured).toBe(2)
  expect((await readdir(folder)).sort()).toEqual(['tiles-another-with-a-driver-2.0.json', 'tiles-one.json'])
  for (const damaged of ['{', '{"height":3,"width":5,"quads":true}']) {
    await writeFile(join(folder, 'tiles-one.json'), damaged)
    expect(await choose('one')).toBe(tiles[1])
  }
  expect(measured).toBe(4)
})

test('measuring names one of the candidates', async () => {
  const device = await openDevice()
  const candidates = [8, 4].map((width) =>
    trialOf(64, { hidesTurns: false, quads: false, large: { height: 8, width, quads: false } }),
  )
  expect([0, 1]).toContain(await fastest(device, candidates, 4 * 64 * 64))
})

/** A product done with this tile by every large product. */
async function productWith(large: Tile, x: Value, y: Value): Promise<Float32Array> {
  const graph = makeGraph((x: Value, y: Value) => matmul(x, y))(x, y)
  const { quads, software: hidesTurns } = await openDevice()
  const plan = compile(graph, 8, { hidesTurns, quads, large })
  const result = new Tensor(new Aval([x.shape[0]!, y.shape[1]!], 'f32'), null, {
    operation: 'plan',
    site: null,
  })
  launch(
    new Program((machine) => GpuProgram.of(machine as Device, plan)),
    [(x as Tensor).storage, (y as Tensor).storage],
    [result.storage],
    [],
  )
  return (await result.data()) as Float32Array
}

test('no tile changes a bit', async () => {
  const [rows, depth, columns] = [338, 316, 320] // rows that no tile divides
  const x = random.uniform(random.key(0), [rows, depth], { minval: -1 })
  const y = random.uniform(random.key(1), [depth, columns], { minval: -1 })
  await Promise.all([x.data(), y.data()])
  const { quads } = await openDevice()
  const [first, ...others] = tilesFor(quads)
  const expected = await productWith(first!, x, y)
  for (const other of others) expect(await productWith(other, x, y)).toEqual(expected)
})

test('only products that are worth it wait for the measurement', () => {
  const isLarge = (rows: number, depth: number, columns: number): boolean => {
    const graph = makeGraph((x: Value, y: Value) => matmul(x, y))(
      zeros([rows, depth]),
      zeros([depth, columns]),
    )
    return compile(graph, 8).steps.some((step) => step.kind === 'dispatch' && step.isLarge)
  }
  expect(isLarge(512, 512, 512)).toBe(true)
  expect(isLarge(512, 64, 172)).toBe(false)
  expect(isLarge(1, 8192, 8192)).toBe(false)
})
