// Random programs: however operations are put together, and however they are split into kernels, the device computes what the
// graph means, within what roundings do to it; the same bits in every run, and whoever owns the memory.

import { expect, test } from 'vitest'
import type { Ask } from './programs.laws.ts'
import { emptyTally, searchDevice, showFailure } from './programs.search.ts'

const seed = 20_260_101

const asks: readonly (readonly [string, number, number, Ask])[] = [
  ['as one program', 0, 96, { derivatives: false, ways: ['fused'] }],
  ['with derivatives', 96, 128, { derivatives: true, ways: ['fused'] }],
  ['each equation in a kernel of its own', 128, 208, { derivatives: false, ways: ['apart'] }],
  ['each operation as it is called', 208, 256, { derivatives: false, ways: ['eager'] }],
  ['in kernels that read few arrays', 256, 288, { derivatives: false, ways: ['narrow'] }],
]

test.each(asks)('programs, %s', async (_, from, to, ask) => {
  const tally = emptyTally()
  await searchDevice({ seed, from, to }, ask, tally)
  expect(tally.failures.map(showFailure).join('\n')).toBe('')
  expect(tally.device).toBe(to - from)
  expect(tally.unsteady).toBeLessThan(3)
})
