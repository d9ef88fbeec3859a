// What is known about the device that computes, as plain data for people.

import type { Candidate } from './adapter.ts'
import { openDevice } from './device.ts'

/** The adapter in use, and how it was found. */
export interface DeviceReport {
  /** The adapter's name, where it comes from, and whether it computes on the CPU. */
  readonly name: string
  readonly source: string
  readonly software: boolean
  readonly reason: string
  readonly candidates: readonly Candidate[]
  readonly limits: Readonly<Record<string, number>>
  readonly features: readonly string[]
}

const shownLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupStorageSize',
] as const

/** Which adapter computes, why it was chosen, and what it offers. Opens the device. */
export async function deviceReport(): Promise<DeviceReport> {
  const { gpu, choice, software } = await openDevice()
  return {
    name: choice.name,
    source: choice.source,
    software,
    reason: choice.reason,
    candidates: choice.candidates,
    limits: Object.fromEntries(shownLimits.map((name) => [name, gpu.limits[name]])),
    features: [...gpu.features].sort(),
  }
}
