// The page of numerical bounds is the one its table makes.

import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { numbersPage } from './numbers.ts'

test('docs/numbers.md is up to date; if not, run npx tsx test/docs/numbers.ts', async () => {
  expect(await readFile(new URL('../../docs/numbers.md', import.meta.url), 'utf8')).toBe(numbersPage())
})
