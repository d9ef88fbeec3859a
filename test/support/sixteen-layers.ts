// The model of the steps that are timed and whose kernels are counted.

import type { llama } from 'cotangent/models'

export const sixteenLayers: llama.LlamaConfig = {
  vocabularySize: 512,
  hiddenSize: 64,
  intermediateSize: 172,
  layers: 16,
  heads: 4,
  kvHeads: 4,
  headSize: 16,
  normEps: 1e-5,
  ropeTheta: 10000,
  ropeScaling: null,
  maxLength: 128,
  tied: true,
}
