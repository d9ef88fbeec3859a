// Loss against training step as one SVG, drawn by Observable Plot on linkedom's DOM. The legend is text inside the
// frame, in the corner that a falling loss leaves empty: Plot's own legend is HTML, which an SVG file cannot hold.

import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

/** One run's loss by step. */
export interface Curve {
  readonly name: string
  readonly points: readonly { readonly step: number; readonly loss: number }[]
}

/** A standalone SVG of some loss curves on common axes. */
export function lossSvg(curves: readonly Curve[]): string {
  const points = curves.flatMap(({ name, points }) => points.map((point) => ({ ...point, name })))
  if (points.length === 0) throw new RangeError('lossSvg: the curves hold no points; log at least one step')
  const { document } = parseHTML('<!doctype html><html></html>')
  const chart = Plot.plot({
    document,
    width: 720,
    height: 420,
    marginTop: 30,
    marginBottom: 44,
    style: { background: 'white', color: '#222', fontSize: '13px', fontFamily: 'system-ui, sans-serif' },
    x: { label: 'training step', labelAnchor: 'center', labelArrow: 'none', ticks: 8 },
    y: { label: 'loss (nats per token)', labelArrow: 'none', grid: true, nice: true, ticks: 8 },
    color: { domain: curves.map(({ name }) => name), range: ['#2f6fde', '#c2410c', '#15803d', '#7e22ce'] },
    marks: [
      Plot.lineY(points, { x: 'step', y: 'loss', stroke: 'name', strokeWidth: 2, strokeLinejoin: 'round' }),
      curves.map(({ name }, i) =>
        Plot.text([`— ${name}`], {
          frameAnchor: 'top-right',
          dx: -8,
          dy: 8 + 20 * i,
          fill: [name],
          fontWeight: 600,
        }),
      ),
    ],
  })
  chart.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  return `${chart.outerHTML}\n`
}
