// A program, made ready when the machine is there, and anew on another one.

import type { Executable, Machine } from './machine.ts'
import { openMachine } from './open.ts'

export class Program {
  readonly #build: (machine: Machine) => Promise<Executable>
  #machine: Machine | null = null
  #ready: Promise<Executable> | null = null

  constructor(build: (machine: Machine) => Promise<Executable>) {
    this.#build = build
    openMachine().then(
      (machine) => this.on(machine).catch(() => {}),
      () => {}, // every call of the program reports it
    )
  }

  /** The program on a machine. */
  on(machine: Machine): Promise<Executable> {
    if (this.#machine !== machine) {
      this.#machine = machine
      this.#ready = null
    }
    this.#ready ??= this.#build(machine)
    return this.#ready
  }
}
