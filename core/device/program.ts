// Programs on a device: the steps of a plan become commands. Those of one program are one submission, unless the host has to
// look at something in between.

import './gpu.ts'
import { type Device, openDevice, type Slice, wholeOf } from './device.ts'

/** An array of a program: an argument, a result, an intermediate in a slot, some of these side by side, or a table. */
interface Place {
  readonly kind: 'input' | 'output' | 'slot' | 'pack' | 'table'
  readonly index: number
  /** The bytes of it that are meant; all by default. */
  readonly part?: { readonly offset: number; readonly size: number }
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

  copy(from: Slice, to: Slice): void {
    this.#pass?.end()
    this.#pass = null
    const size = Math.min(from.size, to.size)
    this.#open().copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, size)
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
  readonly #compile: (maxArrays: number) => ProgramPlan
  #ready: Promise<{
    readonly plan: ProgramPlan
    readonly pipelines: ReadonlyMap<DispatchStep, GPUComputePipeline>
    readonly tables: readonly Slice[]
  }> | null = null
  readonly #bindGroups = new Map<string, GPUBindGroup>()
  #device: Device | null = null
  readonly #numbers = new Map<DispatchStep, number>()

  constructor(compile: (maxArrays: number) => ProgramPlan) {
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
      const plan = this.#compile(device.maxArrays)
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
      const tables: Slice[] = []
      for (const table of plan.tables) {
        tables.push(wholeOf(device.table(table.byteLength)))
        await device.write(tables.at(-1)!, table, 'a table')
      }
      return { plan, pipelines: new Map(await Promise.all(made)), tables }
    })()
    return this.#ready
  }

  /** Which of its results have to lie in one buffer, one behind the other. */
  async blocks(device: Device): Promise<(readonly number[])[]> {
    const { plan } = await this.#prepare(device)
    return plan.packs.filter(({ kind }) => kind === 'output').map(({ indices }) => indices)
  }

  async run(device: Device, inputs: readonly Slice[], outputs: readonly Slice[]): Promise<void> {
    const { plan, pipelines, tables } = await this.#prepare(device)
    const slots: GPUBuffer[] = []
    const gathered: GPUBuffer[] = []
    const commands = new Commands(device)
    try {
      for (const bytes of plan.slots) slots.push(await device.allocate(bytes, 'an intermediate result'))
      const run = new Run(device, commands, (step, slices) =>
        commands.dispatch(pipelines.get(step)!, this.#bindGroup(device, step, slices), step.workgroups),
      )
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
      for (const buffer of [...slots, ...gathered].reverse()) device.recycle(buffer)
    }
  }

  #bindGroup(device: Device, step: DispatchStep, slices: readonly Slice[]): GPUBindGroup {
    const number = this.#numbers.get(step) ?? this.#numbers.size
    this.#numbers.set(step, number)
    const key = `${number}:${slices.map(({ buffer, offset }) => `${device.idOf(buffer)}+${offset}`)}`
    const known = this.#bindGroups.get(key)
    if (known !== undefined) return known
    const made = device.gpu.createBindGroup({
      layout: device.layout(step.inputs.length, step.outputs.length),
      entries: slices.map((resource, binding) => ({ binding, resource })),
    })
    if (this.#bindGroups.size >= maxBindGroups) this.#bindGroups.clear()
    this.#bindGroups.set(key, made)
    return made
  }
}

/** Slices as one, if they lie one behind the other. */
function joined(slices: readonly Slice[]): Slice | null {
  const { buffer, offset } = slices[0]!
  let end = offset
  for (const slice of slices) {
    if (slice.buffer !== buffer || slice.offset !== end) return null
    end += slice.size
  }
  return { buffer, offset, size: end - offset }
}

/** One run of a program. */
class Run {
  readonly #device: Device
  readonly #commands: Commands
  readonly #dispatch: (step: DispatchStep, slices: readonly Slice[]) => void

  constructor(
    device: Device,
    commands: Commands,
    dispatch: (step: DispatchStep, slices: readonly Slice[]) => void,
  ) {
    this.#device = device
    this.#commands = commands
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
      if (step.kind === 'dispatch') this.#dispatch(step, [...step.inputs, ...step.outputs].map(sliceOf))
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
    const results = step.run(await Promise.all(words))
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
