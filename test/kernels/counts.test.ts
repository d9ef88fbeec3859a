// How many kernels programs come to: a count never gets worse unnoticed. As compiled for adapters on which a kernel may bind
// twelve arrays; nothing runs, so the counts are those of any adapter.

import {
  Aval,
  add,
  checkpoint,
  logSumExp,
  makeGraph,
  matmul,
  mul,
  ones,
  pick,
  random,
  reshape,
  sub,
  sum,
  tanh,
  type Value,
  valueAndGrad,
  vjp,
  zeros,
} from 'cotangent'
import { llama } from 'cotangent/models'
import {
  attention,
  causalLoss,
  linear,
  type RopeTable,
  rmsNorm,
  rotate,
  type SwigluParams,
  silu,
  softmax,
  swiglu,
} from 'cotangent/nn'
import { applyUpdates, chain, clipByGlobalNorm, lionw } from 'cotangent/optim'
import { lora, rasa } from 'cotangent/peft'
import { describe, expect, test } from 'vitest'
import { compile, type Plan } from '../../core/compile/index.ts'
import { trace } from '../../core/trace.ts'
import { sixteenLayers } from '../support/sixteen-layers.ts'

type Dispatch = Plan['steps'][number] & { readonly kind: 'dispatch' }

/** The kernels of a function, how many of them differ, and the bytes of the arrays in between. */
function countsOf<A extends readonly unknown[]>(f: (...args: A) => unknown, ...args: A) {
  const { steps, slots } = compile(trace('count', f, args).graph, 12)
  const kernels = steps.filter((step): step is Dispatch => step.kind === 'dispatch')
  return {
    names: kernels.map(({ name }) => name),
    dispatches: kernels.length,
    pipelines: new Set(kernels.map(({ wgsl }) => wgsl)).size,
    bytes: slots.reduce((total, bytes) => total + bytes, 0),
  }
}

const f32 = (...shape: number[]): Value => new Aval(shape, 'f32') as unknown as Value

describe('rows of 512 × 4096, with their gradients', () => {
  const x = f32(512, 4096)
  const rows: Readonly<Record<string, (x: Value) => Value>> = {
    softmax: (x) => softmax(x),
    rmsNorm: (x) => rmsNorm(x, ones([4096]), { eps: 1e-5 }),
    crossEntropy: (x) => sub(logSumExp(x, { axis: -1 }), pick(x, zeros([512], 'i32'))),
  }
  test.each(Object.entries(rows))('%s: one kernel forward, one backward', (_, f) => {
    expect(countsOf(f, x).dispatches).toBe(1)
    const pulled = (x: Value, ct: Value): unknown => {
      const [y, pullback] = vjp(f, x)
      return [y, pullback(ct)]
    }
    const ct = makeGraph(f)(x).outputs[0]!.aval as unknown as Value
    expect(countsOf(pulled, x, ct).dispatches).toBe(1) // what is saved is not even stored
  })
})

test('what goes with a product is done in its kernel', () => {
  const [x, w, v, residual] = [f32(128, 64), f32(64, 172), f32(64, 172), f32(128, 172)]
  const gated = (x: Value, w: Value, v: Value): Value => mul(silu(matmul(x, w)), matmul(x, v))
  expect(countsOf(gated, x, w, v).names).toEqual(['contract_logistic_mul_contract_mul'])
  expect(countsOf((x, w) => tanh(matmul(x, w)), x, w).dispatches).toBe(1)
  expect(countsOf((x, w, y) => add(y, matmul(x, w)), x, w, residual).dispatches).toBe(1)
})

test('of a gated product no more is kept for the gradients than its factors and itself', () => {
  const p: SwigluParams = { gate: f32(172, 64), up: f32(172, 64), down: f32(64, 172) }
  const deep = (x: Value, p: SwigluParams): Value => {
    let y = x
    for (let layer = 0; layer < 8; layer++) y = swiglu(y, p)
    return y
  }
  const pulled = (x: Value, p: SwigluParams, ct: Value): unknown => {
    const [y, pullback] = vjp(deep, x, p)
    return [y, pullback(ct)]
  }
  const { bytes } = countsOf(pulled, f32(256, 64), p, f32(256, 64))
  expect(bytes / 8 / (4 * 256 * 172)).toBeLessThan(4) // arrays a layer: three, its input, and a share of the cotangents
})

test('queries and keys are turned where they are made', () => {
  const [x, w, table] = [f32(1, 128, 64), f32(64, 64), { cos: f32(128, 16), sin: f32(128, 16) }]
  const turned = (x: Value, q: Value, k: Value, table: RopeTable): Value[] =>
    [q, k].map((w) => rotate(reshape(linear(x, w), [1, 128, 4, 16]), table))
  expect(countsOf(turned, x, w, w, table).dispatches).toBe(1)
})

interface Block {
  readonly attnNorm: Value
  readonly attn: Readonly<Record<'q' | 'k' | 'v' | 'o', Value>>
  readonly mlpNorm: Value
  readonly mlp: SwigluParams
}

const blockParams = (): Block => ({
  attnNorm: f32(64),
  attn: { q: f32(64, 64), k: f32(64, 64), v: f32(64, 64), o: f32(64, 64) },
  mlpNorm: f32(64),
  mlp: { gate: f32(172, 64), up: f32(172, 64), down: f32(64, 172) },
})

function block(p: Block, x: Value, table: RopeTable): Value {
  const split = (y: Value): Value => reshape(y, [...x.shape.slice(0, 2), 4, 16])
  const h = rmsNorm(x, p.attnNorm, { eps: 1e-5 })
  const [q, k, v] = [p.attn.q, p.attn.k, p.attn.v].map((w) => split(linear(h, w))) as [Value, Value, Value]
  const y = add(x, linear(attention(rotate(q, table), rotate(k, table), v, { causal: true }), p.attn.o))
  return add(y, swiglu(rmsNorm(y, p.mlpNorm, { eps: 1e-5 }), p.mlp))
}

const train = (forward: typeof block) =>
  valueAndGrad(
    (layers: readonly Block[], x: Value, table: RopeTable, ct: Value): Value =>
      sum(
        mul(
          ct,
          layers.reduce((x, p) => forward(p, x, table), x),
        ),
      ),
    { argnums: [0, 1] },
  )

const blocks = (count: number, time: number, forward = block) =>
  countsOf(
    train(forward),
    Array.from({ length: count }, blockParams),
    f32(2, time, 64),
    { cos: f32(time, 16), sin: f32(time, 16) },
    f32(2, time, 64),
  )

test('a block of Llama, forward and backward', () => {
  expect(blocks(1, 32).dispatches).toBeLessThanOrEqual(22)
})

test('sixteen blocks', () => {
  const { dispatches, pipelines } = blocks(16, 32)
  expect(pipelines).toBeLessThanOrEqual(60)
  expect(dispatches).toBeLessThanOrEqual(16 * 22)
})

test('with a checkpoint for each block, less than half of the memory', () => {
  const [kept, again] = [blocks(16, 128), blocks(16, 128, checkpoint(block))]
  expect(again.bytes / kept.bytes).toBeLessThanOrEqual(0.45)
})

test.each([
  ['lora', lora({ rank: 8, alpha: 16 }), { dispatches: 548, pipelines: 44, megabytes: 12 }],
  ['rasa', rasa({ rank: 8, shared: 1, alpha: 16 }), { dispatches: 877, pipelines: 62, megabytes: 14 }],
] as const)('a step of %s in sixteen layers', (_, method, most) => {
  const optimizer = chain(clipByGlobalNorm(1), lionw(1e-4))
  const base = llama.shapes(sixteenLayers)
  const adapter = method.init(random.key(0), base) as never
  const step = (adapter: never, state: never, base: llama.LlamaParams, tokens: Value) => {
    const loss = (adapter: never): Value =>
      causalLoss(llama.forward(sixteenLayers, method.apply(base, adapter), tokens), tokens)
    const [value, gradients] = valueAndGrad(loss)(adapter)
    const [updates, next] = optimizer.update(gradients, state, adapter)
    return [value, applyUpdates(adapter, updates), next] as const
  }
  const tokens = new Aval([1, 128], 'i32') as unknown as Value
  const { dispatches, pipelines, bytes } = countsOf(
    step,
    adapter,
    optimizer.init(adapter) as never,
    base,
    tokens,
  )
  const counts = { dispatches, pipelines, megabytes: Math.round(bytes / 1e6) }
  for (const [count, limit] of Object.entries(most))
    expect(counts[count as keyof typeof counts], count).toBeLessThanOrEqual(limit)
})
