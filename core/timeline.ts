// When a program needs which memory: the arrays between its kernels, each in its slot from the step that writes it to the last
// that reads it, as data and as a picture.

import { kindNames, type Plan } from './compile/index.ts'

/** An array between kernels. */
export interface PlannedArray {
  /** The type, and the kernel that makes it. */
  readonly type: string
  readonly kernel: string
  /** What kind of kernel that is, and what it computes. */
  readonly kind: string
  readonly equation: string
  readonly slot: number
  readonly bytes: number
  /** The step that writes it, and the last that reads it. */
  readonly from: number
  readonly to: number
}

/** The memory that a program needs while it runs, besides arguments and results; as text, the peak and what makes it. */
export interface MemoryTimeline {
  /** The kernels, loops and copies in order. */
  readonly steps: readonly string[]
  /** Bytes of the slots, which are there from the beginning to the end. */
  readonly slots: readonly number[]
  readonly arrays: readonly PlannedArray[]
  /** Bytes of the arrays that are needed at each step. */
  readonly live: readonly number[]
  /** The first step at which most is needed, and for what, the largest first. */
  readonly peak: { readonly step: number; readonly bytes: number; readonly arrays: readonly PlannedArray[] }
  toString(): string
  /** A picture of it, as text to be written to a file: what is live over the steps, and below it what lies in each slot. */
  svg(): string
}

type Step = Plan['steps'][number]
type Place = (Step & { readonly kind: 'copy' })['from']
type Written = Pick<PlannedArray, 'type' | 'kernel' | 'kind' | 'equation'> & {
  readonly place: Place
  /** As many as the slot has, where the plan does not say. */
  readonly bytes: number | null
}

const nameOf = (step: Step): string => {
  if (step.kind === 'copy') return 'copy'
  if (step.kind === 'loop') return step.turns === null ? 'loop' : `loop of ${step.turns}`
  return step.name
}

function readsOf(step: Step): readonly Place[] {
  if (step.kind === 'dispatch') return step.inputs
  if (step.kind === 'copy') return [step.from]
  const guard = step.guard === null ? [] : [step.guard]
  if (step.kind === 'host') return [...step.inputs.map(({ place }) => place), ...guard]
  return [...step.constants, ...step.initial, ...step.sliced, ...guard]
}

function writesOf(step: Step): readonly Written[] {
  const kernel = nameOf(step)
  if (step.kind === 'dispatch') {
    const { kind, equations } = step.about()
    return step.outputs.map((place, k) => ({
      place,
      ...step.results[k]!,
      kernel,
      kind,
      equation: equations[0] ?? '',
    }))
  }
  const some = (kind: string, type: string, places: readonly Place[]): Written[] =>
    places.map((place) => ({ place, type, bytes: null, kernel, kind, equation: '' }))
  if (step.kind === 'copy') return some('map', 'copy', [step.to])
  if (step.kind === 'host') return some('host', 'result', step.outputs)
  return [
    ...some('loop', 'state', [...step.state, ...step.spare]),
    ...some('loop', 'stacked result', step.stacked),
    ...some('loop', 'intermediate', step.slots),
  ]
}

/** Follows the slots of a plan through its steps. */
export function timelineOf({ steps, slots }: Plan): MemoryTimeline {
  const done: PlannedArray[] = []
  const held = new Map<number, PlannedArray>()
  for (const [k, step] of steps.entries()) {
    for (const { kind, index } of readsOf(step)) {
      const array = kind === 'slot' ? held.get(index) : undefined
      if (array !== undefined) held.set(index, { ...array, to: k })
    }
    for (const { place, bytes, ...what } of writesOf(step)) {
      if (place.kind !== 'slot') continue
      const earlier = held.get(place.index)
      if (earlier !== undefined) done.push(earlier)
      held.set(place.index, {
        ...what,
        bytes: bytes ?? slots[place.index]!,
        slot: place.index,
        from: k,
        to: k,
      })
    }
  }
  const arrays = [...done, ...held.values()].sort((a, b) => a.from - b.from || a.slot - b.slot)
  const at = (k: number): PlannedArray[] => arrays.filter(({ from, to }) => from <= k && k <= to)
  const live = steps.map((_, k) => at(k).reduce((sum, { bytes }) => sum + bytes, 0))
  const most = live.reduce((most, bytes) => Math.max(most, bytes), 0)
  const step = Math.max(0, live.indexOf(most))
  const peak = { step, bytes: most, arrays: at(step).sort((a, b) => b.bytes - a.bytes) }
  const timeline = { steps: steps.map(nameOf), slots, arrays, live, peak }
  return { ...timeline, toString: () => describe(timeline), svg: () => draw(timeline) }
}

type Facts = Omit<MemoryTimeline, 'toString' | 'svg'>

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** Bytes as people write them. */
function showBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB']
  let [amount, unit] = [bytes, 0]
  for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024
  return `${unit === 0 || amount >= 99.95 ? amount.toFixed(0) : amount.toFixed(1)} ${units[unit]}`
}

const shownArrays = 12

function describe({ steps, slots, peak }: Facts): string {
  const shown = peak.arrays.slice(0, shownArrays)
  const others = peak.arrays.slice(shownArrays)
  const more = `${others.length} more, ${showBytes(sum(others.map(({ bytes }) => bytes)))}`
  return [
    `${showBytes(sum(slots))} in ${slots.length} slots for ${steps.length} steps`,
    `at most ${showBytes(peak.bytes)} are needed at once, at step ${peak.step}, ${steps[peak.step] ?? 'none'}:`,
    ...shown.map(
      ({ bytes, type, kernel, from, to }) =>
        `  ${showBytes(bytes).padStart(10)}  ${type} of ${kernel}, steps ${from} to ${to}`,
    ),
    ...(others.length > 0 ? [`  ${more}`] : []),
  ].join('\n')
}

const colors: Readonly<Record<string, string>> = {
  product: '#4c78a8',
  reduce: '#f58518',
  map: '#72b7b2',
  loop: '#b279a2',
  host: '#9d755d',
}
const size = { width: 960, left: 76, right: 16, top: 64, chart: 140, gap: 24, map: 380, bottom: 36 } as const

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const round = (x: number): number => Math.round(100 * x) / 100

function draw({ steps, slots, arrays, live, peak }: Facts): string {
  const planned = sum(slots)
  const wide = size.width - size.left - size.right
  const x = (step: number): number => round(size.left + (wide * step) / Math.max(1, steps.length))
  const [chartEnd, mapTop] = [size.top + size.chart, size.top + size.chart + size.gap]
  const height = mapTop + size.map + size.bottom
  const y = (bytes: number): number => round(chartEnd - (size.chart * bytes) / Math.max(1, planned))
  const starts = slots.map((_, slot) => sum(slots.slice(0, slot)))
  const tall = (bytes: number): number => round((size.map * bytes) / Math.max(1, planned))
  const text = (at: readonly [number, number], words: string, more = ''): string =>
    `<text x="${at[0]}" y="${at[1]}" ${more}>${escaped(words)}</text>`
  const area = live.map((bytes, k) => `H${x(k)}V${y(bytes)}`).join('')
  const boxes = arrays.map(({ slot, bytes, from, to, type, kernel, kind, equation }) => {
    const [left, top] = [x(from), round(mapTop + tall(starts[slot]!))]
    const [width, high] = [round(x(to + 1) - left), Math.max(0.5, tall(bytes))]
    const title = [
      `${type}, ${showBytes(bytes)}, slot ${slot}`,
      `${kernel}, steps ${from} to ${to}`,
      equation,
    ]
    const box = `<rect x="${left}" y="${top}" width="${width}" height="${high}" fill="${colors[kind] ?? '#888'}"/>`
    const fits = high >= 11 && width >= 6.2 * type.length + 6
    const label = fits ? text([left + 3, round(top + high / 2 + 3.5)], type, 'fill="#fff"') : ''
    return `<g><title>${escaped(title.filter((line) => line !== '').join('\n'))}</title>${box}${label}</g>`
  })
  const legend = [...new Set(arrays.map(({ kind }) => kind))].map(
    (kind, k) =>
      `<rect x="${size.left + 90 * k}" y="38" width="10" height="10" fill="${colors[kind] ?? '#888'}"/>${text([size.left + 90 * k + 15, 47], kindNames[kind] ?? kind)}`,
  )
  const atPeak = x(peak.step + 0.5)
  const anchor = atPeak > size.width / 2 ? 'end' : 'start'
  const aside = atPeak + (anchor === 'end' ? -5 : 5)
  const ticks = new Set([0, 0.25, 0.5, 0.75, 1].map((part) => Math.round(part * steps.length)))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${height}" font-family="system-ui, sans-serif" font-size="11" fill="#333">`,
    `<rect width="${size.width}" height="${height}" fill="#fff"/>`,
    text(
      [size.left, 24],
      `${showBytes(planned)} in ${slots.length} slots; at most ${showBytes(peak.bytes)} needed at once, at step ${peak.step} of ${steps.length}`,
      'font-size="14" font-weight="600"',
    ),
    ...legend,
    `<path d="M${x(0)} ${y(0)}${area}H${x(steps.length)}V${y(0)}Z" fill="#cdd9e5"/>`,
    `<path d="M${x(0)} ${y(planned)}H${x(steps.length)}M${x(0)} ${y(0)}H${x(steps.length)}" stroke="#999" stroke-dasharray="3 3"/>`,
    ...[planned, planned / 2, 0].map((bytes) =>
      text([size.left - 6, round(y(bytes) + 4)], showBytes(bytes), 'text-anchor="end"'),
    ),
    text(
      [aside, round(Math.max(y(peak.bytes) - 4, size.top + 10))],
      `peak: ${steps[peak.step] ?? 'none'}`,
      `text-anchor="${anchor}" fill="#d62728"`,
    ),
    text([size.left - 6, mapTop + 10], 'slots', 'text-anchor="end"'),
    ...boxes,
    `<path d="M${atPeak} ${y(peak.bytes)}V${mapTop + size.map}" stroke="#d62728" stroke-opacity="0.7"/>`,
    ...Array.from(ticks, (step) => text([x(step), height - 20], String(step), 'text-anchor="middle"')),
    text([size.left + wide / 2, height - 6], 'step', 'text-anchor="middle"'),
    '</svg>',
    '',
  ].join('\n')
}
