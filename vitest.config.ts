// A worker opens the device once (0.3 s) and compiles its kernels (50 to 100 ms each without a GPU). Two of them:
// more would compete for the cores that the software adapter computes on.

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import type { Reporter } from 'vitest/node'

const root = fileURLToPath(new URL('.', import.meta.url))

/** Ends the run with `N passed, N failed` (and `, N skipped`), alone on a line, for CI to read. */
const counts: Reporter = {
  onTestRunEnd(modules, unhandledErrors) {
    let passed = 0
    let failed = unhandledErrors.length
    let skipped = 0
    for (const module of modules) {
      const states = Array.from(module.children.allTests(), (test) => test.result().state)
      passed += states.filter((state) => state === 'passed').length
      skipped += states.filter((state) => state === 'skipped').length
      const broken = states.filter((state) => state === 'failed' || state === 'pending').length
      failed += broken || Number(!module.ok()) // a file that does not load has no tests to fail
    }
    console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  },
}

/** What is about adapters, drivers and WGSL. */
const aboutAdapters = [
  'test/bench/**',
  'test/core/profile.test.ts',
  'test/device/{adapter,faults,memory,packs,polling,tiles}.test.ts',
  'test/docs/**',
  'test/kernels/**',
]

/** What needs no machine, or takes long and computes nothing that other tests do not. */
const once = [
  'test/core/numpy.test.ts',
  'test/device/wasm.test.ts',
  'test/examples/finetune.test.ts',
  'test/laws/programs.{fusion,meaning}.test.ts',
  'test/package/**',
]

const all = 'test/**/*.test.ts'

export default defineConfig({
  resolve: {
    // tsconfig's paths, for files outside its `include` too: the examples of doc comments run from out/
    alias: [
      { find: /^cotangent$/, replacement: `${root}index.ts` },
      { find: /^cotangent\/(\w+)$/, replacement: `${root}$1/index.ts` },
    ],
  },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    reporters: ['default', counts],
    // Everything runs on both targets, but for what is about one of them.
    projects: [
      {
        extends: true,
        test: {
          name: 'cpu',
          include: [all],
          exclude: aboutAdapters,
          env: { COTANGENT_ADAPTER: 'wasm' },
        },
      },
      {
        extends: true,
        test: {
          name: 'adapter',
          include: [all],
          exclude: once,
          env: { COTANGENT_ADAPTER: process.env.COTANGENT_ADAPTER ?? 'webgpu' },
        },
      },
    ],
  },
})
