// Random programs, with derivatives: however their equations share kernels, the loop nests compute the same bits, and keep to
// what no device checks.

import { expect, test } from 'vitest'
import { emptyTally, searchFusion, showFailure } from './programs.search.ts'

test('2000 programs: fused = unfused', async () => {
  const tally = emptyTally()
  await searchFusion({ seed: 20_260_102, from: 0, to: 2000 }, tally)
  expect(tally.failures.map(showFailure).join('\n')).toBe('')
  expect(tally.fusion).toBe(2000)
})
