// Programs that transform graphs: derivatives forward and backward, and vectorization.

export { type CheckOptions, checkGrads } from './check.ts'
export { type GradOptions, grad, valueAndGrad } from './grad.ts'
export { hessian, hvp, jacfwd, jacrev } from './jacobian.ts'
export { jvp } from './jvp.ts'
export { linearize, linearTranspose, vjp } from './linearize.ts'
export { cond, switchCase } from './structured/branch.ts'
export {
  type CheckpointOptions,
  type CheckpointPolicy,
  checkpoint,
  checkpointName,
} from './structured/checkpoint.ts'
export { type CustomVjpOptions, customJvp, customVjp } from './structured/custom.ts'
export { type ScanOptions, scan } from './structured/scan.ts'
export { foriLoop, map, type WhileOptions, whileLoop } from './structured/while.ts'
export { type Axes, type VmapOptions, vmap } from './vmap.ts'
