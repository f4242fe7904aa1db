import type { Point } from '../api/types'

/** How wide and high a plot is, in units of its own, and how long, in milliseconds. */
export const plotWidth = 300
export const plotHeight = 60
export const plotSpan = 5 * 60_000

export interface Plot {
  /** The jitter's line, as SVG wants it; a gap of the points begins another. */
  jitter: string[]
  loss: { x: number; width: number; height: number }[]
  /** What the top of the plot is. */
  topJitter: number
  topLoss: number
  mostJitter: number
  mostLoss: number
}

// A leg that is fine is drawn low: the tops are never less than what a person minds.
const leastJitter = 10
const leastLoss = 0.01
const gap = 15_000
const every = 5000

/** plotOf draws the points of the five minutes before now; nothing when there are none. */
export function plotOf(points: Point[], now: number): Plot | undefined {
  const shown = points
    .map((p) => ({ ...p, t: Date.parse(p.at) }))
    .filter((p) => !isNaN(p.t) && p.t > now - plotSpan && p.t <= now + gap)
    .sort((a, b) => a.t - b.t)
  if (shown.length === 0) return undefined
  const mostJitter = Math.max(...shown.map((p) => p.jitter_ms))
  const mostLoss = Math.max(...shown.map((p) => p.lost))
  const topJitter = Math.max(leastJitter, mostJitter)
  const topLoss = Math.max(leastLoss, mostLoss)
  const x = (t: number) => round(Math.min(plotWidth, Math.max(0, plotWidth * (1 - (now - t) / plotSpan))))
  const lines: string[][] = []
  let before = -Infinity
  for (const p of shown) {
    const y = round(plotHeight * (1 - p.jitter_ms / topJitter))
    // A point is of the seconds before it, so that one alone is a line too.
    if (p.t - before > gap) lines.push([`${x(p.t - every)},${y}`])
    before = p.t
    lines.at(-1)!.push(`${x(p.t)},${y}`)
  }
  const width = round((plotWidth * every) / plotSpan)
  return {
    jitter: lines.map((l) => l.join(' ')),
    loss: shown
      .filter((p) => p.lost > 0)
      .map((p) => ({ x: round(Math.max(0, x(p.t) - width)), width, height: round(Math.max(1, (plotHeight * p.lost) / topLoss)) })),
    topJitter,
    topLoss,
    mostJitter,
    mostLoss,
  }
}

const round = (n: number) => Math.round(n * 10) / 10
