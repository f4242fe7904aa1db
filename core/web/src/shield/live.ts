import { useEffect, useState } from 'react'
import { follow, type StreamState } from '../api/stream'
import type { Stats } from '../api/types'
import { useClient } from '../auth'
import { dropping, keep, passing, rate } from './figures'

/** How many seconds the little charts show. */
export const chartSeconds = 120

export interface Live {
  state: StreamState
  /** The last events, the newest at the end; empty before the first. */
  events: Stats[]
  /** Packets a second, oldest first. */
  chart: { passed: number; dropped: number }[]
}

/** useLive follows the shield's figures while the page is looked at. */
export function useLive(): Live {
  const client = useClient()
  const [live, setLive] = useState<Live>({ state: 'connecting', events: [], chart: [] })
  const visible = useVisible()
  useEffect(() => {
    if (!visible) return
    const abort = new AbortController()
    // The last event stays in sight, but a chart over a pause would lie.
    setLive((l) => ({ state: 'connecting', events: l.events.slice(-1), chart: [] }))
    void follow(
      client,
      '/shield/stream',
      abort.signal,
      (e) => {
        if (e.name !== 'stats') return
        const stats = JSON.parse(e.data) as Stats
        const point = { passed: rate([stats], passing), dropped: rate([stats], dropping) }
        setLive((l) => ({
          state: 'live',
          events: keep(l.events, stats),
          chart: [...l.chart, point].slice(-chartSeconds),
        }))
      },
      (state) => setLive((l) => ({ ...l, state })),
    )
    return () => abort.abort()
  }, [client, visible])
  return live
}

function useVisible(): boolean {
  const [visible, setVisible] = useState(!document.hidden)
  useEffect(() => {
    const on = () => setVisible(!document.hidden)
    document.addEventListener('visibilitychange', on)
    return () => document.removeEventListener('visibilitychange', on)
  }, [])
  return visible
}
