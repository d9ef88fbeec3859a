// Which scope an array belongs to: the one its maker runs in, across `await` where the engine can tell, as Node can.

import type { Storage } from './device/index.ts'

/** The arrays of a scope that have memory still. */
export type Scope = Set<Storage>

interface AsyncScopes {
  getStore(): Scope | undefined
  run<T>(scope: Scope, f: () => T): T
}

/** Node's way to follow a scope across `await`; null elsewhere. Looked for by the first scope. */
let across: Promise<AsyncScopes | null> | null = null
let scopes: AsyncScopes | null = null
let current: Scope | null = null

async function findScopes(): Promise<AsyncScopes | null> {
  if (globalThis.process?.versions?.node === undefined) return null
  const { AsyncLocalStorage } = await import('node:async_hooks')
  return new AsyncLocalStorage<Scope>()
}

/** Resolves when scopes can be entered. */
export async function prepareScopes(): Promise<void> {
  across ??= findScopes()
  scopes = await across
}

/** The innermost scope that runs. */
export const currentScope = (): Scope | null => scopes?.getStore() ?? current

/** Runs `f` inside of `scope`. Without Node, what it does after its first `await` is outside. */
export function within<T>(scope: Scope, f: () => T): T {
  if (scopes !== null) return scopes.run(scope, f)
  const outer = current
  current = scope
  try {
    return f()
  } finally {
    current = outer
  }
}

/** Makes an array belong to `scope`. */
export function adopt(storage: Storage, scope: Scope | null): void {
  storage.scope = scope
  scope?.add(storage)
}
