// Writes docs/reference from doc comments and types, a page for each family of functions.

import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { compilerOptions } from '../support/types.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The pages, and whose exports they describe: source files, in order. A file that no page names is its own page. */
const pages: readonly { readonly name: string; readonly title: string; readonly from: readonly string[] }[] =
  [
    {
      name: 'arrays',
      title: 'Arrays',
      from: ['core/value.ts', 'core/tensor.ts', 'core/dtype.ts', 'core/shape.ts'],
    },
    {
      name: 'elementwise',
      title: 'Element-wise functions',
      from: [
        'arithmetic',
        'elementwise',
        'elementary',
        'power',
        'trigonometric',
        'hyperbolic',
        'special',
        'rounding',
        'sign',
        'logic',
        'bits',
      ].map((file) => `core/ops/${file}.ts`),
    },
    {
      name: 'shapes',
      title: 'Shapes and moving elements',
      from: ['movement', 'shaping', 'creation'].map((file) => `core/ops/${file}.ts`),
    },
    {
      name: 'indexing',
      title: 'Indexing',
      from: ['indexing', 'at', 'dynamic'].map((file) => `core/ops/${file}.ts`),
    },
    {
      name: 'reductions',
      title: 'Reductions, scans and sorting',
      from: ['reduction', 'statistics', 'cumulative', 'sorting', 'derived'].map(
        (file) => `core/ops/${file}.ts`,
      ),
    },
    { name: 'products', title: 'Products', from: ['core/ops/contract.ts', 'core/ops/products.ts'] },
    { name: 'linalg', title: 'Linear algebra', from: ['core/linalg/*'] },
    {
      name: 'transforms',
      title: 'Transforms',
      from: [
        'autodiff/grad.ts',
        'autodiff/jvp.ts',
        'autodiff/linearize.ts',
        'autodiff/jacobian.ts',
        'autodiff/vmap.ts',
        'core/jit.ts',
        'autodiff/structured/custom.ts',
        'autodiff/structured/checkpoint.ts',
        'autodiff/check.ts',
      ],
    },
    {
      name: 'structure',
      title: 'Control flow inside programs',
      from: ['branch', 'scan', 'while'].map((file) => `autodiff/structured/${file}.ts`),
    },
    { name: 'trees', title: 'Trees', from: ['core/tree.ts'] },
    { name: 'random', title: 'Random numbers', from: ['core/random.ts'] },
    {
      name: 'debug',
      title: 'Debugging',
      from: ['core/debug.ts', 'core/lower.ts', 'core/timeline.ts', 'core/profile.ts'],
    },
    {
      name: 'device',
      title: 'Device, memory and files',
      from: ['core/memory.ts', 'core/device/*', 'core/tensor-files.ts', 'core/files.ts'],
    },
    {
      name: 'graphs',
      title: 'Graphs and primitives',
      from: ['core/trace.ts', 'core/graph.ts', 'core/primitive.ts', 'core/reference.ts'],
    },
    { name: 'nn', title: 'cotangent/nn', from: ['nn/*'] },
    { name: 'optim', title: 'cotangent/optim', from: ['optim/*'] },
    { name: 'models', title: 'cotangent/models', from: ['models/*'] },
    { name: 'peft', title: 'cotangent/peft', from: ['peft/*'] },
  ]

/** What a page says of one export, or of a type that an exported function's signature needs. */
interface Entry {
  readonly name: string
  readonly signature: string
  readonly text: string
  readonly examples: readonly string[]
  readonly source: string
  /** Where it stands in its source file. */
  readonly at: number
  /** The types that its signature names. */
  readonly types: readonly string[]
}

const entryPoints = ['', 'nn/', 'optim/', 'models/', 'peft/'].map((folder) => `${root}${folder}index.ts`)
const program = ts.createProgram(entryPoints, {
  ...compilerOptions,
  noEmit: false,
  declaration: true,
  emitDeclarationOnly: true,
})
const checker = program.getTypeChecker()
const relative = (file: string): string => file.replace(root, '')

/** By source file and name, the declarations as a user sees them: overloads without bodies, types written out. */
const declarations = new Map<string, Map<string, ts.Statement[]>>()
program.emit(
  undefined,
  (name, text) => {
    const file = ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true)
    const byName = new Map<string, ts.Statement[]>()
    for (const statement of file.statements)
      for (const name of namesOf(statement)) byName.set(name, [...(byName.get(name) ?? []), statement])
    declarations.set(relative(name).replace(/\.d\.ts$/, '.ts'), byName)
  },
  undefined,
  true,
)

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => name.getText())
  return isType(statement) || ts.isFunctionDeclaration(statement) ? [statement.name!.text] : []
}

function isType(
  node: ts.Node,
): node is ts.InterfaceDeclaration | ts.TypeAliasDeclaration | ts.ClassDeclaration {
  return ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isClassDeclaration(node)
}

/** The text of a node of a declaration. A parameter that is taken apart is called after its type. */
function textOf(node: ts.Node): string {
  const patterns: ts.ParameterDeclaration[] = []
  const visit = (child: ts.Node): void => {
    if (ts.isParameter(child) && ts.isObjectBindingPattern(child.name)) patterns.push(child)
    ts.forEachChild(child, visit)
  }
  visit(node)
  const file = node.getSourceFile().text
  let text = ''
  let from = node.getStart()
  for (const { name, type } of patterns) {
    const named = type && ts.isTypeReferenceNode(type) ? type.typeName.getText() : 'Options'
    const called = named.endsWith('Options') || named.endsWith('Option') ? 'options' : lowerCase(named)
    text += `${file.slice(from, name.getStart())}${called}`
    from = name.end
  }
  return (text + file.slice(from, node.end))
    .replaceAll(/import\("[^"]*"\)\./g, '')
    .replaceAll(/;$/gm, '')
    .replaceAll(/^(?: {4})+/gm, (indent) => ' '.repeat(indent.length / 2))
}

const lowerCase = (name: string): string => name[0]!.toLowerCase() + name.slice(1)

/** A signature on one line, or with a line for each parameter where that is too long. */
function signatureText(name: string, node: ts.SignatureDeclaration): string {
  const list = (nodes: readonly ts.Node[]): string => nodes.map(textOf).join(', ')
  const generics = node.typeParameters?.length ? `<${list(node.typeParameters)}>` : ''
  const result = node.type ? `: ${textOf(node.type)}` : ''
  const line = `${name}${generics}(${list(node.parameters)})${result}`
  if (line.length <= 110 && !line.includes('\n')) return line
  const parameters = node.parameters.map((parameter) => `  ${textOf(parameter).replaceAll('\n', '\n  ')},\n`)
  return `${name}${generics}(\n${parameters.join('')})${result}`
}

/** The call of a constant that is a function with properties, whose type may have a name in its own file. */
function callOf(node: ts.Node | undefined): ts.FunctionTypeNode | ts.CallSignatureDeclaration | undefined {
  if (!node) return undefined
  if (ts.isParenthesizedTypeNode(node) || ts.isTypeAliasDeclaration(node)) return callOf(node.type)
  if (ts.isIntersectionTypeNode(node)) return node.types.map(callOf).find((found) => found)
  if (ts.isTypeLiteralNode(node)) return node.members.find((member) => ts.isCallSignatureDeclaration(member))
  if (ts.isTypeReferenceNode(node))
    return callOf(
      node
        .getSourceFile()
        .statements.find(
          (statement) => namesOf(statement)[0] === node.typeName.getText() && isType(statement),
        ),
    )
  return ts.isFunctionTypeNode(node) ? node : undefined
}

/** What a page shows of a declaration. */
function shown(statement: ts.Statement): ts.Node {
  if (!ts.isVariableStatement(statement)) return statement
  const [declaration] = statement.declarationList.declarations
  return callOf(declaration!.type) ?? declaration!
}

/** A declaration as the page shows it. */
function declarationText(name: string, statement: ts.Statement): string {
  const node = shown(statement)
  if (ts.isFunctionDeclaration(node) || ts.isFunctionTypeNode(node) || ts.isCallSignatureDeclaration(node))
    return signatureText(name, node)
  if (ts.isVariableDeclaration(node)) return `const ${textOf(node)}`
  return textOf(node)
    .replace(/^export (?:declare )?/, '')
    .replaceAll(/^ *(?:private|protected|#).*\n/gm, '')
}

/** The names of the types in a declaration. */
function typesIn(node: ts.Node): string[] {
  const names: string[] = []
  const visit = (child: ts.Node): void => {
    if (ts.isTypeReferenceNode(child)) names.push(child.typeName.getText())
    if (ts.isExpressionWithTypeArguments(child)) names.push(child.expression.getText())
    ts.forEachChild(child, visit)
  }
  visit(node)
  return [...new Set(names)]
}

/** What the declarations of one name say. */
function entryOf(name: string, source: string, statements: readonly ts.Statement[]): Entry {
  const comments = statements.flatMap((statement) =>
    ts.getJSDocCommentsAndTags(
      ts.isVariableStatement(statement) ? statement.declarationList.declarations[0]! : statement,
    ),
  )
  const docs = comments.filter((node) => ts.isJSDoc(node))
  const examples = docs
    .flatMap(({ tags }) => tags ?? [])
    .filter(({ tagName }) => tagName.text === 'example')
    .map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '')
  return {
    name,
    signature: statements.map((statement) => declarationText(name, statement)).join('\n'),
    text: docs.map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '').join('\n\n'),
    examples,
    source,
    at: statements[0]!.pos,
    types: statements.flatMap((statement) => typesIn(shown(statement))),
  }
}

/** The exports of a module; those of its namespaces with the name of the namespace in front. */
const exportsOf = (module: ts.Symbol, prefix: string): Entry[] =>
  checker.getExportsOfModule(module).flatMap((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
    const [declaration] = symbol.declarations!
    if (ts.isSourceFile(declaration!)) return exportsOf(symbol, `${prefix}${exported.name}.`)
    const source = relative(declaration!.getSourceFile().fileName)
    return [entryOf(prefix + exported.name, source, declarations.get(source)!.get(symbol.name)!)]
  })

const key = ({ source, at }: Entry): string => `${source} ${at}`

/** Everything that is exported, once: nn exports some functions of the root again. */
const exported: readonly Entry[] = Array.from(
  new Map(
    entryPoints
      .flatMap((file) => exportsOf(checker.getSymbolAtLocation(program.getSourceFile(file)!)!, ''))
      .toReversed()
      .map((entry) => [key(entry), entry]),
  ).values(),
)

/** Types that are not exported but that the signatures of exported functions and types need. */
function internalTypes(): Entry[] {
  const found = new Map(exported.map((entry) => [key(entry), entry]))
  const known = found.size
  const visit = ({ source, types }: Entry): void => {
    for (const name of types) {
      const files = [
        source,
        ...[...declarations.keys()].filter((file) => declarations.get(file)!.get(name)?.some(isType)),
      ]
      const file = files.find((file) => declarations.get(file)!.has(name))
      if (file === undefined) continue
      const entry = entryOf(name, file, declarations.get(file)!.get(name)!)
      if (found.has(key(entry))) continue
      found.set(key(entry), entry)
      visit(entry)
    }
  }
  for (const entry of exported) if (/^[\w.]+[<(]/.test(entry.signature)) visit(entry)
  return [...found.values()].slice(known)
}

/** The page of a source file: the one that names it, or one of its own. */
function pageOf(source: string): { readonly name: string; readonly title: string } {
  const named = pages.find(({ from }) => from.some((path) => covers(path, source)))
  if (named) return named
  const [folder, name] = source
    .replace(/(?:\/index)?\.ts$/, '')
    .split('/')
    .slice(-2)
  return { name: name ?? folder!, title: titleOf(source) }
}

/** `core/tensor-files.ts`: Tensor files */
function titleOf(source: string): string {
  const words = source
    .replace(/(?:\/index)?\.ts$/, '')
    .split('/')
    .at(-1)!
    .replaceAll('-', ' ')
  return words[0]!.toUpperCase() + words.slice(1)
}

/** Whether the path of a page, or the folder that ends in `*`, is of this source file. */
const covers = (path: string, source: string): boolean =>
  path.endsWith('*') ? source.startsWith(path.slice(0, -1)) : path === source

/** A part of a page: what one source file exports. */
interface Section {
  readonly source: string
  readonly entries: readonly Entry[]
}

interface Page {
  readonly name: string
  readonly title: string
  readonly sections: readonly Section[]
}

function layOut(entries: readonly Entry[]): Page[] {
  const sources = [...new Set(entries.map(({ source }) => source))].sort()
  const names = new Map(
    [...pages, ...sources.map(pageOf)].map((page) => [page.name, { from: [] as readonly string[], ...page }]),
  )
  return Array.from(names.values(), ({ name, title, from }) => {
    const rank = (source: string): number => from.findIndex((path) => covers(path, source))
    const own = sources.filter((source) => pageOf(source).name === name)
    const sections = own
      .sort((a, b) => rank(a) - rank(b))
      .map((source) => ({
        source,
        entries: entries.filter((entry) => entry.source === source).sort((a, b) => a.at - b.at),
      }))
    return { name, title, sections }
  }).filter(({ sections }) => sections.length > 0)
}

/** The heading of a section; none where the page has no other. */
const headingOf = ({ sections }: Page, { source }: Section): string[] =>
  sections.length > 1 ? [titleOf(source)] : []

/** Where each name is, by GitHub's rule: a heading that comes again, if only in other letters, is counted. */
function linksTo(pages: readonly Page[]): Map<string, string> {
  const links = new Map<string, string>()
  for (const page of pages) {
    const seen = new Map<string, number>()
    const anchor = (heading: string): string => {
      const slug = heading
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-')
      const count = seen.get(slug) ?? 0
      seen.set(slug, count + 1)
      return count === 0 ? slug : `${slug}-${count}`
    }
    anchor(page.title)
    for (const section of page.sections) {
      headingOf(page, section).forEach(anchor)
      for (const { name } of section.entries) links.set(name, `${page.name}.md#${anchor(name)}`)
    }
  }
  return links
}

const layout = layOut([...exported, ...internalTypes()])
const links = linksTo(layout)

/** The full name of a type that a signature of `source` names: `random.Key` where it says `Key`. */
const fullName = (type: string, { name }: Entry): string | undefined =>
  [`${name.split('.').slice(0, -1).join('.')}.${type}`, type, ...links.keys()].find(
    (full) => links.has(full) && (full === type || full.endsWith(`.${type}`)),
  )

/** Types that every signature has. */
const everywhere = ['ArrayLike', 'Value', 'Shape', 'DType']

const fence = (code: string): string => `\`\`\`ts\n${code}\n\`\`\``

function entryText(entry: Entry): string {
  const { name, signature, text, examples } = entry
  const types = new Set(entry.types.map((type) => fullName(type, entry)))
  const see = [...types]
    .filter((type) => type !== undefined && type !== name && !everywhere.includes(type))
    .map((type) => `[${type}](${links.get(type!)})`)
  return [
    `### ${name}`,
    fence(signature),
    text,
    ...examples,
    see.length > 0 ? `Types: ${see.join(', ')}` : '',
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** The sentences that a source file begins with. */
const introduction = (source: string): string =>
  /^(?:\/\/.*\n)*/
    .exec(program.getSourceFile(root + source)!.text)![0]
    .replaceAll(/^\/\/ ?/gm, '')
    .trim()

function pageText(page: Page): string {
  const sections = page.sections.flatMap((section) => [
    ...headingOf(page, section).map((heading) => `## ${heading}`),
    introduction(section.source),
    ...section.entries.map(entryText),
  ])
  return `${[`# ${page.title}`, ...sections].join('\n\n')}\n`
}

const isCallable = ({ signature }: Entry): boolean => !/^(?:interface|type) /.test(signature)

/** A page and the functions on it. */
function contents({ name, title, sections }: Page): string {
  const names = sections
    .flatMap(({ entries }) => entries.filter(isCallable))
    .map(({ name }) => `[${name}](${links.get(name)})`)
  return `**[${title}](${name}.md)**: ${names.join(' · ')}`
}

/** The pages by file name, and an index of all functions. */
export const referencePages = (): Map<string, string> =>
  new Map([
    ['README.md', `${[preface, ...layout.map(contents)].join('\n\n')}\n`],
    ...layout.map((page) => [`${page.name}.md`, pageText(page)] as const),
  ])

const preface = `# Reference

Written from the doc comments and types by \`npm run docs\`; a test fails where they differ. Functions whose first argument is an
array are methods of values as well: \`x.sum({ axis: 0 })\` is \`sum(x, { axis: 0 })\`. What is said of one element holds for every
element; arrays broadcast as in NumPy; angles are radians.`

/** The functions, classes and constants without a doc comment. */
export const undocumented = (): string[] =>
  exported
    .filter((entry) => entry.text === '' && isCallable(entry))
    .map(({ name, source }) => `${name} in ${source}`)
