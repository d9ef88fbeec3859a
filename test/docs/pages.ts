// Writes the pages of docs that are made from the code: `npm run docs`.

import { mkdir, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { numbersPage } from './numbers.ts'
import { numpyPage } from './numpy.ts'
import { referencePages } from './reference.ts'

const docs = fileURLToPath(new URL('../../docs/', import.meta.url))

/** The pages by their path in docs. */
export const generatedPages = (): Map<string, string> =>
  new Map([
    ['numbers.md', numbersPage()],
    ['numpy.md', numpyPage()],
    ...Array.from(referencePages(), ([name, text]) => [`reference/${name}`, text] as const),
  ])

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await rm(`${docs}reference`, { recursive: true, force: true })
  await mkdir(`${docs}reference`)
  for (const [path, text] of generatedPages()) await writeFile(docs + path, text)
}
