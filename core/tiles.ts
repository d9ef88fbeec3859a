// The tile of large products, measured on the adapter when first a program has one, and remembered on disk for each adapter.
// A tile changes how fast a product is, never its bits: all tiles add up in the same order.

import { compile, type Plan, trialOf } from './compile/index.ts'
import { type Device, fastest } from './device/index.ts'
import { writeFileAtomic } from './files.ts'
import type { Graph } from './graph.ts'
import { timed } from './spent.ts'

/** Rows and columns of sums of a thread, and whether four threads share what they fetch. */
export interface Tile {
  readonly height: number
  readonly width: number
  readonly quads: boolean
}

/** The tiles that are tried; the first is taken where nothing was measured, and if no other is clearly faster. */
export const tilesFor = (quads: boolean): readonly Tile[] =>
  [
    { height: 8, width: 8, quads: true },
    { height: 8, width: 4, quads: true },
    { height: 8, width: 8, quads: false },
    { height: 4, width: 8, quads: false },
    { height: 4, width: 4, quads: false },
  ].filter((tile) => quads || !tile.quads)

/** The side of the product that is measured. */
const side = 512

/** By device, the tile of its large products once it is known or being found out. */
const found = new WeakMap<Device, { tile: Tile | null; readonly settled: Promise<void> }>()

/** Compiles a graph for a device, of which it first finds out the best tile if there is a large product. */
export async function compileFor(device: Device, graph: Graph): Promise<Plan> {
  const { maxArrays, quads, software: hidesTurns } = device
  const plan = (): Plan =>
    timed('compile', () =>
      compile(graph, maxArrays, { hidesTurns, quads, large: found.get(device)?.tile ?? null }),
    )
  const first = plan()
  if (!hasLargeProduct(first)) return first
  const entry = found.get(device) ?? { tile: null, settled: findOut(device) }
  found.set(device, entry)
  await entry.settled
  return plan()
}

const hasLargeProduct = ({ steps }: Plan): boolean =>
  steps.some((step) =>
    step.kind === 'loop' ? hasLargeProduct(step.body) : step.kind === 'dispatch' && step.isLarge,
  )

async function findOut(device: Device): Promise<void> {
  const tiles = tilesFor(device.quads)
  const tile = await remembered(device.choice.name, tiles, await cacheFolder(), () => measure(device, tiles))
  found.get(device)!.tile = tile
}

async function measure(device: Device, tiles: readonly Tile[]): Promise<Tile> {
  const { quads, software: hidesTurns } = device
  const trials = tiles.map((large) => trialOf(side, { hidesTurns, quads, large }))
  return tiles[await fastest(device, trials, 4 * side * side)]!
}

/** Where caches are kept; null where there are no files. */
async function cacheFolder(): Promise<string | null> {
  if (typeof globalThis.process?.versions?.node !== 'string') return null
  const [{ join }, { homedir }] = await Promise.all([import('node:path'), import('node:os')])
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'cotangent')
}

/** The tile that an earlier run chose for the adapter among these, else what `measure` brings. */
export async function remembered(
  adapter: string,
  tiles: readonly Tile[],
  folder: string | null,
  measure: () => Promise<Tile>,
): Promise<Tile> {
  if (folder === null) return measure()
  const path = `${folder}/tiles-${adapter.replace(/[^\w.]+/g, '-')}.json`
  const { readFile } = await import('node:fs/promises')
  const known = await readFile(path, 'utf8')
    .then(JSON.parse)
    .catch(() => null)
  const same = tiles.find((tile) => JSON.stringify(tile) === JSON.stringify(known))
  if (same !== undefined) return same
  const tile = await measure()
  await writeFileAtomic(path, JSON.stringify(tile)).catch(() => {}) // measured again next time
  return tile
}
