import { describe, expect, test } from 'vitest'
import { place, read, rulesOf, withRules, write } from './document'

describe('the text of a document', () => {
  test('has lists of countries on one line, and means the same', () => {
    const d = { countries: { deny: ['CN', 'RU'], allow: [] }, allow: [{ prefix: '192.0.2.0/24' }], other: ['ABC', 'x'] }
    expect(write(d)).toContain('"deny": ["CN", "RU"]')
    expect(JSON.parse(write(d))).toEqual(d)
  })

  test.each([
    ['{\n "a": 1,\n}', 3],
    ['{\n\n  x', 3],
    ['', 1],
    ['[1]', 1],
  ])('%j is told to be no document, with a line', (text, line) => {
    const r = read(text)
    expect('line' in r && r.line).toBe(line)
  })
})

describe('the rules for countries', () => {
  test('put a country into one list and out of the other', () => {
    const rules = { default: 'deny' as const, allow: ['ES'], deny: ['FR'] }
    expect(place(rules, 'FR', 'allow')).toEqual({ default: 'deny', allow: ['ES', 'FR'] })
    expect(place(rules, 'ES', undefined)).toEqual({ default: 'deny', deny: ['FR'] })
    expect(rules.allow).toEqual(['ES'])
  })

  test('are those of every service until a service has its own', () => {
    const d = { countries: { deny: ['CN'] }, budgets: { half_open: 3 } }
    expect(rulesOf(d, undefined)).toEqual({ deny: ['CN'] })
    expect(rulesOf(d, 'web')).toBeUndefined()
    const own = withRules(d, 'web', { default: 'deny' })
    expect(own).toEqual({ ...d, services: { web: { default: 'deny' } } })
    expect(withRules(own, 'web', undefined)).toEqual(d)
  })
})
