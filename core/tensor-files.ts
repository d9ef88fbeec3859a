// Tensors by name, from and to safetensors files. A file is written beside its place and renamed, so it is never half there.

import { toWords, type Words } from './dtype.ts'
import { writeFileAtomic } from './files.ts'
import { decodeSafetensors, encodeSafetensors } from './safetensors.ts'
import { Aval } from './shape.ts'
import { Tensor } from './tensor.ts'
import type { Value } from './value.ts'

/** The tensors of a safetensors file. F16 and BF16 stay as they are, at two bytes an element. */
export async function readTensors(file: string): Promise<Map<string, Tensor>> {
  const { readFile } = await import('node:fs/promises')
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`safetensors: ${file} cannot be read (${error.code}); check the path`)
  })
  const { tensors } = decodeSafetensors(bytes, file)
  return new Map(
    [...tensors].map(([name, { shape, dtype, data }]) => [
      name,
      new Tensor(new Aval(shape, dtype), wholeWords(data), { operation: 'safetensors', site: null }),
    ]),
  )
}

/** An odd number of 16-bit elements, with one more. */
function wholeWords(data: Words): Words {
  if (!(data instanceof Uint16Array) || data.length % 2 === 0) return data
  const padded = new Uint16Array(data.length + 1)
  padded.set(data)
  return padded
}

/** Writes arrays under their names. */
export async function writeTensors(
  file: string,
  arrays: readonly (readonly [string, Value])[],
): Promise<void> {
  const entries = arrays.map(async ([name, value]) => {
    const { dtype, shape, size } = value
    const words = toWords(dtype, await value.data())
    return [name, { dtype, shape, data: words.subarray(0, size) }] as const
  })
  const encoded = encodeSafetensors(
    (await Promise.all(entries)).map(([name, array]) => [name, array]),
    { format: 'pt' },
  )
  await writeFileAtomic(file, encoded)
}

/** The value of a JSON file; an error names the file. */
export async function readJson(file: string): Promise<unknown> {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`json: ${file} cannot be read (${error.code}); check the path`)
  })
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new SyntaxError(`json: ${file} is no JSON: ${(error as Error).message}; write it again`)
  }
}

/** Writes a value as indented JSON with sorted keys. */
export function writeJson(file: string, value: Readonly<Record<string, unknown>>): Promise<void> {
  const sorted = Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
  return writeFileAtomic(file, `${JSON.stringify(sorted, null, 2)}\n`)
}
