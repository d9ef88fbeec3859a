// From lines of JSON to batches for the model: the alpaca template, the two ways to mask its labels, and an endless
// stream of batches in a few fixed shapes, so that the training step is compiled once per width.
// Labels stand at their own token's place: the logits at t predict the label at t + 1.

import { readFile } from 'node:fs/promises'
import type { Tokenizer } from 'cotangent/models'
import { ignored } from 'cotangent/nn'

/** A question and the answer to learn. */
export interface Row {
  readonly question: string
  readonly answer: string
}

/** Reads a file of one JSON object a line. */
export async function readJsonl(file: string): Promise<Row[]> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`readJsonl: cannot read ${file} (${cause.code}); check the path`, { cause })
  })
  return text.split('\n').flatMap((line, i) => (line.trim() ? [parseRow(line, `${file}:${i + 1}`)] : []))
}

function parseRow(line: string, place: string): Row {
  let row: Partial<Row> | null
  try {
    row = JSON.parse(line) as Partial<Row> | null
  } catch (cause) {
    throw new Error(`readJsonl: ${place} is not JSON; write one object a line`, { cause })
  }
  const { question, answer } = row ?? {}
  if (typeof question !== 'string' || typeof answer !== 'string')
    throw new TypeError(`readJsonl: ${place} lacks the strings "question" and "answer"; give it both`)
  return { question, answer }
}

const preamble =
  'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n'
const instructionMark = '### Instruction:\n'
const responseMark = '### Response:\n'

/** The alpaca template up to the place where the response begins. */
export function alpacaPrompt(instruction: string): string {
  return `${preamble}${instructionMark}${instruction.trim()}\n\n${responseMark}`
}

/** A whole training text, which stands between BOS and EOS; it ends in the template's space. */
export function alpacaText({ question, answer }: Row): string {
  return `${alpacaPrompt(question)}${answer.trim()} `
}

/**
 * What the loss leaves out. `paper` is what the code of RaSA's authors does: only the text of the instruction, so
 * that the template is learnt too. `response-only` is everything before the response.
 */
export type Mask = 'paper' | 'response-only'

const spans: Readonly<Record<Mask, (text: string, row: Row) => (readonly [number, number])[]>> = {
  paper: (text) =>
    [...text.matchAll(new RegExp(`${instructionMark}(.*?)${responseMark}`, 'gs'))].map(
      ({ index, 0: match }) =>
        [index + instructionMark.length, index + match.length - responseMark.length] as const,
    ),
  // From before the text, so that BOS falls in it.
  'response-only': (_, { question }) => [[-1, alpacaPrompt(question).length]],
}

/** A text as ids, and the same ids as labels with `ignored` where masked. */
export interface EncodedRow {
  readonly tokens: Int32Array
  readonly labels: Int32Array
}

/** Encodes a row as BOS, text, EOS, cut on the right to `maxLength` tokens. */
export function encodeRow(tokenizer: Tokenizer, row: Row, mask: Mask, maxLength: number): EncodedRow {
  const text = alpacaText(row)
  const { ids, offsets } = tokenizer.encodeWithOffsets(text)
  const masked = spans[mask](text, row)
  const label = (id: number, [start, end]: readonly [number, number]) =>
    masked.some(([from, to]) => start < to && end > from) ? ignored : id
  const tokens = [tokenizer.bos, ...ids, tokenizer.eos].slice(0, maxLength)
  const places = [[0, 0] as const, ...offsets, [text.length, text.length] as const]
  const labels = tokens.map((id, i) => label(id, places[i]!))
  if (labels.every((id) => id === ignored))
    throw new RangeError(
      `encodeRow: the prompt fills all ${maxLength} tokens; raise maxLength or leave the row out: "${row.question.slice(0, 40)}"`,
    )
  return { tokens: Int32Array.from(tokens), labels: Int32Array.from(labels) }
}

/** Rows of one width, row-major; padding is token 0 with the label `ignored`, on the right. */
export interface Batch {
  readonly tokens: Int32Array
  readonly labels: Int32Array
  readonly shape: readonly [batch: number, width: number]
}

/**
 * Batches without end, each epoch in a new order. A batch takes the least of `widths` that fits its rows; the rows
 * left at the end of an epoch open the first batch of the next, so that every batch is full.
 */
export function* batches(
  rows: readonly EncodedRow[],
  options: { readonly batch: number; readonly widths: readonly number[]; readonly seed: number },
): Generator<Batch, never> {
  const { batch, seed } = options
  const widths = options.widths.toSorted((a, b) => a - b)
  if (rows.length === 0) throw new RangeError('batches: there are no rows; give at least one')
  for (const [i, { tokens }] of rows.entries())
    if (tokens.length > widths.at(-1)!)
      throw new RangeError(
        `batches: row ${i} has ${tokens.length} tokens, over the largest width ${widths.at(-1)}; encode it with a smaller maxLength or add a width`,
      )
  const random = splitmix(seed)
  let queue: EncodedRow[] = []
  while (true) {
    while (queue.length < batch) queue.push(...shuffled(rows, random))
    yield pad(queue.slice(0, batch), widths)
    queue = queue.slice(batch)
  }
}

function pad(rows: readonly EncodedRow[], widths: readonly number[]): Batch {
  const longest = Math.max(...rows.map(({ tokens }) => tokens.length))
  const width = widths.find((w) => w >= longest)!
  const tokens = new Int32Array(rows.length * width)
  const labels = new Int32Array(rows.length * width).fill(ignored)
  for (const [i, row] of rows.entries()) {
    tokens.set(row.tokens, i * width)
    labels.set(row.labels, i * width)
  }
  return { tokens, labels, shape: [rows.length, width] }
}

// Fisher and Yates's shuffle.
function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const order = [...list]
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}

// Splitmix32: uniform in [0, 1).
function splitmix(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let bits = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97)
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32
  }
}
