import type { Client } from './client'
import { Problem } from './client'

/** An Event is one event of a text/event-stream. */
export interface Event {
  name: string
  data: string
}

// An event that grows past this is not one of ours.
const longest = 4 << 20

/**
 * eventReader cuts a text/event-stream, fed in pieces of any size, into events (the
 * HTML standard, section 9.2.6). EventSource would do the same but cannot carry a token.
 */
export function eventReader(on: (e: Event) => void): (piece: string) => void {
  let rest = ''
  let name = ''
  let data: string[] = []
  return (piece) => {
    // A CR at the end may be half of a CRLF; it waits for the next piece.
    const held = rest + piece
    const whole = held.endsWith('\r') ? held.slice(0, -1) : held
    const lines = whole.split(/\r\n|\r|\n/)
    rest = lines.pop()! + held.slice(whole.length)
    if (rest.length > longest) throw new Error('event too long')
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) on({ name: name || 'message', data: data.join('\n') })
        name = ''
        data = []
        continue
      }
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
      if (field === 'event') name = value
      if (field === 'data') data.push(value)
    }
  }
}

export type StreamState = 'connecting' | 'live' | 'lost'

/**
 * follow keeps a stream open until signal says otherwise: it begins again after a
 * growing pause when the stream ends, and gives up only when the token is refused.
 */
export async function follow(
  client: Client,
  path: string,
  signal: AbortSignal,
  on: (e: Event) => void,
  state: (s: StreamState) => void,
): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    try {
      const answer = await client.fetch(path, { signal, headers: { Accept: 'text/event-stream' } })
      const read = eventReader((e) => {
        failures = 0
        state('live')
        on(e)
      })
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        read(value)
      }
    } catch (e) {
      if (signal.aborted) return
      if (e instanceof Problem && (e.status === 401 || e.status === 403)) {
        state('lost')
        return
      }
    }
    state('lost')
    failures++
    await pause(Math.min(1000 * 2 ** (failures - 1), 15_000), signal)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        done()
      },
      { once: true },
    )
  })
}
