// Fine-tunes a Llama with LoRA and with RaSA, from loading the model to generating with the merged weights. By default it is
// the 260-thousand-parameter model that ships with the project, on a slice of GSM8K: `npm start`, and `npm start -- --help`.

import { mkdir } from 'node:fs/promises'
import {
  deviceReport,
  jit,
  onCompile,
  random,
  tensor,
  tree,
  type Value,
  valueAndGrad,
  writeFileAtomic,
} from 'cotangent'
import { generate, llama, loadTokenizer, type Tokenizer } from 'cotangent/models'
import { causalLoss, ignored } from 'cotangent/nn'
import { applyUpdates, chain, clipByGlobalNorm, lionw, warmupCosine } from 'cotangent/optim'
import {
  countElements,
  linears,
  loadAdapter,
  lora,
  merge,
  type PeftMethod,
  rasa,
  saveAdapter,
  targetsOf,
} from 'cotangent/peft'
import { alpacaPrompt, type Batch, batches, type EncodedRow, encodeRow, type Row, readJsonl } from './data.ts'
import { readOptions } from './options.ts'
import type { Curve } from './plot.ts'
import { colors, report, say, showCompiling, showProgress } from './terminal.ts'

const options = readOptions(process.argv)

/** Ctrl-C ends a training in progress after its step, so that it can be saved; anything else, and a second one, at once. */
let training = false
let interrupted = false
process.on('SIGINT', () => {
  if (!training || interrupted) process.exit(130)
  interrupted = true
})

async function main(): Promise<void> {
  const began = performance.now()
  onCompile(showCompiling)
  const { method, rank, shared, alpha, steps, batch, length, out } = options
  const first = method === 'rasa' ? null : lora({ rank, alpha })
  const second = method === 'lora' ? null : rasa({ rank, shared, alpha })
  if (options.device !== undefined) process.env.COTANGENT_ADAPTER = options.device
  const opening = deviceReport() // meanwhile the files are read
  opening.catch(() => {})
  const model = await llama.load(options.model)
  const tokenizer = await loadTokenizer(options.model)
  const rows = await loadRows(tokenizer, model.config)
  await mkdir(out, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`start: the folder ${out} cannot be made (${error.code}); choose another with --out`)
  })
  const { name, software, source } = await opening
  const other = source === 'wasm' ? '; --device webgpu for an adapter' : ''
  say('device', `${software ? 'software' : 'GPU'}: ${name}${other}`)
  say('model', `${countElements(model.params)} numbers in ${tree.leaves(model.params).length} arrays`)
  say('data', `${rows.train.length} rows to learn, ${rows.heldout.length * batch} held out`)
  say('run', `${steps} steps of ${batch} × ${length} tokens`)

  const setting = { model, tokenizer, rows }
  const curves: Curve[] = []
  if (first !== null) curves.push(await run(setting, 'LoRA', first, (out, inputs) => rank * (out + inputs)))
  if (second !== null)
    curves.push(
      await run(
        setting,
        'RaSA',
        second,
        (out, inputs, layers) => rank * (out + inputs) + rank - shared + layers * shared,
      ),
    )
  const { lossSvg } = await import('./plot.ts') // half of what there is to load, so not before it is needed
  await writeFileAtomic(`${options.out}/loss.svg`, lossSvg(curves))
  say('plot', `${options.out}/loss.svg`)
  say('time', `${((performance.now() - began) / 1000).toFixed(0)} s`)
}

/** A batch on its way to the device. */
const upload = ({ tokens, labels, shape }: Batch) => ({
  tokens: tensor(tokens, { shape }),
  labels: tensor(labels, { shape }),
})

type Inputs = { readonly tokens: Value; readonly labels: Value }

/** Rows as the model sees them, and a question to ask it. */
interface Rows {
  readonly train: readonly EncodedRow[]
  readonly heldout: readonly { readonly inputs: Inputs; readonly counted: number }[]
  readonly question: string
}

async function loadRows(tokenizer: Tokenizer, config: llama.LlamaConfig): Promise<Rows> {
  const { length, batch, mask, seed } = options
  const encode = (row: Row, place: string): EncodedRow => {
    try {
      return encodeRow(tokenizer, row, mask, length)
    } catch (cause) {
      throw new RangeError(
        `start: the prompt of ${place} fills all ${length} tokens; raise --length or leave it out`,
        { cause },
      )
    }
  }
  if (length > config.maxLength)
    throw new RangeError(
      `start: --length ${length} is beyond the model's context of ${config.maxLength}; use at most that`,
    )
  const read = async (file: string) => {
    const rows = await readJsonl(file)
    if (rows.length === 0) throw new RangeError(`start: ${file} has no rows; give it one a line`)
    return { rows, encoded: rows.map((row, k) => encode(row, `${file}:${k + 1}`)) }
  }
  // One after the other, so that of two bad files always the same one is named.
  const train = await read(options.data)
  const heldout = await read(options.heldout)
  const stream = batches(heldout.encoded, { batch, widths: [length], seed })
  const count = Math.max(1, Math.floor(heldout.rows.length / batch))
  return {
    train: train.encoded,
    heldout: Array.from({ length: count }, () => {
      const batch = stream.next().value
      return { inputs: upload(batch), counted: batch.labels.filter((label) => label !== ignored).length }
    }),
    question: heldout.rows[0]!.question,
  }
}

interface Setting {
  readonly model: llama.Llama
  readonly tokenizer: Tokenizer
  readonly rows: Rows
}

/** Trains, evaluates, saves, reloads, merges and uses one adapter. `trainable` is the paper's count for a weight. */
async function run<A>(
  { model, tokenizer, rows }: Setting,
  name: string,
  method: PeftMethod<A>,
  trainable: (out: number, inputs: number, layers: number) => number,
): Promise<Curve> {
  const { config, params } = model
  const folder = `${options.out}/${name.toLowerCase()}`
  const moduleName = llama.moduleName(config)

  const loss = (adapter: A, base: llama.LlamaParams, { tokens, labels }: Inputs): Value =>
    causalLoss(llama.forward(config, method.apply(base, adapter), tokens), labels)
  const rate = warmupCosine({ peak: options.learningRate, steps: options.steps, warmup: 0.1 })
  const optimizer = chain(clipByGlobalNorm(1), lionw(rate, { b1: 0.9, b2: 0.95 }))
  type State = ReturnType<typeof optimizer.init>
  const step = jit(
    function step(adapter: A, state: State, base: llama.LlamaParams, batch: Inputs) {
      const [value, gradients] = valueAndGrad(loss)(adapter, base, batch)
      const [updates, next] = optimizer.update(gradients, state, adapter)
      return [value, applyUpdates(adapter, updates), next] as const
    },
    { donate: [0, 1] },
  )
  const evaluateBatch = jit(loss)
  const evaluate = (adapter: A) => meanLoss(rows.heldout, (batch) => evaluateBatch(adapter, params, batch))

  let adapter = method.init(random.key(options.seed), params)
  let state = optimizer.init(adapter)
  const count = checkedCount(name, adapter, params, trainable)
  console.log()
  say(name, `${count} trainable of ${countElements(params) + count} numbers`)

  const before = await evaluate(adapter)
  report(`held-out loss before: ${before.toFixed(4)}`)
  const points: { readonly step: number; readonly loss: number }[] = []
  const log: string[] = []
  const stream = batches(rows.train, { batch: options.batch, widths: [options.length], seed: options.seed })
  const tokensPerStep = options.batch * options.length
  let warm = 0
  training = true
  for (let k = 1; k <= options.steps && !interrupted; k++) {
    let value: Value
    ;[value, adapter, state] = step(adapter, state, params, upload(stream.next().value))
    const point = { step: k, loss: await value.item() }
    points.push(point)
    if (k === 1) warm = performance.now() // the first step compiles
    const seconds = (performance.now() - warm) / 1000
    const tokensPerSecond = k === 1 ? 0 : ((k - 1) * tokensPerStep) / seconds
    const secondsLeft = (seconds / Math.max(1, k - 1)) * (options.steps - k)
    log.push(`${JSON.stringify({ ...point, tokensPerSecond: Math.round(tokensPerSecond) })}\n`)
    showProgress(name, { ...point, steps: options.steps, tokensPerSecond, secondsLeft })
  }
  if (points.length > 0) {
    await saveAdapter(folder, method, adapter, { moduleName, baseModel: options.model })
    await writeFileAtomic(`${folder}/training.jsonl`, log.join(''))
  }
  training = false
  if (interrupted) {
    const saved = points.length > 0 ? `the adapter so far is in ${folder}` : 'nothing was trained'
    console.log(`\n  interrupted after ${points.length} steps; ${saved}`)
    process.exit(130)
  }
  const after = await evaluate(adapter)
  report(`held-out loss after:  ${after.toFixed(4)}, ${after < before ? 'it fell' : 'it did not fall'}`)

  const reloaded = await loadAdapter(folder, method, params, { moduleName })
  const merged = jit((base: llama.LlamaParams, adapter: A) => merge(method, base, adapter))(params, reloaded)
  const difference = await compareLogits(model, method, reloaded, merged, rows.heldout[0]!.inputs)
  report(`saved to ${folder}, read back and merged`)
  report(`merged and unmerged logits differ by ${difference.toExponential(1)} of the largest`)
  if (!(difference <= 1e-4))
    throw new Error('start: merged and unmerged logits disagree; merge must do what apply does')
  report(`it answers: ${JSON.stringify(await answer(config, merged, tokenizer, rows.question))}`)
  return { name, points }
}

/** The number of trainable numbers, which must be the formula's: nothing is trained by accident, nothing forgotten. */
function checkedCount(
  name: string,
  adapter: unknown,
  params: llama.LlamaParams,
  trainable: (out: number, inputs: number, layers: number) => number,
): number {
  const targets = targetsOf('start', params, linears)
  const expected = targets
    .map(({ role, shape: [out, inputs] }) => {
      const layers = targets.filter((other) => other.role === role).length
      return trainable(out, inputs, layers)
    })
    .reduce((a, b) => a + b, 0)
  const count = countElements(adapter)
  if (count === expected) return count
  throw new Error(
    `start: ${name} trains ${count} numbers, the formula says ${expected}; one of them is wrong`,
  )
}

/** The mean loss over all labels of some batches. */
async function meanLoss(heldout: Rows['heldout'], evaluate: (batch: Inputs) => Value): Promise<number> {
  let [sum, count] = [0, 0]
  for (const { inputs, counted } of heldout) {
    sum += counted * (await evaluate(inputs).item())
    count += counted
  }
  return sum / count
}

/** The largest difference between the logits of the adapted and of the merged model, over the largest logit. */
async function compareLogits<A>(
  { config, params }: llama.Llama,
  method: PeftMethod<A>,
  adapter: A,
  merged: llama.LlamaParams,
  { tokens }: Inputs,
): Promise<number> {
  const plain = jit((base: llama.LlamaParams, tokens: Value) => llama.forward(config, base, tokens))
  const adapted = jit((base: llama.LlamaParams, adapter: A, tokens: Value) =>
    llama.forward(config, method.apply(base, adapter), tokens),
  )
  const a = Array.from(await plain(merged, tokens).data())
  const b = await adapted(params, adapter, tokens).data()
  const largest = (xs: readonly number[]) => xs.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  return largest(a.map((x, k) => x - b[k]!)) / largest(a)
}

/** What the model says to a question. */
async function answer(
  config: llama.LlamaConfig,
  params: llama.LlamaParams,
  tokenizer: Tokenizer,
  question: string,
): Promise<string> {
  const maxTokens = 32
  const prompt = [tokenizer.bos, ...tokenizer.encode(alpacaPrompt(question))]
  const ids: number[] = []
  const kept = prompt.slice(0, config.maxLength - maxTokens)
  for await (const id of generate(config, params, kept, { maxTokens, eos: tokenizer.eos })) ids.push(id)
  return tokenizer.decode(ids)
}

main().catch((error: Error) => {
  console.error(colors.red(error.message))
  process.exitCode = 1
})
