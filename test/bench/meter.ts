// What is asked of WebGPU, by whomever: Dawn's methods are counted where they are defined, so that every contender in the
// process is measured in the same way.

import { globals } from 'webgpu'

/** What was asked for in a while. */
export interface Asked {
  readonly dispatches: number
  readonly submits: number
  readonly pipelines: number
  /** Time in which at least one pipeline was being made. */
  readonly pipelineMilliseconds: number
}

type Method = (this: unknown, ...args: unknown[]) => unknown

const counts = { dispatches: 0, submits: 0, pipelines: 0, pipelineMilliseconds: 0 }
const making = { count: 0, since: 0 }

const begin = (): void => {
  counts.pipelines += 1
  if (making.count++ === 0) making.since = performance.now()
}

const end = (): void => {
  if (--making.count === 0) counts.pipelineMilliseconds += performance.now() - making.since
}

/** The methods of Dawn that are counted: what runs before, and what after (of a promise, when it is settled). */
const counted: readonly (readonly [string, string, () => void, (() => void)?])[] = [
  ['GPUQueue', 'submit', () => counts.submits++],
  ['GPUComputePassEncoder', 'dispatchWorkgroups', () => counts.dispatches++],
  ['GPUComputePassEncoder', 'dispatchWorkgroupsIndirect', () => counts.dispatches++],
  ['GPUDevice', 'createComputePipeline', begin, end],
  ['GPUDevice', 'createComputePipelineAsync', begin, end],
]

/** What `f` asks for, and its result. Outside of it nothing is counted, and nothing slows anyone down. */
export async function metered<T>(
  f: () => Promise<T>,
): Promise<{ readonly asked: Asked; readonly result: T }> {
  const before = { ...counts }
  const restore = counted.map(([type, name, begin, end]) => {
    const { prototype } = (globals as unknown as Record<string, { prototype: Record<string, Method> }>)[type]!
    const method = prototype[name]!
    prototype[name] = function (...args) {
      begin()
      const made = method.apply(this, args)
      if (made instanceof Promise) made.then(end, end)
      else end?.()
      return made
    }
    return () => {
      prototype[name] = method
    }
  })
  try {
    const result = await f()
    const since = <K extends keyof Asked>(name: K): number => counts[name] - before[name]
    return {
      result,
      asked: {
        dispatches: since('dispatches'),
        submits: since('submits'),
        pipelines: since('pipelines'),
        pipelineMilliseconds: since('pipelineMilliseconds'),
      },
    }
  } finally {
    for (const undo of restore) undo()
  }
}
