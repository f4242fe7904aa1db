import { expect, test } from 'vitest'
import { differences } from './differences'

test('two values part key by key, and named elements one by one', () => {
  const before = { a: 1, countries: { deny: ['CN', 'RU'] }, allow: [{ prefix: '192.0.2.0/24', note: 'x' }], n: [1, 2] }
  const after = { a: 2, countries: { deny: ['CN', 'ES'] }, allow: [{ prefix: '192.0.2.0/24', note: 'y' }], n: [1] }
  expect(differences(before, after)).toEqual([
    { path: 'a', before: '1', after: '2' },
    { path: 'countries.deny[RU]', before: 'RU', after: '' },
    { path: 'countries.deny[ES]', before: '', after: 'ES' },
    {
      path: 'allow[192.0.2.0/24]',
      before: '{"prefix":"192.0.2.0/24","note":"x"}',
      after: '{"prefix":"192.0.2.0/24","note":"y"}',
    },
    { path: 'n', before: '[1,2]', after: '[1]' },
  ])
})

test('what was not there and what is gone are listed by their parts', () => {
  expect(differences(null, { prefix: '192.0.2.1/32', reason: 'r' })).toEqual([
    { path: 'prefix', before: '', after: '192.0.2.1/32' },
    { path: 'reason', before: '', after: 'r' },
  ])
  expect(differences({ a: { b: 1 } }, null)).toEqual([{ path: 'a.b', before: '1', after: '' }])
  expect(differences(null, undefined)).toEqual([])
  expect(differences({ a: [] }, { a: [] })).toEqual([])
})

test('a value that becomes of another kind is one change', () => {
  expect(differences({ a: { b: 1 } }, { a: 3 })).toEqual([{ path: 'a', before: '{"b":1}', after: '3' }])
})
