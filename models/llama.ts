// Llama (Touvron et al., 2023; Llama 3 Team, 2024) as a pure function of its parameters: token ids in, logits out.

import { Aval, add, reshape, type Tensor, tree, type Value } from '../core/index.ts'
import {
  attention,
  embedding,
  linear,
  type RopeScaling,
  type RopeTable,
  rmsNorm,
  ropeTable,
  rotate,
  type SwigluParams,
  swiglu,
  type Weight,
} from '../nn/index.ts'
import { Named, readConfig, readWeights, writeWeights } from './checkpoint.ts'

/** The sizes of a model, as in its config.json. */
export interface LlamaConfig {
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly layers: number
  readonly heads: number
  /** Heads of keys and values, which queries share; it divides `heads`. */
  readonly kvHeads: number
  readonly headSize: number
  /** Added to the mean square in RMSNorm. */
  readonly normEps: number
  /** The base of the turns of positions: component i turns by `ropeTheta^(-2i / headSize)` radians a position. */
  readonly ropeTheta: number
  readonly ropeScaling: RopeScaling | null
  /** The longest sequence the model was made for. */
  readonly maxLength: number
  /** Whether the head is the embedding. */
  readonly tied: boolean
}

/** The projections of an attention layer. */
export interface AttentionParams {
  /** `[heads · headSize, hidden]` */
  readonly q: Weight
  /** `[kvHeads · headSize, hidden]` */
  readonly k: Weight
  /** `[kvHeads · headSize, hidden]` */
  readonly v: Weight
  /** `[hidden, heads · headSize]` */
  readonly o: Weight
}

/** The parameters of one layer. */
export interface LlamaLayer {
  /** `[hidden]` */
  readonly attnNorm: Value
  readonly attn: AttentionParams
  /** `[hidden]` */
  readonly mlpNorm: Value
  readonly mlp: SwigluParams
}

/** The parameters of a model. */
export interface LlamaParams {
  /** `[vocabulary, hidden]` */
  readonly embedding: Value
  readonly layers: readonly LlamaLayer[]
  /** `[hidden]` */
  readonly norm: Value
  /** `[vocabulary, hidden]`; null if it is the embedding */
  readonly head: Weight | null
}

/** What earlier tokens leave for later ones, per layer: `[batch, length, kvHeads, headSize]`. */
export interface KeysAndValues {
  readonly k: Value
  readonly v: Value
}

/** The logits of every next token: `tokens` is i32 `[batch, time]`, the result `[batch, time, vocabulary]`. A `RangeError` if the text is too long. */
export const forward = (config: LlamaConfig, params: LlamaParams, tokens: Value): Value =>
  linear(hidden(config, params, tokens), head(params))

/**
 * What the logits are linear in, `[batch, time, hidden]`: `forward` without the head. With a large vocabulary, train on
 * `linearCrossEntropy(hidden(config, params, tokens), head(params), nextTokens(labels))`.
 */
export function hidden(config: LlamaConfig, params: LlamaParams, tokens: Value): Value {
  if (tokens.rank !== 2) throw new TypeError(`llama: tokens are ${tokens}; make them i32[batch,time]`)
  const time = tokens.shape[1]!
  if (time > config.maxLength)
    throw new RangeError(
      `llama: ${time} tokens exceed the model's length of ${config.maxLength}; cut the text or choose another model`,
    )
  return body(config, params, tokens, rope(config, time), (_, q, k, v) =>
    attention(q, k, v, { causal: true }),
  )
}

/** The map from what is hidden to logits: `[vocabulary, hidden]`. */
export const head = (params: LlamaParams): Weight => params.head ?? params.embedding

/** How the queries of a layer see keys and values: the only thing in which training and generation differ. */
export type Attend = (layer: number, q: Value, k: Value, v: Value) => Value

/** The logits as `forward` gives them, with the turns of `positions` and the attention of `attend`: `[batch, time, vocabulary]`. */
export const model = (
  config: LlamaConfig,
  params: LlamaParams,
  tokens: Value,
  positions: RopeTable,
  attend: Attend,
): Value => linear(body(config, params, tokens, positions, attend), head(params))

/** All but the head, `[batch, time, hidden]`. */
function body(
  config: LlamaConfig,
  params: LlamaParams,
  tokens: Value,
  positions: RopeTable,
  attend: Attend,
): Value {
  requireParams(config, params)
  let x = embedding(params.embedding, tokens) // [batch, time, hidden]
  for (const [k, layer] of params.layers.entries())
    x = block(config, layer, x, positions, (q, keys, values) => attend(k, q, keys, values))
  return rmsNorm(x, params.norm, { eps: config.normEps })
}

/** The parameters must have what the configuration says, at the same paths. */
function requireParams(config: LlamaConfig, params: LlamaParams): void {
  const [found, wanted] = [tree.paths(params), tree.paths(layout(config))]
  const missing = wanted.find((path) => !found.includes(path))
  const extra = found.find((path) => !wanted.includes(path))
  if (missing !== undefined)
    throw new TypeError(
      `llama: the parameters have nothing at "${missing}"; they are for another configuration`,
    )
  if (extra !== undefined)
    throw new TypeError(
      `llama: the configuration has nothing at "${extra}"; the parameters are for another one`,
    )
}

function block(
  { heads, kvHeads, headSize, normEps: eps }: LlamaConfig,
  { attnNorm, attn, mlpNorm, mlp }: LlamaLayer,
  x: Value,
  positions: RopeTable,
  attend: (q: Value, k: Value, v: Value) => Value,
): Value {
  const [batch, time] = x.shape as [number, number, number]
  const split = (y: Value, count: number): Value => reshape(y, [batch, time, count, headSize])

  const h = rmsNorm(x, attnNorm, { eps })
  const q = rotate(split(linear(h, attn.q), heads), positions)
  const k = rotate(split(linear(h, attn.k), kvHeads), positions)
  const v = split(linear(h, attn.v), kvHeads)
  const y = add(x, linear(attend(q, k, v), attn.o))
  return add(y, swiglu(rmsNorm(y, mlpNorm, { eps }), mlp))
}

/** The first positions of a model: `[length, headSize]` each. */
export const rope = (
  { headSize, ropeTheta: theta, ropeScaling: scaling }: LlamaConfig,
  length: number,
): RopeTable<Tensor> => ropeTable({ length, headSize, theta, scaling })

/** A tree like the parameters with, at each leaf, what Hugging Face calls the array and its shape. */
export function layout(config: LlamaConfig): LlamaTree<Named> {
  const {
    hiddenSize: hidden,
    intermediateSize: wide,
    vocabularySize,
    heads,
    kvHeads,
    headSize,
    layers,
    tied,
  } = config
  const leaf = (name: string, ...shape: readonly number[]) => new Named(`${name}.weight`, shape)
  return {
    embedding: leaf('model.embed_tokens', vocabularySize, hidden),
    layers: Array.from({ length: layers }, (_, k) => {
      const at = `model.layers.${k}`
      return {
        attnNorm: leaf(`${at}.input_layernorm`, hidden),
        attn: {
          q: leaf(`${at}.self_attn.q_proj`, heads * headSize, hidden),
          k: leaf(`${at}.self_attn.k_proj`, kvHeads * headSize, hidden),
          v: leaf(`${at}.self_attn.v_proj`, kvHeads * headSize, hidden),
          o: leaf(`${at}.self_attn.o_proj`, hidden, heads * headSize),
        },
        mlpNorm: leaf(`${at}.post_attention_layernorm`, hidden),
        mlp: {
          gate: leaf(`${at}.mlp.gate_proj`, wide, hidden),
          up: leaf(`${at}.mlp.up_proj`, wide, hidden),
          down: leaf(`${at}.mlp.down_proj`, hidden, wide),
        },
      }
    }),
    norm: leaf('model.norm', hidden),
    head: tied ? null : leaf('lm_head', vocabularySize, hidden),
  }
}

type LlamaTree<T> = tree.MapLeaves<LlamaParams, Weight, T>

/** The types of the parameters, for counting and tracing without memory. */
export const shapes = (config: LlamaConfig): LlamaParams =>
  tree.map(({ shape }: Named) => new Aval(shape, 'f32'), layout(config)) as unknown as LlamaParams

/** What the module is called, in Hugging Face's model, whose weight is at a path of the parameters. */
export function moduleName(config: LlamaConfig): (path: string) => string {
  const names = new Map(
    tree.leavesWithPath(layout(config)).map(({ path, leaf }) => [tree.showPath(path), (leaf as Named).name]),
  )
  return (path) => {
    const name = names.get(path)
    if (name === undefined) throw new TypeError(`llama: there is no parameter at "${path}"; see llama.layout`)
    return name.replace(/\.weight$/, '')
  }
}

/** A model: its configuration and its parameters. */
export interface Llama {
  readonly config: LlamaConfig
  readonly params: LlamaParams
}

/** Reads a folder with `config.json` and `model.safetensors`. */
export async function load(folder: string): Promise<Llama> {
  const config = configFrom(await readConfig(folder), `${folder}/config.json`)
  return { config, params: (await readWeights(folder, layout(config))) as LlamaParams }
}

/** Writes the parameters, such as merged ones, to `model.safetensors` in a folder. */
export const save = (folder: string, config: LlamaConfig, params: LlamaParams): Promise<void> =>
  writeWeights(folder, layout(config), params)

type Fields = Readonly<Record<string, unknown>>

/** Reads numbers of a JSON object; without a default they must be there. */
const numbersOf =
  (fields: Fields, file: string) =>
  (field: string, otherwise?: unknown): number => {
    const value = fields[field] ?? otherwise
    if (typeof value !== 'number')
      throw new TypeError(`llama: ${file} has no number ${field}; it is no Llama's configuration`)
    return value
  }

/** A configuration from the fields of a `config.json`; `file` is what errors call it. */
export function configFrom(json: Fields, file: string): LlamaConfig {
  const number = numbersOf(json, file)
  if (json.model_type !== 'llama')
    throw new TypeError(
      `llama: ${file} is of a model of type ${json.model_type}; use one whose model_type is llama`,
    )
  for (const [field, value] of [
    ['hidden_act', 'silu'],
    ['attention_bias', false],
    ['mlp_bias', false],
  ] as const)
    if ((json[field] ?? value) !== value)
      throw new TypeError(
        `llama: ${file} has ${field} ${json[field]}; only models with ${value} are known, so choose one`,
      )
  const heads = number('num_attention_heads')
  const rope = (json.rope_parameters ?? json.rope_scaling ?? null) as Fields | null // the former since transformers 5
  return {
    vocabularySize: number('vocab_size'),
    hiddenSize: number('hidden_size'),
    intermediateSize: number('intermediate_size'),
    layers: number('num_hidden_layers'),
    heads,
    kvHeads: number('num_key_value_heads', heads),
    headSize: number('head_dim', number('hidden_size') / heads),
    normEps: number('rms_norm_eps', 1e-6),
    ropeTheta: number('rope_theta', rope?.rope_theta ?? 10000),
    ropeScaling: rope && ropeScalingFrom(rope, file),
    maxLength: number('max_position_embeddings', 2048),
    tied: json.tie_word_embeddings === true,
  }
}

function ropeScalingFrom(scaling: Fields, file: string): RopeScaling | null {
  const number = numbersOf(scaling, file)
  const type = scaling.rope_type ?? scaling.type
  if (type === 'default') return null
  if (type !== 'llama3')
    throw new TypeError(`llama: ${file} scales rope by "${type}"; only llama3 and default are known`)
  return {
    factor: number('factor'),
    lowFrequencyFactor: number('low_freq_factor'),
    highFrequencyFactor: number('high_freq_factor'),
    originalLength: number('original_max_position_embeddings'),
  }
}
