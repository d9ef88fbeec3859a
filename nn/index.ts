// Layers as functions of parameters and inputs.

export * from './activation.ts'
export { attention } from './attention.ts'
export { embedding } from './embedding.ts'
export { kaimingUniform, orthogonal } from './init.ts'
export { compose, dense, diagonal, Implicit, linear, scaled, sumOf, type Weight } from './linear.ts'
export {
  causalLoss,
  crossEntropy,
  ignored,
  type LinearCrossEntropyOptions,
  linearCrossEntropy,
  nextTokens,
} from './loss.ts'
export { type SwigluParams, swiglu } from './mlp.ts'
export { rmsNorm } from './norm.ts'
export { type RopeOptions, type RopeScaling, type RopeTable, ropeTable, rotate } from './rope.ts'
