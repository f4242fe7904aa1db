import { describe, expect, test } from 'vitest'
import { neighbour } from './neighbour'
import { packetScale, shadeOf, shareScale } from './scale'

describe('the scale of the map', () => {
  test.each([0, 1, 3, 7, 1000, 48_211, 3_970_000, 2 ** 40])('grows with every shade when the most is %i', (most) => {
    const scale = packetScale(most)
    expect(scale.length).toBe(5)
    for (let i = 1; i < 5; i++) expect(scale[i]).toBeGreaterThan(scale[i - 1]!)
    expect(shadeOf(0, scale)).toBe(0)
    expect(shadeOf(1, scale)).toBe(1)
    if (most > 10) expect(shadeOf(most, scale)).toBe(5)
  })

  test('has five shades of a share, and none for nothing', () => {
    expect([0, 0.001, 0.2, 0.5, 0.79, 1].map((s) => shadeOf(s, shareScale))).toEqual([0, 1, 2, 3, 4, 5])
  })
})

describe('an arrow key', () => {
  const places = [
    { code: 'A', x: 0, y: 0 },
    { code: 'B', x: 10, y: 1 },
    { code: 'C', x: 9, y: 8 },
    { code: 'D', x: 0, y: -5 },
  ]

  test.each([
    ['ArrowRight', 'B'],
    ['ArrowUp', 'D'],
    ['ArrowLeft', undefined],
    ['ArrowDown', undefined],
    ['x', undefined],
  ])('%s from A comes to %s', (key, to) => {
    expect(neighbour(places, 'A', key)).toBe(to)
  })
  test('goes nowhere from nowhere', () => expect(neighbour(places, 'Z', 'ArrowUp')).toBeUndefined())
})
