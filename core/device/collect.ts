// The collector, asked to run: only it knows which arrays nobody holds any more.

/** An allocation that makes engines collect. Nobody writes to it, so it takes addresses and no memory. */
const ballastBytes = 128 * 2 ** 20

/** Lets the collector run, and then the finalisers of what it found. Collection is the engine's choice, so this is a hint. */
export async function collect(): Promise<void> {
  try {
    new ArrayBuffer(ballastBytes)
  } catch {
    // without that many addresses to give, the engine has collected already
  }
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setTimeout(resolve, 0))
}
