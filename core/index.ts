// Arrays, graphs, primitives, and how they run. `export *` stands once, so that a new operation is named in one index only.

import './methods.ts'

export * as debug from './debug.ts'
export {
  type Candidate,
  CompileError,
  type CompileProgress,
  DeviceError,
  DeviceLostError,
  type DeviceReport,
  type DeviceStatistics,
  deviceReport,
  OutOfMemoryError,
  onCompile,
  statistics,
  synchronize,
} from './device/index.ts'
export { type DType, type HostData, isFloat } from './dtype.ts'
export { writeFileAtomic } from './files.ts'
export {
  type Atom,
  closed,
  type Equation,
  type Graph,
  hasEffect,
  interpret,
  Literal,
  printGraph,
  Unprinted,
  Var,
} from './graph.ts'
export { evaluate, type JitOptions, jit } from './jit.ts'
export * as linalg from './linalg/index.ts'
export { withLine, withOwnLines } from './lines.ts'
export { type Lowered, type LoweredKernel, lower } from './lower.ts'
export { type Memory, memory, scope } from './memory.ts'
export * from './ops/index.ts'
export {
  type BatchAxis,
  type Batched,
  type Lowering,
  type MaybeZero,
  type NdArray,
  type Params,
  type Primitive,
  single,
} from './primitive.ts'
export { type Profile, type ProfiledStep, type ProfileLine, type ProfileRow, profile } from './profile.ts'
export * as random from './random.ts'
export { reference } from './reference.ts'
export { Aval, type Shape, sizeOf } from './shape.ts'
export { dispose, Tensor, type TensorOptions, tensor } from './tensor.ts'
export { readJson, readTensors, writeJson, writeTensors } from './tensor-files.ts'
export type { MemoryTimeline, PlannedArray } from './timeline.ts'
export {
  avalOf,
  Builder,
  bind,
  evalShape,
  makeGraph,
  type Traced,
  Tracer,
  toArray,
  toValue,
  trace,
} from './trace.ts'
export * as tree from './tree.ts'
export { type ArrayLike, Constant, full, ones, onesLike, Value, zeros, zerosLike } from './value.ts'
