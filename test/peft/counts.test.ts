// Trainable parameters as in the RaSA paper, from the types of Llama-3.1-8B: nothing is allocated, no device is opened.

import { random } from 'cotangent'
import { llama } from 'cotangent/models'
import { countTrainable, linears, targetsOf } from 'cotangent/peft'
import { expect, test, vi } from 'vitest'
import { llama8B } from '../support/llama-8b.ts'
import { rows } from './methods.table.ts'

vi.mock('../../core/device/device.ts', async (original) => ({
  ...(await original<object>()),
  openDevice: () => {
    throw new Error('test: the device was opened')
  },
}))

const published: Readonly<Record<string, readonly [number, number, number]>> = {
  lora: [20_971_520, 41_943_040, 83_886_080],
  rasa: [20_980_256, 41_960_512, 83_921_024],
}
const shapes = llama.shapes(llama8B)
const targets = targetsOf('test', shapes, linears)

test.each(rows.flatMap((row) => [8, 16, 32].map((rank, k) => [row.name, rank, row, k] as const)))(
  '%s of rank %d',
  (name, rank, { method, count }, k) => {
    const shared = Math.max(Math.floor(rank / 8), 1)
    const counted = countTrainable(method(rank, shared), random.key(0), shapes)
    expect(counted).toBe(count(targets, rank, shared))
    if (name in published) expect(counted).toBe(published[name]![k])
  },
)
