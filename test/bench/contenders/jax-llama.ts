// Llama, its adapters and their training step in jax-js, as its users would write them.

import type { llama } from 'cotangent/models'
import type { Arr, Jax } from './jax.ts'

/** The parameters of a layer; those of a model. */
export interface Layer {
  readonly attnNorm: Arr
  readonly attn: { readonly q: Arr; readonly k: Arr; readonly v: Arr; readonly o: Arr }
  readonly mlpNorm: Arr
  readonly mlp: { readonly gate: Arr; readonly up: Arr; readonly down: Arr }
}

export interface Params {
  readonly embedding: Arr
  readonly layers: readonly Layer[]
  readonly norm: Arr
}

interface Factors {
  readonly a: Arr
  readonly b: Arr
}

/** Factors by the path of the weight. */
export type Lora = Readonly<Record<string, Factors>>

export interface Rasa {
  readonly pool: Readonly<Record<string, Factors>>
  readonly own: Readonly<Record<string, Factors & { readonly d: Arr; readonly dShared: Arr }>>
}

/** Cosines and signed sines, `[time, size]`. */
export interface Turns {
  readonly cos: Arr
  readonly sin: Arr
}

/** `x Wᵀ` for the weight at a path, with what an adapter adds to it. */
type Project = (x: Arr, w: Arr, path: string) => Arr

type Attend = (layer: number, q: Arr, k: Arr, v: Arr) => Arr

type Heads = Pick<llama.LlamaConfig, 'heads' | 'kvHeads' | 'headSize'>

/** The functions of a model, of the library at hand. */
export function llamaIn({ numpy: np, nn, tree, valueAndGrad }: Jax) {
  const rmsNorm = (x: Arr, w: Arr): Arr => {
    const meanSquare = x.ref.mul(x.ref).mean(-1, { keepdims: true })
    return x.div(np.sqrt(meanSquare.add(1e-5))).mul(w)
  }

  const linear = (x: Arr, w: Arr): Arr => np.matmul(x, w.transpose())

  const causalMask = (time: number): Arr =>
    np.greaterEqual(np.arange(time).reshape([time, 1]), np.arange(time))

  const attention = (q: Arr, k: Arr, v: Arr, mask: Arr): Arr => {
    const [batch, time, heads, size] = q.shape as [number, number, number, number]
    const kvHeads = k.shape[2]!
    const grouped = q.reshape([batch, time, kvHeads, heads / kvHeads, size])
    const scores = np.einsum('btkgd,bskd->bkgts', grouped, k).mul(1 / Math.sqrt(size))
    const weights = nn.softmax(np.where(mask, scores, -1e30), -1)
    return np.einsum('bkgts,bskd->btkgd', weights, v).reshape([batch, time, heads * size])
  }

  const rotate = (x: Arr, { cos, sin }: Turns): Arr => {
    const [batch, time, heads, size] = x.shape as [number, number, number, number]
    const halves = x.ref.reshape([batch, time, heads, 2, size / 2])
    const swapped = np.flip(halves, 3).reshape([batch, time, heads, size])
    return x.mul(cos.reshape([time, 1, size])).add(swapped.mul(sin.reshape([time, 1, size])))
  }

  /** The mean of `-log softmax(logits)[label]`; logits are `[rows, classes]`. */
  const crossEntropy = (logits: Arr, labels: Arr): Arr => {
    const [rows, classes] = logits.shape as [number, number]
    const isLabel = np.equal(labels.reshape([rows, 1]), np.arange(classes))
    const chosen = np.where(isLabel, logits.ref, 0).sum(-1)
    return nn.logsumexp(logits, -1).sub(chosen).mean()
  }

  const plain: Project = (x, w) => linear(x, w)

  /** The blocks of a model one after the other; the turns are used up. */
  const blocks = (
    { heads, kvHeads, headSize }: Heads,
    layers: readonly Layer[],
    first: Arr,
    turns: Turns,
    attend: Attend,
    project: Project,
  ): Arr => {
    let x = first
    for (const [k, { attnNorm, attn, mlpNorm, mlp }] of layers.entries()) {
      const [batch, time] = x.shape as [number, number, number]
      const split = (y: Arr, count: number): Arr => y.reshape([batch, time, count, headSize])
      const at = `layers.${k}`
      const h = rmsNorm(x.ref, attnNorm)
      const q = rotate(split(project(h.ref, attn.q, `${at}.attn.q`), heads), tree.ref(turns))
      const keys = rotate(split(project(h.ref, attn.k, `${at}.attn.k`), kvHeads), tree.ref(turns))
      const values = split(project(h, attn.v, `${at}.attn.v`), kvHeads)
      const y = x.add(project(attend(k, q, keys, values), attn.o, `${at}.attn.o`))
      const m = rmsNorm(y.ref, mlpNorm)
      const gate = nn.silu(project(m.ref, mlp.gate, `${at}.mlp.gate`))
      const up = project(m, mlp.up, `${at}.mlp.up`)
      x = y.add(project(gate.mul(up), mlp.down, `${at}.mlp.down`))
    }
    tree.dispose(turns)
    return x
  }

  /** The logits of a model whose head is its embedding. */
  const model = (
    config: llama.LlamaConfig,
    { embedding, layers, norm }: Params,
    tokens: Arr,
    turns: Turns,
    attend: Attend,
    project: Project,
  ): Arr => {
    const x = np.take(embedding.ref, tokens, 0)
    return linear(rmsNorm(blocks(config, layers, x, turns, attend, project), norm), embedding)
  }

  /** `W + 2 B A`: alpha is twice the rank. */
  const lora =
    (adapter: Lora): Project =>
    (x, w, path) => {
      const { a, b } = adapter[path]!
      return linear(x.ref, w).add(linear(linear(x, a), b).mul(2))
    }

  /** `W + B diag(d) A + B' diag(d') A'`, with one A', B' for all layers. */
  const rasa =
    ({ pool, own }: Rasa): Project =>
    (x, w, path) => {
      const { a, b, d, dShared } = own[path]!
      const shared = pool[path.replace(/\d+/, '*')]!
      const private_ = linear(linear(x.ref, a).mul(d), b)
      const pooled = linear(linear(x.ref, shared.a.ref).mul(dShared), shared.b.ref)
      return linear(x, w).add(private_).add(pooled)
    }

  /** The loss of an adapted model on `[batch, time]` tokens. */
  const loss =
    <A>(config: llama.LlamaConfig, adapt: (adapter: A) => Project, shared: (adapter: A) => unknown) =>
    (adapter: A, params: Params, tokens: Arr, turns: Turns): Arr => {
      const [batch, time] = tokens.shape as [number, number]
      const labels = tokens.ref.slice([], [1, time]).reshape([batch * (time - 1)])
      const mask = causalMask(time)
      const attend: Attend = (_, q, k, v) => attention(q, k, v, mask.ref)
      const logits = model(config, params, tokens, turns, attend, adapt(adapter))
      mask.dispose()
      tree.dispose(shared(adapter))
      const shown = logits.slice([], [0, time - 1]).reshape([batch * (time - 1), config.vocabularySize])
      return crossEntropy(shown, labels)
    }

  /** A step of training: the loss, the adapter and its momentum, with LionW at a rate of 1e-4 and clipping at one. */
  const step =
    <A>(loss: (adapter: A, params: Params, tokens: Arr, turns: Turns) => Arr) =>
    (adapter: A, momentum: A, params: Params, tokens: Arr, turns: Turns): readonly [Arr, A, A] => {
      const [value, gradients] = valueAndGrad(loss)(tree.ref(adapter), params, tokens, turns)
      const squares = tree.leaves(gradients).map((g) => g.ref.mul(g.ref).sum())
      const norm = np.sqrt(squares.reduce((a, b) => a.add(b)))
      const factor = np.where(norm.ref.less(1), 1, np.reciprocal(norm))
      const clipped = tree.map((g) => g.mul(factor.ref), gradients)
      factor.dispose()
      const moved = tree.map(
        (p, m, g) => p.sub(np.sign(m.ref.add(g.sub(m).mul(1 - 0.9))).mul(1e-4)),
        adapter,
        tree.ref(momentum),
        tree.ref(clipped),
      )
      return [value, moved, tree.map((m, g) => m.ref.add(g.sub(m).mul(1 - 0.99)), momentum, clipped)]
    }

  /** One token after the other: the next one and the cache, `[1, length, kvHeads, size]` twice a layer. */
  const next =
    (config: llama.LlamaConfig) =>
    (
      params: Params,
      cache: readonly { readonly k: Arr; readonly v: Arr }[],
      token: Arr,
      position: Arr,
      all: Turns,
    ) => {
      const length = cache[0]!.k.shape[1]!
      const turns = tree.map((table) => np.take(table, position.ref, 0), all)
      const here = np.equal(np.arange(length).reshape([1, length, 1, 1]), position.ref)
      const seen = np.lessEqual(np.arange(length).reshape([1, length]), position)
      const kept: { readonly k: Arr; readonly v: Arr }[] = []
      const attend: Attend = (layer, q, k, v) => {
        const old = cache[layer]!
        const updated = { k: np.where(here.ref, k, old.k), v: np.where(here.ref, v, old.v) }
        kept.push(updated)
        return attention(q, updated.k.ref, updated.v.ref, seen.ref)
      }
      const logits = model(config, params, token, turns, attend, plain)
      tree.dispose([here, seen])
      return [np.argmax(logits.reshape([config.vocabularySize]), 0).reshape([1, 1]), kept] as const
    }

  return { rmsNorm, causalMask, attention, crossEntropy, blocks, plain, lora, rasa, loss, step, next }
}
