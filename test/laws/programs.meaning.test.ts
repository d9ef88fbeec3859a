// Random programs: what they mean, and what transforms make of them, in double precision.

import { expect, test } from 'vitest'
import { drawables } from './programs.rows.ts'
import { emptyTally, searchMeaning, showFailure } from './programs.search.ts'

test('2000 programs obey the laws', async () => {
  const tally = emptyTally()
  await searchMeaning({ seed: 20_260_101, from: 0, to: 2000 }, tally)
  expect(tally.failures.map(showFailure).join('\n')).toBe('')
  expect(tally.meaning).toBe(2000)
  // Nearly all derivatives are compared with differences; a row that spoils many programs would show here.
  const { 'by design': byDesign = 0, ...others } = tally.undifferenced
  expect(byDesign).toBeLessThan(500)
  expect(Object.values(others).reduce((a, b) => a + b, 0)).toBeLessThan(20)
  // And every row of the table is drawn.
  expect(drawables.map(({ name }) => name).filter((name) => !tally.kinds.has(name))).toEqual([])
})
