import { describe, expect, test } from 'vitest'
import { lineOf, locate } from './locate'

const text = `{
  "countries": {
    "deny": ["CN",
      "YY"]
  },
  "allow": [
    { "prefix": "203.0.113.0/24", "note": "a \\"quoted\\" {note}" },
    { "prefix": "x" }
  ],
  "n": -1.5e3, "t": true
}`

describe('a path in a JSON text', () => {
  test.each([
    ['', 1],
    ['countries', 2],
    ['countries.deny', 3],
    ['countries.deny[0]', 3],
    ['countries.deny[1]', 4],
    ['allow[0].note', 7],
    ['allow[1].prefix', 8],
    ['n', 10],
    ['t', 10],
  ])('%s is on line %i', (path, line) => expect(lineOf(text, path)).toBe(line))

  test.each([
    ['countries.unknown', 2],
    ['allow[1].note', 8],
    ['allow[7].note', 6],
    ['nothing.at.all', 1],
  ])('%s, which is not there, is told at what would hold it', (path, line) => expect(lineOf(text, path)).toBe(line))

  test('is found as far as the text is JSON', () => {
    for (let end = 0; end < text.length; end++) expect(() => locate(text.slice(0, end))).not.toThrow()
    expect(lineOf(text.slice(0, text.indexOf('"YY"')), 'countries.deny[0]')).toBe(3)
  })

  test('ends at any depth', () => expect(() => locate('['.repeat(100_000))).not.toThrow())
})
