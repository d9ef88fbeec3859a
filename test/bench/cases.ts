// What is timed: each case prepares its arrays once, and is then one jitted function called again and again. Its products
// are counted in its graph, so that a rate means the same for a matrix product and for a training step.

import { fileURLToPath } from 'node:url'
import {
  add,
  type Graph,
  jit,
  makeGraph,
  matmul,
  mul,
  random,
  reshape,
  slice,
  sum,
  type Value,
  valueAndGrad,
  zeros,
} from '../../index.ts'
import { llama } from '../../models/index.ts'
import {
  attention,
  causalLoss,
  causalMask,
  kaimingUniform,
  linear,
  rmsNorm,
  rotate,
  swiglu,
} from '../../nn/index.ts'
import { applyUpdates, chain, clipByGlobalNorm, lionw } from '../../optim/index.ts'
import { lora } from '../../peft/index.ts'
