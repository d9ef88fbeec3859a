// A plan as one WebAssembly module: its kernels, and an entry that every thread runs. It does its share of each kernel and waits
// for the others before the next, so that a run is one call.

import type { Plan } from '../plan.ts'
import { type Func, type LocalType, moduleOf, show } from './encoder.ts'
import type { WasmKernel } from './index.ts'
import type { Instruction } from './instructions.ts'

type Step = Plan<WasmKernel>['steps'][number]
type Dispatch = Extract<Step, { kind: 'dispatch' }>
type Place = Extract<Step, { kind: 'copy' }>['from']

/** What the host does in the middle of a run, and where the addresses of its arrays are put: in words of the frame. */
interface HostWork {
  readonly step: Extract<Step, { kind: 'host' }>
  readonly first: number
}

/** A kernel, for a profile. */
interface TimedKernel {
  readonly name: string
  /** Tells it from other kernels. */
  readonly key: string
  about: Dispatch['about']
  cost: Dispatch['cost']
}

/** A program for some threads: `run(thread, threads, frame)`, where a frame is words in memory. */
export interface WasmProgram {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly functions: readonly Func[]
  /** Words of a frame: addresses of the inputs, outputs, slots, packs and tables, one behind the other, and what else it needs. */
  readonly frame: {
    readonly starts: Readonly<Record<Place['kind'], number>>
    /** The word with the address of the memory of threads. */
    readonly scratch: number
    /** The word with the address of three words by which threads wait for each other. */
    readonly sync: number
    readonly words: number
  }
  /** Bytes of memory for each thread. */
  readonly scratch: number
  /** Whether some kernel is worth several threads. */
  readonly isShared: boolean
  /** Kernels that are called, those of a loop once. */
  readonly dispatches: number
  readonly host: readonly HostWork[]
  /** If the program is timed: the host is called with -1 - k when step k of these is done. */
  readonly timed: readonly TimedKernel[]
  readonly slots: Plan<WasmKernel>['slots']
  readonly packs: Plan<WasmKernel>['packs']
  readonly tables: Plan<WasmKernel>['tables']
}

/** How often a thread looks for the others before it sleeps. */
const spins = 20000

/** Operations and bytes of a kernel that one thread does before the others would have begun. */
const worthSharing = 2 ** 15

const hostFunction = 0
const barrierFunction = 1

const [thread, threads, frame] = [0, 1, 2]

/** Waits until all threads have come so far, or traps if one failed. `sync` is the address of three words. */
export function barrier(): Func {
  const [sync, count, generation, turns] = [0, 1, 2, 3]
  const hasChanged: Instruction[] = [
    ['local.get', sync],
    ['i32.atomic.load', 8],
    ['if'],
    ['unreachable'],
    ['end'],
    ['local.get', sync],
    ['i32.atomic.load', 4],
    ['local.get', generation],
    ['i32.ne'],
    ['if'],
    ['return'],
    ['end'],
  ]
  return {
    name: 'barrier',
    params: ['sync', 'threads'],
    locals: ['i32', 'i32'],
    code: [
      ['local.get', count],
      ['i32.const', 1],
      ['i32.le_u'],
      ['if'],
      ['return'],
      ['end'],
      ['local.get', sync],
      ['i32.atomic.load', 4],
      ['local.set', generation],
      ['local.get', sync],
      ['i32.const', 1],
      ['i32.atomic.rmw.add', 0],
      ['i32.const', 1],
      ['i32.add'],
      ['local.get', count],
      ['i32.eq'],
      ['if'],
      ['local.get', sync],
      ['i32.const', 0],
      ['i32.atomic.store', 0],
      ['local.get', sync],
      ['local.get', generation],
      ['i32.const', 1],
      ['i32.add'],
      ['i32.atomic.store', 4],
      ['local.get', sync],
      ['i32.const', -1],
      ['memory.atomic.notify', 4],
      ['drop'],
      ['return'],
      ['end'],
      ['loop'],
      ...hasChanged,
      ['local.get', turns],
      ['i32.const', 1],
      ['i32.add'],
      ['local.tee', turns],
      ['i32.const', spins],
      ['i32.lt_u'],
      ['br_if', 0],
      ['end'],
      ['loop'],
      ['local.get', sync],
      ['local.get', generation],
      ['i64.const', -1],
      ['memory.atomic.wait32', 4],
      ['drop'],
      ...hasChanged,
      ['br', 0],
      ['end'],
    ],
  }
}

/** How an address comes on the stack. */
type Address = readonly Instruction[]

type Addresses = Readonly<Record<Place['kind'], (index: number) => Address>>

export function programOf(
  plan: Plan<WasmKernel>,
  inputs: number,
  outputs: number,
  isTimed = false,
): WasmProgram {
  const starts = {
    input: 0,
    output: inputs,
    slot: inputs + outputs,
    pack: inputs + outputs + plan.slots.length,
    table: inputs + outputs + plan.slots.length + plan.packs.length,
  }
  let words = starts.table + plan.tables.length
  const [scratch, sync] = [words, words + 1]
  words += 2
  const functions: Func[] = [barrier()]
  const numbers = new Map<Func, number>()
  const host: HostWork[] = []
  const locals: LocalType[] = []
  let own = 0
  let dispatches = 0
  let isShared = false
  const timed: TimedKernel[] = []
  const local = (): number => {
    locals.push('i32')
    return 2 + locals.length
  }
  const word = (index: number): Address => [
    ['local.get', frame],
    ['i32.load', 4 * index],
  ]
  const numberOf = (kernel: Func): number => {
    const known = numbers.get(kernel) ?? functions.push(kernel) - 1
    numbers.set(kernel, known)
    return 1 + known
  }
  const wait: Instruction[] = [...word(sync), ['local.get', threads], ['call', barrierFunction]]
  const mine = local()
  const first: Instruction[] = [['local.get', thread], ['i32.eqz'], ['if']]
  /** Code that runs if a word is not zero: all threads have read it before anybody goes on, and may write there. */
  const guarded = (address: Address, code: readonly Instruction[]): Instruction[] => {
    const isTrue = local()
    const read: Instruction[] = [...address, ['i32.load', 0], ['local.set', isTrue], ...wait]
    return [...read, ['local.get', isTrue], ['if'], ...code, ['end']]
  }
  const keep = (address: Address): { readonly local: number; readonly set: Instruction[] } => {
    const kept = local()
    return { local: kept, set: [...address, ['local.set', kept]] }
  }

  const stepsOf = (steps: readonly Step[], addresses: Addresses): Instruction[] => {
    const at = ({ kind, index, part }: Place): Address => {
      const address = addresses[kind](index)
      return part === undefined ? address : [...address, ['i32.const', part.offset], ['i32.add']]
    }
    const copy = (from: Address, to: Address, bytes: number): Instruction[] => [
      ...first,
      ...to,
      ...from,
      ['i32.const', bytes],
      ['memory.copy'],
      ['end'],
      ...wait,
    ]
    return steps.flatMap((step): Instruction[] => {
      if (step.kind === 'dispatch') {
        own = Math.max(own, step.scratch)
        dispatches++
        if (step.units === 0) return []
        const { flops, bytes } = step.cost()
        const isSmall = step.units === 1 || flops + bytes < worthSharing
        isShared ||= !isSmall
        const share = (next: number): Instruction[] =>
          isSmall
            ? [['i32.const', next * step.units]]
            : [
                ['local.get', thread],
                ...(next === 0 ? [] : ([['i32.const', next], ['i32.add']] as Instruction[])),
                ['i64.extend_i32_u'],
                ['i64.const', step.units],
                ['i64.mul'],
                ['local.get', threads],
                ['i64.extend_i32_u'],
                ['i64.div_u'],
                ['i32.wrap_i64'],
              ]
        const arrays = step.isGuarded
          ? [step.inputs.at(-1)!, ...step.outputs, ...step.inputs.slice(0, -1)]
          : [...step.outputs, ...step.inputs]
        const call: Instruction[] = [
          ['local.get', mine],
          ...share(0),
          ...share(1),
          ...arrays.flatMap(at),
          ['call', numberOf(step.function)],
        ]
        const done: Instruction[] = []
        if (isTimed) {
          const { name, about, cost } = step
          timed.push({ name, key: `${name} ${numberOf(step.function)}`, about, cost })
          done.push(...first, ['i32.const', -timed.length], ['call', hostFunction], ['end'])
        }
        return [...(isSmall ? [...first, ...call, ['end'] as const] : call), ...wait, ...done]
      }
      if (step.kind === 'copy') return step.bytes === 0 ? [] : copy(at(step.from), at(step.to), step.bytes)
      if (step.kind === 'host') {
        const places = [...step.inputs.map(({ place }) => place), ...step.outputs]
        const work: HostWork = { step, first: words }
        words += places.length
        host.push(work)
        const code: Instruction[] = [
          ...first,
          ...places.flatMap((place, k): Instruction[] => [
            ['local.get', frame],
            ...at(place),
            ['i32.store', 4 * (work.first + k)],
          ]),
          ['i32.const', host.length - 1],
          ['call', hostFunction],
          ['end'],
          ...wait,
        ]
        return step.guard === null ? code : guarded(at(step.guard), code)
      }
      const { turns, body, guard, stateBytes } = step
      const kept = (places: readonly Place[]): { readonly locals: number[]; readonly set: Instruction[] } => {
        const all = places.map((place) => keep(at(place)))
        return { locals: all.map(({ local }) => local), set: all.flatMap(({ set }) => set) }
      }
      const constants = kept(step.constants)
      const sliced = kept(step.sliced)
      const stacked = kept(step.stacked)
      const slots = kept(step.slots)
      const [state, final, spare] = [kept(step.initial), kept(step.state), kept(step.spare)]
      const next = state.locals.map(local)
      const input = [...constants.locals, ...state.locals, ...sliced.locals]
      const output = [...next, ...stacked.locals]
      const of =
        (list: readonly number[]) =>
        (index: number): Address => [['local.get', list[index]!]]
      const inside: Addresses = {
        input: of(input),
        output: of(output),
        slot: of(slots.locals),
        pack: addresses.pack,
        table: addresses.table,
      }
      const counter = local()
      /** Where a turn writes: to where the state has to end in the last one, and every other one before. */
      const toFinal: Instruction[] =
        turns === null
          ? [['local.get', counter], ['i32.eqz']]
          : [['local.get', counter], ['i32.const', 1], ['i32.and']]
      const turn: Instruction[] = [
        ...next.flatMap((local, k): Instruction[] => [
          ['local.get', final.locals[k]!],
          ['local.get', spare.locals[k]!],
          ...toFinal,
          ['select'],
          ['local.set', local],
        ]),
        ...stepsOf(body.steps, inside),
        ...next.flatMap((local, k): Instruction[] => [
          ['local.get', local],
          ['local.set', state.locals[k]!],
        ]),
      ]
      const setup = [constants, sliced, stacked, slots, state, final, spare].flatMap(({ set }) => set)
      const loop: Instruction[] =
        turns === 0
          ? []
          : turns === null
            ? [
                ['i32.const', 0],
                ['local.set', counter],
                ['loop'],
                ...turn,
                ['local.get', counter],
                ['i32.eqz'],
                ['local.set', counter],
                ['local.get', state.locals[0]!],
                ['i32.load', 0],
                ['br_if', 0],
                ['end'],
                ...wait, // until all have seen the condition
              ]
            : [
                ['i32.const', turns],
                ['local.set', counter],
                ['loop'],
                ...turn,
                ['local.get', counter],
                ['i32.const', 1],
                ['i32.sub'],
                ['local.tee', counter],
                ['br_if', 0],
                ['end'],
              ]
      const ending: Instruction[] = state.locals.flatMap((local, k): Instruction[] =>
        stateBytes[k] === 0 || (turns !== null && turns > 0)
          ? []
          : [
              ['local.get', local],
              ['local.get', final.locals[k]!],
              ['i32.ne'],
              ['if'],
              ...copy([['local.get', local]], [['local.get', final.locals[k]!]], stateBytes[k]!),
              ['end'],
            ],
      )
      return [...setup, ...(guard === null ? loop : guarded(at(guard), loop)), ...ending]
    })
  }
  const top: Addresses = {
    input: (index) => word(starts.input + index),
    output: (index) => word(starts.output + index),
    slot: (index) => word(starts.slot + index),
    pack: (index) => word(starts.pack + index),
    table: (index) => word(starts.table + index),
  }
  const steps = stepsOf(plan.steps, top)
  const entry: Func = {
    name: 'run',
    params: ['thread', 'threads', 'frame'],
    locals,
    code: [
      ...word(scratch),
      ['local.get', thread],
      ['i32.const', own],
      ['i32.mul'],
      ['i32.add'],
      ['local.set', mine],
      ...steps,
    ],
  }
  functions.push(entry)
  return {
    bytes: moduleOf(functions),
    functions,
    frame: { starts, scratch, sync, words },
    scratch: own,
    dispatches,
    isShared,
    host,
    timed,
    slots: plan.slots,
    packs: plan.packs,
    tables: plan.tables,
  }
}

/** A program as text. */
export function showProgram({ functions }: WasmProgram): string {
  const names = ['host', ...functions.map(({ name }) => name)]
  return functions.map((one) => show(one, names)).join('\n\n')
}
