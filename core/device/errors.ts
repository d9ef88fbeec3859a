// What can go wrong on a device, as types: each error says which array is missing, where it was asked for, and why.

/** What is made text of for errors only. */
export interface Text {
  toString(): string
}

/** The array that an error is about. */
export interface About {
  /** The function or operation that was to make it. */
  readonly operation: string
  readonly tensor: string
  readonly bytes: number
  /** The user's line that asked for it, `file:line:column`; null where it is not known. */
  readonly source: string | null
  /** `was not computed` or `is lost`. */
  readonly fate: string
}

/** What the errors of a device have in common. */
export abstract class DeviceError extends Error {
  /** The function or operation that was to make the array; null where the error is about no array. */
  readonly operation: string | null
  /** The type of the array that is missing, as `f32[8,64]`. */
  readonly tensor: string | null
  readonly bytes: number | null
  /** The user's line that asked for it, `file:line:column`. */
  readonly source: string | null
  /** Bytes that arrays and running programs held when it happened. */
  readonly liveBytes: number

  protected constructor(
    fact: string,
    remedy: string,
    liveBytes: number,
    about: About | null,
    cause: unknown,
  ) {
    const line = about?.source ? ` (${about.source})` : ''
    const subject = about ? `${about.operation}: ${about.tensor}${line} ${about.fate}, as ` : 'device: '
    super(`${subject}${fact}; ${remedy}`, { cause })
    this.operation = about?.operation ?? null
    this.tensor = about?.tensor ?? null
    this.bytes = about?.bytes ?? null
    this.source = about?.source ?? null
    this.liveBytes = liveBytes
  }

  /** The same, about one array; its cause is this one where this is about the first array that failed. */
  abstract about(array: About): DeviceError
}

/** What was too much. */
export interface Shortage {
  /** What the memory was for. */
  readonly wanted: string
  readonly wantedBytes: number
  /** The most an array can have on this adapter where that was passed; null where the memory itself ran out. */
  readonly limit: number | null
  readonly liveBytes: number
  readonly cause?: unknown
}

/** There is no memory for an array, or it is larger than any array of this adapter may be. */
export class OutOfMemoryError extends DeviceError {
  override readonly name = 'OutOfMemoryError'
  readonly wanted: string
  readonly wantedBytes: number
  readonly limit: number | null
  readonly #shortage: Shortage

  constructor(shortage: Shortage, about: About | null = null, cause: unknown = shortage.cause) {
    const { wanted, wantedBytes, limit, liveBytes } = shortage
    const [fact, remedy] =
      limit === null
        ? [
            `there is no memory for ${wanted}, ${wantedBytes} bytes, beside ${liveBytes} in use`,
            'dispose of arrays or use smaller ones',
          ]
        : [`${wanted} has ${wantedBytes} bytes, but an array can have ${limit} here`, 'split it']
    super(fact, remedy, liveBytes, about, cause)
    this.wanted = wanted
    this.wantedBytes = wantedBytes
    this.limit = limit
    this.#shortage = shortage
  }

  about(array: About): OutOfMemoryError {
    return new OutOfMemoryError(this.#shortage, array, this.tensor === null ? this.cause : this)
  }
}

/** Why a device is gone. */
export interface Loss {
  /** WebGPU's reason, `destroyed` or `unknown`, or `invalid` after an error that nobody expected. */
  readonly reason: string
  readonly message: string
  readonly liveBytes: number
}

/** The device is gone and its arrays with it. New arrays get a new device. */
export class DeviceLostError extends DeviceError {
  override readonly name = 'DeviceLostError'
  readonly reason: string
  readonly #loss: Loss

  constructor(loss: Loss, about: About | null = null, cause: unknown = loss.message) {
    const fact = `the device was lost (${loss.reason}: ${oneLine(loss.message)})`
    super(fact, 'make arrays anew, from a checkpoint', loss.liveBytes, about, cause)
    this.reason = loss.reason
    this.#loss = loss
  }

  about(array: About): DeviceLostError {
    return new DeviceLostError(this.#loss, array, this.tensor === null ? this.cause : this)
  }
}

/** A kernel that the driver refused. */
export interface Refusal {
  readonly kernel: string
  readonly wgsl: string
  readonly message: string
  readonly liveBytes: number
}

/** A kernel did not compile. `wgsl` is its text, `cause` what the driver said. */
export class CompileError extends DeviceError {
  override readonly name = 'CompileError'
  readonly kernel: string
  readonly wgsl: string
  readonly #refusal: Refusal

  constructor(refusal: Refusal, about: About | null = null, cause: unknown = refusal.message) {
    const fact = `kernel ${refusal.kernel} did not compile (${oneLine(refusal.message)})`
    super(fact, 'this is a defect of the compiler, report it', refusal.liveBytes, about, cause)
    this.kernel = refusal.kernel
    this.wgsl = refusal.wgsl
    this.#refusal = refusal
  }

  about(array: About): CompileError {
    return new CompileError(this.#refusal, array, this.tensor === null ? this.cause : this)
  }
}

/** What a driver says, without its further lines and what an error's own form needs. */
const oneLine = (message: string): string =>
  (message.trim().split('\n')[0] ?? '').replaceAll(';', ',').replace(/[.\s]+$/, '') || 'no reason given'
