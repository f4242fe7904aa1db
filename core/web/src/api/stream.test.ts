import { describe, expect, test } from 'vitest'
import { eventReader, type Event } from './stream'

function read(...pieces: string[]): Event[] {
  const events: Event[] = []
  const feed = eventReader((e) => events.push(e))
  for (const p of pieces) feed(p)
  return events
}

describe('a text/event-stream', () => {
  const whole = 'event: stats\ndata: {"a":\ndata: 1}\n\n: a comment\ndata:x\n\n'
  const wanted = [
    { name: 'stats', data: '{"a":\n1}' },
    { name: 'message', data: 'x' },
  ]

  test('is cut into events', () => expect(read(whole)).toEqual(wanted))

  test('may come in pieces of any size, with any ends of lines', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      const text = whole.replaceAll('\n', end)
      for (let size = 1; size < 9; size++) {
        const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
          text.slice(i * size, (i + 1) * size),
        )
        // A lone CR at the very end waits for what follows.
        expect(read(...pieces, ': end\n')).toEqual(wanted)
      }
    }
  })

  test('yields nothing for an event without data', () => expect(read('event: ping\n\nid: 3\n\n')).toEqual([]))
  test('does not yield an event that is not over', () => expect(read('data: half\n')).toEqual([]))
  test('may not send a line without end', () => expect(() => read('data: ' + 'x'.repeat(5 << 20))).toThrow())
})
