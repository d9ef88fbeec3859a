// What is timed: a case prepares its arrays once, and is then one program called again and again. The operations of its
// products are counted in its graph, so that a rate means the same for a matrix product and for a training step.

import { fileURLToPath } from 'node:url'
import {
  add,
  type Equation,
  jit,
  makeGraph,
  matmul,
  mul,
  random,
  reshape,
  sum,
  tensor,
  type Value,
  valueAndGrad,
} from 'cotangent'
import { llama } from 'cotangent/models'
import {
  attention,
  causalLoss,
  kaimingUniform,
  linear,
  type RopeTable,
  rmsNorm,
  ropeTable,
  rotate,
  swiglu,
} from 'cotangent/nn'
import { applyUpdates, chain, clipByGlobalNorm, lionw } from 'cotangent/optim'
import { lora } from 'cotangent/peft'
import { simplify } from '../../core/compile/simplify.ts'

/** A case that is ready to run. */
export interface Prepared {
  /** Asks for the computation once, and returns the arrays that nothing will need. */
  readonly run: () => unknown
  /** Multiplications and additions of its products. */
  readonly operations: number
}

/** The cases by name. */
export const cases: Readonly<Record<string, () => Promise<Prepared>>> = {
  'matmul-256': () => product(256),
  'matmul-512': () => product(512),
  'matmul-1024': () => product(1024),
  block,
  step,
}

const noise = (name: string, ...shape: number[]): Value =>
  random.uniform(random.foldIn(random.key(0), name), shape, { minval: -1 })

/** A function of these arguments as a case. */
function prepared<A extends readonly unknown[]>(f: (...args: A) => unknown, ...args: A): Prepared {
  const program = jit(f)
  return { run: () => program(...args), operations: operationsOf(f, ...args) }
}

function operationsOf<A extends readonly unknown[]>(f: (...args: A) => unknown, ...args: A): number {
  const products = ({ primitive: { lower }, inputs, outputs, params }: Equation): number => {
    if (lower.kind !== 'contract') return 0
    const { lhs, out } = lower.letters(params as never)
    const depth = inputs[0]!.aval.shape.filter((_, axis) => !out.includes(lhs[axis]!))
    return depth.reduce((product, extent) => product * extent, 2 * outputs[0]!.aval.size)
  }
  return simplify(makeGraph(f)(...args))
    .equations.map(products)
    .reduce((a, b) => a + b, 0)
}

/** The product of two square matrices. */
const product = async (n: number): Promise<Prepared> => prepared(matmul, noise('x', n, n), noise('y', n, n))

/** Forward and backward through one block of Llama, of 4 heads of 16, for 2 texts of 32 tokens. */
async function block(): Promise<Prepared> {
  const [batch, time, heads, size, hidden, wide] = [2, 32, 4, 16, 64, 172]
  const matrix = (name: string, out: number, inputs: number) =>
    kaimingUniform(random.foldIn(random.key(1), name), [out, inputs])
  const params = {
    attnNorm: noise('attnNorm', hidden),
    q: matrix('q', hidden, hidden),
    k: matrix('k', hidden, hidden),
    v: matrix('v', hidden, hidden),
    o: matrix('o', hidden, hidden),
    mlpNorm: noise('mlpNorm', hidden),
    gate: matrix('gate', wide, hidden),
    up: matrix('up', wide, hidden),
    down: matrix('down', hidden, wide),
  }
  type Params = typeof params
  const loss = (p: Params, x: Value, positions: RopeTable, ct: Value): Value => {
    const split = (y: Value): Value => reshape(y, [batch, time, heads, size])
    const h = rmsNorm(x, p.attnNorm, { eps: 1e-5 })
    const [q, k, v] = [p.q, p.k, p.v].map((w) => split(linear(h, w))) as [Value, Value, Value]
    const seen = attention(rotate(q, positions), rotate(k, positions), v, { causal: true })
    const y = add(x, linear(seen, p.o))
    return sum(mul(ct, add(y, swiglu(rmsNorm(y, p.mlpNorm, { eps: 1e-5 }), p))))
  }
  return prepared(
    valueAndGrad(loss, { argnums: [0, 1] }),
    params,
    noise('x', batch, time, hidden),
    ropeTable({ length: time, headSize: size, theta: 10000 }),
    noise('ct', batch, time, hidden),
  )
}

/** One step of training stories260K's adapters of rank 8 on 4 texts of 256 tokens. */
async function step(): Promise<Prepared> {
  const folder = fileURLToPath(new URL('../../examples/assets/stories260K', import.meta.url))
  const { config, params } = await llama.load(folder)
  const method = lora({ rank: 8, alpha: 16 })
  const optimizer = chain(clipByGlobalNorm(1), lionw(1e-4))
  const first = method.init(random.key(0), params)
  type Adapter = typeof first
  type State = ReturnType<typeof optimizer.init>
  const loss = (adapter: Adapter, base: llama.LlamaParams, tokens: Value): Value =>
    causalLoss(llama.forward(config, method.apply(base, adapter), tokens), tokens)
  const train = (adapter: Adapter, state: State, base: llama.LlamaParams, tokens: Value) => {
    const [value, gradients] = valueAndGrad(loss)(adapter, base, tokens)
    const [updates, next] = optimizer.update(gradients, state, adapter)
    return [value, applyUpdates(adapter, updates), next] as const
  }
  const program = jit(train, { donate: [0, 1] })
  const ids = Int32Array.from({ length: 4 * 256 }, (_, k) => (k * 7919) % config.vocabularySize)
  const tokens = tensor(ids, { shape: [4, 256] })
  let [adapter, state] = [first, optimizer.init(first)]
  const run = (): Value => {
    const [value, ...next] = program(adapter, state, params, tokens)
    ;[adapter, state] = next
    return value
  }
  return { run, operations: operationsOf(train, adapter, state, params, tokens) }
}
