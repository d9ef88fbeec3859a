// Cuts the slice of GSM8K that lies in gsm8k/: the first rows, in the order of the source, whose training text fits
// 256 tokens of the stories260K vocabulary. Calculator annotations such as <<48/2=24>> are left out.
//   tsx examples/assets/slice-gsm8k.ts FOLDER_WITH_TRAIN_AND_TEST_JSONL

import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { loadTokenizer } from 'cotangent/models'
import { alpacaText, type Row, readJsonl } from '../data.ts'

const [source] = process.argv.slice(2)
if (!source) throw new Error('slice: no folder given; pass the one that holds train.jsonl and test.jsonl')
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const maxLength = 256
const tokenizer = await loadTokenizer(here('stories260K'))
const plain = ({ question, answer }: Row): Row => ({ question, answer: answer.replaceAll(/<<.*?>>/g, '') })
const length = (row: Row) => tokenizer.encode(alpacaText(row)).length + 2

await mkdir(here('gsm8k'), { recursive: true })
for (const [from, to, count] of [
  ['train', 'train', 240],
  ['test', 'heldout', 16],
] as const) {
  const rows: Row[] = []
  for (const row of (await readJsonl(`${source}/${from}.jsonl`)).map(plain)) {
    if (length(row) <= maxLength) rows.push(row)
    if (rows.length === count) break
  }
  const lengths = rows.map(length).sort((a, b) => a - b)
  await writeFile(here(`gsm8k/${to}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  console.log(
    `${to}: ${rows.length} rows of ${lengths[0]} to ${lengths.at(-1)} tokens, median ${lengths[count / 2]}`,
  )
}
