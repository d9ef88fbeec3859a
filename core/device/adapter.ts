// Which WebGPU to compute on: the first that answers of the user's own adapter, the platform's navigator.gpu, the
// system's GPU or software Vulkan through npm `webgpu` (Dawn), and SwiftShader, which npm brings too. What was asked
// and what came of it stays readable in `candidates`. Node's modules are imported when Node is there, not before.

import './gpu.ts'
import { spreadPolling } from './polling.ts'

/** Where an adapter comes from. */
export type AdapterSource = 'given' | 'navigator' | 'system' | 'swiftshader' | 'wasm'

/** One place that was asked for an adapter. */
export interface Candidate {
  readonly source: AdapterSource
  /** the adapter's name, or what was asked where there is no adapter */
  readonly name: string
  /** whether it computes on the CPU */
  readonly fallback: boolean
  /** `chosen: …`, or why not */
  readonly outcome: string
}

/** The adapter to use, and why it is this one. */
export interface Choice {
  readonly adapter: GPUAdapter
  readonly source: AdapterSource
  readonly name: string
  readonly candidates: readonly Candidate[]
  readonly reason: string
}

/** A place to ask; `request` rejects with the reason why there is no adapter. */
export interface Offer {
  readonly source: AdapterSource
  readonly name: string
  readonly request: () => Promise<GPUAdapter>
}

/** WebGPU's flags for buffers, the same numbers everywhere; a browser alone has them as globals. */
export const bufferUsage = {
  MAP_READ: 0x1,
  MAP_WRITE: 0x2,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  INDIRECT: 0x100,
  QUERY_RESOLVE: 0x200,
} as const

/** WebGPU's flags for `mapAsync`. */
export const mapMode = { READ: 0x1, WRITE: 0x2 } as const

/** WebGPU's flag for bindings that a compute shader sees. */
export const shaderStage = { COMPUTE: 0x4 } as const

/** The adapter to compute on; `COTANGENT_ADAPTER` narrows the search to one source, as `swiftshader`. */
export async function chooseAdapter(given?: GPUAdapter): Promise<Choice> {
  if (given) return chooseFrom([{ source: 'given', name: 'the adapter given', request: async () => given }])
  const only = wantedSource()
  const offers = offersHere()
  return chooseFrom(
    only === null || only === 'webgpu' ? offers : offers.filter(({ source }) => source === only),
  )
}

/** Where a GPU may be found, or a CPU that passes for one. */
const offersHere = (): readonly Offer[] => [
  { source: 'navigator', name: 'navigator.gpu', request: navigatorAdapter },
  ...(isNode
    ? ([
        { source: 'system', name: 'npm webgpu', request: systemAdapter },
        { source: 'swiftshader', name: '@sparticuz/chromium', request: swiftshaderAdapter },
      ] as const)
    : []),
]

/** The adapter of a GPU; or, where there is none, what was asked and what came of it. */
export async function chooseHardware(): Promise<Choice | readonly Candidate[]> {
  const asked: Candidate[] = []
  for (const offer of offersHere()) {
    if (offer.source === 'swiftshader') continue
    try {
      const adapter = await offer.request()
      if (!isSoftware(adapter.info)) {
        const choice = await chooseFrom([{ ...offer, request: async () => adapter }])
        return { ...choice, candidates: [...asked, ...choice.candidates] }
      }
      const name = describe(adapter.info)
      asked.push({ source: offer.source, name, fallback: true, outcome: 'software' })
    } catch (error) {
      asked.push({ source: offer.source, name: offer.name, fallback: false, outcome: outcomeOf(error) })
    }
  }
  return asked
}

/** What a search can be narrowed to: any adapter, those of one source, or none at all. */
const wanted = ['webgpu', 'wasm', 'navigator', 'system', 'swiftshader'] as const

/** What `COTANGENT_ADAPTER` says; null if nothing. */
export function wantedSource(): (typeof wanted)[number] | null {
  const only = isNode ? process.env.COTANGENT_ADAPTER : undefined
  if (!only) return null
  const named = wanted.find((name) => name === only)
  if (named !== undefined) return named
  throw new RangeError(`device: COTANGENT_ADAPTER is "${only}"; set it to ${wanted.join(', ')}`)
}

const outcomeOf = (error: unknown): string => (error as Error).message.split('\n')[0] ?? ''

/** Asks in turn and takes the first adapter that comes. */
export async function chooseFrom(offers: readonly Offer[]): Promise<Choice> {
  const failed: Candidate[] = []
  for (const { source: place, name: asked, request } of offers) {
    try {
      const adapter = await request()
      // what another thread mapped stands in the place of the system's Vulkan
      const mapped = place === 'system' && adapter.info.architecture === 'swiftshader'
      const source = mapped ? 'swiftshader' : place
      const name = describe(adapter.info)
      const fallback = isSoftware(adapter.info)
      const outcome = `chosen: ${source === 'given' ? 'given by the caller' : fallback ? 'software' : 'hardware'}`
      const candidates = [...failed, { source, name, fallback, outcome }]
      const reason = [outcome.replace('chosen: ', ''), ...failed.map(why)].join('; ')
      return { adapter, source, name, candidates, reason }
    } catch (error) {
      failed.push({
        source: place,
        name: asked,
        fallback: place === 'swiftshader',
        outcome: outcomeOf(error),
      })
    }
  }
  throw new Error(`device: no WebGPU adapter; tried ${failed.map(why).join(', ')}; ${remedy()}`)
}

const isNode = typeof globalThis.process?.versions?.node === 'string' // Deno says so too

/** The GPU objects that npm `webgpu` made, for the life of the process: Dawn polls them, and hangs or aborts once
 * one is collected, one that had no adapter included. */
const gpus = new Map<string, GPU>()

/** Exact times; and no checks of indices, which the compiler has proven to lie inside their arrays. */
const dawnFeatures = [
  'disable-dawn-features=timestamp_quantization',
  'enable-dawn-features=disable_robustness',
]

async function ask(key: string): Promise<GPUAdapter | null> {
  const { create } = await import('webgpu')
  const gpu = gpus.get(key) ?? create(dawnFeatures)
  gpus.set(key, gpu)
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (adapter !== null && isSoftware(adapter.info)) spreadPolling()
  return adapter
}

async function navigatorAdapter(): Promise<GPUAdapter> {
  const { navigator } = globalThis as { navigator?: { gpu?: GPU } }
  if (!navigator?.gpu) throw new Error('absent')
  return some(await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' }))
}

/** Dawn sorts by the preference: software comes only where there is no hardware. */
async function systemAdapter(): Promise<GPUAdapter> {
  if (process.platform === 'linux') {
    const { hasVulkanLoader } = await import('./swiftshader.ts')
    if (!hasVulkanLoader()) throw new Error('no Vulkan loader, libvulkan.so.1')
  }
  return some(await ask('system'))
}

async function swiftshaderAdapter(): Promise<GPUAdapter> {
  const { platform, arch, env } = process
  if (platform !== 'linux' || arch !== 'x64') throw new Error(`not available on ${platform} ${arch}`)
  const { preload, unpackSwiftshader } = await import('./swiftshader.ts')
  const files = await unpackSwiftshader()
  if (files === null) throw new Error('not installed')
  preload(files)
  // A Vulkan loader that is in use comes first. In the main thread it can be told of the driver, and threads to
  // come inherit that; another thread that only tries the system's adapter closes its loader in a moment.
  for (const [attempt, pause] of [0, 0, 50, 200].entries()) {
    if (attempt === 1) env.VK_DRIVER_FILES = env.VK_ICD_FILENAMES = files.driver
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause))
    const adapter = await ask(`swiftshader ${attempt}`)
    if (adapter?.info.architecture === 'swiftshader') return adapter
  }
  throw new Error(`a Vulkan loader is in use already; start node with VK_DRIVER_FILES=${files.driver}`)
}

function some(adapter: GPUAdapter | null): GPUAdapter {
  if (adapter === null) throw new Error('no adapter')
  return adapter
}

const isSoftware = (info: GPUAdapterInfo): boolean =>
  info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader/i.test(`${info.architecture} ${info.description}`)

function describe({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  const model = device.replace(/-+$/, '') || `${vendor} ${architecture}`.trim()
  return [model, description].filter(Boolean).join(', ') || 'unnamed adapter'
}

const why = ({ name, outcome }: Candidate): string => `${name} (${outcome})`

function remedy(): string {
  if (!isNode) return 'use a browser that has WebGPU, over https or on localhost'
  if (process.platform !== 'linux') return 'install a driver for the GPU'
  const software = 'npm install --save-dev @sparticuz/chromium@147.0.0'
  return `install a Vulkan driver such as mesa-vulkan-drivers${process.arch === 'x64' ? `, or ${software}` : ''}`
}
