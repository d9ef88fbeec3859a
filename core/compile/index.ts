// The compiler: graph → written out and simplified → groups → loop nests → WGSL and a plan. Pure text and numbers, no device.

export { kindNames } from './about.ts'
export type { Cost } from './cost.ts'
export { type Plan, plan as compile } from './plan.ts'
export { trialOf } from './trial.ts'
export { arithmeticKernel, copyKernel } from './wgsl/peak.ts'
