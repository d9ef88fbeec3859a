// Parameters are plain trees, so immer's `produce` edits them: one head of one layer is silenced by a new output weight, and
// every other leaf is the model's own. To immer an array is a leaf: it is neither copied nor frozen.
//   npx tsx examples/edit-tree.ts

import { fileURLToPath } from 'node:url'
import { arange, jit, notEqual, reshape, statistics, tensor, tree, type Value, where } from 'cotangent'
import { llama, loadTokenizer } from 'cotangent/models'
import { causalLoss, dense } from 'cotangent/nn'
import { castDraft, produce } from 'immer'

/** `o`, `[hidden, heads · size]`, with zeros where it reads one head. */
const silenced = jit(
  (o: Value, heads: number, head: number): Value => {
    const audible = reshape(notEqual(arange(heads), head), [heads, 1])
    return reshape(where(audible, reshape(o, [-1, heads, o.shape[1]! / heads]), 0), o.shape)
  },
  { staticArgnums: [1, 2] },
)

/** The parameters with one head of one layer silenced. */
export const withoutHead = (
  { heads }: llama.LlamaConfig,
  params: llama.LlamaParams,
  layer: number,
  head: number,
): llama.LlamaParams =>
  produce(params, ({ layers }) => {
    const { attn } = layers[layer]!
    attn.o = castDraft(silenced(dense(attn.o), heads, head))
  })

const story = 'Once upon a time, there was a little girl named Lily. She loved to play outside in the park.'

async function main(): Promise<void> {
  const folder = fileURLToPath(new URL('assets/stories260K', import.meta.url))
  const { config, params } = await llama.load(folder)
  const tokenizer = await loadTokenizer(folder)
  const tokens = tensor([[tokenizer.bos, ...tokenizer.encode(story)]], { dtype: 'i32' })
  const loss = jit((params: llama.LlamaParams, tokens: Value) =>
    causalLoss(llama.forward(config, params, tokens), tokens),
  )

  const before = await loss(params, tokens).item()
  const { liveBytes: had } = await statistics()
  const edited = withoutHead(config, params, 0, 1)
  const { liveBytes: has } = await statistics()
  const after = await loss(edited, tokens).item()

  const originals = new Set(tree.leaves(params))
  const leaves = tree.leaves(edited)
  const own = leaves.filter((leaf) => originals.has(leaf)).length
  console.log(
    `${own} of ${leaves.length} arrays are the model's own; the device holds ${has - had} bytes more`,
  )
  console.log(`loss ${before.toFixed(3)}, and ${after.toFixed(3)} without the head`)
}

if (process.argv[1] === import.meta.filename) await main()
