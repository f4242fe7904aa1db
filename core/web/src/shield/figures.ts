import type { Counter, Stats } from '../api/types'
import { verdicts, wayOf } from './verdicts'

/** What one country's packets came to. */
export interface Sum {
  passed: number
  dropped: number
}

export const share = (s: Sum) => (s.passed + s.dropped > 0 ? s.dropped / (s.passed + s.dropped) : 0)

/** byCountry adds up each country's packets for services of ours. */
export function byCountry(counters: Counter[]): Map<string, Sum> {
  const sums = new Map<string, Sum>()
  for (const c of counters) {
    const way = wayOf(c.verdict)
    if (way === 'aside') continue
    const sum = sums.get(c.country) ?? { passed: 0, dropped: 0 }
    if (way === 'drop') sum.dropped += c.packets
    else sum.passed += c.packets
    sums.set(c.country, sum)
  }
  return sums
}

/** byVerdict adds up each verdict, of one country or of all. */
export function byVerdict(counters: Counter[], country: string | undefined): Map<string, number> {
  const sums = new Map<string, number>(verdicts.map((v) => [v, 0]))
  for (const c of counters) {
    if (country === undefined || c.country === country) sums.set(c.verdict, (sums.get(c.verdict) ?? 0) + c.packets)
  }
  return sums
}

export function total(sums: Iterable<Sum>): Sum {
  const all = { passed: 0, dropped: 0 }
  for (const s of sums) {
    all.passed += s.passed
    all.dropped += s.dropped
  }
  return all
}

/** A Sample is one `stats` event and when it came, in milliseconds. */
export interface Sample {
  at: number
  stats: Stats
}

// Rates are of the last few seconds: one second's difference would jitter.
const rateOver = 4000

/** keep adds a sample and lets go of those that no rate needs. */
export function keep(samples: Sample[], next: Sample): Sample[] {
  const from = samples.findLastIndex((s) => next.at - s.at >= rateOver)
  return [...samples.slice(Math.max(from, 0)), next]
}

/**
 * rate is how fast a figure grows, a second. Counters fall when a node goes or
 * begins again; those seconds count as nothing instead of as less than nothing.
 */
export function rate(samples: Sample[], figure: (s: Stats) => number): number {
  let grown = 0
  for (let i = 1; i < samples.length; i++) {
    grown += Math.max(0, figure(samples[i]!.stats) - figure(samples[i - 1]!.stats))
  }
  const first = samples[0]
  const last = samples.at(-1)
  return first && last && last.at > first.at ? (grown * 1000) / (last.at - first.at) : 0
}
