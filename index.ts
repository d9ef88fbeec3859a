// cotangent: pure functions of arrays, transformed and compiled. The folders nn, optim, models and peft have entry points
// of their own.

export * from './autodiff/index.ts'
export * from './core/index.ts'
