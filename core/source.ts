// The user's own line: where a program was asked for, so that an error that comes later can name it. A site is a few words
// and no stack, since a captured stack keeps the arrays it was called on alive.

/** A place in a program's text. `mapped` says that it is already one of the file as written. */
export interface Site {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly mapped: boolean
}

/** Frames to look at: what calls down from the user's line through this package. */
const maxFrames = 64

const own = plain(import.meta.url)
/** The package's root; null in a bundle, whose frames are all in one file. */
const root = /\/core\/source\.[jt]s$/.test(own) ? own.replace(/core\/source\.[jt]s$/, '') : null
const product = /^(?:index\.[jt]s$|(?:core|autodiff|nn|optim|models|peft)\/)/

function plain(file: string): string {
  const path = file.replace(/[?#].*$/, '')
  if (!path.startsWith('file://')) return path
  return decodeURIComponent(path.slice('file://'.length)).replace(/^\/(?=[A-Za-z]:\/)/, '')
}

/** What is known of the files that frames name: the plain path of one of the user's, null of any other. */
const known = new Map<string, string | null>()

function usersFile(name: string): string | null {
  let file = known.get(name)
  if (file === undefined) {
    file = plain(name)
    if (!isUsers(file)) file = null
    known.set(name, file)
  }
  return file
}

/** Whether a file is the user's: neither the package nor Node nor an installed package. */
function isUsers(file: string): boolean {
  if (root === null || file === '' || file.startsWith('node:') || file.startsWith('<')) return false
  if (file.startsWith(root))
    return !product.test(file.slice(root.length)) && !installed(file.slice(root.length))
  return !installed(file)
}

const installed = (file: string): boolean => /(?:^|\/)node_modules\//.test(file)

/** The first line of the user's in the text of a stack, as `file:line:column`. */
export function userLine(stack: string): string | null {
  const site = siteIn(stack)
  return site === null ? null : show(site)
}

function siteIn(stack: string): Site | null {
  for (const frame of stack.split('\n')) {
    const [, where = '', line, column] = /^(.*):(\d+):(\d+)$/.exec(placeIn(frame.trim())) ?? []
    const file = usersFile(where)
    if (file !== null) return { file, line: Number(line), column: Number(column), mapped: true }
  }
  return null
}

/** V8 writes `at f (file:1:2)` or `at file:1:2`, others `f@file:1:2`. */
function placeIn(frame: string): string {
  if (!frame.startsWith('at ')) return frame.slice(frame.indexOf('@') + 1)
  const opening = frame.indexOf(' (')
  return opening < 0 ? frame.slice(3).replace(/^async /, '') : frame.slice(opening + 2, -1)
}

const show = ({ file, line, column }: Site): string => `${file}:${line}:${column}`

/**
 * Where the user called the package just now. On V8 this reads the frames without writing them as text (some µs); what
 * shows stacks in its own way, as vitest does, is asked for the text.
 */
export function callSite(): Site | null {
  const { prepareStackTrace, stackTraceLimit } = Error
  const structured = 'captureStackTrace' in Error && prepareStackTrace === undefined
  let found: Site | null = null
  const holder: { stack?: string } = {}
  try {
    Error.stackTraceLimit = maxFrames
    if (!structured) return siteIn(new Error().stack ?? '')
    Error.prepareStackTrace = (_error, frames) => {
      for (const frame of frames) {
        const file = usersFile(frame.getFileName() ?? '')
        if (file === null) continue
        const [line, column] = [frame.getLineNumber() ?? 0, frame.getColumnNumber() ?? 0]
        found = { file, line, column, mapped: false }
        break
      }
      return ''
    }
    Error.captureStackTrace(holder, callSite)
    void holder.stack
    return found
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    if (structured) Error.prepareStackTrace = prepareStackTrace
  }
}

/**
 * The line at which the user called the package just now, as `showSite` shows it. Node maps text itself, so this needs no
 * `await`, but it is slow where it does.
 */
export function callLine(): string | null {
  const site = withWholeStacks(() => siteIn(new Error().stack ?? ''))
  return site === null ? null : relative(show(site))
}

/** What the package is made of besides the operations: layers, models and what trains them. */
const layers = /^(?:nn|optim|models|peft)\//

/** The same line, and the innermost place in the package's layers that the call came by, `nn/attention.ts:24:10`. */
export function callPlaces(): { readonly line: string; readonly layer: string | null } | null {
  const stack = withWholeStacks(() => new Error().stack ?? '')
  const line = userLine(stack)
  if (line === null) return null
  for (const frame of root === null ? [] : stack.split('\n')) {
    const place = plain(placeIn(frame.trim()))
    if (place === line) break
    if (place.startsWith(root!) && layers.test(place.slice(root!.length)))
      return { line: relative(line), layer: place.slice(root!.length) }
  }
  return { line: relative(line), layer: null }
}

/** `f()`, in which the stacks of errors reach down to the user's line, however much of the package is between. */
export function withWholeStacks<T>(f: () => T): T {
  const { stackTraceLimit } = Error
  if (stackTraceLimit >= maxFrames) return f()
  Error.stackTraceLimit = maxFrames
  try {
    return f()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** The site as `file:line:column` of the file as written, under the working directory without its name. */
export async function showSite(site: Site | null): Promise<string | null> {
  if (site === null) return null
  return relative(show(site.mapped ? site : await written(site)))
}

/** Without the name of the working directory. */
function relative(text: string): string {
  const here = globalThis.process?.cwd?.()
  return here !== undefined && text.startsWith(`${here}/`) ? text.slice(here.length + 1) : text
}

/** What Node's source maps say of a place, where it has any. */
async function written(site: Site): Promise<Site> {
  if (globalThis.process?.versions?.node === undefined) return site
  const { findSourceMap } = await import('node:module')
  const entry = findSourceMap(site.file)?.findEntry(site.line - 1, site.column - 1)
  if (entry === undefined || !('originalSource' in entry)) return site
  return { ...site, line: entry.originalLine + 1, column: entry.originalColumn + 1 }
}
