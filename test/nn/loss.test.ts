// The loss that never has all logits, against the one that does.

import { Aval, grad, jit, lower, tree, type Value, valueAndGrad } from 'cotangent'
import { llama } from 'cotangent/models'
import {
  causalLoss,
  compose,
  crossEntropy,
  ignored,
  linear,
  linearCrossEntropy,
  nextTokens,
  sumOf,
} from 'cotangent/nn'
import { describe, expect, test } from 'vitest'
import { expectClose } from '../support/close.ts'
import { toHosts, toTensors } from '../support/host.ts'
import { floats, generator, integers } from '../support/inputs.ts'

const close = { relative: 1e-5, absolute: 1e-6 }
const f32 = (...shape: number[]): Value => new Aval(shape, 'f32') as unknown as Value

describe('linearCrossEntropy', () => {
  const random = generator(7)
  const [x, w, a, b] = [
    [2, 9, 6],
    [11, 6],
    [2, 6],
    [11, 2],
  ].map((shape) => floats(shape).draw(random))
  const labels = integers(0, 11, [2, 9]).draw(random)
  for (const k of [0, 5, 17]) labels.data[k] = ignored
  const arrays = toTensors([x!, w!, a!, b!, labels]) as Value[]

  type Loss = (x: Value, w: Value, a: Value, b: Value, labels: Value) => Value
  const plain: Loss = (x, w, a, b, labels) => crossEntropy(linear(x, sumOf(w, compose(a, b))), labels)
  const few =
    (places: number): Loss =>
    (x, w, a, b, labels) =>
      linearCrossEntropy(x, sumOf(w, compose(a, b)), labels, { places })

  test.each([1, 2, 4, 7, 18, 1000])('%i places at a time: the same loss and gradients', async (places) => {
    const results = (loss: Loss) => {
      const [value, gradients] = jit(valueAndGrad(loss, { argnums: [0, 1, 2, 3] }))(
        ...(arrays as unknown as Parameters<Loss>),
      )
      return toHosts([value, ...gradients])
    }
    const [expected, found] = [await results(plain), await results(few(places))]
    for (const [k, y] of expected.entries()) expectClose(found[k]!, y, close, `result ${k}`)
  })

  test('nothing to predict is no loss', async () => {
    const none = arrays[4]!.mul(0).add(ignored)
    expect(await linearCrossEntropy(arrays[0]!, arrays[1]!, none).item()).toBe(0)
  })

  test('neither the logits nor their gradient are there at once', () => {
    const [places, classes, width] = [2048, 8192, 64]
    const args = [
      f32(places, width),
      f32(classes, width),
      new Aval([places], 'i32') as unknown as Value,
    ] as const
    const planned = (loss: (x: Value, w: Value, labels: Value) => Value) =>
      lower(valueAndGrad(loss, { argnums: 0 }))(...args).plannedBytes
    const logits = 4 * places * classes
    expect(planned((x, w, labels) => crossEntropy(linear(x, w), labels))).toBeGreaterThan(logits)
    expect(planned(linearCrossEntropy)).toBeLessThan(0.3 * logits)
  })

  test.each([
    [() => linearCrossEntropy(f32(3, 4), f32(5, 4), f32(2)), /labels f32\[2\] do not fit f32\[3,4\]/],
    [() => linearCrossEntropy(f32(3, 4), f32(5, 4), f32(3), { places: 0 }), /0 places at a time/],
  ])('errors: %#', (f, message) => expect(f).toThrow(message))
})

test('a model trains the same on what is hidden and its head', async () => {
  const config: llama.LlamaConfig = {
    vocabularySize: 13,
    hiddenSize: 8,
    intermediateSize: 12,
    layers: 1,
    heads: 2,
    kvHeads: 1,
    headSize: 4,
    normEps: 1e-5,
    ropeTheta: 10000,
    ropeScaling: null,
    maxLength: 16,
    tied: true,
  }
  const random = generator(5)
  const layout = tree.leaves(llama.layout(config)) as readonly { readonly shape: readonly number[] }[]
  const leaves = toTensors(layout.map(({ shape }) => floats(shape).draw(random))) as Value[]
  let k = 0
  const params = tree.map(() => leaves[k++], llama.layout(config)) as unknown as llama.LlamaParams
  const tokens = (toTensors([integers(0, 13, [2, 9]).draw(random)]) as Value[])[0]!
  const loss = (params: llama.LlamaParams): Value => causalLoss(llama.forward(config, params, tokens), tokens)
  const same = (params: llama.LlamaParams): Value =>
    linearCrossEntropy(llama.hidden(config, params, tokens), llama.head(params), nextTokens(tokens), {
      places: 4,
    })
  const gradients = (f: typeof loss) => toHosts(tree.leaves(jit(grad(f))(params)) as Value[])
  const [expected, found] = [await gradients(loss), await gradients(same)]
  for (const [k, y] of expected.entries())
    expectClose(found[k]!, y, { relative: 1e-4, absolute: 1e-5 }, `leaf ${k}`)
})
