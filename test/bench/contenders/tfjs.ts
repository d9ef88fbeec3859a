// TensorFlow.js on its WebGPU backend. It has no compiler: each operation is a program of its own, as it is called.

import { ropeTable } from 'cotangent/nn'
import { blocksOf, HostArray, noise, tokens, type Work } from '../cases.ts'
import { agreed, type Contender, leavesOf, type Ready } from './contender.ts'
import { lookLikeABrowser } from './shims.ts'

interface Arr {
  readonly shape: readonly number[]
  data(): Promise<ArrayLike<number>>
}

type Operand = Arr | number

interface Backend {
  readonly device: GPUDevice
  /** null where everything has been submitted */
  readonly commandEncoder: unknown
  endComputePassEncoder(): void
  submitQueue(): void
}

/** What the cases use of it, as types: it may not be installed. */
interface Tf {
  setBackend(name: string): Promise<boolean>
  backend(): Backend
  tidy<T>(f: () => T): T
  dispose(arrays: unknown): void
  tensor(data: Float32Array | Int32Array, shape: readonly number[], dtype: string): Arr
  matMul(x: Arr, y: Arr, transposeX?: boolean, transposeY?: boolean): Arr
  add(x: Operand, y: Operand): Arr
  sub(x: Operand, y: Operand): Arr
  mul(x: Operand, y: Operand): Arr
  div(x: Operand, y: Operand): Arr
  relu(x: Arr): Arr
  sigmoid(x: Arr): Arr
  rsqrt(x: Arr): Arr
  softmax(x: Arr): Arr
  sum(x: Arr, axis?: number): Arr
  mean(x: Arr, axis?: number, keepDims?: boolean): Arr
  logSumExp(x: Arr, axis: number): Arr
  oneHot(ids: Arr, depth: number): Arr
  gather(x: Arr, ids: Arr): Arr
  reshape(x: Arr, shape: readonly number[]): Arr
  transpose(x: Arr, axes: readonly number[]): Arr
  reverse(x: Arr, axis: number): Arr
  valueAndGrads(
    f: (...xs: Arr[]) => Arr,
  ): (xs: readonly Arr[]) => { readonly value: Arr; readonly grads: readonly Arr[] }
  grads(f: (...xs: Arr[]) => Arr): (xs: readonly Arr[], ct?: Arr) => readonly Arr[]
}

interface Block {
  readonly attnNorm: Arr
  readonly attn: { readonly q: Arr; readonly k: Arr; readonly v: Arr; readonly o: Arr }
  readonly mlpNorm: Arr
  readonly mlp: { readonly gate: Arr; readonly up: Arr; readonly down: Arr }
}

const isArray = (node: object): node is Arr => 'dataId' in node

function casesOf(tf: Tf): (work: Work) => Ready | null {
  const put = ({ data, shape }: HostArray): Arr =>
    tf.tensor(data, shape, data instanceof Int32Array ? 'int32' : 'float32')
  const drawn = (name: string, ...shape: number[]): Arr => put(noise(name, shape))

  const upload = (host: unknown): unknown => {
    if (host instanceof HostArray) return put(host)
    if (Array.isArray(host)) return host.map(upload)
    return Object.fromEntries(Object.entries(host as object).map(([key, child]) => [key, upload(child)]))
  }

  const settle = async (): Promise<void> => {
    const backend = tf.backend()
    backend.endComputePassEncoder()
    if (backend.commandEncoder) backend.submitQueue()
    await backend.device.queue.onSubmittedWorkDone()
  }

  /** A function of these arguments, run operation by operation. */
  const ready = (f: () => unknown, inputs: unknown): Ready => ({
    first: async () => {
      const results = tf.tidy(f)
      const vectors = await Promise.all(leavesOf(results, isArray).map((leaf) => leaf.data()))
      tf.dispose(results)
      return agreed(vectors)
    },
    run: async () => {
      const results = tf.tidy(f)
      await settle()
      tf.dispose(results)
    },
    close: () => tf.dispose(leavesOf(inputs, isArray)),
    plannedBytes: null,
  })

  const rmsNorm = (x: Arr, w: Arr): Arr =>
    tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.mul(x, x), -1, true), 1e-5))), w)

  const attention = (q: Arr, k: Arr, v: Arr, mask: Arr): Arr => {
    const [batch, time, heads, size] = q.shape as [number, number, number, number]
    const [qh, kh, vh] = [q, k, v].map((x) => tf.transpose(x, [0, 2, 1, 3])) as [Arr, Arr, Arr]
    const scores = tf.mul(tf.matMul(qh, kh, false, true), 1 / Math.sqrt(size))
    const mixed = tf.matMul(tf.softmax(tf.add(scores, mask)), vh) // [batch, heads, time, size]
    return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch, time, heads * size])
  }

  /** What is added to the scores: its masks have no gradient. */
  const causalMask = (time: number): Arr =>
    put(
      new HostArray(
        [time, time],
        Float32Array.from({ length: time * time }, (_, k) => (k % time <= Math.floor(k / time) ? 0 : -1e30)),
      ),
    )

  const crossEntropy = (logits: Arr, labels: Arr): Arr => {
    const chosen = tf.sum(tf.mul(logits, tf.oneHot(labels, logits.shape[1]!)), -1)
    return tf.mean(tf.sub(tf.logSumExp(logits, -1), chosen))
  }

  /** `f`, and what a cotangent of its result is for its arguments. */
  const withGradient = (f: (...xs: Arr[]) => Arr, xs: readonly Arr[], ct: Arr): Ready =>
    ready(() => [f(...xs), ...tf.grads(f)(xs, ct)], [xs, ct])

  function rowsCase({
    kind,
    rows,
    columns,
    gradient,
  }: Extract<Work, { gradient: boolean; rows: number }>): Ready {
    const x = drawn('x', rows, columns)
    if (kind === 'cross-entropy') {
      const labels = put(tokens('labels', [rows], columns))
      if (!gradient) return ready(() => crossEntropy(x, labels), [x, labels])
      const of = tf.valueAndGrads((x) => crossEntropy(x!, labels))
      return ready(() => {
        const { value, grads } = of([x])
        return [value, grads]
      }, [x, labels])
    }
    const xs = kind === 'rmsnorm' ? [x, drawn('w', columns)] : [x]
    const f = (x?: Arr, w?: Arr): Arr => (w ? rmsNorm(x!, w) : tf.softmax(x!))
    return gradient ? withGradient(f, xs, drawn('ct', rows, columns)) : ready(() => f(...xs), xs)
  }

  function blocksCase(work: Extract<Work, { kind: 'blocks' }>): Ready {
    const { batch, time, hidden, heads } = work
    const size = hidden / heads
    const layers = upload(blocksOf(work)) as readonly Block[]
    const [x, ct, mask] = [
      drawn('x', batch, time, hidden),
      drawn('ct', batch, time, hidden),
      causalMask(time),
    ]
    const host = ropeTable({ length: time, headSize: size, theta: 10000 })
    const angles = [host.cos, host.sin].map(
      (table) => (table.storage.state.kind === 'host' ? table.storage.state.data : null) as Float32Array,
    )
    const [cos, sin] = angles.map((data) => put(new HostArray([time, 1, size], data))) as [Arr, Arr]
    const weights = leavesOf(layers, isArray)
    const rows = (y: Arr, width: number): Arr => tf.reshape(y, [batch * time, width])
    const linear = (y: Arr, w: Arr): Arr => tf.matMul(y, w, false, true)
    const rotate = (y: Arr): Arr => {
      const halves = tf.reverse(tf.reshape(y, [batch * time, heads, 2, size / 2]), 2) // of four axes at most
      return tf.add(tf.mul(y, cos), tf.mul(tf.reshape(halves, [batch, time, heads, size]), sin))
    }
    const block = (p: Block, x: Arr): Arr => {
      const split = (y: Arr): Arr => tf.reshape(y, [batch, time, heads, size])
      const h = rmsNorm(x, p.attnNorm)
      const [q, k, v] = [p.attn.q, p.attn.k, p.attn.v].map((w) => split(linear(h, w))) as [Arr, Arr, Arr]
      const y = tf.add(x, linear(rows(attention(rotate(q), rotate(k), v, mask), hidden), p.attn.o))
      const m = rmsNorm(y, p.mlpNorm)
      const gate = linear(m, p.mlp.gate)
      const hot = tf.mul(tf.mul(gate, tf.sigmoid(gate)), linear(m, p.mlp.up))
      return tf.add(y, linear(hot, p.mlp.down))
    }
    const of = tf.valueAndGrads((...xs) => {
      let next = 0
      const own = (node: unknown): unknown => {
        if (isArray(node as object)) return xs[next++]
        const entries = Object.entries(node as object).sort(([a], [b]) => (a < b ? -1 : 1))
        return Object.fromEntries(entries.map(([key, child]) => [key, own(child)]))
      }
      const params = layers.map((layer) => own(layer) as Block)
      const y = params.reduce((x, p) => block(p, x), rows(xs.at(-1)!, hidden))
      return tf.sum(tf.mul(y, rows(ct, hidden)))
    })
    return ready(() => {
      const { value, grads } = of([...weights, x])
      return [value, grads]
    }, [layers, x, ct, mask, cos, sin])
  }

  return (work) => {
    switch (work.kind) {
      case 'product': {
        const { batch, rows, depth, columns } = work
        const [x, y] = [drawn('x', ...batch, rows, depth), drawn('y', ...batch, depth, columns)]
        return ready(() => tf.matMul(x, y), [x, y])
      }
      case 'chain': {
        const x = drawn('x', work.size)
        return ready(() => tf.sub(tf.mul(tf.relu(tf.add(tf.mul(x, 1.5), 0.5)), x), 0.25), [x])
      }
      case 'copy': {
        const x = drawn('x', work.size)
        return ready(() => tf.add(x, 1), [x])
      }
      case 'sum': {
        const x = drawn('x', work.rows, work.columns)
        return ready(() => (work.all ? tf.sum(x) : tf.sum(x, 1)), [x])
      }
      case 'embedding': {
        const { vocabulary, hidden, tokens: count } = work
        const [table, ct] = [drawn('table', vocabulary, hidden), drawn('ct', count, hidden)]
        const ids = put(tokens('ids', [count], vocabulary))
        const of = tf.grads((table) => tf.gather(table!, ids))
        return ready(() => of([table], ct), [table, ids, ct])
      }
      case 'attention': {
        const { heads, time, size, gradient } = work
        const qkv = ['q', 'k', 'v'].map((name) => drawn(name, 1, time, heads, size))
        const mask = causalMask(time)
        const f = (...[q, k, v]: Arr[]): Arr => attention(q!, k!, v!, mask)
        return gradient
          ? withGradient(f, qkv, drawn('ct', 1, time, heads * size))
          : ready(() => f(...qkv), [qkv, mask])
      }
      case 'blocks':
        return work.checkpoint ? null : blocksCase(work)
      case 'step':
      case 'generate':
        return null
      default:
        return rowsCase(work)
    }
  }
}

let loading: Promise<(work: Work) => Ready | null> | null = null

async function load(): Promise<(work: Work) => Ready | null> {
  await lookLikeABrowser()
  const [name, backend]: string[] = ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-webgpu']
  const { default: loaded, ...names } = (await import(name!)) as { default?: Tf } & Tf
  const tf = loaded ?? (names as Tf)
  await import(backend!)
  if (!(await tf.setBackend('webgpu'))) throw new Error('tfjs has no WebGPU here')
  return casesOf(tf)
}

export const tfjs: Contender = {
  name: 'tfjs',
  onAdapter: true,
  spent: () => null,
  async prepare(work) {
    loading ??= load()
    return (await loading)(work)
  },
}
