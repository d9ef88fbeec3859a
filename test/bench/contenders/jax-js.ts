// jax-js, on its WebGPU and its WebAssembly device.

import { ropeTable } from 'cotangent/nn'
import { adapterOf, blocksOf, HostArray, modelOf, noise, tokens, type Work } from '../cases.ts'
import { agreed, type Contender, leavesOf, type Ready } from './contender.ts'
import type { Arr, Jax } from './jax.ts'
import { type Layer, llamaIn, type Params, type Rasa, type Turns } from './jax-llama.ts'
import { lookLikeABrowser } from './shims.ts'

type Device = 'webgpu' | 'wasm'

const isArray = (node: object): node is Arr => 'blockUntilReady' in node

/** Makes cases ready on one of its devices. */
function casesOn(jax: Jax, device: Device): (work: Work) => Promise<Ready> {
  const { numpy: np, nn, tree } = jax
  const model = llamaIn(jax)
  const put = ({ data, shape }: HostArray): Arr => np.array(data.slice()).reshape(shape)
  const drawn = (name: string, ...shape: number[]): Arr => put(noise(name, shape))

  /** A tree with arrays in place of those of the host; what is null there is absent. */
  const upload = (host: unknown): unknown => {
    if (host instanceof HostArray) return put(host)
    if (Array.isArray(host)) return host.map(upload)
    const entries = Object.entries(host as object).filter(([, child]) => child !== null)
    return Object.fromEntries(entries.map(([key, child]) => [key, upload(child)]))
  }

  const turnsOf = async (length: number, headSize: number): Promise<Turns> => {
    const { cos, sin } = ropeTable({ length, headSize, theta: 10000 })
    const [c, s] = [await cos.data(), await sin.data()] as [Float32Array, Float32Array]
    return { cos: put(new HostArray(cos.shape, c)), sin: put(new HostArray(sin.shape, s)) }
  }

  /** Resolves when the results of a program have been computed: all of them are asked for with the first. */
  const settle = async (results: unknown): Promise<void> => {
    await tree.leaves(results)[0]!.blockUntilReady()
    if (device === 'webgpu') await jax.getWebGPUDevice().queue.onSubmittedWorkDone()
  }

  const inPlace = (arrays: unknown): Promise<unknown> =>
    Promise.all(tree.leaves(arrays).map((leaf) => leaf.blockUntilReady()))

  /** A case whose run gives results that nothing needs. */
  const readyTo = (run: () => unknown, close: () => void): Ready => ({
    first: async () => {
      jax.defaultDevice(device)
      const results = run()
      await settle(results)
      const read = leavesOf(results, isArray).map((leaf) => leaf.ref.data())
      tree.dispose(results)
      return agreed(await Promise.all(read))
    },
    run: async () => {
      jax.defaultDevice(device)
      const results = run()
      await settle(results)
      tree.dispose(results)
    },
    close,
    plannedBytes: null,
  })

  /** A function of these arguments, made ready: compiled, unless it is to run operation by operation. */
  const ready = async <A extends readonly unknown[]>(
    f: (...args: A) => unknown,
    args: A,
    compiled = true,
  ): Promise<Ready> => {
    await inPlace(args)
    const program = compiled ? jax.jit(f) : f
    return readyTo(
      () => program(...tree.ref(args)),
      () => tree.dispose(args),
    )
  }

  /** `f`, and what a cotangent of its result is for its first arguments. */
  const withGradient =
    (f: (...args: Arr[]) => Arr, count: number) =>
    (...args: Arr[]): unknown => {
      const [y, pullback] = jax.vjp(f, args.slice(0, -1))
      return [y, ...pullback(args.at(-1)!).slice(0, count)]
    }

  async function rowsCase({
    kind,
    rows,
    columns,
    gradient,
  }: Extract<Work, { gradient: boolean; rows: number }>): Promise<Ready> {
    const x = drawn('x', rows, columns)
    if (kind === 'cross-entropy') {
      const args: [Arr, Arr] = [x, put(tokens('labels', [rows], columns))]
      return ready(gradient ? jax.valueAndGrad(model.crossEntropy) : model.crossEntropy, args)
    }
    const norm = kind === 'rmsnorm'
    const inputs = norm ? [x, drawn('w', columns)] : [x]
    const f = (x: Arr, w?: Arr): Arr => (w ? model.rmsNorm(x, w) : nn.softmax(x, -1))
    return gradient
      ? ready(withGradient(f, inputs.length), [...inputs, drawn('ct', rows, columns)])
      : ready(f as (...args: Arr[]) => Arr, inputs)
  }

  async function blocksCase({
    batch,
    time,
    hidden,
    heads,
    wide,
    layers,
  }: Extract<Work, { kind: 'blocks' }>): Promise<Ready> {
    const sizes = { heads, kvHeads: heads, headSize: hidden / heads }
    const loss = (layers: readonly Layer[], x: Arr, turns: Turns, ct: Arr): Arr => {
      const mask = model.causalMask(time)
      const attend = (_: number, q: Arr, k: Arr, v: Arr): Arr => model.attention(q, k, v, mask.ref)
      const y = model.blocks(sizes, layers, x, turns, attend, model.plain)
      mask.dispose()
      return y.mul(ct).sum()
    }
    const args: [readonly Layer[], Arr, Turns, Arr] = [
      upload(blocksOf({ batch, time, hidden, heads, wide, layers })) as readonly Layer[],
      drawn('x', batch, time, hidden),
      await turnsOf(time, hidden / heads),
      drawn('ct', batch, time, hidden),
    ]
    return ready(jax.valueAndGrad(loss, { argnums: [0, 1] }), args)
  }

  async function stepCase({
    model: which,
    method,
    batch,
    time,
  }: Extract<Work, { kind: 'step' }>): Promise<Ready> {
    const { config, params } = await modelOf(which)
    const adapt = {
      lora: () => jax.jit(model.step(model.loss(config, model.lora, () => []))),
      rasa: () => jax.jit(model.step(model.loss(config, model.rasa, ({ pool }: Rasa) => pool))),
    }
    const program = adapt[method]() as (
      ...args: [unknown, unknown, Params, Arr, Turns]
    ) => readonly [Arr, unknown, unknown]
    const base = upload(params) as Params
    const ids = put(tokens('tokens', [batch, time], config.vocabularySize))
    const turns = await turnsOf(time, config.headSize)
    let adapter = upload(adapterOf(method, config))
    let momentum: unknown = tree.map((leaf) => np.zeros(leaf.shape), adapter)
    await inPlace([base, ids, turns, adapter, momentum])
    const run = (): unknown => {
      const [value, ...rest] = program(adapter, momentum, tree.ref(base), ids.ref, tree.ref(turns))
      ;[adapter, momentum] = rest
      return [value, tree.ref(momentum)]
    }
    return readyTo(run, () => tree.dispose([base, ids, turns, adapter, momentum]))
  }

  async function generateCase(count: number): Promise<Ready> {
    const { config, params } = await modelOf('stories260K')
    const base = upload(params) as Params
    const turns = await turnsOf(64, config.headSize)
    const program = jax.jit(model.next(config))
    await inPlace([base, turns])
    const run = async (): Promise<number[]> => {
      jax.defaultDevice(device)
      const empty = (): Arr => np.zeros([1, 64, config.kvHeads, config.headSize])
      let cache = Array.from({ length: config.layers }, () => ({ k: empty(), v: empty() })) as readonly {
        readonly k: Arr
        readonly v: Arr
      }[]
      let token = put(new HostArray([1, 1], Int32Array.of(1)))
      const ids: number[] = []
      for (let position = 0; position < count; position++) {
        const here = put(new HostArray([1], Int32Array.of(position)))
        ;[token, cache] = program(tree.ref(base), cache, token, here, tree.ref(turns))
        ids.push((await token.ref.data())[0]!)
      }
      tree.dispose([token, cache])
      return ids
    }
    return {
      first: async () => [await run()],
      run: async () => void (await run()),
      close: () => tree.dispose([base, turns]),
      plannedBytes: null,
      parts: count,
    }
  }

  function prepare(work: Work): Promise<Ready> {
    jax.defaultDevice(device)
    switch (work.kind) {
      case 'product': {
        const { batch, rows, depth, columns } = work
        const args: [Arr, Arr] = [drawn('x', ...batch, rows, depth), drawn('y', ...batch, depth, columns)]
        return ready((x: Arr, y: Arr) => np.matmul(x, y), args)
      }
      case 'chain': {
        const f = (x: Arr): Arr => np.maximum(x.ref.mul(1.5).add(0.5), 0).mul(x).sub(0.25)
        return ready(f, [drawn('x', work.size)])
      }
      case 'copy':
        return ready((x: Arr) => x.add(1), [drawn('x', work.size)])
      case 'sum':
        return ready((x: Arr) => x.sum(work.all ? null : 1), [drawn('x', work.rows, work.columns)])
      case 'embedding': {
        const { vocabulary, hidden, tokens: count } = work
        const loss = (table: Arr, ids: Arr, ct: Arr): Arr => np.take(table, ids, 0).mul(ct).sum()
        const ids = put(tokens('ids', [count], vocabulary))
        const args: [Arr, Arr, Arr] = [drawn('table', vocabulary, hidden), ids, drawn('ct', count, hidden)]
        // inside jit: "routine primitive scatter input is not imm"
        return ready(jax.grad(loss), args, false)
      }
      case 'attention': {
        const { heads, time, size, gradient } = work
        const qkv = ['q', 'k', 'v'].map((name) => drawn(name, 1, time, heads, size))
        const f = (...[q, k, v]: Arr[]): Arr => model.attention(q!, k!, v!, model.causalMask(time))
        return gradient
          ? ready(withGradient(f, 3), [...qkv, drawn('ct', 1, time, heads * size)])
          : ready(f, qkv)
      }
      case 'blocks':
        return blocksCase(work)
      case 'step':
        return stepCase(work)
      case 'generate':
        return generateCase(work.tokens)
      default:
        return rowsCase(work)
    }
  }
  return prepare
}

const contender = (device: Device): Contender => {
  let loading: Promise<(work: Work) => Promise<Ready>> | null = null
  const load = async (): Promise<(work: Work) => Promise<Ready>> => {
    await lookLikeABrowser()
    const name: string = '@jax-js/jax' // not known to the compiler, as it may not be installed
    const jax = (await import(name)) as Jax
    const devices = await jax.init(device)
    if (!devices.includes(device)) throw new Error(`jax-js has no device ${device} here`)
    return casesOn(jax, device)
  }
  return {
    name: device === 'webgpu' ? 'jax-js' : 'jax-js-wasm',
    onAdapter: device === 'webgpu',
    spent: () => null,
    async prepare(work) {
      if (work.kind === 'blocks' && work.checkpoint) return null // it has no such thing
      loading ??= load()
      return (await loading)(work)
    },
  }
}

export const jaxJs = contender('webgpu')
export const jaxJsWasm = contender('wasm')
