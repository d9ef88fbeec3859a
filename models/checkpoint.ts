// Models on disk in Hugging Face's layout: a folder with `config.json` and `model.safetensors`, or an index of several. What
// is where is given by a tree of names, so that reading and writing cannot disagree.

import { readJson, readTensors, type Tensor, tree, type Value, writeTensors } from '../core/index.ts'

/** The name and shape of an array in the files of a model; a leaf of a model's layout. */
export class Named {
  readonly name: string
  readonly shape: readonly number[]

  constructor(name: string, shape: readonly number[]) {
    this.name = name
    this.shape = shape
  }
}

const singleFile = 'model.safetensors'
const indexFile = 'model.safetensors.index.json'

/** The fields of a folder's `config.json`. */
export async function readConfig(folder: string): Promise<Readonly<Record<string, unknown>>> {
  return (await readJson(`${folder}/config.json`)) as Record<string, unknown>
}

/** The arrays of a model, in the tree of `layout`. */
export async function readWeights(folder: string, layout: unknown): Promise<unknown> {
  const found = await readAllTensors(folder)
  const wanted = tree.leaves(layout) as Named[]
  const missing = wanted.filter(({ name }) => !found.has(name)).map(({ name }) => name)
  if (missing.length > 0)
    throw new TypeError(
      `model: ${folder} lacks ${missing.join(', ')}; config.json does not belong to these weights`,
    )
  return tree.map(({ name, shape }: Named) => {
    const tensor = found.get(name)!
    if (String(tensor.shape) !== String(shape))
      throw new TypeError(
        `model: ${name} in ${folder} is [${tensor.shape}] but config.json asks for [${shape}]; they do not belong together`,
      )
    return tensor
  }, layout)
}

async function readAllTensors(folder: string): Promise<Map<string, Tensor>> {
  const { access } = await import('node:fs/promises')
  const exists = await access(`${folder}/${indexFile}`).then(
    () => true,
    () => false,
  )
  if (!exists) return readTensors(`${folder}/${singleFile}`)
  const { weight_map: files } = (await readJson(`${folder}/${indexFile}`)) as {
    weight_map: Record<string, string>
  }
  const shards = await Promise.all(
    [...new Set(Object.values(files))].map((file) => readTensors(`${folder}/${file}`)),
  )
  return new Map(shards.flatMap((shard) => [...shard]))
}

/** Writes the arrays of a model under the names of `layout`. */
export function writeWeights(folder: string, layout: unknown, params: unknown): Promise<void> {
  const arrays: (readonly [string, Value])[] = []
  tree.map((named: Named, value: unknown) => arrays.push([named.name, value as Value]), layout, params)
  return writeTensors(`${folder}/${singleFile}`, arrays)
}
