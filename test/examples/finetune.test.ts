// The fine-tuning example as a user meets it: what it leaves on disk, what bad input gets, and what Ctrl-C saves.

import { spawn } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const assets = `${root}examples/assets`
let folder = ''
let rows = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'finetune-'))
  rows = `${folder}/rows.jsonl`
  const lines = (await readFile(`${assets}/gsm8k/heldout.jsonl`, 'utf8')).split('\n')
  await writeFile(rows, lines.slice(0, 2).join('\n'))
})

interface Outcome {
  readonly code: number | null
  /** All that was printed, and what of it went to stdout. */
  readonly text: string
  readonly out: string
}

/** Runs the example; `onText` sees all that was printed so far, and the process. */
function run(args: readonly string[], onText?: (text: string, kill: () => void) => void): Promise<Outcome> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/finetune.ts', ...args], { cwd: root })
  let text = ''
  let out = ''
  const collect = (chunk: Buffer): void => {
    text += chunk
    onText?.(text, () => child.kill('SIGINT'))
  }
  child.stdout.on('data', collect)
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk
  })
  child.stderr.on('data', collect)
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, text, out })))
}

const short = (out: string): string[] => [
  '--steps',
  '3',
  '--batch',
  '1',
  '--data',
  rows,
  '--heldout',
  rows,
  '--out',
  `${folder}/${out}`,
]

test('a short run trains both methods and leaves adapters, logs and a plot', async () => {
  const { code, text, out } = await run(short('both'))
  expect(text).toMatch(/^LoRA {4}46240 trainable of 306272 numbers$/m)
  expect(text).toMatch(/^RaSA {4}46660 trainable of 306692 numbers$/m)
  expect(
    text.match(/merged and unmerged logits differ by \de-\d+ of the largest|differ by \d\.\de-\d/g),
  ).toHaveLength(2)
  expect(code).toBe(0)
  for (const method of ['lora', 'rasa']) {
    expect((await readdir(`${folder}/both/${method}`)).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'training.jsonl',
    ])
    const log = (await readFile(`${folder}/both/${method}/training.jsonl`, 'utf8')).trim().split('\n')
    expect(log.map((line) => JSON.parse(line).step)).toEqual([1, 2, 3])
  }
  expect(await readFile(`${folder}/both/loss.svg`, 'utf8')).toMatch(/^<svg.*LoRA.*RaSA/s)
  expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
})

test('Ctrl-C saves the adapter so far and says where', async () => {
  const args = ['--method', 'lora', ...short('stopped'), '--steps', '500']
  const { code, text } = await run(args, (text, kill) => text.includes('step 1/500') && kill())
  expect(text).toMatch(/interrupted after \d+ steps; the adapter so far is in .*stopped\/lora/)
  expect(code).toBe(130)
  expect(await readdir(`${folder}/stopped/lora`)).toContain('adapter_model.safetensors')
})

describe('bad input is an error and leaves nothing', () => {
  beforeAll(async () => {
    await cp(`${assets}/stories260K`, `${folder}/truncated`, { recursive: true })
    await truncate(`${folder}/truncated/model.safetensors`, 500_000)
    await writeFile(`${folder}/odd.jsonl`, '{"question": "1 + 1?", "answer": "2"}\nno JSON\n')
  })

  const cases: readonly (readonly [string, () => string[], RegExp])[] = [
    ['a method that is none', () => ['--method', 'dora'], /use lora, rasa, both/],
    [
      'shared ranks that leave none private',
      () => ['--shared', '8'],
      /^rasa: shared 8 leaves no private rank out of 8; /m,
    ],
    [
      'a folder without a model',
      () => ['--model', folder],
      /^json: .*\/config\.json cannot be read \(ENOENT\); /m,
    ],
    [
      'a truncated model',
      () => ['--model', `${folder}/truncated`],
      /^safetensors: .* has 500000 bytes but its header describes 1044992; /m,
    ],
    [
      'a length beyond the context',
      () => ['--length', '513'],
      /^start: --length 513 is beyond the model's context of 512; /m,
    ],
    [
      'a length that leaves nothing to learn',
      () => ['--length', '64'],
      /^start: the prompt of .*train\.jsonl:1 fills all 64 tokens; /m,
    ],
    ['an empty file', () => ['--data', '/dev/null'], /^start: \/dev\/null has no rows; /m],
    [
      'a line that is no JSON',
      () => ['--data', `${folder}/odd.jsonl`],
      /^readJsonl: .*odd\.jsonl:2 is not JSON; /m,
    ],
  ]

  test.each(cases)('%s', async (_name, args, message) => {
    const { code, text } = await run([...args(), '--out', `${folder}/never`])
    expect(text).toMatch(message)
    expect(code).toBe(1)
    expect(await readdir(folder)).not.toContain('never')
  })
})
