// SwiftShader, a Vulkan that computes on the CPU, out of the optional npm package @sparticuz/chromium. A Vulkan
// driver answers to the loader's own entry point, so no loader is needed: the library is unpacked once, renamed to
// libvulkan.so.1 in its ELF header and mapped. When Dawn then opens libvulkan.so.1, the dynamic linker hands it this
// one, in every thread. Only a loader that somebody holds open already comes before it: for that, `driver`.

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants, homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { writeFileAtomic } from '../files.ts'

/** Where SwiftShader lies once unpacked. */
export interface Swiftshader {
  /** the shared library, which passes for the Vulkan loader */
  readonly library: string
  /** its description for a real Vulkan loader, as VK_DRIVER_FILES names it */
  readonly driver: string
}

const loader = 'libvulkan.so.1'
const original = 'libvk_swiftshader.so'

/** Whether the dynamic linker finds a Vulkan loader; Dawn, asked without one, prints a warning on stderr. */
export const hasVulkanLoader = (): boolean => open(loader, constants.dlopen.RTLD_LAZY) === null

/** SwiftShader unpacked in the user's cache, by the first who asks; null where its package is not installed. */
export async function unpackSwiftshader(): Promise<Swiftshader | null> {
  const main = resolvePackage('@sparticuz/chromium')
  if (main === null) return null
  const root = join(dirname(main), '../..')
  const { version }: { version: string } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const library = join(cache, 'cotangent', `swiftshader-${version}`, original)
  const driver = join(dirname(library), 'driver.json')
  if (!existsSync(driver)) {
    const archive = brotliDecompressSync(readFileSync(join(root, 'bin/swiftshader.tar.br')))
    await writeFileAtomic(library, renamed(extract(archive, original)))
    const icd = { file_format_version: '1.0.0', ICD: { library_path: library, api_version: '1.3.0' } }
    await writeFileAtomic(driver, JSON.stringify(icd)) // last: it says that both are there
  }
  return { library, driver }
}

/** Maps the library for good, for Dawn to find under the loader's name. */
export function preload({ library }: Swiftshader): void {
  const nodelete = 0x1000 // RTLD_NODELETE: Node closes what is no addon
  const error = open(library, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | nodelete)
  if (error !== null) throw new Error(error)
}

/** Opens a shared library that is no addon: null when that works, else why not. */
function open(file: string, flags: number): string | null {
  try {
    process.dlopen({ exports: {} }, file, flags)
    return null
  } catch (error) {
    const { message } = error as Error
    return message.startsWith('Module did not self-register') ? null : message
  }
}

/** The package's main entry, seen from here or from the user's project. */
function resolvePackage(name: string): string | null {
  try {
    return createRequire(import.meta.url).resolve(name, { paths: [import.meta.dirname, process.cwd()] })
  } catch {
    return null
  }
}

/** The member of a tar archive: headers of 512 bytes, each followed by its content padded to the same. */
function extract(tar: Buffer, member: string): Buffer {
  const text = (from: number, to: number) => tar.toString('latin1', from, to).replace(/\0.*/s, '')
  for (let at = 0; tar[at]; ) {
    const size = Number.parseInt(text(at + 124, at + 136), 8)
    const content = at + 512
    if (text(at, at + 100).endsWith(member)) return tar.subarray(content, content + size)
    at = content + Math.ceil(size / 512) * 512
  }
  throw new Error(`${member} is not in swiftshader.tar.br`)
}

/** The library with the loader's soname in place of its own, which is longer. */
function renamed(elf: Buffer): Buffer {
  const soname = elf.indexOf(`\0${original}\0`, 0, 'latin1')
  if (soname < 0) throw new Error(`${original} does not carry its name`)
  elf.write(`${loader}\0`, soname + 1, 'latin1')
  return elf
}
