// Text to token ids and back through a model folder's tokenizer.json. The library reports no offsets, so they are
// found by spelling the pieces out in bytes and walking the text beside them: a space that only the tokenizer
// added is passed over, and any other difference is an error rather than a wrong mask.

import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers'

/** A tokenizer with the two special tokens that frame a text. */
export interface Tokenizer {
  readonly bos: number
  readonly eos: number
  readonly vocabularySize: number
  /** The ids of a text, after BOS if asked. */
  encode(text: string, options?: { readonly addBos?: boolean }): number[]
  /** The ids of a text and the half-open range of its characters (UTF-16 units) that each one covers. */
  encodeWithOffsets(text: string): { readonly ids: number[]; readonly offsets: [number, number][] }
  /** The text of ids, special tokens left out; decode a list whole, since one token may be part of a character. */
  decode(ids: Iterable<number>): string
}

interface TokenizerConfig {
  readonly bos_token?: string | { readonly content: string } | null
  readonly eos_token?: string | { readonly content: string } | null
}

/** Loads tokenizer.json and tokenizer_config.json of a folder in the Hugging Face layout. */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const definition = await readJson(`${folder}/tokenizer.json`)
  const config = await readJson(`${folder}/tokenizer_config.json`)
  const hub = new HubTokenizer(definition, config)
  const special = (role: 'bos_token' | 'eos_token'): number => {
    const token = (config as TokenizerConfig)[role]
    const id = token && hub.token_to_id(typeof token === 'string' ? token : token.content)
    if (typeof id !== 'number')
      throw new Error(
        `tokenizer: ${folder}/tokenizer_config.json names no ${role} of the vocabulary; add it, since a text starts with BOS and ends with EOS`,
      )
    return id
  }
  const bos = special('bos_token')
  const spell = speller(hub, definition)
  const tokenize = (text: string) => hub.encode(text, { add_special_tokens: false })
  return {
    bos,
    eos: special('eos_token'),
    vocabularySize: hub.get_vocab().size,
    encode: (text, { addBos = false } = {}) => (addBos ? [bos, ...tokenize(text).ids] : tokenize(text).ids),
    encodeWithOffsets(text) {
      const { ids, tokens } = tokenize(text)
      return { ids, offsets: align(text, tokens, spell) }
    },
    decode(ids) {
      const list = [...ids]
      const options = { skip_special_tokens: true, clean_up_tokenization_spaces: false }
      return list.length > 0 ? hub.decode(list, options) : ''
    },
  }
}

async function readJson(file: string): Promise<object> {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`tokenizer: cannot read ${file} (${cause.code}); a model folder holds it`, { cause })
  })
  try {
    return JSON.parse(text) as object
  } catch (cause) {
    throw new Error(`tokenizer: ${file} is not JSON; fetch it again`, { cause })
  }
}

type Speller = (piece: string) => Iterable<number>

function speller(hub: HubTokenizer, definition: object): Speller {
  const utf8 = new TextEncoder()
  const added = new Set([...hub.get_added_tokens_decoder().values()].map(({ content }) => content))
  if (JSON.stringify((definition as { decoder?: unknown }).decoder ?? null).includes('"ByteLevel"')) {
    const bytes = byteLevel()
    return (piece) =>
      added.has(piece) ? utf8.encode(piece) : Array.from(piece, (letter) => bytes.get(letter)!)
  }
  return (piece) => {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(piece)?.[1]
    return byte
      ? [Number.parseInt(byte, 16)]
      : utf8.encode(added.has(piece) ? piece : piece.replaceAll('▁', ' '))
  }
}

// GPT-2's letters for bytes: the printable bytes stand for themselves, the others take the letters from U+0100 on.
function byteLevel(): Map<string, number> {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
  let next = 256
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(printable(byte) ? byte : next++), byte]),
  )
}

function align(text: string, pieces: readonly string[], spell: Speller): [number, number][] {
  const bytes = new TextEncoder().encode(text)
  const at = characterOfByte(text, bytes.length)
  let cursor = 0
  const offsets = pieces.map((piece): [number, number] => {
    const start = cursor
    for (const byte of spell(piece)) {
      if (byte === bytes[cursor]) cursor++
      else if (byte !== 0x20)
        throw new Error(
          `tokenizer: piece "${piece}" is not what the text has at character ${at[cursor]}; offsets need a tokenizer that keeps the text as it is`,
        )
    }
    let end = cursor
    while (end > start && at[end] === at[end - 1]) end++
    return [at[start]!, at[end]!]
  })
  if (cursor < bytes.length)
    throw new Error(
      `tokenizer: the pieces end at character ${at[cursor]} of ${text.length}; offsets need a tokenizer that keeps the text as it is`,
    )
  return offsets
}

function characterOfByte(text: string, length: number): Uint32Array {
  const at = new Uint32Array(length + 1)
  let [byte, character] = [0, 0]
  for (const letter of text) {
    const point = letter.codePointAt(0)!
    const width = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4
    at.fill(character, byte, byte + width)
    byte += width
    character += letter.length
  }
  at[length] = text.length
  return at
}
