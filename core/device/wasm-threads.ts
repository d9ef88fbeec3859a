// Threads that share out the work of a program on the CPU. They sleep in WebAssembly's memory until the number of the run
// changes, run the program that is named there, and never keep the process alive.

import type { WasmMemory } from './webassembly.ts'

/** The words by which runs are announced: the number of the run, the program, its frame, what it waits by; and the threads that are ready. */
export const controlWords = 5
const [run, program, frame, sync, ready] = [0, 1, 2, 3, 4]

/** What a thread does, in a file of its own so to speak. `thread` counts from 1: the first is the one that asks. */
const code = `
const { parentPort, receiveMessageOnPort, workerData } = require('node:worker_threads')
const { memory, control, thread, threads } = workerData
const programs = new Map()
const word = (k) => Atomics.load(new Int32Array(memory.buffer), control / 4 + k)
let seen = word(${run})
Atomics.add(new Int32Array(memory.buffer), control / 4 + ${ready}, 1)
for (;;) {
  Atomics.wait(new Int32Array(memory.buffer), control / 4 + ${run}, seen)
  seen = word(${run})
  try {
    for (let next; (next = receiveMessageOnPort(parentPort)) !== undefined; ) {
      const { id, module } = next.message
      if (module === null) programs.delete(id)
      else programs.set(id, new WebAssembly.Instance(module, { env: { memory, host: () => {} } }).exports.run)
    }
    programs.get(word(${program}))(thread, threads, word(${frame}))
  } catch {
    const at = word(${sync}) / 4
    Atomics.store(new Int32Array(memory.buffer), at + 2, 1)
    Atomics.notify(new Int32Array(memory.buffer), at + 1)
  }
}
`

interface Thread {
  postMessage(message: unknown): void
  unref(): void
  terminate(): unknown
}

export class Threads {
  readonly #memory: WasmMemory
  readonly #control: number
  readonly #others: Thread[] = []

  private constructor(memory: WasmMemory, control: number) {
    this.#memory = memory
    this.#control = control
  }

  /** Starts so many threads, less the one that asks; until they are ready there are fewer. `control` is where their words are. */
  static async start(memory: WasmMemory, control: number, count: number): Promise<Threads> {
    const made = new Threads(memory, control)
    if (count > 1) {
      const { Worker } = await import('node:worker_threads')
      for (let thread = 1; thread < count; thread++) {
        const worker = new Worker(code, {
          eval: true,
          workerData: { memory, control, thread, threads: count },
        })
        worker.unref()
        made.#others.push(worker)
      }
    }
    return made
  }

  /** Threads once all are ready. */
  get most(): number {
    return 1 + this.#others.length
  }

  /** Threads that run a program now: all, once they are ready, or the one that asks. */
  get count(): number {
    const others = Atomics.load(this.#words, this.#control / 4 + ready)
    return others === this.#others.length ? this.most : 1
  }

  get #words(): Int32Array {
    return new Int32Array(this.#memory.buffer)
  }

  /** Tells all threads of a module; null if it is not needed any more. */
  announce(id: number, module: object | null): void {
    for (const thread of this.#others) thread.postMessage({ id, module })
  }

  /** Lets the others begin a run, with the address of the words by which they wait for each other. */
  begin(id: number, at: number, waits: number): void {
    const [words, first] = [this.#words, this.#control / 4]
    Atomics.store(words, first + program, id)
    Atomics.store(words, first + frame, at)
    Atomics.store(words, first + sync, waits)
    Atomics.add(words, first + run, 1)
    Atomics.notify(words, first + run)
  }

  /** Frees those that wait for a thread that failed. */
  release(waits: number): void {
    Atomics.store(this.#words, waits / 4 + 2, 1)
    Atomics.notify(this.#words, waits / 4 + 1)
  }

  close(): void {
    for (const thread of this.#others) thread.terminate()
  }
}

/** Threads that the machine has cores for, or as many as `COTANGENT_THREADS` says. */
export async function threadCount(): Promise<number> {
  if (typeof globalThis.process?.versions?.node !== 'string') return 1
  const { availableParallelism } = await import('node:os')
  const wanted = process.env.COTANGENT_THREADS
  if (!wanted) return availableParallelism()
  const count = Number(wanted)
  if (Number.isInteger(count) && count > 0) return count
  throw new RangeError(`device: COTANGENT_THREADS is "${wanted}"; set it to a number of threads`)
}
