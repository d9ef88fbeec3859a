// Twenty steps of a LoRA on a small Llama, on the CPU by WebAssembly; prints the losses and a digest of the adapter.

import { createHash } from 'node:crypto'
import { jit, random, tree, type Value, valueAndGrad } from 'cotangent'
import { llama } from 'cotangent/models'
import { causalLoss } from 'cotangent/nn'
import { applyUpdates, chain, clipByGlobalNorm, lionw } from 'cotangent/optim'
import { rasa } from 'cotangent/peft'
import { openWasm } from '../../core/device/wasm-device.ts'

const config: llama.LlamaConfig = {
  vocabularySize: 96,
  hiddenSize: 32,
  intermediateSize: 88,
  layers: 3,
  heads: 4,
  kvHeads: 2,
  headSize: 8,
  normEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: null,
  maxLength: 64,
  tied: false,
}

const draw = (key: string, { shape }: { readonly shape: readonly number[] }): Value =>
  random.uniform(random.foldIn(random.key(0), key), shape, { minval: -0.2, maxval: 0.2 })
let leaf = 0
const base = tree.map(
  (named) => draw(`leaf ${leaf++}`, named as unknown as Value),
  llama.layout(config),
) as unknown as llama.LlamaParams
const method = rasa({ rank: 4, shared: 1, alpha: 8 })
const optimizer = chain(clipByGlobalNorm(1), lionw(1e-3))
let adapter = method.init(random.key(1), base)
let state = optimizer.init(adapter)
const tokens = random.randint(random.key(2), [2, 64], 0, 96)

type Adapter = typeof adapter
type State = typeof state

const train = jit((adapter: Adapter, state: State, base: llama.LlamaParams, tokens: Value) => {
  const loss = (adapter: Adapter): Value =>
    causalLoss(llama.forward(config, method.apply(base, adapter), tokens), tokens)
  const [value, gradients] = valueAndGrad(loss)(adapter)
  const [updates, next] = optimizer.update(gradients, state, adapter)
  return [value, applyUpdates(adapter, updates), next] as const
})

// With fewer threads than asked for the bits would be those of fewer.
const { threads } = await openWasm([])
while (threads.count < threads.most) await new Promise((resolve) => setTimeout(resolve, 5))

const losses: number[] = []
for (let step = 0; step < 20; step++) {
  const [value, ...next] = train(adapter, state, base, tokens)
  ;[adapter, state] = next
  losses.push(await value.item())
}
const hash = createHash('sha256')
for (const value of tree.leaves(adapter) as Value[]) hash.update(new Uint8Array((await value.data()).buffer))
console.log(JSON.stringify({ threads: threads.count, training: { losses, adapter: hash.digest('hex') } }))
