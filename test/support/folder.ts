// Folders for tests.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Runs `f` with a new folder, which is gone afterwards. */
export async function inFolder<T>(f: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'cotangent-'))
  try {
    return await f(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}
