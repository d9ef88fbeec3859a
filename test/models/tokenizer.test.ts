import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadTokenizer } from '../../models/tokenizer.ts'

const stories = fileURLToPath(new URL('../../examples/assets/stories260K', import.meta.url))
const tokenizer = await loadTokenizer(stories)

// What stories260K says at temperature 0, as llama2.c publishes it in doc/stories260K.md.
const story = `Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.
Lily's mom said, "Lily, let's go to the park." Lily was sad and didn't know what to do. She said, "I want to play with your ball, but I can't find it."
Lily was sad and didn't know what to do. She said, "I'm sorry, Lily. I didn't know what to do."
Lily didn't want to help her mom, so she said, "I'm sorry, mom. I didn't know what to do." Her mom said, "Don't worry, Lily. We can help you.`

// Text without what either side treats apart: ▁, which the tokenizer writes for a space; special tokens; a byte
// order mark, which TextDecoder drops.
const text = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.string({
      unit: fc.constantFrom(...' aeht', ' the', 'Lily', 'ked', '\n', 'é', '“', '数', '🎉', '<0x41>'),
    }),
  )
  .filter((s) => !/[▁\uFEFF]|<unk>|<\/?s>/.test(s))

/** The tokenizer of llama2.c's run.c: byte fallback, then ever the merge of the best score, which is the least id. */
async function runC(): Promise<(text: string) => number[]> {
  const { model } = JSON.parse(await readFile(`${stories}/tokenizer.json`, 'utf8')) as {
    model: { vocab: Record<string, number> }
  }
  const ids = new Map(Object.entries(model.vocab).map(([piece, id]) => [piece.replaceAll('▁', ' '), id]))
  const pieces = [...ids].sort(([, a], [, b]) => a - b).map(([piece]) => piece)
  return (input) => {
    const letters = Array.from(input === '' ? '' : ` ${input}`)
    const list = letters.flatMap((letter) => {
      const id = ids.get(letter)
      return id === undefined ? Array.from(new TextEncoder().encode(letter), (byte) => byte + 3) : [id]
    })
    while (true) {
      const merges = list.map(
        (id, i) => ids.get(pieces[id]! + pieces[list[i + 1]!]) ?? Number.POSITIVE_INFINITY,
      )
      const best = Math.min(...merges)
      if (best === Number.POSITIVE_INFINITY) return list
      list.splice(merges.indexOf(best), 2, best)
    }
  }
}

describe('stories260K', () => {
  test('special tokens and size', () => {
    expect([tokenizer.bos, tokenizer.eos, tokenizer.vocabularySize]).toEqual([1, 2, 512])
    expect(tokenizer.encode('Once upon', { addBos: true })).toEqual([1, 403, 407])
  })

  test('the published story is the 256 tokens that the model says', () => {
    const ids = tokenizer.encode(story)
    expect(story.length).toBe(565)
    expect(ids.length).toBe(256)
    expect(tokenizer.decode([tokenizer.bos, ...ids, tokenizer.eos])).toBe(story)
  })

  test('gives the ids that llama2.c gives', async () => {
    const encode = await runC()
    for (const sample of [
      story,
      'Lily said, "Hello!" 1 + 1 = 2 #café\n\tend',
      '日本語 🎉  two  spaces ',
      ' ',
      '',
    ])
      expect(tokenizer.encode(sample)).toEqual(encode(sample))
    fc.assert(
      fc.property(text, (sample) => {
        expect(tokenizer.encode(sample)).toEqual(encode(sample))
      }),
    )
  })

  test('decode undoes encode', () => {
    fc.assert(
      fc.property(text, (sample) => {
        expect(tokenizer.decode(tokenizer.encode(sample))).toBe(sample)
      }),
    )
  })
})

describe('offsets', () => {
  const slices = (found: { offsets: [number, number][] }, sample: string) =>
    found.offsets.map(([start, end]) => sample.slice(start, end))

  test('the space that only the tokenizer adds covers nothing; each byte of a character covers all of it', () => {
    const sample = 'Zoe saw é 🎉!'
    const found = tokenizer.encodeWithOffsets(sample)
    expect(found.ids).toEqual(tokenizer.encode(sample))
    expect(slices(found, sample)).toEqual([
      '',
      'Z',
      'o',
      'e',
      ' saw',
      ' ',
      'é',
      ' ',
      '🎉',
      '🎉',
      '🎉',
      '🎉',
      '!',
    ])
  })

  test('they run from the start to the end of any text', () => {
    fc.assert(
      fc.property(text, (sample) => {
        let end = 0
        for (const [from, to] of tokenizer.encodeWithOffsets(sample).offsets) {
          expect(from).toBeLessThanOrEqual(end)
          expect(to).toBeGreaterThanOrEqual(end)
          end = to
        }
        expect(end).toBe(sample.length)
      }),
    )
  })

  test('special tokens inside a text cover their own letters', () => {
    const sample = 'play</s> play'
    expect(slices(tokenizer.encodeWithOffsets(sample), sample)).toEqual(['play', '</s>', ' ', 'play'])
  })
})

describe('other folders', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cotangent-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const write = (name: string, value: unknown) =>
    writeFile(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value))
  const message = async () => {
    const error = await loadTokenizer(folder).catch((caught: Error) => caught)
    return (error as Error).message.replaceAll(folder, 'FOLDER')
  }

  test('errors name the file', async () => {
    expect(await message()).toMatchInlineSnapshot(
      `"tokenizer: cannot read FOLDER/tokenizer.json (ENOENT); a model folder holds it"`,
    )
    await cp(`${stories}/tokenizer.json`, join(folder, 'tokenizer.json'))
    expect(await message()).toMatchInlineSnapshot(
      `"tokenizer: cannot read FOLDER/tokenizer_config.json (ENOENT); a model folder holds it"`,
    )
    await write('tokenizer_config.json', '{"bos_token": ')
    expect(await message()).toMatchInlineSnapshot(
      `"tokenizer: FOLDER/tokenizer_config.json is not JSON; fetch it again"`,
    )
    await write('tokenizer_config.json', { bos_token: '<s>', eos_token: null })
    expect(await message()).toMatchInlineSnapshot(
      `"tokenizer: FOLDER/tokenizer_config.json names no eos_token of the vocabulary; add it, since a text starts with BOS and ends with EOS"`,
    )
    await write('tokenizer_config.json', { bos_token: '<begin>', eos_token: '</s>' })
    expect(await message()).toMatchInlineSnapshot(
      `"tokenizer: FOLDER/tokenizer_config.json names no bos_token of the vocabulary; add it, since a text starts with BOS and ends with EOS"`,
    )
  })

  // As in Llama 3: pieces are written in GPT-2's letters for bytes, and no space is added.
  test('offsets of a byte-level tokenizer', async () => {
    const letters = '!"#$%&\'()*+,-./0123456789:;<=>?@[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~éÃ©ðŁİīĠĊ'
    const pieces = [...new Set(letters), 'th', 'the', 'Ġthe']
    await write('tokenizer.json', {
      added_tokens: ['<bos>', '<eos>'].map((content, i) => ({
        id: i,
        content,
        special: true,
        normalized: false,
      })),
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true },
      post_processor: null,
      decoder: { type: 'ByteLevel' },
      model: {
        type: 'BPE',
        vocab: Object.fromEntries(['<bos>', '<eos>', ...pieces].map((piece, id) => [piece, id])),
        merges: ['t h', 'th e', 'Ġ the'],
      },
    })
    await write('tokenizer_config.json', { bos_token: '<bos>', eos_token: { content: '<eos>' } })
    const byteLevel = await loadTokenizer(folder)
    const sample = 'the the é 🎉\n'
    const found = byteLevel.encodeWithOffsets(sample)
    expect([byteLevel.bos, byteLevel.eos]).toEqual([0, 1])
    expect(byteLevel.decode(found.ids)).toBe(sample)
    expect(found.offsets.map(([start, end]) => sample.slice(start, end))).toEqual([
      'the',
      ' the',
      ' ',
      'é',
      'é',
      ' ',
      '🎉',
      '🎉',
      '🎉',
      '🎉',
      '\n',
    ])
  })

  test('a tokenizer that changes the text has no offsets', async () => {
    const definition = JSON.parse(await readFile(`${stories}/tokenizer.json`, 'utf8'))
    await write('tokenizer.json', { ...definition, normalizer: { type: 'Lowercase' } })
    await cp(`${stories}/tokenizer_config.json`, join(folder, 'tokenizer_config.json'))
    const lowercase = await loadTokenizer(folder)
    expect(() => lowercase.encodeWithOffsets('a Lily')).toThrowErrorMatchingInlineSnapshot(
      `[Error: tokenizer: piece "l" is not what the text has at character 2; offsets need a tokenizer that keeps the text as it is]`,
    )
  })
})
