// What may be said where, read from the sources: WGSL is spelled in one folder, and no transform and no part of the compiler
// names an operation. Prints how many lines the engine has.

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, test } from 'vitest'
import * as operations from '../../core/ops/index.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const filesOf = (folder: string): string[] =>
  readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`)
    .sort()

const parse = (file: string, text = readFileSync(root + file, 'utf8')): ts.SourceFile =>
  ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)

/** Every node of a file. */
function nodesOf(file: ts.Node): ts.Node[] {
  const nodes: ts.Node[] = []
  const visit = (node: ts.Node): void => {
    nodes.push(node)
    ts.forEachChild(node, visit)
  }
  visit(file)
  return nodes
}

/** The texts that a program can print: those of strings and templates. */
const textsOf = (file: ts.SourceFile): string[] =>
  nodesOf(file)
    .filter((node) => ts.isStringLiteralLike(node) || ts.isTemplateLiteralToken(node))
    .map(({ text }) => text)

// ---- WGSL

const wgsl =
  /@(?:compute|binding|group|builtin|workgroup_size)\b|\b(?:array|vec[234]|mat[234]x[234]|ptr|var|bitcast)<|\bfn \w+\(/

const spellsWgsl = (file: ts.SourceFile): string[] => textsOf(file).filter((text) => wgsl.test(text))

test('WGSL is spelled in core/compile/wgsl only', () => {
  const files = ['core', 'autodiff', 'nn', 'optim', 'models', 'peft', 'examples'].flatMap(filesOf)
  const outside = files.filter((file) => !file.startsWith('core/compile/wgsl/'))
  const found = outside.flatMap((file) => spellsWgsl(parse(file)).map((text) => `${file}: ${text}`))
  expect(found).toEqual([])
  expect(files.filter((file) => spellsWgsl(parse(file)).length > 0).length).toBeGreaterThan(0)
})

// ---- names of operations

/** The names that records give their primitives, and those of the functions that users call. */
const names = new Set([
  ...Object.keys(operations),
  ...[...filesOf('core/ops'), ...filesOf('core/linalg'), ...filesOf('autodiff/structured')]
    .flatMap((file) => nodesOf(parse(file)))
    .filter((node) => ts.isPropertyAssignment(node) && node.name.getText() === 'name')
    .map((node) => (node as ts.PropertyAssignment).initializer)
    .filter((node) => ts.isStringLiteral(node))
    .map(({ text }) => text),
])

/** The words of the middle form: the operators of scalar expressions and the kinds of lowering. They are no operations. */
const middle = new Set(['core/scalar.ts', 'core/primitive.ts'].flatMap((file) => textsOf(parse(file))))

/** What a machine may name after all, and why. */
const exceptions: readonly { readonly file: string; readonly name: string; readonly why: string }[] = [
  { file: 'autodiff/linearize.ts', name: 'add', why: 'sums the cotangents of a value that is used twice' },
  { file: 'autodiff/vmap.ts', name: 'broadcastTo', why: 'repeats a result that all examples share' },
  { file: 'autodiff/vmap.ts', name: 'moveaxis', why: 'puts the examples of a result where outAxes says' },
]

/** Functions that call transforms, as a user's would, and see no graph: they may compute with arrays. */
const compositions = ['autodiff/check.ts', 'autodiff/jacobian.ts']

const transforms = filesOf('autodiff').filter((file) => !file.startsWith('autodiff/structured/'))
const machines = [...transforms.filter((file) => !compositions.includes(file)), ...filesOf('core/compile')]
const program = ts.createProgram(
  machines.map((file) => root + file),
  {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    allowImportingTsExtensions: true,
    noEmit: true,
  },
)
const checker = program.getTypeChecker()

/** The operations that a file names: imported, called as a method of a value, or as the name of a primitive in a string. */
function namedIn(file: ts.SourceFile): string[] {
  const found = nodesOf(file).flatMap((node) => {
    if (ts.isImportSpecifier(node))
      return isOperation(node.name) ? [(node.propertyName ?? node.name).text] : []
    if (ts.isNamespaceImport(node)) return isOperations(node) ? Object.keys(operations) : []
    if (ts.isPropertyAccessExpression(node)) return isValue(node.expression) ? [node.name.text] : []
    const isTarget = /\/core\/compile\/(?:wgsl|wasm)\//.test(file.fileName) // spells operations of a machine
    return ts.isStringLiteralLike(node) && !isTarget && !middle.has(node.text) ? [node.text] : []
  })
  return [...new Set(found)].filter((name) => names.has(name))
}

/** Whether a name that is imported is declared among the operations. */
function isOperation(name: ts.Node): boolean {
  const symbol = checker.getAliasedSymbol(checker.getSymbolAtLocation(name)!)
  return symbol.declarations?.[0]?.getSourceFile().fileName.includes('/core/ops/') ?? false
}

/** Whether a namespace has all operations. */
const isOperations = (node: ts.NamespaceImport): boolean =>
  checker.getTypeAtLocation(node).getProperty('matmul') !== undefined

const isValue = (node: ts.Expression): boolean => {
  const type = checker.getTypeAtLocation(node)
  return type.getProperty('aval') !== undefined && type.getProperty('item') !== undefined
}

test('no transform and no part of the compiler names an operation', () => {
  const found = machines.flatMap((file) =>
    namedIn(program.getSourceFile(root + file)!).map((name) => ({ file, name })),
  )
  expect(found).toEqual(exceptions.map(({ file, name }) => ({ file, name })))
})

test('compositions of transforms see no graph', () => {
  const graphs = [
    'bind',
    'Builder',
    'Graph',
    'interpret',
    'trace',
    'jvpGraph',
    'linearizeGraph',
    'batchGraph',
  ]
  for (const file of compositions)
    expect(
      nodesOf(parse(file))
        .filter((node) => ts.isImportSpecifier(node))
        .map((node) => node.name.text)
        .filter((name) => graphs.includes(name)),
      file,
    ).toEqual([])
})

test('names are found where they are', () => {
  expect(names).toContain('reduce_sum')
  expect(names).toContain('matmul')
  expect(namedIn(program.getSourceFile(`${root}core/ops/derived.ts`)!)).toContain('where')
})

// ---- the size of the engine

/** Lines with code on them: neither blank nor only a comment. */
function linesOf(file: ts.SourceFile): number {
  const lines = new Set<number>()
  for (const node of nodesOf(file))
    for (const token of node.getChildren().filter((child) => child.getChildCount() === 0)) {
      if (token.getWidth() === 0 || token.kind === ts.SyntaxKind.JSDoc) continue
      const [first, last] = [token.getStart(), token.end - 1].map(
        (at) => file.getLineAndCharacterOfPosition(at).line,
      )
      for (let line = first!; line <= last!; line++) lines.add(line)
    }
  return lines.size
}

test('the size of the engine', () => {
  const text = '// one\n\n/** two\n */\nconst x = `a\n\nb` // three\n'
  expect(linesOf(parse('x.ts', text))).toBe(3)
  const size = (folder: string): number =>
    filesOf(folder).reduce((sum, file) => sum + linesOf(parse(file)), 0)
  const [core, autodiff] = [size('core'), size('autodiff')]
  console.log(`lines of code: core ${core}, autodiff ${autodiff}, together ${core + autodiff}`)
})
