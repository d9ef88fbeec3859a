// Rounds: in each, every contender has its turn, timed by npm `benchmark`, so that what disturbs the machine meanwhile disturbs
// them alike.

import Benchmark from 'benchmark'

/** Someone whose calls are timed; `milliseconds` is what a call takes, roughly. */
export interface Turn {
  readonly name: string
  readonly call: () => Promise<void>
  readonly milliseconds: number
}

/** A turn is as many calls as take so long, so that the clock and the wait for the last one hardly count. */
export const turnTime = 20
const maxCalls = 32

/** After so long, in milliseconds, there are no more rounds than these. */
const enough = 60_000
const fewest = 3

/** The milliseconds of a call, in each round, of each contender. */
export async function play(turns: readonly Turn[], rounds: number): Promise<number[][]> {
  const timers = turns.map(timer)
  const samples: number[][] = turns.map(() => [])
  const start = performance.now()
  for (let round = 0; round < rounds; round++) {
    if (round >= fewest && performance.now() - start > enough) break
    // nobody always comes after the same one
    for (let k = 0; k < turns.length; k++) {
      const turn = (k + round) % turns.length
      samples[turn]!.push(1000 * (await timers[turn]!()))
    }
  }
  return samples
}

/** The seconds of a call, from one sample of a benchmark. */
function timer({ name, call, milliseconds }: Turn): () => Promise<number> {
  let settle: { resolve(seconds: number): void; reject(error: unknown): void }
  const benchmark: Benchmark = new Benchmark(name, {
    defer: true,
    async: true,
    minSamples: 1,
    maxTime: 0,
    minTime: 1e-9,
    delay: 0,
    initCount: Math.min(Math.max(Math.round(turnTime / milliseconds), 1), maxCalls),
    fn: (deferred: { resolve(): void }) => {
      call().then(
        () => deferred.resolve(),
        (error) => settle.reject(error),
      )
    },
    onComplete: () => settle.resolve(benchmark.stats.sample[0]!),
  })
  return () =>
    new Promise((resolve, reject) => {
      settle = { resolve, reject }
      benchmark.run({ async: true })
    })
}

/** The middle one; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const [low, high] = [sorted[(sorted.length - 1) >> 1]!, sorted[sorted.length >> 1]!]
  return (low + high) / 2
}
