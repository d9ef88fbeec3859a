// LoRA (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2022, section 4.1): W + (alpha / r) B A.

import { evaluate, random, type Value, zeros } from '../core/index.ts'
import { compose, kaimingUniform, scaled, sumOf, type Weight } from '../nn/index.ts'
import { linears, type Match, type PeftMethod, replaceWeights, targetsOf } from './method.ts'

/** The rank and the targets of `lora`. */
export interface LoraOptions {
  /** Rows of `a` and columns of `b`; a positive whole number, else a `RangeError`. */
  readonly rank: number
  /** The update is scaled by `alpha / rank`. */
  readonly alpha: number
  /** The weights to adapt; every linear layer by default. */
  readonly match?: Match
}

/** The factors of one weight: `a` is `[rank, in]`, `b` is `[out, rank]`. */
export interface LoraFactors {
  readonly a: Value
  readonly b: Value
}

/** Factors by the path of the weight they adapt. */
export type LoraAdapter = Readonly<Record<string, LoraFactors>>

/**
 * Low-rank adaptation of the weights that `match` chooses, by default every linear layer.
 *
 * @example
 * ```ts
 * import { random, zeros } from 'cotangent'
 * import { countElements, lora } from 'cotangent/peft'
 * const base = { layers: [{ q: zeros([16, 32]) }] }
 * countElements(lora({ rank: 4, alpha: 8 }).init(random.key(0), base)) // 192
 * ```
 */
export function lora({ rank, alpha, match = linears }: LoraOptions): PeftMethod<LoraAdapter> {
  if (!Number.isInteger(rank) || rank < 1)
    throw new RangeError(`lora: rank ${rank} is no positive whole number; use 8, say`)
  return {
    init: (key, base) =>
      evaluate(() => {
        const entries = targetsOf('lora', base, match).map(({ path, shape: [out, inputs] }) => [
          path,
          { a: kaimingUniform(random.foldIn(key, `${path}.a`), [rank, inputs]), b: zeros([out, rank]) },
        ])
        return Object.fromEntries(entries) as LoraAdapter
      }),
    apply(base, adapter) {
      const adapted = Object.entries(adapter).map(([path, { a, b }]) => [
        path,
        (w: Weight) => sumOf(w, compose(a, scaled(alpha / rank, b))),
      ])
      return replaceWeights('lora', base, Object.fromEntries(adapted))
    },
    layout: {
      config: { peft_type: 'LORA', r: rank, lora_alpha: alpha },
      tensors: (adapter, moduleName) =>
        Object.entries(adapter).flatMap(([path, { a, b }]) => [
          [`base_model.model.${moduleName(path)}.lora_A.weight`, a] as const,
          [`base_model.model.${moduleName(path)}.lora_B.weight`, b] as const,
        ]),
      restore: (read, like, moduleName) =>
        Object.fromEntries(
          Object.entries(like).map(([path, { a, b }]) => [
            path,
            {
              a: read(`base_model.model.${moduleName(path)}.lora_A.weight`, a.shape),
              b: read(`base_model.model.${moduleName(path)}.lora_B.weight`, b.shape),
            },
          ]),
        ),
    },
  }
}
