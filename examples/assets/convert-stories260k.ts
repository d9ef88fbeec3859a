// Turns llama2.c's stories260K.bin and tok512.bin into the usual folder of a Hugging Face Llama.
//   tsx examples/assets/convert-stories260k.ts FOLDER_WITH_THE_TWO_FILES
// llama2.c rotates neighbouring pairs of a head's features, Hugging Face the two halves: the rows of q and k are
// permuted to suit. The BPE merges are rebuilt from the sentencepiece scores as in transformers' Llama converter.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { tensor, writeTensors } from 'cotangent'

/** A matrix or vector of the model, in the file's order. */
interface HostArray {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

const [source] = process.argv.slice(2)
if (!source)
  throw new Error('convert: no folder given; pass the one that holds stories260K.bin and tok512.bin')
const target = fileURLToPath(new URL('stories260K/', import.meta.url))

const checkpoint = await readFile(`${source}/stories260K.bin`)
const [dim, hidden, layers, heads, kvHeads, vocabulary, context] = new Int32Array(
  new Uint8Array(checkpoint.subarray(0, 28)).buffer,
) as unknown as [number, number, number, number, number, number, number]
const headDim = dim / heads
const kvDim = kvHeads * headDim
if (vocabulary < 0)
  throw new Error('convert: stories260K.bin has its own classifier; only tied embeddings are written')

const numbers = new Float32Array(new Uint8Array(checkpoint.subarray(28)).buffer)
let cursor = 0
const take = (...shape: number[]): HostArray => {
  const start = cursor
  cursor += shape.reduce((product, n) => product * n)
  return { shape, data: numbers.slice(start, cursor) }
}
const perLayer = (...shape: number[]) => Array.from({ length: layers }, () => take(...shape))

// The order of the file, from llama2.c's checkpoint_init_weights; its two RoPE tables at the end are not needed.
const embedding = take(vocabulary, dim)
const attentionNorm = perLayer(dim)
const q = perLayer(dim, dim)
const k = perLayer(kvDim, dim)
const v = perLayer(kvDim, dim)
const o = perLayer(dim, dim)
const mlpNorm = perLayer(dim)
const gate = perLayer(hidden, dim)
const down = perLayer(dim, hidden)
const up = perLayer(hidden, dim)
const norm = take(dim)
if (cursor + context * headDim !== numbers.length)
  throw new Error('convert: stories260K.bin has an unknown layout')

function halvesFromPairs({ shape, data }: HostArray): HostArray {
  const [rows = 0, columns = 0] = shape
  const half = headDim / 2
  const permuted = new Float32Array(data.length)
  for (let row = 0; row < rows; row++) {
    const feature = row % headDim
    const from = row - feature + (feature < half ? 2 * feature : 2 * (feature - half) + 1)
    permuted.set(data.subarray(from * columns, (from + 1) * columns), row * columns)
  }
  return { shape, data: permuted }
}

const weights: [string, HostArray][] = [
  ['model.embed_tokens.weight', embedding],
  ['model.norm.weight', norm],
]
for (let layer = 0; layer < layers; layer++) {
  const place = (name: string, array: HostArray | undefined) =>
    weights.push([`model.layers.${layer}.${name}.weight`, array!])
  place('input_layernorm', attentionNorm[layer])
  place('self_attn.q_proj', halvesFromPairs(q[layer]!))
  place('self_attn.k_proj', halvesFromPairs(k[layer]!))
  place('self_attn.v_proj', v[layer])
  place('self_attn.o_proj', o[layer])
  place('post_attention_layernorm', mlpNorm[layer])
  place('mlp.gate_proj', gate[layer])
  place('mlp.up_proj', up[layer])
  place('mlp.down_proj', down[layer])
}

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: dim,
  intermediate_size: hidden,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
  head_dim: headDim,
  vocab_size: vocabulary,
  max_position_embeddings: context,
  hidden_act: 'silu',
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  rope_scaling: null,
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
  torch_dtype: 'float32',
}

const pieces = await readPieces(`${source}/tok512.bin`)
const ids = new Map(pieces.map(({ piece }, id) => [piece, id]))
const special = (content: string) => ({ ...flags, id: ids.get(content)!, content, special: true })
const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false }
const frame = (sequence: 'A' | 'B', type_id: number) => [
  { SpecialToken: { id: '<s>', type_id } },
  { Sequence: { id: sequence, type_id } },
]

const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: ['<unk>', '<s>', '</s>'].map(special),
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: frame('A', 0),
    pair: [...frame('A', 0), ...frame('B', 1)],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: '<unk>',
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: true,
    ignore_merges: false,
    vocab: Object.fromEntries(ids),
    merges: mergesOf(pieces),
  },
}

const tokenizerConfig = {
  tokenizer_class: 'LlamaTokenizer',
  add_bos_token: true,
  add_eos_token: false,
  bos_token: '<s>',
  eos_token: '</s>',
  unk_token: '<unk>',
  clean_up_tokenization_spaces: false,
  legacy: true,
  model_max_length: context,
}

interface Piece {
  readonly piece: string
  readonly score: number
}

async function readPieces(file: string): Promise<Piece[]> {
  const bytes = await readFile(file)
  const list: Piece[] = []
  for (let at = 4; at < bytes.length; ) {
    const length = bytes.readInt32LE(at + 4)
    const piece = bytes.toString('utf8', at + 8, at + 8 + length)
    // llama2.c's file has spaces for ▁, and line ends around the special tokens.
    list.push({
      piece: list.length < 3 ? piece.trim() : piece.replaceAll(' ', '▁'),
      score: bytes.readFloatLE(at),
    })
    at += 8 + length
  }
  return list
}

function mergesOf(list: readonly Piece[]): string[] {
  const merges = list.slice(259).flatMap(({ piece, score }) => {
    const letters = Array.from(piece)
    return letters.slice(1).map((_, i) => {
      const [left, right] = [letters.slice(0, i + 1).join(''), letters.slice(i + 1).join('')]
      return { left, right, score }
    })
  })
  return merges
    .filter(({ left, right }) => ids.has(left) && ids.has(right))
    .sort((a, b) => b.score - a.score || b.left.length - a.left.length || b.right.length - a.right.length)
    .map(({ left, right }) => `${left} ${right}`)
}

const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`
await mkdir(target, { recursive: true })
await writeFile(`${target}config.json`, json(config))
await writeTensors(
  `${target}model.safetensors`,
  weights.map(([name, { shape, data }]) => [name, tensor(data, { shape })]),
)
await writeFile(`${target}tokenizer.json`, json(tokenizer))
await writeFile(`${target}tokenizer_config.json`, json(tokenizerConfig))
console.log(
  `wrote ${target}: ${weights.length} tensors, ${pieces.length} pieces, ${tokenizer.model.merges.length} merges`,
)
