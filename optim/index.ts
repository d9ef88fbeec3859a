// Optimisers, schedules and clipping as transformations of gradients.

export { type AdamwOptions, type AdamwState, adamw } from './adam.ts'
export { clipByGlobalNorm, globalNorm } from './clip.ts'
export { type LionwOptions, type LionwState, lionw } from './lion.ts'
export { type Schedule, type WarmupCosineOptions, warmupCosine } from './schedule.ts'
export { type SgdState, sgd } from './sgd.ts'
export { applyUpdates, chain, type GradientTransformation } from './transform.ts'
