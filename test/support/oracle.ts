// What a function means, in double precision: its graph, evaluated by `reference`.

import { reference, Tensor, trace, tree, type Value } from '../../core/index.ts'
import { type HostArray, toHost, toNdArray } from './host.ts'

type Hosts<T> = tree.MapLeaves<T, Value, HostArray>

/** `f` as a function of trees of host arrays, traced once at the types of `args`. Arrays it closes over are not read. */
export function oracle<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  args: Hosts<A>,
  captures: readonly HostArray[] = [],
): (...args: Hosts<A>) => Hosts<R> {
  const avals = tree.map((host: HostArray) => host.aval, args) as unknown as A
  const { graph, rebuild } = trace('oracle', f, avals)
  return (...args) => {
    const outputs = reference(graph, tree.leaves(args) as HostArray[], captures)
    const hosts = outputs.map(({ data, shape, dtype }) => toNdArray(data, shape, dtype))
    return rebuild(hosts as never) as unknown as Hosts<R>
  }
}

/** The results of `f` in double precision, at values on the device; what it closes over is read from there too. */
export async function referenceOf<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  args: A,
): Promise<Hosts<R>> {
  const { captured } = trace('reference', f, args)
  const read = (values: readonly unknown[]) =>
    Promise.all(
      values.map((value) => (value instanceof Tensor ? toHost(value) : toNdArray([Number(value)], []))),
    )
  const hosts = tree.unflatten(args, await read(tree.leaves(args))) as unknown as Hosts<A>
  return oracle(f, hosts, await read(captured))(...hosts)
}

/** `oracle` of a function that closes over arrays on the device, such as a table of positions. */
export async function oracleClosed<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  args: Hosts<A>,
): Promise<(...args: Hosts<A>) => Hosts<R>> {
  const avals = tree.map((host: HostArray) => host.aval, args) as unknown as A
  const { captured } = trace('oracle', f, avals)
  return oracle(f, args, await Promise.all(captured.map(toHost)))
}
