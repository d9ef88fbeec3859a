// What is printed for people: colours and a progress bar on a terminal, plain lines where there is none.

import picocolors from 'picocolors'

const isTerminal = process.stdout.isTTY === true

/** Colours, if they can be seen. */
export const colors = picocolors.createColors(isTerminal && picocolors.isColorSupported)

const columns = 80
const barWidth = 20

const cut = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, width - 1)}…`

/** A line of facts behind a word, cut to the width of a terminal. */
export const say = (what: string, facts: string): void =>
  console.log(`${colors.bold(what.padEnd(8))}${cut(facts, columns - 8)}`)

/** A line of facts below those. */
export const report = (facts: string): void => console.log(`  ${cut(facts, columns - 2)}`)

/** How far a run is. */
export interface Progress {
  readonly step: number
  readonly steps: number
  readonly loss: number
  readonly tokensPerSecond: number
  readonly secondsLeft: number
}

/** Redraws the bar, or now and then prints a line. */
export function showProgress(name: string, progress: Progress): void {
  const { step, steps, loss, tokensPerSecond, secondsLeft } = progress
  const facts = `loss ${loss.toFixed(3)}  ${Math.round(tokensPerSecond)} tok/s  ${Math.ceil(secondsLeft)} s left`
  if (isTerminal) {
    const done = Math.round((barWidth * step) / steps)
    const bar = colors.cyan('━'.repeat(done)) + colors.dim('━'.repeat(barWidth - done))
    process.stdout.write(`\r\x1b[K  ${name} ${bar} ${step}/${steps}  ${facts}`)
    if (step === steps) process.stdout.write('\n')
  } else if (step === 1 || step % 10 === 0 || step === steps) {
    console.log(`  ${name} step ${step}/${steps}  ${facts}`)
  }
}

/** Says how many kernels are ready while they are compiled, and takes that back when all are. */
export function showCompiling({
  ready,
  kernels,
}: {
  readonly ready: number
  readonly kernels: number
}): void {
  if (!isTerminal) return
  const facts = ready < kernels ? `  ${colors.dim(`compiling: ${ready} of ${kernels} kernels`)}` : ''
  process.stdout.write(`\r\x1b[K${facts}`)
}
