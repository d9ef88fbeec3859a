// The compiler's options, and what it says of programs that are in no file.

import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The options of tsconfig.json. */
export const { options: compilerOptions } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile).config,
  ts.sys,
  root,
)

/** An error, and the line of the text that it is in. */
export interface TypeError {
  readonly name: string
  readonly line: number
  readonly message: string
}

/** The type errors of texts by name, as modules of this package. */
export function typeErrors(texts: ReadonlyMap<string, string>): TypeError[] {
  const options = { ...compilerOptions, noUnusedLocals: false, noUnusedParameters: false }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists } = host
  const pathOf = (name: string): string => `${root}test/docs/${name.replaceAll(/\W/g, '-')}.virtual.ts`
  const virtual = new Map(Array.from(texts, ([name, text]) => [pathOf(name), { name, text }]))
  host.fileExists = (path) => virtual.has(path) || fileExists(path)
  host.getSourceFile = (path, version, ...rest) => {
    const file = virtual.get(path)
    return file ? ts.createSourceFile(path, file.text, version) : getSourceFile(path, version, ...rest)
  }
  const program = ts.createProgram([...virtual.keys()], options, host)
  return Array.from(virtual, ([path, { name, text }]) => {
    const file = program.getSourceFile(path)!
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ start, messageText }) => ({
        name,
        line: text.slice(0, start).split('\n').length,
        message: ts.flattenDiagnosticMessageText(messageText, ' '),
      }),
    )
  }).flat()
}
