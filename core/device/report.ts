// What is known about the machine that computes, as plain data for people.

import type { Candidate } from './adapter.ts'
import { Device } from './device.ts'
import { openMachine } from './open.ts'
import { WasmDevice } from './wasm-device.ts'

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

/** What computes, why it was chosen, and what it offers. Opens the device. */
export async function deviceReport(): Promise<DeviceReport> {
  const machine = await openMachine()
  if (machine instanceof WasmDevice) return wasmReport(machine)
  if (!(machine instanceof Device))
    throw new Error('device: it is of no kind; this is a defect of the library')
  const { gpu, choice, software } = machine
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

function wasmReport({ threadCount, asked, maxBytes }: WasmDevice): DeviceReport {
  const name = `WebAssembly SIMD, ${threadCount} ${threadCount === 1 ? 'thread' : 'threads'}`
  const outcome = `chosen: ${asked.length > 0 ? 'the CPU, as there is no GPU' : 'asked for'}`
  return {
    name,
    source: 'wasm',
    software: true,
    reason: [
      outcome.replace('chosen: ', ''),
      ...asked.map(({ name, outcome }) => `${name} (${outcome})`),
    ].join('; '),
    candidates: [...asked, { source: 'wasm', name, fallback: true, outcome }],
    limits: { maxMemory: maxBytes },
    features: threadCount > 1 ? ['simd128', 'threads'] : ['simd128'],
  }
}
