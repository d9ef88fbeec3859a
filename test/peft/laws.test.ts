// Laws of PEFT methods, on each row of `methods.table.ts`.

import { join } from 'node:path'
import {
  Aval,
  evalShape,
  jit,
  makeGraph,
  random,
  readTensors,
  tree,
  type Value,
  valueAndGrad,
  vmap,
} from 'cotangent'
import { llama } from 'cotangent/models'
import { causalLoss } from 'cotangent/nn'
import { applyUpdates, chain, clipByGlobalNorm, lionw } from 'cotangent/optim'
import {
  countElements,
  countTrainable,
  linears,
  loadAdapter,
  lora,
  merge,
  rasa,
  rasaToLora,
  saveAdapter,
  targetsOf,
} from 'cotangent/peft'
import { describe, expect, test } from 'vitest'
import { expectClose } from '../support/close.ts'
import { expectGradient } from '../support/directional.ts'
import { inFolder } from '../support/folder.ts'
import { ofLargest } from '../support/golden.ts'
import { type HostArray, stacked, toHosts, toTensor, toTensors } from '../support/host.ts'
import { generator, integers } from '../support/inputs.ts'
import { oracleClosed } from '../support/oracle.ts'
import { config, drawLike, rows } from './methods.table.ts'

const [rank, shared] = [3, 1]
const shapes = llama.shapes(config)
const hosts = drawLike(shapes, 1)
const base = toTensors(hosts) as unknown as llama.LlamaParams
const tokens = integers(0, 16, [2, 5]).draw(generator(2))
const targets = targetsOf('test', base, linears)
const key = random.key(7)

const forward = (params: llama.LlamaParams, tokens: Value): Value => llama.forward(config, params, tokens)

/** A function of an adapter, in double precision, on the same base and tokens. */
async function inDouble<R>(
  f: (adapter: unknown, base: llama.LlamaParams, tokens: Value) => R,
  like: unknown,
): Promise<(adapter: unknown) => R extends Value ? HostArray : unknown> {
  const run = await oracleClosed(f, [like, hosts, tokens] as never)
  return (adapter) => (run as (...args: readonly unknown[]) => never)(adapter, hosts, tokens)
}
const leavesOf = (hosts: unknown): HostArray[] => tree.leaves(hosts) as HostArray[]

describe.each(rows.map((row) => [row.name, row] as const))('%s', (_, row) => {
  const method = row.method(rank, shared)
  const abstract = evalShape((base: unknown) => method.init(key, base))(base)
  const some = drawLike(abstract, 3)
  const adapted = (adapter: unknown, base: llama.LlamaParams, tokens: Value): Value =>
    forward(method.apply(base, adapter), tokens)
  const loss = (adapter: unknown, base: llama.LlamaParams, tokens: Value): Value =>
    causalLoss(adapted(adapter, base, tokens), tokens)
  const gradient = (adapter: unknown, base: llama.LlamaParams, tokens: Value) =>
    valueAndGrad(loss)(adapter, base, tokens)[1]

  test('at first it changes nothing, later merge = apply', async () => {
    const all = jit((initial: unknown, adapter: unknown, base: llama.LlamaParams, tokens: Value) => ({
      before: forward(base, tokens),
      initial: adapted(initial, base, tokens),
      applied: adapted(adapter, base, tokens),
      merged: forward(merge(method, base, adapter), tokens),
    }))
    const logits = await toHosts(all(method.init(key, base), toTensors(some), base, toTensor(tokens)))
    expectClose(logits.initial, logits.before, {}, 'initial')
    expectClose(logits.merged, logits.applied, ofLargest(logits.applied, 1e-5), 'merged')
    expect(() => expectClose(logits.applied, logits.before, { absolute: 0.1 })).toThrow()
  })

  test('what it does not adapt is the very leaf of the base', () => {
    const result = method.apply(base, toTensors(some))
    expect(tree.structure(result)).toBe(tree.structure(base))
    const changed = tree.leavesWithPath(base).flatMap(({ path, leaf }, k) => {
      return tree.leaves(result)[k] === leaf ? [] : [tree.showPath(path)]
    })
    expect(changed).toEqual(targets.map(({ path }) => path))
  })

  test('it counts what the formula counts, each array once', async () => {
    const expected = row.count(targets, rank, shared)
    expect(countTrainable(method, key, shapes)).toBe(expected)
    expect(countElements(method.init(key, base))).toBe(expected)
    const optimizer = chain(clipByGlobalNorm(1), lionw(1e-3))
    expect(tree.paths(optimizer.init(abstract)[1].m)).toEqual(tree.paths(abstract))
  })

  test('no step forms anything as large as an adapted weight', () => {
    const optimizer = chain(clipByGlobalNorm(1), lionw(1e-3))
    const step = (
      adapter: unknown,
      state: ReturnType<typeof optimizer.init>,
      base: llama.LlamaParams,
      t: Value,
    ) => {
      const [value, gradients] = valueAndGrad(loss)(adapter, base, t)
      const [updates, next] = optimizer.update(gradients, state, adapter)
      return [value, applyUpdates(adapter, updates), next] as const
    }
    const graph = makeGraph(step)(
      abstract,
      optimizer.init(abstract),
      shapes,
      new Aval([2, 5], 'i32') as never,
    )
    const sizes = new Set(targets.map(({ shape: [out, inputs] }) => out * inputs))
    const made = graph.equations.flatMap(({ outputs }) => outputs.map(({ aval }) => aval))
    expect(made.filter(({ size }) => sizes.has(size)).map(String)).toEqual([])
  })

  test('saved and loaded it is the same bits, each array once', () =>
    inFolder(async (folder) => {
      const names = { moduleName: llama.moduleName(config) }
      const adapter = toTensors(some)
      await saveAdapter(folder, method, adapter, names)
      expect(await toHosts(await loadAdapter(folder, method, base, names))).toEqual(await toHosts(adapter))
      const file = await readTensors(join(folder, 'adapter_model.safetensors'))
      expect(file.size).toBe(row.tensors(targets))
      expect(countElements([...file.values()])).toBe(row.count(targets, rank, shared))
    }))

  test('its gradient = central differences; at first only some leaves have one', async () => {
    const [value, slopes] = [await inDouble(loss, some), await inDouble(gradient, some)]
    const found = slopes(some)
    expect(tree.paths(found)).toEqual(tree.paths(some))
    expectGradient(value, found, some, generator(4))

    const first = slopes(await toHosts(method.init(key, base)))
    const moving = tree.leavesWithPath(first).flatMap(({ path, leaf }) => {
      return (leaf as HostArray).data.some((x) => x !== 0) ? [tree.showPath(path)] : []
    })
    expect(moving).toEqual(tree.paths(some).filter(row.movesAtFirst))
  })

  test('vmap over two adapters = one after the other', async () => {
    const pair = [some, drawLike(abstract, 5)]
    const both = tree.unflatten(
      abstract,
      leavesOf(pair[0]).map((leaf, k) => stacked([leaf, leavesOf(pair[1])[k]!], 0)),
    )
    const together = await inDouble(vmap(adapted, { inAxes: [0, null, null] }), both)
    const alone = await inDouble(adapted, some)
    expectClose(together(both), stacked(pair.map(alone), 0), { relative: 1e-9, absolute: 1e-9 })
  })
})

test('rasaToLora: the same logits with rank r - k + kL', async () => {
  const method = rasa({ rank, shared, alpha: 8 })
  const adapter = toTensors(drawLike(evalShape((base: unknown) => method.init(key, base))(base), 6)) as never
  const exported = rasaToLora(adapter)
  const wide = rank - shared + shared * config.layers
  for (const {
    path,
    shape: [out, inputs],
  } of targets)
    expect([exported[path]!.a.shape, exported[path]!.b.shape]).toEqual([
      [wide, inputs],
      [out, wide],
    ])
  const both = jit((base: llama.LlamaParams, tokens: Value) => [
    forward(method.apply(base, adapter), tokens),
    forward(lora({ rank: wide, alpha: wide }).apply(base, exported), tokens),
  ])
  const [pooled, plain] = await toHosts(both(base, toTensor(tokens)))
  expectClose(plain!, pooled!, ofLargest(pooled!, 1e-5))
})
