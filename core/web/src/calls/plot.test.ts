import { expect, test } from 'vitest'
import type { Point } from '../api/types'
import { plotHeight, plotOf, plotWidth } from './plot'

const now = Date.parse('2026-11-24T03:00:00Z')
const point = (ago: number, jitter_ms: number, lost = 0): Point => ({
  at: new Date(now - ago * 1000).toISOString(),
  jitter_ms,
  lost,
  rate: 50,
})

test('nothing is no plot', () => {
  expect(plotOf([], now)).toBeUndefined()
  expect(plotOf([point(301, 1)], now)).toBeUndefined()
  expect(plotOf([{ at: 'never', jitter_ms: 1, lost: 0, rate: 0 }], now)).toBeUndefined()
})

test('time goes from left to right and little jitter is low', () => {
  const p = plotOf([point(0, 5), point(5, 0), point(10, 1)], now)!
  expect(p.topJitter).toBe(10)
  expect(p.jitter).toEqual([`285,54 290,54 295,${plotHeight} ${plotWidth},30`])
  expect(p.loss).toEqual([])
})

test('the worst reaches the top, and a silence breaks the line', () => {
  const p = plotOf([point(200, 40), point(0, 20, 0.5), point(5, 20, 0.001)], now)!
  expect([p.topJitter, p.topLoss, p.mostLoss]).toEqual([40, 0.5, 0.5])
  expect(p.jitter.length).toBe(2)
  expect(p.jitter[0]).toBe('95,0 100,0')
  expect(p.loss.map((b) => b.height)).toEqual([1, plotHeight])
})
