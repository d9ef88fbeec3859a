// The device: which adapter computes, its buffers and pipelines, and the queue of programs. It knows WGSL text and bytes.

export type { Candidate } from './adapter.ts'
export type { Device, DeviceStatistics } from './device.ts'
export { CompileError, DeviceError, DeviceLostError, OutOfMemoryError } from './errors.ts'
export { fastest } from './fastest.ts'
export { type PeakRates, peakRates } from './peak.ts'
export { Program } from './program.ts'
export { type CompileProgress, onCompile } from './progress.ts'
export { type DeviceReport, deviceReport } from './report.ts'
export { launch, type Origin, read, release, Storage, statistics, synchronize } from './runtime.ts'
export { currentTimer, type Timed, withTimer } from './timer.ts'
