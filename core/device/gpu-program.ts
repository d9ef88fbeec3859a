// Programs on a GPU: the steps of a plan become commands. Those of one program are one submission, unless the host has to
// look at something in between.

import './gpu.ts'
import { type Device, type Slice, wholeOf } from './device.ts'
import { type Executable, joined, unitsOf } from './machine.ts'
import { Stamps, type TimedStep, type Timer } from './timer.ts'

/** An array of a program: an argument, a result, an intermediate in a slot, some of these side by side, or a table. */
interface Place {
  readonly kind: 'input' | 'output' | 'slot' | 'pack' | 'table'
  readonly index: number
  /** The bytes of it that are meant; all by default. */
  readonly part?: { readonly offset: number; readonly size: number }
}

interface DispatchStep extends TimedStep {
  readonly kind: 'dispatch'
  readonly wgsl: string
  readonly inputs: readonly Place[]
  readonly outputs: readonly Place[]
  /** The types and the bytes of what it writes. */
  readonly results: readonly { readonly type: string; readonly bytes: number }[]
  readonly workgroups: readonly [number, number, number]
}

interface CopyStep {
  readonly kind: 'copy'
  readonly from: Place
  readonly to: Place
}

interface LoopStep {
  readonly kind: 'loop'
  /** How often the body runs; null for as long as the first word of the state is not zero. */
  readonly turns: number | null
  readonly body: ProgramPlan
  readonly constants: readonly Place[]
  readonly initial: readonly Place[]
  readonly sliced: readonly Place[]
  readonly state: readonly Place[]
  readonly spare: readonly Place[]
  readonly stacked: readonly Place[]
  readonly slots: readonly Place[]
  readonly guard: Place | null
}

interface HostStep {
  readonly kind: 'host'
  readonly name: string
  readonly inputs: readonly { readonly place: Place; readonly bytes: number }[]
  readonly outputs: readonly Place[]
  readonly guard: Place | null
  about: TimedStep['about']
  run(words: readonly ArrayBuffer[]): readonly ArrayBufferView[]
}

/** Arguments, or results, that kernels read or write as one array, one behind the other. */
interface Pack {
  readonly kind: 'input' | 'output'
  readonly indices: readonly number[]
}

/** What a compiler gives: what to do in which order, and the bytes of the slots in between. */
export interface ProgramPlan {
  readonly steps: readonly (DispatchStep | CopyStep | LoopStep | HostStep)[]
  readonly slots: readonly number[]
  readonly packs: readonly Pack[]
  readonly tables: readonly Uint32Array[]
}

type Arrays = Readonly<Record<Place['kind'], readonly Slice[]>>

/** A kernel on the device, and the bind groups for the arrays it ran on last, the oldest first. */
interface Kernel {
  readonly pipeline: GPUComputePipeline
  readonly places: readonly Place[]
  readonly bound: { readonly slices: readonly Slice[]; readonly group: GPUBindGroup }[]
}

/** Bind groups of one kernel before the oldest is forgotten. */
const maxBound = 16

/** Commands are submitted when there are so many, so that a long loop does not fill the memory of the host. */
const maxCommands = 16384

/** Turns of a loop that are submitted before the host looks whether there is a next, at most. */
const maxTurnsAhead = 16

/** Every kernel of a plan, those of loops within it included. */
const dispatchesOf = ({ steps }: ProgramPlan): DispatchStep[] =>
  steps.flatMap((step) => {
    if (step.kind === 'dispatch') return [step]
    return step.kind === 'loop' ? dispatchesOf(step.body) : []
  })

/** Commands on their way to the device. */
class Commands {
  readonly #device: Device
  readonly #timer: Timer | null
  #stamps: Stamps | null = null
  #timed: DispatchStep[] = []
  #encoder: GPUCommandEncoder | null = null
  #pass: GPUComputePassEncoder | null = null
  #pipeline: GPUComputePipeline | null = null
  #count = 0
  #dispatches = 0

  constructor(device: Device, timer: Timer | null) {
    this.#device = device
    this.#timer = timer
  }

  dispatch(step: DispatchStep, pipeline: GPUComputePipeline, group: GPUBindGroup): void {
    if (this.#timer !== null) {
      this.#pass?.end()
      this.#pass = null
      this.#stamps ??= new Stamps(this.#device)
      this.#timed.push(step)
    }
    if (this.#pass === null) {
      this.#pass = this.#open().beginComputePass(this.#stamps?.pass(step.name))
      this.#pipeline = null
    }
    if (this.#pipeline !== pipeline) this.#pass.setPipeline(pipeline)
    this.#pipeline = pipeline
    this.#pass.setBindGroup(0, group)
    const [x, y, z] = step.workgroups
    this.#pass.dispatchWorkgroups(x, y, z)
    this.#dispatches++
    if (++this.#count >= maxCommands || this.#stamps?.full) this.submit()
  }

  copy(from: Slice, to: Slice): void {
    this.#pass?.end()
    this.#pass = null
    const size = Math.min(from.size, to.size)
    this.#open().copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, size)
    if (++this.#count >= maxCommands) this.submit()
  }

  submit(): void {
    this.#pass?.end()
    if (this.#encoder !== null) {
      const times = this.#stamps?.copy(this.#encoder)
      this.#device.submit(this.#encoder.finish(), this.#dispatches)
      if (times !== undefined) this.#timer?.take(this.#timed, times())
    }
    this.#stamps = null
    this.#timed = []
    this.#pass = null
    this.#encoder = null
    this.#count = 0
    this.#dispatches = 0
  }

  #open(): GPUCommandEncoder {
    this.#encoder ??= this.#device.gpu.createCommandEncoder()
    return this.#encoder
  }
}

/** A plan whose pipelines are made. */
export class GpuProgram implements Executable {
  readonly #device: Device
  readonly #plan: ProgramPlan
  readonly #kernels: ReadonlyMap<DispatchStep, Kernel>
  readonly #tables: readonly Slice[]
  #earlier: Readonly<Record<'output' | 'slot', readonly (readonly GPUBuffer[])[]>> = { output: [], slot: [] }

  private constructor(
    device: Device,
    plan: ProgramPlan,
    kernels: ReadonlyMap<DispatchStep, Kernel>,
    tables: readonly Slice[],
  ) {
    this.#device = device
    this.#plan = plan
    this.#kernels = kernels
    this.#tables = tables
  }

  /** Makes the pipelines, all at once. */
  static async of(device: Device, plan: ProgramPlan): Promise<GpuProgram> {
    const steps = dispatchesOf(plan)
    for (const { name, outputs, results } of steps)
      for (const [k, { type, bytes }] of results.entries())
        if (outputs[k]!.kind === 'slot')
          device.requireFit(bytes, `the intermediate ${type} of kernel ${name}`)
    device.planned(plan.slots.reduce((total, bytes) => total + bytes, 0))
    const made = steps.map(async (step): Promise<[DispatchStep, Kernel]> => {
      const { wgsl, name, inputs, outputs } = step
      const pipeline = await device.pipeline(wgsl, name, inputs.length, outputs.length)
      return [step, { pipeline, places: [...inputs, ...outputs], bound: [] }]
    })
    const tables: Slice[] = []
    for (const table of plan.tables) {
      tables.push(wholeOf(device.table(table.byteLength)))
      await device.write(tables.at(-1)!, table, 'a table')
    }
    return new GpuProgram(device, plan, new Map(await Promise.all(made)), tables)
  }

  units(outputs: number): readonly (readonly number[])[] {
    return unitsOf(this.#plan.packs, outputs)
  }

  outputs(
    sizes: readonly number[],
    allocate: (k: number) => Promise<GPUBuffer>,
  ): Promise<readonly GPUBuffer[]> {
    return this.#buffers('output', sizes, allocate)
  }

  async run(inputs: readonly Slice[], outputs: readonly Slice[], timer: Timer | null): Promise<void> {
    const [device, plan, kernels, tables] = [this.#device, this.#plan, this.#kernels, this.#tables]
    const slots = await this.#buffers('slot', plan.slots, (k) =>
      device.allocate(plan.slots[k]!, 'an intermediate result'),
    )
    const gathered: GPUBuffer[] = []
    try {
      const commands = new Commands(device, timer)
      const run = new Run(device, commands, timer, (step, arrays) => {
        const kernel = kernels.get(step)!
        commands.dispatch(step, kernel.pipeline, bindGroup(device, step, kernel, arrays))
      })
      const pack: Slice[] = []
      for (const { kind, indices } of plan.packs) {
        const parts = indices.map((k) => (kind === 'input' ? inputs : outputs)[k]!)
        const size = parts.reduce((sum, part) => sum + part.size, 0)
        const together = joined(parts)
        if (together === null) {
          gathered.push(await device.allocate(size, `${parts.length} arguments side by side`))
          let offset = 0
          for (const part of parts) {
            commands.copy(part, { buffer: gathered.at(-1)!, offset, size: part.size })
            offset += part.size
          }
        }
        pack.push(together ?? wholeOf(gathered.at(-1)!))
      }
      await run.steps(plan, { input: inputs, output: outputs, slot: slots.map(wholeOf), pack, table: tables })
      commands.submit()
    } finally {
      for (const buffer of [...slots, ...gathered]) device.recycle(buffer)
    }
  }

  /**
   * Buffers for the results or the slots of a run. Those of the last two runs are taken where they are free, since there are
   * bind groups for them; the others are left to `allocate`.
   */
  async #buffers(
    kind: 'output' | 'slot',
    sizes: readonly number[],
    allocate: (k: number) => Promise<GPUBuffer>,
  ): Promise<readonly GPUBuffer[]> {
    const [device, [older, old]] = [this.#device, this.#earlier[kind]]
    const taken = sizes.map((bytes, k) => device.again(older?.[k], bytes) ?? device.again(old?.[k], bytes))
    try {
      for (let k = 0; k < taken.length; k++) taken[k] ??= await allocate(k)
    } catch (error) {
      for (const buffer of taken) if (buffer) device.recycle(buffer)
      throw error
    }
    const buffers = taken as GPUBuffer[]
    this.#earlier = { ...this.#earlier, [kind]: [old ?? buffers, buffers] }
    return buffers
  }
}

/** Where an array of a run lies. */
function sliceOf(arrays: Arrays, { kind, index, part }: Place): Slice {
  const whole = arrays[kind][index]!
  if (part === undefined) return whole
  return { buffer: whole.buffer, offset: whole.offset + part.offset, size: part.size }
}

/** The bind group of a kernel for the arrays it is dispatched on, known or new. */
function bindGroup(
  device: Device,
  step: DispatchStep,
  { places, bound }: Kernel,
  arrays: Arrays,
): GPUBindGroup {
  for (const { slices, group } of bound) {
    let k = 0
    for (; k < places.length; k++) {
      const [there, here] = [slices[k]!, arrays[places[k]!.kind][places[k]!.index]!]
      if (there.buffer !== here.buffer || there.offset !== here.offset) break
    }
    if (k === places.length) return group
  }
  const group = device.gpu.createBindGroup({
    layout: device.layout(step.inputs.length, step.outputs.length),
    entries: places.map((place, binding) => ({ binding, resource: sliceOf(arrays, place) })),
  })
  if (bound.length >= maxBound) bound.shift()
  bound.push({ slices: places.map(({ kind, index }) => arrays[kind][index]!), group })
  return group
}

/** One run of a program. */
class Run {
  readonly #device: Device
  readonly #commands: Commands
  readonly #timer: Timer | null
  readonly #dispatch: (step: DispatchStep, arrays: Arrays) => void

  constructor(
    device: Device,
    commands: Commands,
    timer: Timer | null,
    dispatch: (step: DispatchStep, arrays: Arrays) => void,
  ) {
    this.#device = device
    this.#commands = commands
    this.#timer = timer
    this.#dispatch = dispatch
  }

  async steps({ steps }: ProgramPlan, arrays: Arrays): Promise<void> {
    const sliceOf = ({ kind, index, part }: Place): Slice => {
      const whole = arrays[kind][index]!
      return part === undefined
        ? whole
        : { ...part, buffer: whole.buffer, offset: whole.offset + part.offset }
    }
    for (const step of steps) {
      if (step.kind === 'dispatch') this.#dispatch(step, arrays)
      else if (step.kind === 'copy') this.#commands.copy(sliceOf(step.from), sliceOf(step.to))
      else if (step.kind === 'host') await this.#host(step, sliceOf)
      else await this.#loop(step, sliceOf)
    }
  }

  async #loop(step: LoopStep, sliceOf: (place: Place) => Slice): Promise<void> {
    const { turns, body, guard } = step
    const slices = (places: readonly Place[]): Slice[] => places.map(sliceOf)
    const [constants, sliced] = [slices(step.constants), slices(step.sliced)]
    const [output, slot] = [slices(step.stacked), slices(step.slots)]
    const [final, spare] = [slices(step.state), slices(step.spare)]
    let state = slices(step.initial)
    const turn = async (next: Slice[]): Promise<void> => {
      await this.steps(body, {
        input: [...constants, ...state, ...sliced],
        output: [...next, ...output],
        slot,
        pack: [],
        table: [],
      })
      state = next
    }
    if (turns !== null)
      // The last turn writes to where the state has to end.
      for (let k = turns; k > 0; k--) await turn(k % 2 === 1 ? final : spare)
    else if (guard === null || (await this.#isTrue(sliceOf(guard)))) {
      let ahead = 1
      do {
        for (let k = 0; k < ahead; k++) await turn(state === final ? spare : final)
        ahead = Math.min(2 * ahead, maxTurnsAhead)
      } while (await this.#isTrue(state[0]!))
    }
    for (const [k, slice] of state.entries()) if (slice !== final[k]) this.#commands.copy(slice, final[k]!)
  }

  async #host(step: HostStep, sliceOf: (place: Place) => Slice): Promise<void> {
    if (step.guard !== null && !(await this.#isTrue(sliceOf(step.guard)))) return
    this.#commands.submit()
    const words = step.inputs.map(({ place, bytes }) => this.#read(sliceOf(place), bytes, step.name))
    const given = await Promise.all(words)
    const start = performance.now()
    const results = step.run(given)
    this.#timer?.onHost(step, start)
    for (const [k, data] of results.entries())
      if (data.byteLength > 0) await this.#device.write(sliceOf(step.outputs[k]!), data, step.name)
  }

  /** Whether the first word of a buffer is not zero, once everything so far has run. */
  async #isTrue(slice: Slice): Promise<boolean> {
    this.#commands.submit()
    const [word] = new Uint32Array(await this.#read(slice, 4, 'the condition of a loop'))
    return word !== 0
  }

  async #read(slice: Slice, bytes: number, what: string): Promise<ArrayBuffer> {
    const { copied } = await this.#device.read(slice, bytes, what)
    return copied
  }
}
