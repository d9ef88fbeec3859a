// Every `@example` of the sources and every program of the README and of the guides runs. What a comment behind a statement
// says, as in `await x.data() // [2, 4, 6]`,
// is compared with the statement's value, or with that of the constant it declares; any other comment is prose.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { typeErrors } from '../support/types.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const target = `${root}out/examples`
await rm(target, { recursive: true, force: true })
await mkdir(target, { recursive: true })

/** The fenced code of each `@example` in a source text. */
function extract(source: string): string[] {
  const comments = (source.match(/\/\*\*.*?\*\//gs) ?? []).map((text) => text.replace(/^[ \t]*\* ?/gm, ''))
  const examples = comments.flatMap((comment) => comment.split(/^@example/m).slice(1))
  return examples.flatMap(fenced)
}

const preamble = `export const checks: unknown[][] = []
const read = async (x: any): Promise<unknown[]> => {
  x = await x
  if (typeof x?.data === 'function') return Array.from(await x.data())
  return ArrayBuffer.isView(x) ? Array.from(x as never) : Array.isArray(x) ? (await Promise.all(x.map(read))).flat() : [x]
}
`

/** The fenced code of a text. */
const fenced = (text: string): string[] =>
  Array.from(text.matchAll(/^```ts\n(.*?)^```/gms), ([, code]) => code!)

/** The example as a module that exports `checks`: the elements of each value, those in its comment, the statement. */
function instrument(code: string): string {
  const file = ts.createSourceFile('example.ts', code, ts.ScriptTarget.ES2022)
  const statements = file.statements.map((statement) => {
    const text = statement.getFullText(file)
    const [comment] = ts.getTrailingCommentRanges(code, statement.end) ?? []
    const expected = comment && literal(code.slice(comment.pos + 2, comment.end))
    if (expected === undefined) return text
    const declaration = ts.isVariableStatement(statement) && statement.declarationList.declarations.at(-1)
    const value = declaration ? declaration.name : ts.isExpressionStatement(statement) && statement.expression
    if (!value) throw new Error(`${statement.getText(file)}: has no value to compare with ${expected}`)
    const check = `await read(${value.getText(file)}), await read(${expected}), ${JSON.stringify(statement.getText(file))}`
    return `${declaration ? text : ''}\n;checks.push([${check}])`
  })
  return `${preamble}${statements.join('')}\n`
}

/** The comment where it is a number, string or boolean, or an array of them; undefined where it is prose. */
function literal(comment: string): string | undefined {
  const text = comment.trim()
  const parts = text.startsWith('[') ? text.split(/[[\],]/) : [text || 'prose']
  const scalar = /^(?:-?\d[\d_.]*(?:e[+-]?\d+)?|-?Infinity|NaN|true|false|null|'[^']*'|)$/
  return parts.every((part) => scalar.test(part.trim())) ? text : undefined
}

const agree = (got: readonly unknown[], wanted: readonly unknown[]): boolean =>
  got.length === wanted.length && wanted.every((y, i) => close(got[i], y))

const close = (x: unknown, y: unknown): boolean =>
  x === y ||
  Object.is(x, y) ||
  (typeof y === 'number' && Math.abs(Number(x) - y) <= 1e-5 * Math.abs(y) + 1e-7)

async function execute(name: string, code: string): Promise<[unknown[], unknown[], string][]> {
  await writeFile(`${target}/${name}.ts`, instrument(code))
  return (await import(`${target}/${name}.ts`)).checks
}

const sources = ['core', 'autodiff', 'nn', 'optim', 'models', 'peft'].map(async (folder) => {
  const names = await readdir(root + folder, { recursive: true })
  return names.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`)
})
const pages = ['README.md', 'docs/coming-from-jax.md', 'docs/debugging.md', 'docs/profiling.md'].map(
  async (page) => {
    const programs = fenced(await readFile(root + page, 'utf8')).filter((code) => code.includes('import '))
    return [page, programs] as const
  },
)
for (const [source, codes] of [
  ...(await Promise.all(pages)),
  ...(await Promise.all(
    (
      await Promise.all(sources)
    )
      .flat()
      .map(async (source) => [source, extract(await readFile(root + source, 'utf8'))] as const),
  )),
])
  for (const [i, code] of codes.entries())
    test(`${source}, example ${i + 1}`, async () => {
      for (const [got, wanted, statement] of await execute(`${source.replaceAll(/\W/g, '-')}-${i + 1}`, code))
        if (!agree(got, wanted)) expect(got, statement).toEqual(wanted)
    })

test('the programs of the README and the guide have no type errors', async () => {
  const texts = (await Promise.all(pages)).flatMap(([page, programs]) =>
    programs.map((code, i) => [`${page}, example ${i + 1}`, code] as const),
  )
  expect(typeErrors(new Map(texts))).toEqual([])
})

test('examples are found, run and compared', async () => {
  const code = `const x = { data: async () => Float32Array.of(2, 0.1) } // f32[2]
await x.data() // [[2], [0.1]]
x // [2, 0.2]
Math
  .max(1, 3) // 4
const [a, b] = [x, 1] // [2, 0.1, 1]
`
  const doc = `/**\n * Prose.\n *\n * @example\n * \`\`\`ts\n${code.replaceAll(/^(?=.)/gm, ' * ')} * \`\`\`\n */\n`
  expect(extract(`/** No example. */\n${doc}const f = '@example'\n`)).toEqual([code])
  const checks = await execute('self-test', code)
  expect(checks.map(([got, wanted]) => agree(got, wanted))).toEqual([true, false, false, true])
  expect(() => instrument('if (true) {} // 3')).toThrow('if (true) {}: has no value to compare with 3')
})
