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

// Rates are means of the last few events: one second alone would jitter.
const meanOf = 4

/** keep adds an event and lets go of those that no rate needs. */
export function keep(events: Stats[], next: Stats): Stats[] {
  return [...events, next].slice(-meanOf)
}

/** A Cell picks counters. */
export type Cell = (c: Counter) => boolean

/** rate is how many packets a second the picked counters grow by. */
export function rate(events: Stats[], of: Cell): number {
  let sum = 0
  for (const e of events) for (const c of e.counters) if (of(c)) sum += c.per_second
  return events.length > 0 ? sum / events.length : 0
}

export const passing: Cell = (c) => wayOf(c.verdict) === 'pass'
export const dropping: Cell = (c) => wayOf(c.verdict) === 'drop'
