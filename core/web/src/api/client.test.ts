import { expect, test } from 'vitest'
import { pathInDocument, readProblem } from './client'

test('a problem names every fault at its path in the document', () => {
  const p = readProblem(
    422,
    '',
    JSON.stringify({
      detail: '2 things are wrong',
      errors: [
        { location: 'body.document.countries.deny[0]', message: 'no country' },
        { location: 'body', message: 'wants more' },
      ],
    }),
  )
  expect([p.status, p.message]).toEqual([422, '2 things are wrong'])
  expect(p.faults).toEqual([
    { path: 'countries.deny[0]', message: 'no country' },
    { path: '', message: 'wants more' },
  ])
})

test('an answer that is no problem is one all the same', () => {
  for (const text of ['', '<html>', 'null', '3', '{"errors":null}']) {
    expect(readProblem(502, 'Bad Gateway', text).message).toBe('Bad Gateway')
  }
  expect(readProblem(500, '', '').message).toBe('HTTP 500')
})

test('a key that begins like the document is left alone', () => {
  expect(pathInDocument('body.document.documentation')).toBe('documentation')
  expect(pathInDocument('body.note')).toBe('note')
  expect(pathInDocument('query.address')).toBe('query.address')
})
