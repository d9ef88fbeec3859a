// Adapters on disk in PEFT's layout: a folder with `adapter_config.json` and `adapter_model.safetensors`. Nothing is loaded
// in part: a file that lacks a tensor, has one too many, or is for another base is refused with the names.

import {
  evalShape,
  evaluate,
  random,
  readJson,
  readTensors,
  type Shape,
  type Value,
  writeJson,
  writeTensors,
} from '../core/index.ts'
import type { Layout, PeftMethod } from './method.ts'

/** What a file of an adapter says of its base. */
export interface AdapterFileOptions {
  /** The name, in the base model's files, of the module whose weight is at a path of the parameter tree. */
  readonly moduleName: (path: string) => string
  /** Where the base comes from, for the people and programs that read the file. */
  readonly baseModel?: string
}

const configFile = 'adapter_config.json'
const weightsFile = 'adapter_model.safetensors'

/** Options of PEFT that change what the tensors mean; an adapter that uses one is not what a method here would make of it. */
const unknownOptions = [
  'alpha_pattern',
  'layer_replication',
  'rank_pattern',
  'use_dora',
  'use_rslora',
] as const

const isSet = (option: unknown): boolean =>
  typeof option === 'object' && option !== null ? Object.keys(option).length > 0 : Boolean(option)

function layoutOf<A>(op: string, { layout }: PeftMethod<A>): Layout<A> {
  if (layout === undefined)
    throw new TypeError(`${op}: this method has no file layout; give it a layout, or merge the adapter`)
  return layout
}

/** Writes an adapter as PEFT would. */
export async function saveAdapter<A>(
  folder: string,
  method: PeftMethod<A>,
  adapter: A,
  { moduleName, baseModel = '' }: AdapterFileOptions,
): Promise<void> {
  const layout = layoutOf('saveAdapter', method)
  let names: readonly string[] = []
  const values = evaluate(() => {
    const tensors = layout.tensors(adapter, moduleName)
    names = tensors.map(([name]) => name)
    return tensors.map(([, value]) => value)
  })
  const modules = names.flatMap((name) => /^base_model\.model\.(.*)\.\w+\.weight$/.exec(name)?.[1] ?? [])
  await writeTensors(
    `${folder}/${weightsFile}`,
    names.map((name, k) => [name, values[k]!] as const),
  )
  await writeJson(`${folder}/${configFile}`, {
    ...layout.config,
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    target_modules: [...new Set(modules)].sort(),
    task_type: 'CAUSAL_LM',
  })
}

/** Reads an adapter of `method` for `base`, or says why the folder does not hold one. */
export async function loadAdapter<A>(
  folder: string,
  method: PeftMethod<A>,
  base: unknown,
  { moduleName }: AdapterFileOptions,
): Promise<A> {
  const layout = layoutOf('loadAdapter', method)
  const config = (await readJson(`${folder}/${configFile}`)) as Record<string, unknown>
  for (const [field, value] of Object.entries(layout.config))
    if (config[field] !== value)
      throw new TypeError(
        `loadAdapter: ${folder}/${configFile} has ${field} ${config[field]}, not ${value}; load it with the method that made it`,
      )
  const option = unknownOptions.find((name) => !(name in layout.config) && isSet(config[name]))
  if (option !== undefined)
    throw new TypeError(
      `loadAdapter: ${folder}/${configFile} sets ${option}, which this method does not have; merge the adapter with PEFT`,
    )
  const file = `${folder}/${weightsFile}`
  const found = await readTensors(file)
  const like = evalShape((base: unknown) => method.init(random.key(0), base))(base)
  const missing: string[] = []
  const used = new Set<string>()
  const restored = evaluate(() =>
    layout.restore(
      (name: string, shape: Shape): Value => {
        const tensor = found.get(name)
        used.add(name)
        if (tensor === undefined) missing.push(name)
        else if (String(tensor.shape) !== String(shape))
          throw new TypeError(
            `loadAdapter: ${name} of ${file} is [${tensor.shape}], but this base and method need [${shape}]; it is for another base or rank`,
          )
        return tensor ?? found.values().next().value!
      },
      like,
      moduleName,
    ),
  )
  const unexpected = [...found.keys()].filter((name) => !used.has(name))
  if (missing.length + unexpected.length > 0)
    throw new TypeError(
      `loadAdapter: ${file} lacks [${missing.join(', ')}] and has [${unexpected.join(', ')}] too many; it is for another base or method`,
    )
  return restored
}
