// The compiler: graph → written out and simplified → groups → loop nests → WGSL and a plan. Pure text and numbers, no device.

export type { Cost } from './cost.ts'
export { type Plan, plan as compile } from './plan.ts'
export { trialOf } from './trial.ts'
