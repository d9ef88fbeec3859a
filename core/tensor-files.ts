// Tensors by name, from and to safetensors files. A file is written beside its place and renamed, so it is never half there.

import { writeFileAtomic } from './files.ts'
import { decodeSafetensors, encodeSafetensors } from './safetensors.ts'
import { Aval } from './shape.ts'
import { Tensor } from './tensor.ts'
import type { Value } from './value.ts'

/** The tensors of a safetensors file. Halves and bf16 become f32. */
export async function readTensors(file: string): Promise<Map<string, Tensor>> {
  const { readFile } = await import('node:fs/promises')
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`safetensors: ${file} cannot be read (${error.code}); check the path`)
  })
  const { tensors } = decodeSafetensors(bytes, file)
  return new Map(
    [...tensors].map(([name, { shape, dtype, data }]) => [
      name,
      new Tensor(new Aval(shape, dtype), data, { operation: 'safetensors', site: null }),
    ]),
  )
}

/** Writes arrays under their names. */
export async function writeTensors(
  file: string,
  arrays: readonly (readonly [string, Value])[],
): Promise<void> {
  const entries = arrays.map(async ([name, value]) => {
    return [name, { dtype: value.dtype, shape: value.shape, data: await value.data() }] as const
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
