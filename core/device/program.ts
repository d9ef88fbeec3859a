// Programs on a device: the steps of a plan become commands. Those of one program are one submission, unless the host has to
// look at something in between.

import './gpu.ts'
import { type Device, openDevice } from './device.ts'

/** An array of a program: an argument, a result, or an intermediate in a slot. */
interface Place {
  readonly kind: 'input' | 'output' | 'slot'
  readonly index: number
}

interface DispatchStep {
  readonly kind: 'dispatch'
  readonly name: string
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
  run(words: readonly ArrayBuffer[]): readonly ArrayBufferView[]
}

/** What a compiler gives: what to do in which order, and the bytes of the slots in between. */
export interface ProgramPlan {
  readonly steps: readonly (DispatchStep | CopyStep | LoopStep | HostStep)[]
  readonly slots: readonly number[]
}

type Arrays = Readonly<Record<Place['kind'], readonly GPUBuffer[]>>

/** Bind groups of one program before the oldest are forgotten. */
const maxBindGroups = 8192

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
  #encoder: GPUCommandEncoder | null = null
  #pass: GPUComputePassEncoder | null = null
  #count = 0
  #dispatches = 0

  constructor(device: Device) {
    this.#device = device
  }

  dispatch(pipeline: GPUComputePipeline, group: GPUBindGroup, workgroups: DispatchStep['workgroups']): void {
    this.#pass ??= this.#open().beginComputePass()
    this.#pass.setPipeline(pipeline)
    this.#pass.setBindGroup(0, group)
    this.#pass.dispatchWorkgroups(...workgroups)
    this.#dispatches++
    if (++this.#count >= maxCommands) this.submit()
  }

  copy(from: GPUBuffer, to: GPUBuffer): void {
    this.#pass?.end()
    this.#pass = null
    this.#open().copyBufferToBuffer(from, 0, to, 0, Math.min(from.size, to.size))
    if (++this.#count >= maxCommands) this.submit()
  }

  submit(): void {
    this.#pass?.end()
    if (this.#encoder !== null) this.#device.submit(this.#encoder.finish(), this.#dispatches)
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
    readonly pipelines: ReadonlyMap<DispatchStep, GPUComputePipeline>
  }> | null = null
  readonly #bindGroups = new Map<string, GPUBindGroup>()
  #device: Device | null = null
  readonly #numbers = new Map<DispatchStep, number>()

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
      this.#bindGroups.clear()
    }
    this.#ready ??= (async () => {
      const plan = await this.#compile(device)
      const steps = dispatchesOf(plan)
      for (const { name, outputs, results } of steps)
        for (const [k, { type, bytes }] of results.entries())
          if (outputs[k]!.kind === 'slot')
            device.requireFit(bytes, `the intermediate ${type} of kernel ${name}`)
      device.planned(plan.slots.reduce((total, bytes) => total + bytes, 0))
      const made = steps.map(
        async (step) =>
          [
            step,
            await device.pipeline(step.wgsl, step.name, step.inputs.length, step.outputs.length),
          ] as const,
      )
      return { plan, pipelines: new Map(await Promise.all(made)) }
    })()
    return this.#ready
  }

  async run(device: Device, inputs: readonly GPUBuffer[], outputs: readonly GPUBuffer[]): Promise<void> {
    const { plan, pipelines } = await this.#prepare(device)
    const slots: GPUBuffer[] = []
    const commands = new Commands(device)
    try {
      for (const bytes of plan.slots) slots.push(await device.allocate(bytes, 'an intermediate result'))
      const run = new Run(device, commands, (step, buffers) =>
        commands.dispatch(pipelines.get(step)!, this.#bindGroup(device, step, buffers), step.workgroups),
      )
      await run.steps(plan, { input: inputs, output: outputs, slot: slots })
      commands.submit()
    } finally {
      for (const slot of slots.reverse()) device.recycle(slot)
    }
  }

  #bindGroup(device: Device, step: DispatchStep, buffers: readonly GPUBuffer[]): GPUBindGroup {
    const number = this.#numbers.get(step) ?? this.#numbers.size
    this.#numbers.set(step, number)
    const key = `${number}:${buffers.map((buffer) => device.idOf(buffer))}`
    const known = this.#bindGroups.get(key)
    if (known !== undefined) return known
    const made = device.gpu.createBindGroup({
      layout: device.layout(step.inputs.length, step.outputs.length),
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    })
    if (this.#bindGroups.size >= maxBindGroups) this.#bindGroups.clear()
    this.#bindGroups.set(key, made)
    return made
  }
}

/** One run of a program. */
class Run {
  readonly #device: Device
  readonly #commands: Commands
  readonly #dispatch: (step: DispatchStep, buffers: readonly GPUBuffer[]) => void

  constructor(
    device: Device,
    commands: Commands,
    dispatch: (step: DispatchStep, buffers: readonly GPUBuffer[]) => void,
  ) {
    this.#device = device
    this.#commands = commands
    this.#dispatch = dispatch
  }

  async steps({ steps }: ProgramPlan, arrays: Arrays): Promise<void> {
    const bufferOf = ({ kind, index }: Place): GPUBuffer => arrays[kind][index]!
    for (const step of steps) {
      if (step.kind === 'dispatch') this.#dispatch(step, [...step.inputs, ...step.outputs].map(bufferOf))
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
    const results = step.run(await Promise.all(words))
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
