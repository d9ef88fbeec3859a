// Running programs. Calls return at once: what they ask for goes through one queue in order, and each program is one command
// buffer and one submit. An array that a failed program should have made fails every read of it.

import './gpu.ts'
import type { Words } from '../dtype.ts'
import { type Device, type DeviceStatistics, openDevice } from './device.ts'

/** Where an array's words are: still on the host, to be computed, on the device, or nowhere any more. */
type State =
  | { readonly kind: 'host'; readonly data: Words }
  | { readonly kind: 'pending' }
  | { readonly kind: 'device'; readonly buffer: GPUBuffer; readonly device: Device }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'released' }

/** The words of one array. */
export class Storage {
  readonly bytes: number
  /** What the array is, for errors. */
  readonly what: string
  state: State
  /** Why it must not be used any more. */
  gone: string | null = null

  constructor(bytes: number, what: string, data?: Words) {
    this.bytes = bytes
    this.what = what
    this.state = data === undefined ? { kind: 'pending' } : { kind: 'host', data }
  }
}

/** An array of a program: an argument, a result, or an intermediate in a slot. */
interface Place {
  readonly kind: 'input' | 'output' | 'slot'
  readonly index: number
}

/** What a compiler gives: kernels to dispatch in order, copies after them, and the bytes of the slots in between. */
export interface ProgramPlan {
  readonly dispatches: readonly {
    readonly name: string
    readonly wgsl: string
    readonly inputs: readonly Place[]
    readonly output: Place
    readonly workgroups: readonly [number, number, number]
  }[]
  readonly copies: readonly { readonly from: Place; readonly to: Place }[]
  readonly slots: readonly number[]
}

/** Bind groups of one program before the oldest are forgotten. */
const maxBindGroups = 8192

/** A plan whose pipelines are made when the device is there, all at once. */
export class Program {
  readonly #compile: (maxInputs: number) => ProgramPlan
  #ready: Promise<{ readonly plan: ProgramPlan; readonly pipelines: readonly GPUComputePipeline[] }> | null =
    null
  readonly #bindGroups = new Map<string, GPUBindGroup>()

  constructor(compile: (maxInputs: number) => ProgramPlan) {
    this.#compile = compile
    openDevice().then(
      (device) => this.#prepare(device).catch(() => {}),
      () => {}, // every call of the program reports it
    )
  }

  #prepare(device: Device) {
    this.#ready ??= (async () => {
      const plan = this.#compile(device.maxInputs)
      const made = plan.dispatches.map(({ wgsl, name, inputs }) => device.pipeline(wgsl, name, inputs.length))
      return { plan, pipelines: await Promise.all(made) }
    })()
    return this.#ready
  }

  async run(device: Device, inputs: readonly GPUBuffer[], outputs: readonly GPUBuffer[]): Promise<void> {
    const { plan, pipelines } = await this.#prepare(device)
    const slots: GPUBuffer[] = []
    try {
      for (const bytes of plan.slots) slots.push(await device.allocate(bytes, 'an intermediate result'))
      this.#submit(device, plan, pipelines, { input: inputs, output: outputs, slot: slots })
    } finally {
      for (const slot of slots.reverse()) device.recycle(slot)
    }
  }

  #submit(
    device: Device,
    plan: ProgramPlan,
    pipelines: readonly GPUComputePipeline[],
    arrays: Readonly<Record<Place['kind'], readonly GPUBuffer[]>>,
  ): void {
    const bufferOf = ({ kind, index }: Place): GPUBuffer => arrays[kind][index]!
    const encoder = device.gpu.createCommandEncoder()
    if (plan.dispatches.length > 0) {
      const pass = encoder.beginComputePass()
      for (const [k, { inputs, output, workgroups }] of plan.dispatches.entries()) {
        pass.setPipeline(pipelines[k]!)
        pass.setBindGroup(0, this.#bindGroup(device, k, [...inputs, output].map(bufferOf)))
        pass.dispatchWorkgroups(...workgroups)
      }
      pass.end()
    }
    for (const { from, to } of plan.copies) {
      const [source, target] = [bufferOf(from), bufferOf(to)]
      encoder.copyBufferToBuffer(source, 0, target, 0, Math.min(source.size, target.size))
    }
    device.submit(encoder.finish(), plan.dispatches.length)
  }

  #bindGroup(device: Device, dispatch: number, buffers: readonly GPUBuffer[]): GPUBindGroup {
    const key = `${dispatch}:${buffers.map((buffer) => device.idOf(buffer))}`
    const known = this.#bindGroups.get(key)
    if (known !== undefined) return known
    const made = device.gpu.createBindGroup({
      layout: device.layout(buffers.length - 1),
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    })
    if (this.#bindGroups.size >= maxBindGroups) this.#bindGroups.clear()
    this.#bindGroups.set(key, made)
    return made
  }
}

let tail: Promise<unknown> = Promise.resolve()

/** Runs `work` after everything asked for before. */
function enqueue<T>(work: (device: Device) => Promise<T>): Promise<T> {
  const done = tail.then(async () => {
    const device = await openDevice()
    device.check()
    return work(device)
  })
  tail = done.catch(() => {})
  return done
}

/** The buffer of an argument, uploaded if it is still on the host. */
async function bufferOf(device: Device, storage: Storage): Promise<GPUBuffer> {
  const { state } = storage
  if (state.kind === 'device') return state.buffer
  if (state.kind === 'failed') throw state.error
  if (state.kind !== 'host')
    throw new Error(`run: ${storage.what} is ${state.kind}; this is a defect of the runtime`)
  const buffer = await device.allocate(storage.bytes, storage.what)
  if (state.data.byteLength > 0)
    device.gpu.queue.writeBuffer(buffer, 0, state.data as GPUAllowSharedBufferSource)
  storage.state = { kind: 'device', buffer, device }
  return buffer
}

/** Asks for a program to run on `inputs`, filling `outputs`; the buffers of `donated` go back to the pool after it. */
export function launch(
  program: Program,
  inputs: readonly Storage[],
  outputs: readonly Storage[],
  donated: readonly Storage[],
): void {
  enqueue(async (device) => {
    const targets: GPUBuffer[] = []
    try {
      await device.throttle()
      const sources: GPUBuffer[] = []
      for (const input of inputs) sources.push(await bufferOf(device, input))
      for (const output of outputs) targets.push(await device.allocate(output.bytes, output.what))
      await program.run(device, sources, targets)
    } catch (error) {
      for (const target of targets) device.recycle(target)
      throw error
    } finally {
      for (const storage of donated) free(storage)
    }
    for (const [k, output] of outputs.entries())
      output.state = { kind: 'device', buffer: targets[k]!, device }
  }).catch((error: Error) => {
    for (const output of outputs) output.state = { kind: 'failed', error }
  })
}

function free(storage: Storage): void {
  if (storage.state.kind === 'device') storage.state.device.recycle(storage.state.buffer)
  storage.state = { kind: 'released' }
}

/** Gives the memory of an array back, after everything asked for before. */
export function release(storage: Storage, reason: string): void {
  if (storage.gone !== null) return
  storage.gone = reason
  tail = tail.then(() => free(storage))
}

/** The words of an array, once it is computed. */
export async function read(storage: Storage): Promise<ArrayBuffer> {
  if (storage.state.kind === 'host') return storage.state.data.slice().buffer as ArrayBuffer
  let copy: Promise<ArrayBuffer> | null = null
  await enqueue(async (device) => {
    const { state } = storage
    if (state.kind === 'failed') throw state.error
    if (state.kind === 'released') throw new Error(`data: ${storage.what} ${storage.gone}`)
    copy = device.read(await bufferOf(device, storage), storage.bytes)
    copy.catch(() => {}) // reported to the reader below
  })
  return copy!
}

/** Resolves when everything asked for so far has run, and rejects if the device failed. */
export const synchronize = (): Promise<void> => enqueue((device) => device.drain())

/** What the device did and holds, when everything asked for so far has been submitted. */
export const statistics = (): Promise<DeviceStatistics> => enqueue(async (device) => device.statistics)
