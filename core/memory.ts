// What memory is used, and `scope`, which gives back what it does not return.

import { release, statistics } from './device/index.ts'
import { adopt, currentScope, prepareScopes, type Scope, within } from './scope.ts'
import { Tensor } from './tensor.ts'
import { leaves } from './tree.ts'

/** Memory of the device, in bytes and buffers. */
export interface Memory {
  /** What arrays and running programs hold. */
  readonly live: { readonly bytes: number; readonly buffers: number }
  /** Intermediates of the program that needs most of them while it runs. */
  readonly planned: number
  /** Kept for reuse. */
  readonly pooled: number
  /** The most that there ever was of live and pooled bytes together. */
  readonly peak: number
}

/** The memory in use when everything asked for so far has been submitted. */
export async function memory(): Promise<Memory> {
  const { liveBytes, liveBuffers, plannedBytes, pooledBytes, peakBytes } = await statistics()
  return {
    live: { bytes: liveBytes, buffers: liveBuffers },
    planned: plannedBytes,
    pooled: pooledBytes,
    peak: peakBytes,
  }
}

/**
 * What `f` returns. Every other array made inside is disposed of at the end, also when `f` fails; arrays made outside are left
 * alone. Scopes nest, and several may run at once: in Node an array belongs to the scope whose code made it, across `await`.
 * Elsewhere a scope owns what `f` makes before its first `await`; the rest is left to the garbage collector.
 *
 * @example
 * ```ts
 * import { mul, scope, sum, tensor } from 'cotangent'
 * const total = await scope(async () => sum(mul(tensor([1, 2]), 3))) // 9
 * ```
 */
export async function scope<T>(f: () => T | Promise<T>): Promise<T> {
  await prepareScopes()
  const outer = currentScope()
  const inside: Scope = new Set()
  try {
    const result = await within(inside, f)
    for (const leaf of leaves(result))
      if (leaf instanceof Tensor && inside.delete(leaf.storage)) adopt(leaf.storage, outer)
    return result
  } finally {
    for (const storage of inside)
      release(storage, 'was made in a scope that has ended; return it from the scope')
  }
}
