// The library itself. The attention that is written out, of products and a softmax, is a contender of its own.

import {
  add,
  checkpoint,
  contract,
  dispose,
  div,
  exp,
  expandDims,
  grad,
  iota,
  jit,
  lessEqual,
  lower,
  matmul,
  max,
  maximum,
  mul,
  reshape,
  softmax,
  stopGradient,
  sub,
  sum,
  synchronize,
  take,
  tensor,
  transpose,
  tree,
  Value,
  valueAndGrad,
  vjp,
  where,
} from 'cotangent'
import { generate, llama } from 'cotangent/models'
import {
  attention,
  causalLoss,
  crossEntropy,
  linear,
  type RopeTable,
  rmsNorm,
  ropeTable,
  rotate,
  swiglu,
} from 'cotangent/nn'
import { applyUpdates, chain, clipByGlobalNorm, lionw } from 'cotangent/optim'
import type { PeftMethod } from 'cotangent/peft'
import { spent } from '../../../core/spent.ts'
import {
  adapterOf,
  blocksOf,
  type HostArray,
  methods,
  modelOf,
  noise,
  type Sizes,
  tokens,
  type Work,
} from '../cases.ts'
import { agreed, type Contender, leavesOf, type Ready } from './contender.ts'

const put = ({ data, shape }: HostArray): Value => tensor(data, { shape })
const drawn = (name: string, ...shape: number[]): Value => put(noise(name, shape))

/** A tree with arrays on the device in place of those on the host. */
const upload = <T>(host: unknown): T => tree.map((leaf: HostArray) => put(leaf), host) as T

const isArray = (node: object): node is Value => node instanceof Value

/** What to agree on of some results. */
const summary = async (results: unknown): Promise<readonly ArrayLike<number>[]> =>
  agreed(await Promise.all(leavesOf(results, isArray).map((leaf) => leaf.data() as Promise<Float32Array>)))

/** A function of these arguments, made ready. */
function ready<A extends readonly unknown[]>(f: (...args: A) => unknown, ...args: A): Ready {
  const program = jit(f)
  const run = async <T>(use: (results: unknown) => Promise<T>): Promise<T> => {
    const results = program(...args)
    const used = await use(results)
    dispose(results)
    return used
  }
  return {
    first: () => run(summary),
    run: () => run(synchronize),
    close: () => dispose(args),
    get plannedBytes() {
      return lower(f)(...args).plannedBytes
    },
  }
}

type Attend = (q: Value, k: Value, v: Value) => Value

/** Attention of products and a softmax, whose `[time, time]` scores are arrays. */
function plainAttention(q: Value, k: Value, v: Value): Value {
  const [batch, time, heads, size] = q.shape as [number, number, number, number]
  const place = (axis: number): Value => iota([time, time], { axis })
  const mask = lessEqual(place(1), place(0))
  const scores = mul(contract('bthd,bshd->bhts', q, k), 1 / Math.sqrt(size))
  const shown = where(mask, scores, -1e30)
  const weights = exp(sub(shown, stopGradient(max(shown, { axis: -1, keepDims: true }))))
  const total = transpose(sum(weights, { axis: -1 }), [0, 2, 1]) // [batch, time, heads]
  const mixed = div(contract('bhts,bshd->bthd', weights, v), expandDims(total, -1))
  return reshape(mixed, [batch, time, heads * size])
}

function attentionCase(
  { heads, time, size, gradient }: Extract<Work, { kind: 'attention' }>,
  attend: Attend,
): Ready {
  const [q, k, v] = ['q', 'k', 'v'].map((name) => drawn(name, 1, time, heads, size)) as [Value, Value, Value]
  if (!gradient) return ready(attend, q, k, v)
  const ct = drawn('ct', 1, time, heads * size)
  return ready(
    (q: Value, k: Value, v: Value, ct: Value) => {
      const [y, pullback] = vjp(attend, q, k, v)
      return [y, pullback(ct)]
    },
    q,
    k,
    v,
    ct,
  )
}

function rowsCase({
  kind,
  rows,
  columns,
  gradient,
}: Extract<Work, { gradient: boolean; rows: number }>): Ready {
  const x = drawn('x', rows, columns)
  if (kind === 'cross-entropy') {
    const labels = put(tokens('labels', [rows], columns))
    return gradient ? ready(valueAndGrad(crossEntropy), x, labels) : ready(crossEntropy, x, labels)
  }
  const w = drawn('w', columns)
  const f = (x: Value, w: Value): Value => (kind === 'softmax' ? softmax(x) : rmsNorm(x, w, { eps: 1e-5 }))
  if (!gradient) return ready(f, x, w)
  return ready(
    (x: Value, w: Value, ct: Value) => {
      const [y, pullback] = vjp(f, x, w)
      const [dx, dw] = pullback(ct)
      return kind === 'softmax' ? [y, dx] : [y, dx, dw]
    },
    x,
    w,
    drawn('ct', rows, columns),
  )
}

type Layers = llama.LlamaParams['layers']

function blocksCase({
  batch,
  time,
  hidden,
  heads,
  checkpoint: again,
  ...sizes
}: Extract<Work, { kind: 'blocks' }>): Ready {
  const split = (y: Value): Value => reshape(y, [batch, time, heads, hidden / heads])
  const block = (p: Layers[number], x: Value, positions: RopeTable): Value => {
    const h = rmsNorm(x, p.attnNorm, { eps: 1e-5 })
    const [q, k, v] = [p.attn.q, p.attn.k, p.attn.v].map((w) => split(linear(h, w))) as [Value, Value, Value]
    const seen = attention(rotate(q, positions), rotate(k, positions), v, { causal: true })
    const y = add(x, linear(seen, p.attn.o))
    return add(y, swiglu(rmsNorm(y, p.mlpNorm, { eps: 1e-5 }), p.mlp))
  }
  const forward = again ? checkpoint(block) : block
  const loss = (layers: Layers, x: Value, positions: RopeTable, ct: Value): Value =>
    sum(
      mul(
        ct,
        layers.reduce((x, p) => forward(p, x, positions), x),
      ),
    )
  const all: Sizes = { batch, time, hidden, heads, ...sizes }
  return ready(
    valueAndGrad(loss, { argnums: [0, 1] }),
    upload<Layers>(blocksOf(all)),
    drawn('x', batch, time, hidden),
    ropeTable({ length: time, headSize: hidden / heads, theta: 10000 }),
    drawn('ct', batch, time, hidden),
  )
}

async function stepCase<A>(
  { model, method: name, batch, time }: Extract<Work, { kind: 'step' }>,
  method: PeftMethod<A>,
): Promise<Ready> {
  const { config, params } = await modelOf(model)
  const base = upload<llama.LlamaParams>(params)
  const optimizer = chain(clipByGlobalNorm(1), lionw(1e-4))
  let adapter = upload<A>(adapterOf(name, config))
  let state = optimizer.init(adapter)
  const batchOfTokens = put(tokens('tokens', [batch, time], config.vocabularySize))
  const loss = (adapter: A, base: llama.LlamaParams, tokens: Value): Value =>
    causalLoss(llama.forward(config, method.apply(base, adapter), tokens), tokens)
  const train = (adapter: A, current: typeof state, base: llama.LlamaParams, tokens: Value) => {
    const [value, gradients] = valueAndGrad(loss)(adapter, base, tokens)
    const [updates, next] = optimizer.update(gradients, current, adapter)
    return [value, applyUpdates(adapter, updates), next] as const
  }
  const program = jit(train, { donate: [0, 1] })
  const step = (): Value => {
    const [value, ...next] = program(adapter, state, base, batchOfTokens)
    ;[adapter, state] = next
    return value
  }
  return {
    first: () => {
      const value = step()
      return summary([value, (state as unknown as [null, { m: unknown }])[1].m])
    },
    run: async () => {
      const value = step()
      await synchronize()
      dispose(value)
    },
    close: () => dispose([adapter, state, base, batchOfTokens]),
    get plannedBytes() {
      return lower(train)(adapter, state, base, batchOfTokens).plannedBytes
    },
  }
}

async function generateCase(count: number): Promise<Ready> {
  const { config, params } = await modelOf('stories260K')
  const base = upload<llama.LlamaParams>(params)
  const run = async (): Promise<number[]> => {
    const ids: number[] = []
    for await (const id of generate(config, base, [1], { maxTokens: count })) ids.push(id)
    return ids
  }
  return {
    first: async () => [await run()],
    run: async () => void (await run()),
    close: () => dispose(base),
    plannedBytes: null,
    parts: count,
  }
}

async function prepare(work: Work): Promise<Ready> {
  switch (work.kind) {
    case 'product': {
      const { batch, rows, depth, columns } = work
      return ready(matmul, drawn('x', ...batch, rows, depth), drawn('y', ...batch, depth, columns))
    }
    case 'chain':
      return ready((x: Value) => sub(mul(maximum(add(mul(x, 1.5), 0.5), 0), x), 0.25), drawn('x', work.size))
    case 'copy':
      return ready((x: Value) => add(x, 1), drawn('x', work.size))
    case 'sum':
      return ready((x: Value) => sum(x, work.all ? {} : { axis: 1 }), drawn('x', work.rows, work.columns))
    case 'embedding': {
      const { vocabulary, hidden, tokens: count } = work
      const loss = (table: Value, ids: Value, ct: Value): Value =>
        sum(mul(ct, take(table, ids, { mode: 'clip' })))
      const ids = put(tokens('ids', [count], vocabulary))
      return ready(grad(loss), drawn('table', vocabulary, hidden), ids, drawn('ct', count, hidden))
    }
    case 'attention':
      return attentionCase(work, (q, k, v) => attention(q, k, v, { causal: true }))
    case 'blocks':
      return blocksCase(work)
    case 'step':
      return work.method === 'lora' ? stepCase(work, methods.lora) : stepCase(work, methods.rasa)
    case 'generate':
      return generateCase(work.tokens)
    default:
      return rowsCase(work)
  }
}

export const cotangent: Contender = {
  name: 'cotangent',
  onAdapter: true,
  spent: () => ({ ...spent }),
  prepare,
}

/** Attention written out, for what the fused one saves. */
export const unfused: Contender = {
  name: 'cotangent-unfused',
  onAdapter: true,
  spent: cotangent.spent,
  prepare: async (work) => (work.kind === 'attention' ? attentionCase(work, plainAttention) : null),
}
