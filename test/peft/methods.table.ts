// PEFT methods, a row each, and the model that the laws try them on: its extents are such that nothing else that a training
// step computes has as many elements as an adapted weight.

import { tree } from '../../core/index.ts'
import type { llama } from '../../models/index.ts'
import { lora, type PeftMethod, rasa, type Target } from '../../peft/index.ts'
import type { HostArray } from '../support/host.ts'
import { between, generator } from '../support/inputs.ts'

export interface Row {
  readonly name: string
  /** With a rank and a rank to share, or what the method makes of them. */
  method(rank: number, shared: number): PeftMethod<unknown>
  /** Trainable elements for these targets. */
  count(targets: readonly Target[], rank: number, shared: number): number
  /** Arrays in its file. */
  tensors(targets: readonly Target[]): number
  /** Whether the leaf at a path of the adapter has a gradient at first; the others' is exactly zero. */
  movesAtFirst(path: string): boolean
}

const both = ({ shape: [out, inputs] }: Target): number => out + inputs
const total = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const rolesOf = (targets: readonly Target[]): string[] => [...new Set(targets.map(({ role }) => role))]

export const rows: readonly Row[] = [
  {
    name: 'lora',
    method: (rank) => lora({ rank, alpha: 2 * rank }),
    count: (targets, rank) => rank * total(targets.map(both)),
    tensors: (targets) => 2 * targets.length,
    movesAtFirst: (path) => path.endsWith('.b'),
  },
  {
    name: 'rasa',
    method: (rank, shared) => rasa({ rank, shared, alpha: 8 }),
    count: (targets, rank, shared) => {
      const layers = targets.length / rolesOf(targets).length
      return rank * total(targets.map(both)) + targets.length * (rank - shared + layers * shared)
    },
    tensors: (targets) => 2 * rolesOf(targets).length + 3 * targets.length,
    movesAtFirst: (path) => path.endsWith('.b'),
  },
]

export const config: llama.LlamaConfig = {
  vocabularySize: 17,
  hiddenSize: 24,
  intermediateSize: 36,
  layers: 3,
  heads: 4,
  kvHeads: 2,
  headSize: 10,
  normEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: null,
  maxLength: 16,
  tied: true,
}

/** A tree of numbers from a seed, at the shapes of another. */
export function drawLike<T>(like: T, seed: number): tree.MapLeaves<T, unknown, HostArray> {
  const random = generator(seed)
  const draw = (leaf: { readonly shape: readonly number[] }) => between(-0.5, 0.5, leaf.shape).draw(random)
  return tree.map(draw, like) as unknown as tree.MapLeaves<T, unknown, HostArray>
}
