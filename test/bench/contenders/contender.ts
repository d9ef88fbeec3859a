// Who is timed: someone who can make a case ready to run, on the adapter that all share.

import type { Work } from '../cases.ts'

/** A case with its arrays in place. */
export interface Ready {
  /** The first run, and from it the vectors that all contenders have to agree on. */
  first(): Promise<readonly ArrayLike<number>[]>
  /** One run: resolves when all of it has been computed, and lets go of what came of it. */
  run(): Promise<void>
  /** Gives back what it holds. */
  close(): void
  /** Bytes of the intermediates of a run, where that is known before it runs. */
  readonly plannedBytes: number | null
  /** How many equal parts a run has, if it is asked for one: a time is then that of a part. */
  readonly parts?: number
  /** What is to be said of how it was done. */
  readonly note?: string
}

/** The leaves of a tree of plain objects, in the order of their keys, and of arrays, whoever's leaves they are. */
export function leavesOf<T extends object>(tree: unknown, isLeaf: (node: object) => node is T): T[] {
  if (typeof tree !== 'object' || tree === null) return []
  if (isLeaf(tree)) return [tree]
  if (Array.isArray(tree)) return tree.flatMap((child) => leavesOf(child, isLeaf))
  return Object.entries(tree)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, child]) => leavesOf(child, isLeaf))
}

/** What to agree on of some arrays: the elements of the first, and the lengths of the others. */
export function agreed([first, ...rest]: readonly ArrayLike<number>[]): readonly ArrayLike<number>[] {
  const lengths = rest.map((array) => Math.sqrt(Array.from(array).reduce((sum, x) => sum + x * x, 0)))
  return lengths.length > 0 ? [first!, lengths] : [first!]
}

/** Someone to time. */
export interface Contender {
  readonly name: string
  /** Whether it computes on the adapter, and not beside it. */
  readonly onAdapter: boolean
  /** Milliseconds of tracing and compiling so far, where that is known. */
  readonly spent: () => { readonly trace: number; readonly compile: number } | null
  /** Makes a case ready; null for what is not written for this contender, and an error for what it cannot do. */
  prepare(work: Work): Promise<Ready | null>
}
