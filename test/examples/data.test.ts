import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadTokenizer, type Tokenizer } from 'cotangent/models'
import { ignored } from 'cotangent/nn'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  alpacaPrompt,
  alpacaText,
  batches,
  type EncodedRow,
  encodeRow,
  type Mask,
  type Row,
  readJsonl,
} from '../../examples/data.ts'

const assets = fileURLToPath(new URL('../../examples/assets', import.meta.url))

/** A tokenizer of pieces of a fixed number of characters, so that masks can be worked out by hand. */
function chunks(width: number): Tokenizer & { readonly show: (ids: Iterable<number>) => string } {
  const pieces = ['', '<', '>']
  const idOf = (piece: string) => (pieces.includes(piece) ? pieces.indexOf(piece) : pieces.push(piece) - 1)
  const encodeWithOffsets = (text: string) => {
    const starts = Array.from({ length: Math.ceil(text.length / width) }, (_, i) => i * width)
    const offsets = starts.map((start): [number, number] => [start, Math.min(start + width, text.length)])
    return { ids: offsets.map(([start, end]) => idOf(text.slice(start, end))), offsets }
  }
  const decode = (ids: Iterable<number>) => Array.from(ids, (id) => pieces[id] ?? '').join('')
  return {
    bos: 1,
    eos: 2,
    vocabularySize: 512,
    encode: (text) => encodeWithOffsets(text).ids,
    encodeWithOffsets,
    decode,
    show: (ids) => decode(ids).replaceAll('\n', '¶'),
  }
}

describe('the template', () => {
  test('prompt and text', () => {
    expect(alpacaText({ question: ' Add 1 and 2.\n', answer: '\n3 ' })).toMatchInlineSnapshot(`
      "Below is an instruction that describes a task. Write a response that appropriately completes the request.

      ### Instruction:
      Add 1 and 2.

      ### Response:
      3 "
    `)
    expect(alpacaText({ question: 'q', answer: 'a' })).toBe(`${alpacaPrompt('q')}a `)
  })
})

describe('masks', () => {
  const row: Row = { question: ' Add 1 and 2. ', answer: '3' }
  const learnt = (of: Row, mask: Mask, width = 1, maxLength = 999) => {
    const tokenizer = chunks(width)
    return tokenizer.show(encodeRow(tokenizer, of, mask, maxLength).labels)
  }

  test('the tokens are BOS, text, EOS; a label is the token at its own place', () => {
    const tokenizer = chunks(1)
    const { tokens, labels } = encodeRow(tokenizer, row, 'paper', 999)
    expect(tokenizer.decode(tokens)).toBe(`<${alpacaText(row)}>`)
    expect(labels.every((label, i) => label === ignored || label === tokens[i])).toBe(true)
  })

  test('paper: all but the instruction and the blank line after it', () => {
    expect(learnt(row, 'paper')).toMatchInlineSnapshot(
      `"<Below is an instruction that describes a task. Write a response that appropriately completes the request.¶¶### Instruction:¶### Response:¶3 >"`,
    )
  })

  test('response-only: the response, the space and EOS', () => {
    expect(learnt(row, 'response-only')).toBe('3 >')
  })

  test('a token that reaches into a masked range is masked whole', () => {
    // The instruction and its blank line are characters 124 to 137, which the sevens from 119 to 139 hold.
    expect(learnt(row, 'paper', 7)).toMatchInlineSnapshot(
      `"<Below is an instruction that describes a task. Write a response that appropriately completes the request.¶¶### Instruct# Response:¶3 >"`,
    )
  })

  test('paper: markers inside the texts count, as they do in the paper', () => {
    const nested = { question: 'a### Response:\nb', answer: 'c### Instruction:\nd### Response:\ne' }
    expect(learnt(nested, 'paper')).toMatchInlineSnapshot(
      `"<Below is an instruction that describes a task. Write a response that appropriately completes the request.¶¶### Instruction:¶### Response:¶b¶¶### Response:¶c### Instruction:¶### Response:¶e >"`,
    )
    expect(learnt(nested, 'response-only')).toBe('c### Instruction:¶d### Response:¶e >')
  })

  test('a long row loses its end, EOS with it', () => {
    const length = alpacaText(row).length
    expect(learnt(row, 'response-only', 1, length)).toBe('3')
    expect(() => learnt(row, 'response-only', 1, 100)).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: encodeRow: the prompt fills all 100 tokens; raise maxLength or leave the row out: " Add 1 and 2. "]`,
    )
  })

  test('on the slice of GSM8K with the real vocabulary', async () => {
    const tokenizer = await loadTokenizer(join(assets, 'stories260K'))
    for (const [name, count] of [
      ['train', 240],
      ['heldout', 16],
    ] as const) {
      const rows = await readJsonl(join(assets, `gsm8k/${name}.jsonl`))
      expect(rows.length).toBe(count)
      for (const item of rows) {
        const { tokens, labels } = encodeRow(tokenizer, item, 'response-only', 256)
        expect(tokens.at(-1)).toBe(tokenizer.eos)
        const kept = tokens.filter((_, i) => labels[i] !== ignored)
        expect(tokenizer.decode([...kept])).toBe(`${item.answer.trim()} `)
        const paper = encodeRow(tokenizer, item, 'paper', 256)
        const masked = paper.tokens.filter((_, i) => paper.labels[i] === ignored)
        expect(tokenizer.decode([...masked]).trim()).toBe(item.question.trim())
      }
    }
  })
})

describe('batches', () => {
  const rowOf = (length: number, id: number): EncodedRow => ({
    tokens: new Int32Array(length).fill(id),
    labels: new Int32Array(length).fill(id),
  })

  test('a batch takes the least width that fits, padded on the right', () => {
    const { value } = batches([rowOf(3, 7)], { batch: 2, widths: [8, 4], seed: 0 }).next()
    expect(value).toEqual({
      tokens: Int32Array.of(7, 7, 7, 0, 7, 7, 7, 0),
      labels: Int32Array.of(7, 7, 7, ignored, 7, 7, 7, ignored),
      shape: [2, 4],
    })
  })

  test('every epoch holds every row once, batches are full, and the seed decides the order', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 5 }), fc.integer(), (lengths, batch, seed) => {
        const rows = lengths.map((length, i) => rowOf(length, i + 1))
        const take = () => {
          const stream = batches(rows, { batch, widths: [3, 6, 9], seed })
          return Array.from({ length: 3 * rows.length }, () => stream.next().value)
        }
        const seen = take().flatMap(({ tokens, labels, shape: [count, width] }) => {
          expect([count, tokens.length, labels.length]).toEqual([batch, batch * width, batch * width])
          return Array.from({ length: count }, (_, i) => tokens[i * width]!)
        })
        const ids = rows.map((_, i) => i + 1)
        for (let epoch = 0; epoch < 3 * batch; epoch++)
          expect(seen.slice(epoch * ids.length, (epoch + 1) * ids.length).toSorted((a, b) => a - b)).toEqual(
            ids,
          )
        expect(take()).toEqual(take())
      }),
    )
  })

  test('orders differ between epochs and between seeds', () => {
    const rows = Array.from({ length: 20 }, (_, i) => rowOf(1, i))
    const order = (seed: number) => {
      const stream = batches(rows, { batch: 20, widths: [1], seed })
      return [stream.next().value.tokens, stream.next().value.tokens]
    }
    const [first, second] = order(0)
    expect(first).not.toEqual(second)
    expect(first).not.toEqual(order(1)[0])
  })

  test('rows that fit no width, and no rows', () => {
    const start = (rows: EncodedRow[]) => () => batches(rows, { batch: 1, widths: [4, 8], seed: 0 }).next()
    expect(start([rowOf(8, 1), rowOf(9, 1)])).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: batches: row 1 has 9 tokens, over the largest width 8; encode it with a smaller maxLength or add a width]`,
    )
    expect(start([])).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: batches: there are no rows; give at least one]`,
    )
  })
})

describe('readJsonl', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cotangent-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  async function message(lines: string): Promise<string> {
    await writeFile(join(folder, 'rows.jsonl'), lines)
    const error = await readJsonl(join(folder, 'rows.jsonl')).catch((caught: Error) => caught)
    return (error as Error).message.replaceAll(folder, 'FOLDER')
  }
  const good = '{"question": "q", "answer": "a", "more": 1}\n'

  test('reads rows and passes over blank lines', async () => {
    await writeFile(join(folder, 'rows.jsonl'), `${good}\n${good.trim()}\r\n`)
    const row = { question: 'q', answer: 'a' }
    expect(await readJsonl(join(folder, 'rows.jsonl'))).toEqual([row, row])
  })

  test('errors name the file and the line', async () => {
    expect(await message(`${good}{"question": "q", \n`)).toMatchInlineSnapshot(
      `"readJsonl: FOLDER/rows.jsonl:2 is not JSON; write one object a line"`,
    )
    expect(await message(`${good}\n{"question": "q"}\n`)).toMatchInlineSnapshot(
      `"readJsonl: FOLDER/rows.jsonl:3 lacks the strings "question" and "answer"; give it both"`,
    )
    expect(await message('null')).toMatchInlineSnapshot(
      `"readJsonl: FOLDER/rows.jsonl:1 lacks the strings "question" and "answer"; give it both"`,
    )
    await rm(join(folder, 'rows.jsonl'))
    const error = await readJsonl(join(folder, 'rows.jsonl')).catch((caught: Error) => caught)
    expect((error as Error).message.replaceAll(folder, 'FOLDER')).toMatchInlineSnapshot(
      `"readJsonl: cannot read FOLDER/rows.jsonl (ENOENT); check the path"`,
    )
  })
})
