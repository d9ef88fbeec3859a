// The derivative of the whole model: the gradient of Llama's loss with respect to every weight agrees with central
// differences along random directions in double precision, and the device computes that gradient.

import { jit, tree, type Value, valueAndGrad } from 'cotangent'
import { llama } from 'cotangent/models'
import { causalLoss } from 'cotangent/nn'
import { expect, test } from 'vitest'
import { expectClose } from '../support/close.ts'
import { expectGradient } from '../support/directional.ts'
import { goldenFolder, ofLargest } from '../support/golden.ts'
import { type HostArray, toHosts, toTensor } from '../support/host.ts'
import { generator, integers } from '../support/inputs.ts'
import { oracleClosed } from '../support/oracle.ts'

test.each(['tiny-llama', 'tiny-llama-tied'])('%s', async (name) => {
  const { config, params } = await llama.load(goldenFolder(name))
  const random = generator(17)
  const tokens = integers(0, config.vocabularySize - 1, [1, 8]).draw(random)
  const at = await toHosts(params)
  const loss = (params: llama.LlamaParams, tokens: Value): Value =>
    causalLoss(llama.forward(config, params, tokens), tokens)
  const both = valueAndGrad(loss)

  const value = await oracleClosed(loss, [at, tokens])
  const [, gradient] = (await oracleClosed(both, [at, tokens]))(at, tokens)
  expect(tree.paths(gradient)).toEqual(tree.paths(params))
  expectGradient((at) => value(at, tokens), gradient, at, random)

  const device = await toHosts(jit(both)(params, toTensor(tokens))[1])
  const leaves = tree.leaves(device) as HostArray[]
  for (const [k, { path, leaf }] of tree.leavesWithPath(gradient).entries())
    expectClose(leaves[k]!, leaf as HostArray, ofLargest(leaf as HostArray, 1e-5), tree.showPath(path))
})
