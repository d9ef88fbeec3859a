// Fine-tunes a Llama with LoRA and with RaSA, from loading the model to generating with the merged weights. By default it is
// the 260-thousand-parameter model that ships with the project, on a slice of GSM8K: `npm start`, and `npm start -- --help`.

import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError } from 'commander'
import { deviceReport, jit, random, type Tensor, tensor, tree, type Value, valueAndGrad } from 'cotangent'
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
import pc from 'picocolors'
import {
  alpacaPrompt,
  type Batch,
  batches,
  type EncodedRow,
  encodeRow,
  type Mask,
  readJsonl,
} from './data.ts'
import { type Curve, lossSvg } from './plot.ts'
import { showProgress } from './progress.ts'

const assets = new URL('./assets/', import.meta.url).pathname

const whole =
  (least: number) =>
  (text: string): number => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < least)
      throw new InvalidArgumentError(`use a whole number from ${least} up`)
    return value
  }

const positive = (text: string): number => {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('use a number above 0')
  return value
}

const options = new Command()
  .name('npm start --')
  .description('Fine-tunes a Llama with LoRA and RaSA on the machine at hand.')
  .option('--method <name>', 'lora, rasa or both', 'both')
  .option('--rank <r>', 'ranks of a weight', whole(1), 8)
  .option('--shared <k>', "RaSA: how many of them go to the layers' pool", whole(1), 1)
  .option('--alpha <x>', 'scale of the adapter', positive, 16)
  .option('--steps <n>', 'training steps', whole(1), 40)
  .option('--batch <n>', 'rows of a step', whole(1), 2)
  .option('--length <n>', 'longest row in tokens; the rest is cut', whole(8), 256)
  .option('--learning-rate <x>', 'peak of the warm-up and cosine', positive, 2e-3)
  .option('--mask <kind>', "paper (all but the user's text) or response-only", 'response-only')
  .option('--seed <n>', 'of initial values and of the order of rows', whole(0), 42)
  .option('--out <folder>', 'where adapters, logs and the plot go', 'out/finetune')
  .option('--model <folder>', 'config.json, model.safetensors, tokenizer.json', `${assets}stories260K`)
  .option('--data <file>', 'training rows: JSON lines with question and answer', `${assets}gsm8k/train.jsonl`)
  .option('--heldout <file>', 'rows to evaluate on', `${assets}gsm8k/heldout.jsonl`)
  .showHelpAfterError()
  .parse()
  .opts<{
    method: string
    rank: number
    shared: number
    alpha: number
    steps: number
    batch: number
    length: number
    learningRate: number
    mask: Mask
    seed: number
    out: string
    model: string
    data: string
    heldout: string
  }>()

let interrupted = false
process.on('SIGINT', () => {
  if (interrupted) process.exit(130)
  interrupted = true
})

/** A batch on its way to the device. */
const upload = ({ tokens, labels, shape }: Batch): { readonly tokens: Tensor; readonly labels: Tensor } => ({
  tokens: tensor(tokens, { shape }),
  labels: tensor(labels, { shape }),
})

type Inputs = ReturnType<typeof upload>

/** Everything about a method that is needed to train it, use it and check it. */
interface Contender<A> {
  readonly name: string
  readonly method: PeftMethod<A>
  /** Trainable numbers of a weight, by the paper's formula; `layers` is how many weights share its role. */
  readonly trainable: (out: number, inputs: number, layers: number) => number
}

function contenders(): Contender<never>[] {
  const { rank, shared, alpha } = options
  const plain: Contender<never> = {
    name: 'LoRA',
    method: lora({ rank, alpha }) as unknown as PeftMethod<never>,
    trainable: (out, inputs) => rank * (out + inputs),
  }
  if (options.method === 'lora') return [plain]
  const sharing: Contender<never> = {
    name: 'RaSA',
    method: rasa({ rank, shared, alpha }) as unknown as PeftMethod<never>,
    trainable: (out, inputs, layers) => rank * (out + inputs) + (rank - shared + layers * shared),
  }
  if (options.method === 'rasa') return [sharing]
  if (options.method === 'both') return [plain, sharing]
  throw new TypeError(`start: --method is ${options.method}; use lora, rasa or both`)
}

/** The trainable numbers as the formula has them, so that nothing is trained by accident and nothing forgotten. */
function expectedCount<A>({ trainable }: Contender<A>, params: llama.LlamaParams): number {
  const targets = targetsOf('start', params, linears)
  return targets
    .map(({ role, shape: [out, inputs] }) =>
      trainable(out, inputs, targets.filter((other) => other.role === role).length),
    )
    .reduce((a, b) => a + b, 0)
}

async function run<A>(
  contender: Contender<A>,
  model: llama.Llama,
  tokenizer: Tokenizer,
  rows: Rows,
): Promise<Curve> {
  const { name, method } = contender
  const { config, params } = model
  const folder = `${options.out}/${name.toLowerCase()}`
  const moduleName = llama.moduleName(config)

  const loss = (adapter: A, base: llama.LlamaParams, { tokens, labels }: Inputs): Value =>
    causalLoss(llama.forward(config, method.apply(base, adapter), tokens), labels)
  const optimizer = chain(
    clipByGlobalNorm(1),
    lionw(warmupCosine({ peak: options.learningRate, steps: options.steps, warmup: 0.1 }), {
      b1: 0.9,
      b2: 0.95,
    }),
  )
  const step = jit(
    function step(
      adapter: A,
      state: ReturnType<typeof optimizer.init>,
      base: llama.LlamaParams,
      batch: Inputs,
    ) {
      const [value, gradients] = valueAndGrad(loss)(adapter, base, batch)
      const [updates, next] = optimizer.update(gradients, state, adapter)
      return [value, applyUpdates(adapter, updates), next] as const
    },
    { donate: [0, 1] },
  )
  const evaluateBatch = jit(loss)
  const evaluate = (adapter: A): Promise<number> =>
    meanLoss(rows.heldout, (batch) => evaluateBatch(adapter, params, batch))

  let adapter = method.init(random.key(options.seed), params)
  let state = optimizer.init(adapter)
  const trainable = countElements(adapter)
  if (trainable !== expectedCount(contender, params))
    throw new Error(
      `start: ${name} trains ${trainable} numbers, not ${expectedCount(contender, params)}; the adapter is not what the paper describes`,
    )
  console.log(`\n${pc.bold(name)}  ${trainable} trainable of ${countElements(params) + trainable} numbers`)

  const before = await evaluate(adapter)
  console.log(`  held-out loss before ${before.toFixed(4)}`)
  await mkdir(folder, { recursive: true })
  await rm(`${folder}/training.jsonl`, { force: true })
  const points: { step: number; loss: number }[] = []
  const stream = batches(rows.train, { batch: options.batch, widths: rows.widths, seed: options.seed })
  const began = performance.now()
  let warm = began
  let tokens = 0
  for (let k = 1; k <= options.steps && !interrupted; k++) {
    const batch = stream.next().value
    let value: Value
    ;[value, adapter, state] = step(adapter, state, params, upload(batch))
    const point = { step: k, loss: await value.item() }
    points.push(point)
    if (k === 1)
      warm = performance.now() // the first step compiles
    else tokens += batch.tokens.length
    const seconds = (performance.now() - warm) / 1000
    const tokensPerSecond = seconds > 0 ? tokens / seconds : 0
    await appendFile(
      `${folder}/training.jsonl`,
      `${JSON.stringify({ ...point, tokensPerSecond: Math.round(tokensPerSecond) })}\n`,
    )
    showProgress(name, {
      ...point,
      steps: options.steps,
      tokensPerSecond,
      secondsLeft: (seconds / Math.max(1, k - 1)) * (options.steps - k),
    })
  }
  await saveAdapter(folder, method, adapter, { moduleName, baseModel: options.model })
  if (interrupted) {
    console.log(`\n  interrupted after ${points.length} steps; the adapter so far is in ${folder}`)
    process.exit(130)
  }
  const after = await evaluate(adapter)
  console.log(`  held-out loss after  ${after.toFixed(4)}  (${after < before ? 'fell' : 'did not fall'})`)

  const reloaded = await loadAdapter(folder, method, params, { moduleName })
  const merged = jit((base: llama.LlamaParams, adapter: A) => merge(method, base, adapter))(params, reloaded)
  const difference = await compareLogits(model, method, reloaded, merged, rows.heldout[0]!)
  console.log(
    `  saved to ${folder}; read back and merged: logits differ by ${difference.toExponential(1)} of the largest`,
  )
  if (!(difference <= 1e-4))
    throw new Error('start: merged and unmerged logits disagree; merge does not do what apply does')
  console.log(`  ${pc.dim(await sample(config, merged, tokenizer, rows.question))}`)
  return { name, points }
}

/** Rows as the model sees them. */
interface Rows {
  readonly train: readonly EncodedRow[]
  readonly heldout: readonly Inputs[]
  readonly widths: readonly number[]
  readonly question: string
}

async function loadRows(tokenizer: Tokenizer, config: llama.LlamaConfig): Promise<Rows> {
  const { length, batch, mask, seed } = options
  if (length > config.maxLength)
    throw new RangeError(
      `start: --length ${length} is beyond the model's context of ${config.maxLength}; use at most that`,
    )
  const encode = async (file: string): Promise<EncodedRow[]> =>
    (await readJsonl(file)).map((row) => encodeRow(tokenizer, row, mask, length))
  const [train, heldout] = [await encode(options.data), await encode(options.heldout)]
  const widths = [length]
  const stream = batches(heldout, { batch, widths, seed })
  const count = Math.max(1, Math.floor(heldout.length / batch))
  const [first] = await readJsonl(options.heldout)
  return {
    train,
    heldout: Array.from({ length: count }, () => upload(stream.next().value)),
    widths,
    question: first!.question,
  }
}

/** The mean loss of all labels of some batches. */
async function meanLoss(heldout: readonly Inputs[], evaluate: (batch: Inputs) => Value): Promise<number> {
  let [sum, count] = [0, 0]
  for (const batch of heldout) {
    const labels = (await batch.labels.data()).filter((label) => label !== ignored).length
    sum += labels * (await evaluate(batch).item())
    count += labels
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
  const forward = jit((base: llama.LlamaParams, tokens: Value) => llama.forward(config, base, tokens))
  const adapted = jit((base: llama.LlamaParams, adapter: A, tokens: Value) =>
    llama.forward(config, method.apply(base, adapter), tokens),
  )
  const a = Array.from(await forward(merged, tokens).data())
  const b = await adapted(params, adapter, tokens).data()
  const largest = largestOf(a)
  return largestOf(a.map((x, k) => x - b[k]!)) / largest
}

const largestOf = (xs: readonly number[]): number => xs.reduce((most, x) => Math.max(most, Math.abs(x)), 0)

/** What the model answers to a question. */
async function sample(
  config: llama.LlamaConfig,
  params: llama.LlamaParams,
  tokenizer: Tokenizer,
  question: string,
): Promise<string> {
  const prompt = [tokenizer.bos, ...tokenizer.encode(alpacaPrompt(question))].slice(-(config.maxLength - 32))
  const ids: number[] = []
  for await (const id of generate(config, params, prompt, { maxTokens: 32, eos: tokenizer.eos })) ids.push(id)
  return `it answers: ${JSON.stringify(tokenizer.decode(ids))}`
}

async function main(): Promise<void> {
  const began = performance.now()
  const { name, reason } = await deviceReport()
  console.log(`${pc.bold('device')}  ${name} (${reason})`)
  const model = await llama.load(options.model)
  const tokenizer = await loadTokenizer(options.model)
  const rows = await loadRows(tokenizer, model.config)
  console.log(
    `${pc.bold('model')}   ${options.model}, ${countElements(model.params)} numbers in ${tree.leaves(model.params).length} arrays`,
  )
  console.log(
    `${pc.bold('data')}    ${rows.train.length} rows to learn, ${rows.heldout.length * options.batch} held out, ${options.steps} steps of ${options.batch} × ${options.length} tokens`,
  )
  const curves: Curve[] = []
  for (const contender of contenders()) curves.push(await run(contender, model, tokenizer, rows))
  await writeFile(`${options.out}/loss.svg`, lossSvg(curves))
  console.log(
    `\nboth curves are in ${options.out}/loss.svg; ${((performance.now() - began) / 1000).toFixed(0)} s in all`,
  )
}

main().catch((error: Error) => {
  console.error(pc.red(error.message))
  process.exitCode = 1
})
