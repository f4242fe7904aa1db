import { describe, expect, test } from 'vitest'
import type { Counter, Stats } from '../api/types'
import { byCountry, byVerdict, dropping, keep, passing, rate, share, total } from './figures'

const counter = (country: string, verdict: string, packets: number, per_second = 0): Counter => ({
  country,
  verdict,
  packets,
  per_second,
})
const stats = (...counters: Counter[]): Stats => ({ policy_version: 0, bans: 0, nodes: [], counters, sources: [] })

const counters = [
  counter('ES', 'passed', 6),
  counter('ES', 'leg', 2),
  counter('ES', 'banned', 2),
  counter('ZZ', 'not_ours', 99),
  counter('CN', 'no_leg', 5),
]

describe('figures', () => {
  test('leave out what is for no service of ours', () => {
    expect([...byCountry(counters)]).toEqual([
      ['ES', { passed: 8, dropped: 2 }],
      ['CN', { passed: 0, dropped: 5 }],
    ])
    expect(total(byCountry(counters).values())).toEqual({ passed: 8, dropped: 7 })
  })

  test('are of every verdict, in order, of one country or all', () => {
    expect(byVerdict(counters, undefined).get('not_ours')).toBe(99)
    expect(byVerdict(counters, 'ES').get('no_leg')).toBe(0)
    expect(byVerdict([], undefined).size).toBe(16)
  })

  test('have a share, also of nothing', () => {
    expect(share({ passed: 3, dropped: 1 })).toBe(0.25)
    expect(share({ passed: 0, dropped: 0 })).toBe(0)
  })

  test('have rates that are means of the last events', () => {
    let events: Stats[] = []
    for (const n of [100, 1, 2, 3, 6])
      events = keep(events, stats(counter('ES', 'passed', 0, n), counter('ES', 'denied', 0, 1)))
    expect(events.length).toBe(4)
    expect(rate(events, passing)).toBe(3)
    expect(rate(events, dropping)).toBe(1)
    expect(rate([], passing)).toBe(0)
  })
})
