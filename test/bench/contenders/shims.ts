// What contenders written for browsers want of the global scope in Node: `navigator.gpu` that offers the adapter of the library,
// WebGPU's names, and the methods of iterators that Node 22 brought.

import { deviceReport } from 'cotangent'
import { globals } from 'webgpu'
import { chooseAdapter } from '../../../core/device/adapter.ts'

/** Methods that make an iterator of an iterator, and those that use one up. */
const lazy: Readonly<Record<string, (items: Iterable<unknown>, f: never) => Iterator<unknown>>> = {
  *map(items, f: (item: unknown) => unknown) {
    for (const item of items) yield f(item)
  },
  *filter(items, f: (item: unknown) => unknown) {
    for (const item of items) if (f(item)) yield item
  },
  *flatMap(items, f: (item: unknown) => Iterable<unknown>) {
    for (const item of items) yield* f(item)
  },
}
const eager = ['reduce', 'some', 'every', 'find', 'forEach'] as const

function giveIteratorsMethods(): void {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()))
  if ('map' in prototype) return
  const define = (name: string, value: (this: Iterable<unknown>, ...args: never[]) => unknown): void => {
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true })
  }
  define('toArray', function () {
    return Array.from(this)
  })
  for (const [name, method] of Object.entries(lazy))
    define(name, function (f: never) {
      return method(this, f)
    })
  for (const name of eager)
    define(name, function (...args: never[]) {
      return (Array.from(this)[name] as (...args: never[]) => unknown)(...args)
    })
}

let given = false

/** Makes the process look like a browser that has the library's adapter. The library's device is opened first. */
export async function lookLikeABrowser(): Promise<void> {
  if (given) return
  given = true
  const { source } = await deviceReport()
  // what is asked again is asked of the same place, and not of the navigator to come
  process.env.COTANGENT_ADAPTER = source
  const gpu = {
    requestAdapter: async () => (await chooseAdapter()).adapter,
    getPreferredCanvasFormat: () => 'bgra8unorm',
    wgslLanguageFeatures: new Set<string>(),
  }
  Object.assign(globalThis, globals)
  Object.defineProperty(globalThis, 'navigator', {
    configurable: true,
    writable: true,
    value: { userAgent: 'Node.js', hardwareConcurrency: 2, gpu },
  })
  giveIteratorsMethods()
}
