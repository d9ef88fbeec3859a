// Programs on a device: the steps of a plan become commands. Those of one program are one submission, unless the host has to
// look at something in between.

import './gpu.ts'
import { type Device, openDevice } from './device.ts'
import { Stamps, type TimedStep, type Timer } from './timer.ts'

/** An array of a program: an argument, a result, or an intermediate in a slot. */
interface Place {
  readonly kind: 'input' | 'output' | 'slot'
  readonly index: number
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

/** What a compiler gives: what to do in which order, and the bytes of the slots in between. */
export interface ProgramPlan {
  readonly steps: readonly (DispatchStep | CopyStep | LoopStep | HostStep)[]
  readonly slots: readonly number[]
}

type Arrays = Readonly<Record<Place['kind'], readonly GPUBuffer[]>>

/** A kernel on the device, and the bind groups for the arrays it ran on last, the oldest first. */
interface Kernel {
  readonly pipeline: GPUComputePipeline
  readonly places: readonly Place[]
  readonly bound: { readonly buffers: readonly GPUBuffer[]; readonly group: GPUBindGroup }[]
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

  copy(from: GPUBuffer, to: GPUBuffer): void {
    this.#pass?.end()
    this.#pass = null
    this.#open().copyBufferToBuffer(from, 0, to, 0, Math.min(from.size, to.size))
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

/** A plan whose pipelines are made when the device is there, all at once. */
export class Program {
  readonly #compile: (device: Device) => ProgramPlan | Promise<ProgramPlan>
  #ready: Promise<{
    readonly plan: ProgramPlan
    readonly kernels: ReadonlyMap<DispatchStep, Kernel>
  }> | null = null
  #device: Device | null = null
  #earlier: Readonly<Record<'output' | 'slot', readonly (readonly GPUBuffer[])[]>> = { output: [], slot: [] }

  constructor(compile: (device: Device) => ProgramPlan | Promise<ProgramPlan>) {
    this.#compile = compile
    openDevice().then(
      (device) => this.#prepare(device).catch(() => {}),
      () => {}, // every call of the program reports it
    )
  }

  #prepare(device: Device) {
    if (this.#device !== device) {
      this.#device = device
      this.#ready = null
    }
    this.#ready ??= (async () => {
      const plan = await this.#compile(device)
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
      return { plan, kernels: new Map(await Promise.all(made)) }
    })()
    return this.#ready
  }

  async run(
    device: Device,
    inputs: readonly GPUBuffer[],
    outputs: readonly GPUBuffer[],
    timer: Timer | null,
  ): Promise<void> {
    const { plan, kernels } = await this.#prepare(device)
    const slots = await this.buffers(device, 'slot', plan.slots, (k) =>
      device.allocate(plan.slots[k]!, 'an intermediate result'),
    )
    try {
      const commands = new Commands(device, timer)
      const run = new Run(device, commands, timer, (step, arrays) => {
        const kernel = kernels.get(step)!
        commands.dispatch(step, kernel.pipeline, bindGroup(device, step, kernel, arrays))
      })
      await run.steps(plan, { input: inputs, output: outputs, slot: slots })
      commands.submit()
    } finally {
      for (const slot of slots) device.recycle(slot)
    }
  }

  /**
   * Buffers for the results or the slots of a run. Those of the last two runs are taken where they are free, since there are
   * bind groups for them; the others are left to `allocate`.
   */
  async buffers(
    device: Device,
    kind: 'output' | 'slot',
    sizes: readonly number[],
    allocate: (k: number) => Promise<GPUBuffer>,
  ): Promise<readonly GPUBuffer[]> {
    const [older, old] = this.#earlier[kind]
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

/** The bind group of a kernel for the arrays it is dispatched on, known or new. */
function bindGroup(
  device: Device,
  step: DispatchStep,
  { places, bound }: Kernel,
  arrays: Arrays,
): GPUBindGroup {
  for (const { buffers, group } of bound) {
    let k = 0
    while (k < places.length && buffers[k] === arrays[places[k]!.kind][places[k]!.index]) k++
    if (k === places.length) return group
  }
  const buffers = places.map(({ kind, index }) => arrays[kind][index]!)
  const group = device.gpu.createBindGroup({
    layout: device.layout(step.inputs.length, step.outputs.length),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  })
  if (bound.length >= maxBound) bound.shift()
  bound.push({ buffers, group })
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
    const bufferOf = ({ kind, index }: Place): GPUBuffer => arrays[kind][index]!
    for (const step of steps) {
      if (step.kind === 'dispatch') this.#dispatch(step, arrays)
      else if (step.kind === 'copy') this.#commands.copy(bufferOf(step.from), bufferOf(step.to))
      else if (step.kind === 'host') await this.#host(step, bufferOf)
      else await this.#loop(step, bufferOf)
    }
  }

  async #loop(step: LoopStep, bufferOf: (place: Place) => GPUBuffer): Promise<void> {
    const { turns, body, guard } = step
    const buffers = (places: readonly Place[]): GPUBuffer[] => places.map(bufferOf)
    const [constants, sliced] = [buffers(step.constants), buffers(step.sliced)]
    const [output, slot] = [buffers(step.stacked), buffers(step.slots)]
    const [final, spare] = [buffers(step.state), buffers(step.spare)]
    let state = buffers(step.initial)
    const turn = async (next: GPUBuffer[]): Promise<void> => {
      await this.steps(body, {
        input: [...constants, ...state, ...sliced],
        output: [...next, ...output],
        slot,
      })
      state = next
    }
    if (turns !== null)
      // The last turn writes to where the state has to end.
      for (let k = turns; k > 0; k--) await turn(k % 2 === 1 ? final : spare)
    else if (guard === null || (await this.#isTrue(bufferOf(guard)))) {
      let ahead = 1
      do {
        for (let k = 0; k < ahead; k++) await turn(state === final ? spare : final)
        ahead = Math.min(2 * ahead, maxTurnsAhead)
      } while (await this.#isTrue(state[0]!))
    }
    for (const [k, buffer] of state.entries()) if (buffer !== final[k]) this.#commands.copy(buffer, final[k]!)
  }

  async #host(step: HostStep, bufferOf: (place: Place) => GPUBuffer): Promise<void> {
    if (step.guard !== null && !(await this.#isTrue(bufferOf(step.guard)))) return
    this.#commands.submit()
    const words = step.inputs.map(({ place, bytes }) => this.#read(bufferOf(place), bytes, step.name))
    const given = await Promise.all(words)
    const start = performance.now()
    const results = step.run(given)
    this.#timer?.onHost(step, start)
    for (const [k, data] of results.entries())
      if (data.byteLength > 0) await this.#device.write(bufferOf(step.outputs[k]!), data, step.name)
  }

  /** Whether the first word of a buffer is not zero, once everything so far has run. */
  async #isTrue(buffer: GPUBuffer): Promise<boolean> {
    this.#commands.submit()
    const [word] = new Uint32Array(await this.#read(buffer, 4, 'the condition of a loop'))
    return word !== 0
  }

  async #read(buffer: GPUBuffer, bytes: number, what: string): Promise<ArrayBuffer> {
    const { copied } = await this.#device.read(buffer, bytes, what)
    return copied
  }
}
