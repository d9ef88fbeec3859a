// The pages made from the code are the ones that are committed, and say something of every function.

import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { problems } from './numpy.ts'
import { generatedPages } from './pages.ts'
import { undocumented } from './reference.ts'

const docs = new URL('../../docs/', import.meta.url)
const pages = generatedPages()

for (const [path, text] of pages)
  test(`docs/${path} is up to date; if not, npm run docs`, async () => {
    expect(await readFile(new URL(path, docs), 'utf8')).toBe(text)
  })

test('docs/reference has no other pages; if so, npm run docs', async () => {
  const names = await readdir(new URL('reference/', docs))
  expect(names.map((name) => `reference/${name}`).filter((path) => !pages.has(path))).toEqual([])
})

test('every exported function, class and constant has a doc comment', () => {
  expect(undocumented()).toEqual([])
})

test('every function of JAX has a name here, an expression, or a reason to be absent, and no note is stale', () => {
  expect(problems()).toEqual([])
})
