// Running programs. Calls return at once: what they ask for goes through one queue in order, and each program is one command
// buffer and one submit. An array that a failed program should have made fails every read of it.

import type { Words } from '../dtype.ts'
import { type Site, showSite } from '../source.ts'
import { type About, DeviceError, type Text } from './errors.ts'
import { type DeviceStatistics, type Machine, type Memory, roomFor, type Slice } from './machine.ts'
import { openMachine } from './open.ts'
import type { Program } from './program.ts'
import { currentTimer } from './timer.ts'

/** Where an array's words are: still on the host, to be computed, on the device, or nowhere any more. */
type State =
  | { readonly kind: 'host'; readonly data: Words }
  | { readonly kind: 'pending' }
  | { readonly kind: 'device'; readonly slice: Slice; readonly block: Block; readonly device: Machine }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'released' }

/** A buffer that arrays share. It goes back to the pool with the last of them. */
interface Block {
  readonly buffer: Memory
  users: number
}

/** Who asked for an array, for errors. */
export interface Origin {
  /** the operation or the compiled function */
  readonly operation: string
  readonly site: Site | null
}

/** The words of one array. */
export class Storage {
  readonly bytes: number
  /** What the array is, for errors. */
  readonly what: Text
  readonly origin: Origin
  state: State
  /** Why it must not be used any more. */
  gone: string | null = null
  /** Programs and reads in the queue that use it: its memory goes back after the last of them. */
  uses = 0
  /** The scope that disposes of it; it lists what has memory still. */
  scope: Set<Storage> | null = null

  constructor(bytes: number, what: Text, data: Words | null, origin: Origin) {
    this.bytes = bytes
    this.what = what
    this.origin = origin
    this.state = data === null ? { kind: 'pending' } : { kind: 'host', data }
  }
}

/** A failure of the device as one about this array. */
async function about(storage: Storage, error: unknown, fate: About['fate']): Promise<unknown> {
  if (!(error instanceof DeviceError)) return error
  const { what, bytes, origin } = storage
  return error.about({
    operation: origin.operation,
    tensor: String(what),
    bytes,
    source: await showSite(origin.site),
    fate,
  })
}

let tail: Promise<unknown> = Promise.resolve()

/** The device that computed last; after a failure it is another than the open one. */
let last: Machine | null = null

/** Runs `work` after everything asked for before. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const done = tail.then(work)
  tail = done.catch(() => {})
  return done
}

/** Runs `work` on the device, opened where there is none, after everything asked for before. */
const enqueue = <T>(work: (device: Machine) => Promise<T>): Promise<T> =>
  inTurn(async () => {
    const device = await openMachine()
    last = device
    try {
      device.check()
      return await work(device)
    } catch (error) {
      throw await device.blame(error)
    }
  })

/** Where an argument lies that is on the device. */
const sliceOn = (device: Machine, { state }: Storage): Slice | null =>
  state.kind === 'device' && state.device === device ? state.slice : null

/** Where any other argument lies, uploaded if it is still on the host. */
async function upload(device: Machine, storage: Storage): Promise<Slice> {
  const { state } = storage
  if (state.kind === 'failed') throw state.error
  if (state.kind === 'device') {
    if (state.device.failure !== null) throw await about(storage, state.device.failure, 'is lost')
    if (state.device !== device)
      throw new Error(`run: ${storage.what} lies on another machine; read it there and make it anew`)
    return state.slice
  }
  if (state.kind !== 'host')
    throw new Error(`run: ${storage.what} is ${state.kind}; this is a defect of the runtime`)
  const [placed] = placesIn(device, await allocate(device, [storage]), [storage])
  if (state.data.byteLength > 0) await device.write(placed!.slice, state.data, storage.what)
  storage.state = placed!
  return placed!.slice
}

type Placed = State & { readonly kind: 'device' }

/** Arrays that lie in one buffer, one behind the other. */
type Unit = readonly Storage[]

const bytesOf = (unit: Unit): number => unit.reduce((sum, { bytes }) => sum + roomFor(bytes), 0)

/** A buffer for some arrays; an error says whose it would have been. */
async function allocate(device: Machine, unit: Unit): Promise<Memory> {
  const [first, ...others] = unit as readonly [Storage, ...Storage[]]
  const more = `${others.length} more arrays`
  try {
    return await device.allocate(
      bytesOf(unit),
      others.length === 0 ? first.what : `${first.what} and ${more}`,
    )
  } catch (error) {
    throw await about(first, error, 'was not computed')
  }
}

/** Where each array of a unit lies in its buffer. */
function placesIn(device: Machine, buffer: Memory, unit: Unit): Placed[] {
  const block: Block = { buffer, users: unit.length }
  let offset = 0
  return unit.map(({ bytes }) => {
    const slice: Slice = { buffer, offset, size: roomFor(bytes) }
    offset += slice.size
    return { kind: 'device', slice, block, device }
  })
}

/** Asks for a program to run on `inputs`, filling `outputs`; the buffers of `donated` go back to the pool after it. */
export function launch(
  program: Program,
  inputs: readonly Storage[],
  outputs: readonly Storage[],
  donated: readonly Storage[],
): void {
  const timer = currentTimer()
  const held = [...inputs, ...outputs, ...donated]
  for (const storage of held) storage.uses += 1
  const settle = (): void => {
    for (const storage of donated) free(storage)
    for (const storage of held) unuse(storage)
  }
  enqueue(async (device) => {
    const placed = new Map<Storage, Placed>()
    try {
      await device.throttle()
      for (const output of outputs) device.requireFit(output.bytes, output.what)
      const sources: Slice[] = []
      for (const input of inputs) sources.push(sliceOn(device, input) ?? (await upload(device, input)))
      const executable = await program.on(device)
      const units: Unit[] = executable.units(outputs.length).map((indices) => indices.map((k) => outputs[k]!))
      const buffers = await executable.outputs(units.map(bytesOf), (k) => allocate(device, units[k]!))
      for (const [k, unit] of units.entries())
        for (const [n, place] of placesIn(device, buffers[k]!, unit).entries()) placed.set(unit[n]!, place)
      const targets = outputs.map((output) => placed.get(output)!.slice)
      await executable.run(sources, targets, timer)
    } catch (error) {
      for (const place of placed.values()) leave(place)
      throw error
    }
    for (const [output, place] of placed) output.state = place
  }).then(settle, (error: Error) => {
    for (const output of outputs) output.state = { kind: 'failed', error }
    settle()
  })
}

/** Gives back an array's part of a block, and with the last part the block. */
function leave({ block, device }: Placed): void {
  block.users -= 1
  if (block.users === 0) device.recycle(block.buffer)
}

function free(storage: Storage): void {
  if (storage.state.kind === 'device') leave(storage.state)
  storage.state = { kind: 'released' }
  storage.scope?.delete(storage)
}

function unuse(storage: Storage): void {
  storage.uses -= 1
  if (storage.uses === 0 && storage.gone !== null) free(storage)
}

/** Gives the memory of an array back, once what was asked for before has used it. */
export function release(storage: Storage, reason: string): void {
  if (storage.gone !== null) return
  storage.gone = reason
  if (storage.uses === 0) free(storage)
}

/** The words of an array, once it is computed. */
export async function read(storage: Storage): Promise<ArrayBuffer> {
  if (storage.state.kind === 'host') return storage.state.data.slice().buffer as ArrayBuffer
  storage.uses += 1
  try {
    const { copied } = await inTurn(() => copyOf(storage)).finally(() => unuse(storage))
    return await copied
  } catch (error) {
    const { state } = storage
    throw await about(storage, error, state.kind === 'device' ? 'is lost' : 'was not computed')
  }
}

/** Asks for a copy of an array on the host. */
async function copyOf(storage: Storage): Promise<{ readonly copied: Promise<ArrayBuffer> }> {
  const { state, what, bytes } = storage
  if (state.kind === 'failed') throw state.error
  if (state.kind === 'released') throw new Error(`data: ${what} ${storage.gone}`)
  if (state.kind === 'host') return { copied: Promise.resolve(state.data.slice().buffer as ArrayBuffer) }
  if (state.kind === 'pending') throw new Error(`data: ${what} is pending; this is a defect of the runtime`)
  const { device, slice } = state
  device.check()
  try {
    const { copied } = await device.read(slice, bytes, what)
    copied.catch(() => {}) // reported to the reader
    return { copied }
  } catch (error) {
    throw await device.blame(error)
  }
}

/** Resolves when everything asked for so far has run, and rejects if the device failed meanwhile. */
export const synchronize = (): Promise<void> => inTurn(async () => last?.drain())

/** What the device did and holds, when everything asked for so far has been submitted. */
export const statistics = (): Promise<DeviceStatistics> =>
  inTurn(async () => (await openMachine()).statistics)
