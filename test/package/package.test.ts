// The package as a stranger meets it: packed, laid into an empty project outside this one, type-checked as strictly as
// TypeScript can, run by plain Node. Its dependencies are links to ours, so nothing comes from the network.

import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { userLine } from '../../core/source.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const minutes = 60_000

const typed = `
import { grad, mul, sum, tensor, type Value } from 'cotangent'
import { llama } from 'cotangent/models'
import { linear, type Weight } from 'cotangent/nn'
import { chain } from 'cotangent/optim'
import { lora, type PeftMethod } from 'cotangent/peft'

const slope = await grad((x: Value) => sum(mul(x, x)))(tensor([1, 2, 3]))
export const elements: ArrayLike<number> = await slope.data()
export const layer = (x: Value, w: Weight): Value => linear(x, w)
export type Adapter<M> = M extends PeftMethod<infer A> ? A : never
export const functions: readonly (() => unknown)[] = [() => llama, () => chain, () => lora]
// @ts-expect-error: the types are real ones, not any
export const wrong: string = tensor([1])
`

const plain = `
import { grad, mul, sum, tensor } from 'cotangent'

const names = ['nn', 'optim', 'models', 'peft']
const modules = await Promise.all(names.map((name) => import('cotangent/' + name)))
const slope = await grad((x) => sum(mul(x, x)))(tensor([1, 2, 3]))
console.log(JSON.stringify([Array.from(await slope.data()), modules.every((all) => Object.keys(all).length > 0)]))
`

const mistaken = `
import { debug, grad, jit, log, matmul, sum, tensor, vmap, whileLoop, zeros } from 'cotangent'

const lines = {}
const thrown = (name, f) => {
  try { f() } catch (error) { lines[name] = error.stack }
}
const rejected = async (name, x) => { lines[name] = await x.data().then(String, (error) => error.source) }

const double = (x) => whileLoop((x) => x.less(9), (x) => x.mul(2), x)
thrown('direct', () => matmul(zeros([2, 3]), zeros([2, 3]))) // here: direct
thrown('deep', () => jit((x) => vmap(grad(double))(x))(zeros([3]))) // here: deep
const huge = zeros([2 ** 30]).add(1) // here: device
await rejected('device', huge)
const slope = jit((x) => sum(log(x))) // here: nan
await rejected('nan', debug.checked(slope)(tensor([-1])))
console.log(JSON.stringify(lines))
`

let folder = ''
let tarball = ''
const installed = (): string => join(folder, 'node_modules/cotangent')

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cotangent-package-'))
  await run('npm', ['pack', '--pack-destination', folder], root) // builds first
  tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz'))!
  await run('tar', ['-xzf', tarball], folder)
  await cp(join(folder, 'package'), installed(), { recursive: true })

  const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  for (const name of [...Object.keys(dependencies), '@sparticuz/chromium', '@types/node', 'typescript']) {
    await mkdir(dirname(join(folder, 'node_modules', name)), { recursive: true })
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name), 'junction')
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  await writeFile(join(folder, 'typed.ts'), typed)
  await writeFile(join(folder, 'plain.mjs'), plain)
  await writeFile(join(folder, 'mistaken.mjs'), mistaken)
}, 3 * minutes)

afterAll(() => rm(folder, { recursive: true, force: true }))

test('holds what was built and nothing else, in less than 1 MB', async () => {
  const files = await readdir(installed(), { recursive: true, withFileTypes: true })
  const names = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name))
  const paths = names.map((name) => name.slice(installed().length + 1).replaceAll('\\', '/'))
  const expected = /^(?:dist\/.+\.(?:js|d\.ts)|README\.md|LICENSE|CHANGELOG\.md|package\.json)$/
  expect(paths.filter((path) => !expected.test(path))).toEqual([])
  expect(paths).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'CHANGELOG.md', 'dist/index.js']))
  expect((await stat(join(folder, tarball))).size).toBeLessThan(1e6)
})

describe('type-checks with skipLibCheck off', () => {
  test.each([
    ['in Node', ['--lib', 'ES2023', '--types', 'node']],
    ['in a browser', ['--lib', 'ES2023,DOM']],
  ])('%s', async (_where, options) => {
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--noEmit']
    const modules = ['--module', 'nodenext', '--target', 'es2022', '--skipLibCheck', 'false']
    const tsc = 'node_modules/typescript/lib/tsc.js'
    await run(process.execPath, [tsc, ...strict, ...modules, ...options, 'typed.ts'], folder)
  })
})

test('runs in plain Node, and the process ends by itself', async () => {
  expect(JSON.parse(await run(process.execPath, ['plain.mjs'], folder))).toEqual([[2, 4, 6], true])
})

test('errors have the line of the program that uses it', async () => {
  const { direct, deep, device, nan } = JSON.parse(await run(process.execPath, ['mistaken.mjs'], folder))
  const place = (name: string): RegExp => {
    const line = mistaken.split('\n').findIndex((text) => text.endsWith(`// here: ${name}`)) + 1
    return new RegExp(`(?:^|/)mistaken\\.mjs:${line}:\\d+$`)
  }
  expect(userLine(direct)).toMatch(place('direct'))
  expect(userLine(deep)).toMatch(place('deep'))
  expect(device).toMatch(place('device'))
  expect(nan).toMatch(place('nan'))
})

/** What the program prints; rejects with it where the program fails. */
function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  const shell = process.platform === 'win32' && program === 'npm'
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, shell, timeout: minutes }, (error, stdout, stderr) =>
      error ? reject(new Error(`${program} ${args.join(' ')}\n${stdout}${stderr}`)) : resolve(stdout),
    )
  })
}
