// Files appear whole or not at all: the bytes go to a neighbour first, which then takes the name. Node's modules
// are imported on the first call, so that a browser can load core without them.

/** Writes a file so that a reader, or a crash, never meets half of it; missing folders are made. */
export async function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  const { mkdir, open, rename, rm } = await import('node:fs/promises')
  const { dirname } = await import('node:path')
  await mkdir(dirname(path), { recursive: true })
  const neighbour = `${path}.${crypto.randomUUID()}.tmp`
  try {
    const file = await open(neighbour, 'wx')
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(neighbour, path)
  } catch (error) {
    await rm(neighbour, { force: true })
    throw error
  }
}
