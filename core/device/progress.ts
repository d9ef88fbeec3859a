// Telling how far the making of pipelines is: with many kernels it takes seconds, and nothing else is to be seen meanwhile.

/** How many kernels of those that are being made are ready. */
export interface CompileProgress {
  readonly ready: number
  readonly kernels: number
  /** The one that became ready just now. */
  readonly kernel: string
}

const listeners = new Set<(progress: CompileProgress) => void>()
let [ready, kernels] = [0, 0]

/**
 * Calls `listener` whenever the device has made a kernel ready, with how many there are to make: those of all programs that are
 * being compiled. Counting starts anew when all are ready. Kernels that are known already are not made. Returns what ends it.
 *
 * @example
 * ```ts
 * import { jit, onCompile, tensor } from 'cotangent'
 * const seen = []
 * const stop = onCompile(({ ready, kernels }) => seen.push(`${ready} of ${kernels} kernels`))
 * await jit((x) => x.matmul(x).max())(tensor([[5, 7], [11, 13]])).data()
 * stop()
 * seen // ['1 of 2 kernels', '2 of 2 kernels']
 * ```
 */
export function onCompile(listener: (progress: CompileProgress) => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Counts a pipeline that is being made. */
export function counting(kernel: string, making: Promise<unknown>): void {
  kernels++
  const settled = (): void => {
    const progress = { ready: ++ready, kernels, kernel }
    if (ready === kernels) [ready, kernels] = [0, 0]
    for (const listener of listeners) listener(progress)
  }
  making.then(settled, settled)
}
