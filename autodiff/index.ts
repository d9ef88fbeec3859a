// Programs that transform graphs: derivatives forward and backward, and vectorization.

export { type GradOptions, grad, valueAndGrad } from './grad.ts'
export { jvp } from './jvp.ts'
export { linearize, vjp } from './linearize.ts'
export { cond, switchCase } from './structured/branch.ts'
export { type ScanOptions, scan } from './structured/scan.ts'
export { foriLoop, map, type WhileOptions, whileLoop } from './structured/while.ts'
export { type Axes, type VmapOptions, vmap } from './vmap.ts'
