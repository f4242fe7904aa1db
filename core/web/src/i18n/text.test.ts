import { expect, test } from 'vitest'
import { en } from './en'
import { es } from './es'
import { duration } from './duration'

test.each([
  [0, ''],
  [-5, ''],
  [NaN, ''],
  [1, '1 s'],
  [59_000, '59 s'],
  [60_000, '1 min'],
  [61_000, '1 min 1 s'],
  [3_600_000, '1 h'],
  [3_605_000, '1 h'],
  [3_660_000, '1 h 1 min'],
  [90_061_000, '1 d 1 h'],
  [86_460_000, '1 d'],
])('%d ms are %j', (ms, text) => expect(duration(ms)).toBe(text))

/** Every path to a text. */
function paths(words: object, at = ''): string[] {
  return Object.entries(words)
    .flatMap(([k, v]) => (typeof v === 'object' && v !== null ? paths(v, `${at}${k}.`) : [`${at}${k}`]))
    .sort()
}

// The compiler sees to the rest; it does not see the words that the API's words are looked up in.
test('both languages say the same things', () => expect(paths(es)).toEqual(paths(en)))
