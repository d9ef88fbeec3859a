// RaSA (He et al., "RaSA: Rank-Sharing Low-Rank Adaptation", ICLR 2025): each of the L layers gives k of its r ranks to a pool
// that all of them use, so that with the parameters of LoRA a layer has r - k + Lk ranks (eq. 5):
//   W + B diag(d) A + B_pool diag(d') A_pool, with A, B, d and d' of the layer, and one A_pool, B_pool for a role.

import { concatenate, evaluate, full, mul, random, slice, type Value, zeros } from '../core/index.ts'
import { compose, diagonal, kaimingUniform, sumOf, type Weight } from '../nn/index.ts'
import type { LoraAdapter, LoraFactors } from './lora.ts'
import {
  linears,
  type Match,
  type PeftMethod,
  replaceWeights,
  roleOf,
  type Target,
  targetsOf,
} from './method.ts'

/** The ranks and the targets of `rasa`. */
export interface RasaOptions {
  /** Ranks a layer pays for, r. */
  readonly rank: number
  /** How many of them it gives to the pool, k; the paper's choice is max(⌊r / 8⌋, 1). */
  readonly shared: number
  /** The diagonals begin at `alpha / 2(r - k)` and `alpha / 2Lk` (eq. 6). */
  readonly alpha: number
  /** The weights to adapt; every linear layer by default. */
  readonly match?: Match
}

/** What a layer has to itself: `a` `[r - k, in]`, `b` `[out, r - k]`, `d` `[r - k]`, and `dShared` `[Lk]` for the pool. */
export interface RasaFactors extends LoraFactors {
  readonly d: Value
  readonly dShared: Value
}

/** What `rasa` trains. */
export interface RasaAdapter {
  /** By role: `a` `[Lk, in]` and `b` `[out, Lk]`, one leaf each that every layer reads. */
  readonly pool: Readonly<Record<string, LoraFactors>>
  /** By the path of the adapted weight. */
  readonly own: Readonly<Record<string, RasaFactors>>
}

/** Targets by role; those of a role must have one shape, since they share a pool. */
function groupByRole(targets: readonly Target[]): Map<string, Target[]> {
  const groups = new Map<string, Target[]>()
  for (const target of targets) groups.set(target.role, [...(groups.get(target.role) ?? []), target])
  for (const [role, [first, ...rest]] of groups) {
    const odd = rest.find(({ shape }) => String(shape) !== String(first!.shape))
    if (odd)
      throw new TypeError(
        `rasa: ${role} is [${first!.shape}] at "${first!.path}" but [${odd.shape}] at "${odd.path}"; match weights of one shape`,
      )
  }
  return groups
}

/** Rank-sharing adaptation of the weights that `match` chooses, by default every linear layer. */
export function rasa({ rank, shared, alpha, match = linears }: RasaOptions): PeftMethod<RasaAdapter> {
  if (!Number.isInteger(rank) || rank < 1)
    throw new RangeError(`rasa: rank ${rank} is no positive whole number; use 8, say`)
  if (!Number.isInteger(shared) || shared < 1)
    throw new RangeError(`rasa: shared ${shared} is no positive whole number; without shared ranks use lora`)
  if (shared >= rank)
    throw new RangeError(
      `rasa: shared ${shared} leaves no private rank out of ${rank}; shared must be less than rank`,
    )
  const own = rank - shared
  return {
    init: (key, base) =>
      evaluate(() => {
        const groups = [...groupByRole(targetsOf('rasa', base, match))]
        const pool = groups.map(([role, members]) => {
          const [out, inputs] = members[0]!.shape
          const size = members.length * shared
          return [
            role,
            { a: kaimingUniform(random.foldIn(key, `${role}.a`), [size, inputs]), b: zeros([out, size]) },
          ]
        })
        const private_ = groups.flatMap(([, members]) =>
          members.map(({ path, shape: [out, inputs] }) => [
            path,
            {
              a: kaimingUniform(random.foldIn(key, `${path}.a`), [own, inputs]),
              b: zeros([out, own]),
              d: full([own], alpha / (2 * own)),
              dShared: full([members.length * shared], alpha / (2 * members.length * shared)),
            },
          ]),
        )
        return { pool: Object.fromEntries(pool), own: Object.fromEntries(private_) } as RasaAdapter
      }),
    apply(base, adapter) {
      const adapted = Object.entries(adapter.own).map(([path, own]) => {
        const pool = adapter.pool[roleOf(path)]!
        const weight = (w: Weight): Weight =>
          sumOf(w, compose(own.a, diagonal(own.d), own.b), compose(pool.a, diagonal(own.dShared), pool.b))
        return [path, weight]
      })
      return replaceWeights('rasa', base, Object.fromEntries(adapted))
    },
    layout: {
      config: { peft_type: 'RASA', r: rank, rasa_k: shared, rasa_alpha: alpha },
      tensors: ({ pool, own }, moduleName) => [
        ...Object.entries(pool).flatMap(([role, { a, b }]) => [
          [`base_model.rasa_shared_A.${poolName(role, moduleName)}.weight`, a] as const,
          [`base_model.rasa_shared_B.${poolName(role, moduleName)}.weight`, b] as const,
        ]),
        ...Object.entries(own).flatMap(([path, { a, b, d, dShared }]) => [
          [`base_model.model.${moduleName(path)}.rasa_A.weight`, a] as const,
          [`base_model.model.${moduleName(path)}.rasa_B.weight`, b] as const,
          [`base_model.model.${moduleName(path)}.rasa_mixing.weight`, concatenate([d, dShared])] as const,
        ]),
      ],
      restore: (read, like, moduleName) => ({
        pool: mapValues(like.pool, ({ a, b }, role) => ({
          a: read(`base_model.rasa_shared_A.${poolName(role, moduleName)}.weight`, a.shape),
          b: read(`base_model.rasa_shared_B.${poolName(role, moduleName)}.weight`, b.shape),
        })),
        own: mapValues(like.own, ({ a, b, d, dShared }, path) => {
          const size = d.size + dShared.size
          const mixing = read(`base_model.model.${moduleName(path)}.rasa_mixing.weight`, [size])
          return {
            a: read(`base_model.model.${moduleName(path)}.rasa_A.weight`, a.shape),
            b: read(`base_model.model.${moduleName(path)}.rasa_B.weight`, b.shape),
            d: slice(mixing, { start: [0], end: [d.size] }),
            dShared: slice(mixing, { start: [d.size], end: [size] }),
          }
        }),
      }),
    },
  }
}

/** The authors' name of a pool: the module's path inside its layer, with `__` for dots. */
const poolName = (role: string, moduleName: (path: string) => string): string =>
  moduleName(role.replaceAll('*', '0'))
    .replace(/^.*?\.\d+\./, '')
    .replaceAll('.', '__')

const mapValues = <T, R>(
  record: Readonly<Record<string, T>>,
  f: (value: T, key: string) => R,
): Record<string, R> => Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value, key)]))

/**
 * The same update as an ordinary LoRA adapter of rank r - k + Lk, to be used with `alpha` equal to that rank:
 * `a = [A; A_pool]` and `b = [B, B_pool] diag(d, d')`.
 */
export const rasaToLora = ({ pool, own }: RasaAdapter): LoraAdapter =>
  evaluate(() =>
    mapValues(own, ({ a, b, d, dShared }, path) => {
      const shared = pool[roleOf(path)]!
      return {
        a: concatenate([a, shared.a], { axis: 0 }),
        b: concatenate([mul(b, d), mul(shared.b, dShared)], { axis: 1 }),
      }
    }),
  )
