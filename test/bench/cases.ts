// What is timed: each case says which computation of which sizes, and how many operations and bytes that is whoever computes
// it. The numbers that go in are drawn on the host, so that every contender has the same and has to find the same.

import { fileURLToPath } from 'node:url'
import { type Aval, random, type Tensor, tree } from 'cotangent'
import { llama } from 'cotangent/models'
import { lora, rasa } from 'cotangent/peft'
import { sixteenLayers } from '../support/sixteen-layers.ts'

/** The sizes of a Llama. */
export interface Sizes {
  readonly batch: number
  readonly time: number
  readonly hidden: number
  readonly heads: number
  readonly wide: number
  readonly layers: number
}

/** A computation, for contenders to write in their own words. */
export type Work =
  /** `x y`, of `[...batch, rows, depth]` and `[...batch, depth, columns]` */
  | {
      readonly kind: 'product'
      readonly batch: readonly number[]
      readonly rows: number
      readonly depth: number
      readonly columns: number
    }
  /** `max(1.5 x + 0.5, 0) x - 0.25`, or `x + 1`, which reads and writes each element once */
  | { readonly kind: 'chain' | 'copy'; readonly size: number }
  /** over rows of x; with `gradient` also what a cotangent of the result is for the inputs */
  | {
      readonly kind: 'softmax' | 'rmsnorm' | 'cross-entropy'
      readonly rows: number
      readonly columns: number
      readonly gradient: boolean
    }
  /** of all elements, or of each row */
  | { readonly kind: 'sum'; readonly rows: number; readonly columns: number; readonly all: boolean }
  /** the gradient of a table of which `tokens` rows were read */
  | {
      readonly kind: 'embedding'
      readonly vocabulary: number
      readonly hidden: number
      readonly tokens: number
    }
  /** causal; q, k and v are `[1, time, heads, size]` */
  | {
      readonly kind: 'attention'
      readonly heads: number
      readonly time: number
      readonly size: number
      readonly gradient: boolean
    }
  /** forward and backward through blocks of Llama, from `x` to `Σ ct y`, for all parameters and x */
  | ({ readonly kind: 'blocks'; readonly checkpoint: boolean } & Sizes)
  /** a training step of an adapter of rank 8: loss, gradients, clipping by the global norm, LionW */
  | {
      readonly kind: 'step'
      readonly model: llama.LlamaConfig | 'stories260K'
      readonly method: 'lora' | 'rasa'
      readonly batch: number
      readonly time: number
    }
  /** greedy, one token after the other, from one token */
  | { readonly kind: 'generate'; readonly tokens: number }

const product = (rows: number, depth: number, columns: number, ...batch: number[]): Work => ({
  kind: 'product',
  batch,
  rows,
  depth,
  columns,
})

const rows = (kind: 'softmax' | 'rmsnorm' | 'cross-entropy', gradient: boolean): Work => ({
  kind,
  rows: 512,
  columns: 4096,
  gradient,
})

const attention = (time: number, heads: number, gradient: boolean): Work => ({
  kind: 'attention',
  heads,
  time,
  size: 64,
  gradient,
})

const blocks = (layers: number, checkpoint = false): Work => ({
  kind: 'blocks',
  checkpoint,
  batch: 2,
  time: 32,
  hidden: 64,
  heads: 4,
  wide: 172,
  layers,
})

/** What the configuration of stories260K says of its products. */
const stories260K = {
  layers: 5,
  hiddenSize: 64,
  intermediateSize: 172,
  heads: 8,
  kvHeads: 4,
  headSize: 8,
  vocabularySize: 512,
}

/** Of the adapters. */
const rank = 8

const step = (method: 'lora' | 'rasa'): Work => ({
  kind: 'step',
  model: sixteenLayers,
  method,
  batch: 1,
  time: 128,
})

const elements = 2 ** 22

/** The cases by name. */
export const cases: Readonly<Record<string, Work>> = {
  'matmul-256': product(256, 256, 256),
  'matmul-512': product(512, 512, 512),
  'matmul-1024': product(1024, 1024, 1024),
  'matmul-4096x64x4096': product(4096, 64, 4096),
  'matmul-1x1024': product(1, 1024, 1024),
  'matmul-8x1024': product(8, 1024, 1024),
  'matmul-batched': product(128, 64, 128, 16),
  chain: { kind: 'chain', size: elements },
  copy: { kind: 'copy', size: elements },
  softmax: rows('softmax', false),
  'softmax-grad': rows('softmax', true),
  rmsnorm: rows('rmsnorm', false),
  'rmsnorm-grad': rows('rmsnorm', true),
  'cross-entropy': rows('cross-entropy', false),
  'cross-entropy-grad': rows('cross-entropy', true),
  'sum-all': { kind: 'sum', rows: 2048, columns: elements / 2048, all: true },
  'sum-rows': { kind: 'sum', rows: 2048, columns: elements / 2048, all: false },
  'embedding-grad': { kind: 'embedding', vocabulary: 4096, hidden: 64, tokens: 4096 },
  'attention-128': attention(128, 4, false),
  'attention-grad-128': attention(128, 4, true),
  'attention-512': attention(512, 4, false),
  'attention-grad-512': attention(512, 4, true),
  'attention-2048': attention(2048, 1, false),
  'attention-grad-2048': attention(2048, 1, true),
  block: blocks(1),
  'blocks-1': blocks(1),
  'blocks-2': blocks(2),
  'blocks-4': blocks(4),
  'blocks-8': blocks(8),
  'blocks-16': blocks(16),
  'blocks-16-checkpoint': blocks(16, true),
  'lora-step': step('lora'),
  'rasa-step': step('rasa'),
  'stories260k-step': { kind: 'step', model: 'stories260K', method: 'lora', batch: 4, time: 256 },
  generate: { kind: 'generate', tokens: 32 },
}

/** Operations of the two products of causal attention forward: each time sees half of the keys. */
const attentionOperations = (batch: number, heads: number, time: number, size: number): number =>
  2 * batch * heads * time * (time + 1) * size

/** What a matrix product with a weight costs, for each element of the weight and row of x. */
const each = 2

/**
 * Operations of the products that a case cannot do without, whoever computes it; null where there are none. Backward is
 * twice forward, or once for weights that are frozen.
 */
export function operationsOf(work: Work): number | null {
  switch (work.kind) {
    case 'product':
      return work.batch.reduce((a, b) => a * b, 2 * work.rows * work.depth * work.columns)
    case 'attention':
      return attentionOperations(1, work.heads, work.time, work.size) * (work.gradient ? 3 : 1)
    case 'blocks': {
      const { batch, time, hidden, heads, wide, layers } = work
      const weights = 4 * hidden * hidden + 3 * hidden * wide
      const seen = attentionOperations(batch, heads, time, hidden / heads)
      return 3 * layers * (each * batch * time * weights + seen)
    }
    case 'step': {
      const { batch, time, model } = work
      const { layers, hiddenSize, intermediateSize, heads, kvHeads, headSize, vocabularySize } =
        model === 'stories260K' ? stories260K : model
      const shapes = [
        [heads * headSize, hiddenSize],
        [kvHeads * headSize, hiddenSize],
        [kvHeads * headSize, hiddenSize],
        [hiddenSize, heads * headSize],
        [intermediateSize, hiddenSize],
        [intermediateSize, hiddenSize],
        [hiddenSize, intermediateSize],
      ] as const
      const frozen = shapes.reduce((sum, [out, inputs]) => sum + out * inputs, 0)
      const trained = shapes.reduce((sum, [out, inputs]) => sum + rank * (out + inputs), 0)
      const rows = batch * time
      const layer = 2 * each * rows * frozen + 3 * each * rows * trained
      const seen = 3 * attentionOperations(batch, heads, time, headSize)
      return layers * (layer + seen) + 2 * each * rows * vocabularySize * hiddenSize
    }
    default:
      return null
  }
}

/** Bytes of a case's arguments and results; null where it is not about moving them. */
export function bytesOf(work: Work): number | null {
  switch (work.kind) {
    case 'product': {
      const { batch, rows, depth, columns } = work
      return batch.reduce((a, b) => a * b, 4 * (rows * depth + depth * columns + rows * columns))
    }
    case 'chain':
    case 'copy':
      return 8 * work.size
    case 'sum':
      return 4 * (work.rows * work.columns + (work.all ? 1 : work.rows))
    case 'softmax':
    case 'rmsnorm':
      return 4 * work.rows * work.columns * (work.gradient ? 4 : 2) // x, y, and with a gradient ct, dx
    case 'cross-entropy':
      return 4 * work.rows * work.columns * (work.gradient ? 2 : 1)
    case 'embedding':
      return 4 * work.hidden * (work.vocabulary + work.tokens) + 4 * work.tokens
    case 'attention':
      return 4 * work.heads * work.time * work.size * (work.gradient ? 8 : 4)
    default:
      return null
  }
}

/** An array on the host. */
export class HostArray {
  readonly shape: readonly number[]
  readonly data: Float32Array | Int32Array

  constructor(shape: readonly number[], data: Float32Array | Int32Array) {
    this.shape = shape
    this.data = data
  }
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1)

/** 32 bits for each name and place. */
function* bits(name: string): Generator<number, never> {
  let state = Array.from(name).reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 16777619), 7)
  while (true) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d)
    yield (mixed ^ (mixed >>> 13)) >>> 0
  }
}

/** Numbers between -scale and scale that the name determines. */
export function noise(name: string, shape: readonly number[], scale = 1): HostArray {
  const source = bits(name)
  const next = (): number => scale * (source.next().value / 2 ** 31 - 1)
  return new HostArray(shape, Float32Array.from({ length: sizeOf(shape) }, next))
}

/** Whole numbers from 0 to `limit` - 1. */
export function tokens(name: string, shape: readonly number[], limit: number): HostArray {
  const source = bits(name)
  return new HostArray(
    shape,
    Int32Array.from({ length: sizeOf(shape) }, () => source.next().value % limit),
  )
}

/** Parameters of a model of these sizes, with HostArrays for leaves: matrices of `±1/√in`, norms around one. */
const drawn = (config: llama.LlamaConfig): unknown =>
  tree.mapWithPath((path, { shape }: Aval) => {
    const name = tree.showPath(path)
    if (shape.length === 2) return noise(name, shape, 1 / Math.sqrt(shape[1]!))
    const { data } = noise(name, shape, 0.1)
    return new HostArray(
      shape,
      (data as Float32Array).map((x) => 1 + x),
    )
  }, llama.shapes(config))

/** A model: its configuration, and its parameters as a tree with HostArrays for leaves. */
export async function modelOf(
  model: llama.LlamaConfig | 'stories260K',
): Promise<{ readonly config: llama.LlamaConfig; readonly params: unknown }> {
  if (typeof model !== 'string') return { config: model, params: drawn(model) }
  const folder = fileURLToPath(new URL('../../examples/assets/stories260K', import.meta.url))
  const { config, params } = await llama.load(folder)
  const arrays = (tree.leaves(params) as Tensor[]).map(
    async (leaf) => new HostArray(leaf.shape, (await leaf.data()) as Float32Array),
  )
  return { config, params: tree.unflatten(params, await Promise.all(arrays)) }
}

/** Parameters of blocks, without what a model has around them. */
export const blocksOf = ({ hidden, heads, wide, layers }: Sizes): unknown =>
  (
    drawn({
      ...sixteenLayers,
      hiddenSize: hidden,
      intermediateSize: wide,
      heads,
      kvHeads: heads,
      headSize: hidden / heads,
      layers,
    }) as { layers: unknown }
  ).layers

/** The methods of the steps. */
export const methods = {
  lora: lora({ rank, alpha: 16 }),
  rasa: rasa({ rank, shared: 1, alpha: 16 }),
}

/** An adapter in the midst of training, with HostArrays for leaves: no factor is zero. */
export function adapterOf(method: 'lora' | 'rasa', config: llama.LlamaConfig): unknown {
  const like = methods[method].init(random.key(0), llama.shapes(config))
  return tree.mapWithPath((path, { shape }: Tensor) => noise(tree.showPath(path), shape, 0.1), like)
}
