// docs/numpy.md: each public function of JAX, what it is called here, and how it differs or why it is absent.

import * as cotangent from '../../index.ts'
import * as nn from '../../nn/index.ts'
import names from '../golden/names.json' with { type: 'json' }
import { typeErrors } from '../support/types.ts'
import { absent, composed, differences, renamed } from './numpy.notes.ts'

const { versions, ...modules } = names

/** Where the names of a module of JAX are looked for. */
const ours: Readonly<Record<keyof typeof modules, object>> = {
  jnp: cotangent,
  'jnp.linalg': cotangent.linalg,
  lax: cotangent,
  nn: { ...cotangent, ...nn },
  random: cotangent.random,
  jax: cotangent,
  tree: cotangent.tree,
}

/** The namespaces of names that are not at the root. */
const prefixes: { readonly [module: string]: string } = {
  'jnp.linalg': 'linalg.',
  random: 'random.',
  tree: 'tree.',
}

/** Names that mean something else here: tracing a function is not the trace of a matrix. */
const otherThings = ['jnp.trace']

/** The function of ours that has the name of JAX's. */
const sameName = (module: keyof typeof modules, short: string): string | undefined =>
  otherThings.includes(`${module}.${short}`)
    ? undefined
    : Object.keys(ours[module]).find((key) => plain(key) === plain(short) && !/^[A-Z]/.test(key))

const plain = (name: string): string => name.toLowerCase().replaceAll('_', '')

/** Whether `name`, with its namespace, is ours. */
const exists = (name: string): boolean =>
  name.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], {
    ...cotangent,
    ...nn,
  }) !== undefined

interface Row {
  /** `jnp.cumsum` */
  readonly name: string
  readonly ours: string
  readonly note: string
}

const absences = new Map(
  absent.flatMap(({ why, names }) =>
    names
      .trim()
      .split(/\s+/)
      .map((name) => [name, why] as const),
  ),
)

function rowOf(module: keyof typeof modules, short: string): Row {
  const name = `${module}.${short}`
  const note = differences[name] ?? ''
  const found = sameName(module, short)
  if (renamed[name] !== undefined) return { name, ours: `\`${renamed[name]}\``, note }
  if (composed[name] !== undefined) return { name, ours: `\`${composed[name]}\``, note }
  if (found !== undefined) return { name, ours: `\`${prefixes[module] ?? ''}${found}\``, note }
  return { name, ours: '', note: absences.get(name) ?? '' }
}

const modulesOf = Object.keys(modules) as (keyof typeof modules)[]
const rows = (module: keyof typeof modules): Row[] => modules[module].map((short) => rowOf(module, short))

/** What a note or an expression says that is not so. */
export function problems(): string[] {
  const all = modulesOf.flatMap(rows)
  const known = new Map(all.map((row) => [row.name, row]))
  const missing = all
    .filter((row) => row.ours === '' && row.note === '')
    .map(({ name }) => `${name}: say what it is`)
  const stale = [renamed, composed, differences]
    .flatMap(Object.keys)
    .concat([...absences.keys()])
    .filter((name) => !known.has(name))
    .map((name) => `${name}: JAX has no such function`)
  const unneeded = [
    ...[...absences.keys()]
      .filter((name) => known.get(name)?.ours)
      .map((name) => `${name}: is here, not absent`),
    ...Object.keys(differences)
      .filter((name) => known.get(name)?.ours === '')
      .map((name) => `${name}: differs but is not here`),
    ...Object.keys({ ...renamed, ...composed })
      .filter((name) => isSame(name))
      .map((name) => `${name}: has its own name here, so it needs no other`),
  ]
  const unknown = Object.values(renamed)
    .filter((name) => !exists(name))
    .map((name) => `${name}: is no name of ours`)
  return [...missing, ...stale, ...unneeded, ...unknown, ...wrongExpressions()]
}

/** Whether a name is found without a note. */
function isSame(name: string): boolean {
  const at = name.lastIndexOf('.')
  const module = name.slice(0, at) as keyof typeof modules
  return module in modules && sameName(module, name.slice(at + 1)) !== undefined
}

/** What the names in expressions stand for. */
const variables = `
declare const x: Value, y: Value, z: Value, u: Value, s: Value, p: Value, i: Value, ids: Value, mask: Value, bins: Value
declare const first: Value, second: Value, condition: Value, value: Value, head: Value, tail: Value, rows: Value, columns: Value
declare const centred: Value, covariance: Value, keys: Value, values: Value, key: Value, k1: Value, k2: Value
declare const xs: Value[], shape: number[], places: number[], axes: number[], powers: number[], starts: number[], sizes: number[]
declare const a: number, b: number, c: number, n: number, k: number, axis: number, from: number, to: number
declare const start: number, stop: number, step: number, data: number[], f: any, g: any
`

/** What the compiler says of the expressions. */
function wrongExpressions(): string[] {
  const codes = Object.entries(composed)
  const imports = Object.keys(cotangent).join(', ')
  const head = `import { ${imports} } from 'cotangent'\nimport { sigmoid } from 'cotangent/nn'${variables}export const expressions = [\n`
  const text = `${head}${codes.map(([, code]) => `  ${code},\n`).join('')}]\n`
  return typeErrors(new Map([['expressions', text]])).map(({ line, message }) => {
    const code = codes[line - head.split('\n').length]
    return `${code?.join(': ') ?? 'the variables'}: ${message}`
  })
}

const titles: Readonly<Record<keyof typeof modules, string>> = {
  jnp: 'jax.numpy',
  'jnp.linalg': 'jax.numpy.linalg',
  lax: 'jax.lax',
  nn: 'jax.nn',
  random: 'jax.random',
  jax: 'jax',
  tree: 'jax.tree',
}

function section(module: keyof typeof modules): string {
  const all = rows(module)
  const present = all.filter((row) => row.ours !== '')
  const missing = all.filter((row) => row.ours === '')
  const reasons = absent.map(({ why }) => why).filter((why) => missing.some(({ note }) => note === why))
  const short = (name: string): string => `\`${name.slice(module.length + 1)}\``
  return [
    `## ${titles[module]}`,
    [
      '| JAX | here | |',
      '|---|---|---|',
      ...present.map((row) => `| ${short(row.name)} | ${row.ours} | ${row.note} |`),
    ].join('\n'),
    reasons.length > 0 ? 'Not here:' : '',
    reasons
      .map((why) => {
        const names = missing.filter(({ note }) => note === why).map(({ name }) => short(name))
        return `- ${why} ${names.join(' ')}`
      })
      .join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** The page. */
export function numpyPage(): string {
  const all = modulesOf.flatMap(rows)
  const here = all.filter((row) => row.ours !== '').length
  return `# Names of JAX

The public functions of JAX ${versions.jax} (classes left out) and what they are here: ${here} of ${all.length}. Names are those of JAX
in camelCase, options stand in one object behind the arrays, and \`None\` is \`null\`. An expression in the middle column says how
to write what has no name here. This page is made by \`npm run docs\`; a test fails if a name is missing or a note is stale. What
differs besides names: [coming from JAX](coming-from-jax.md).

${modulesOf.map(section).join('\n\n')}
`
}
