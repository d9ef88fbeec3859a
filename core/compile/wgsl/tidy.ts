// Makes a written body pleasant to read: a name that is used once, in the lines that follow, gives way to what it stands for.

const longestLine = 100
const definition = /^( *)let (\w+) = (.*);$/

const words = (text: string): string[] => text.match(/\b[a-z_]\w*/gi) ?? []

/** Whether an expression needs no parentheses among operators: a name, a literal, a call or an element. */
function isTight(text: string): boolean {
  if (/^[\w.]+$/.test(text)) return true
  if (!/^[\w<>]+[([]/.test(text)) return false
  let depth = 0
  for (const [k, letter] of [...text].entries()) {
    if ('(['.includes(letter)) depth++
    if (')]'.includes(letter) && --depth === 0) return k === text.length - 1
  }
  return false
}

/** `line` with its one use of `name` replaced; a whole argument, index or right-hand side needs no parentheses. */
function substitute(line: string, name: string, text: string): string {
  const at = line.search(new RegExp(`\\b${name}\\b`))
  const [before, after] = [line.slice(0, at), line.slice(at + name.length)]
  const alone = /(\(|\[|, |[^=!<>]= )$/.test(before) && /^(\)|\]|, |;)/.test(after)
  return before + (alone || isTight(text) ? text : `(${text})`) + after
}

/** The lines with names that are used once replaced, as far as the lines stay short and mean the same. */
export function inlineNames(lines: readonly string[]): string[] {
  const uses = new Map<string, number>()
  for (const line of lines) for (const word of words(line)) uses.set(word, (uses.get(word) ?? 0) + 1)
  const kept: string[] = []
  /** Definitions not yet written, in order, with the indent they were made at. */
  const waiting = new Map<string, { readonly line: string; readonly text: string }>()
  const write = (name: string): void => {
    kept.push(waiting.get(name)!.line)
    waiting.delete(name)
  }
  let indent = ''
  for (const original of lines) {
    let line = original
    const here = /^ */.exec(line)![0]
    if (here !== indent) for (const name of [...waiting.keys()]) write(name) // never into a loop, or out of one
    indent = here
    const assigned = /^ *(\w+) =/.exec(line)?.[1]
    let mentioned = new Set(words(line))
    for (const [name, { text }] of [...waiting]) {
      const mentions = mentioned.has(name)
      const inlined = mentions ? substitute(line, name, text) : line
      if (mentions && inlined.length <= longestLine) {
        line = inlined
        mentioned = new Set(words(line))
        waiting.delete(name)
      } else if (mentions || (assigned !== undefined && words(text).includes(assigned))) write(name)
    }
    if (!line.endsWith(';')) for (const name of [...waiting.keys()]) write(name)
    const [, , name, text] = definition.exec(line) ?? []
    if (name !== undefined && text !== undefined && uses.get(name) === 2) waiting.set(name, { line, text })
    else kept.push(line)
  }
  for (const name of [...waiting.keys()]) write(name)
  return kept
}
