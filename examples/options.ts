// What `npm start` can be told, with defaults that fit the model and the data that ship with the project.

import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import type { Mask } from './data.ts'

const asset = (name: string): string =>
  relative(process.cwd(), fileURLToPath(new URL(`./assets/${name}`, import.meta.url)))

const whole =
  (least: number) =>
  (text: string): number => {
    const value = Number(text)
    if (Number.isInteger(value) && value >= least) return value
    throw new InvalidArgumentError(`use a whole number from ${least} up`)
  }

const positive = (text: string): number => {
  if (Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('use a number above 0')
}

const oneOf =
  <const T extends string>(...names: readonly T[]) =>
  (text: string): T => {
    const name = names.find((candidate) => candidate === text)
    if (name !== undefined) return name
    throw new InvalidArgumentError(`use ${names.join(', ')}`)
  }

export interface Options {
  readonly method: 'lora' | 'rasa' | 'both'
  readonly device?: 'webgpu' | 'wasm'
  readonly rank: number
  readonly shared: number
  readonly alpha: number
  readonly steps: number
  readonly batch: number
  readonly length: number
  readonly learningRate: number
  readonly mask: Mask
  readonly seed: number
  readonly out: string
  readonly model: string
  readonly data: string
  readonly heldout: string
}

export const readOptions = (argv: readonly string[]): Options =>
  new Command()
    .name('npm start --')
    .description('Fine-tunes a Llama with LoRA and with RaSA, and uses the result.')
    .option('--method <name>', 'lora, rasa or both', oneOf('lora', 'rasa', 'both'), 'both')
    .option(
      '--device <name>',
      'webgpu or wasm, the CPU; by default a GPU if there is one',
      oneOf('webgpu', 'wasm'),
    )
    .option('--rank <r>', 'ranks of a weight', whole(1), 8)
    .option('--shared <k>', 'RaSA: how many of them go to the pool', whole(1), 1)
    .option('--alpha <x>', 'scale of the adapter', positive, 16)
    .option('--steps <n>', 'training steps', whole(1), 25)
    .option('--batch <n>', 'rows of a step', whole(1), 2)
    .option('--length <n>', 'longest row in tokens; the rest is cut', whole(8), 256)
    .option('--learning-rate <x>', 'peak of warm-up and cosine', positive, 2e-3)
    .option(
      '--mask <kind>',
      "what the loss covers: response-only, or paper (all but the user's text)",
      oneOf('paper', 'response-only'),
      'response-only',
    )
    .option('--seed <n>', 'of initial values and the order of rows', whole(0), 42)
    .option('--out <folder>', 'where adapters, logs and the plot go', 'out/finetune')
    .option('--model <folder>', 'config.json, model.safetensors, tokenizer.json', asset('stories260K'))
    .option('--data <file>', 'JSON lines with question and answer', asset('gsm8k/train.jsonl'))
    .option('--heldout <file>', 'rows to evaluate on', asset('gsm8k/heldout.jsonl'))
    .showHelpAfterError()
    .parse([...argv])
    .opts<Options>()
