// A progress bar on a terminal, and plain lines where there is none.

import pc from 'picocolors'

const barWidth = 20

/** How far a run is, for people. */
export interface Progress {
  readonly step: number
  readonly steps: number
  readonly loss: number
  readonly tokensPerSecond: number
  readonly secondsLeft: number
}

export function showProgress(name: string, progress: Progress): void {
  const { step, steps, loss, tokensPerSecond, secondsLeft } = progress
  const facts = `loss ${loss.toFixed(3)}  ${Math.round(tokensPerSecond)} tok/s  ${Math.ceil(secondsLeft)} s left`
  if (process.stdout.isTTY) {
    const done = Math.round((barWidth * step) / steps)
    const bar = pc.cyan('━'.repeat(done)) + pc.dim('━'.repeat(barWidth - done))
    process.stdout.write(`\r\x1b[K  ${name} ${bar} ${step}/${steps}  ${facts}`)
    if (step === steps) process.stdout.write('\n')
  } else if (step === 1 || step % 10 === 0 || step === steps)
    console.log(`  ${name} step ${step}/${steps}  ${facts}`)
}
