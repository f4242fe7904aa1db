import { useEffect, useState } from 'react'
import { follow, type StreamState } from '../api/stream'
import type { Stats } from '../api/types'
import { useClient } from '../auth'
import { byCountry, keep, rate, total, type Sample } from './figures'

/** How many seconds the little charts show. */
export const chartSeconds = 120

export interface Live {
  state: StreamState
  samples: Sample[]
  /** Packets a second, passed and dropped, oldest first. */
  chart: { passed: number; dropped: number }[]
}

const passed = (s: Stats) => total(byCountry(s.counters ?? []).values()).passed
const dropped = (s: Stats) => total(byCountry(s.counters ?? []).values()).dropped

/** useLive follows the shield's figures while the page is looked at. */
export function useLive(): Live {
  const client = useClient()
  const [live, setLive] = useState<Live>({ state: 'connecting', samples: [], chart: [] })
  const visible = useVisible()
  useEffect(() => {
    if (!visible) return
    const abort = new AbortController()
    // What came before a pause would make a rate over the pause.
    setLive((l) => ({ ...l, state: 'connecting', samples: l.samples.slice(-1), chart: [] }))
    let first = true
    void follow(
      client, '/shield/stream', abort.signal,
      (e) => {
        if (e.name !== 'stats') return
        const sample = { at: performance.now(), stats: JSON.parse(e.data) as Stats }
        const alone = first
        first = false
        setLive((l) => {
          if (alone) return { state: 'live', samples: [sample], chart: [] }
          const step = [l.samples.at(-1)!, sample]
          const point = { passed: rate(step, passed), dropped: rate(step, dropped) }
          return { state: 'live', samples: keep(l.samples, sample), chart: [...l.chart, point].slice(-chartSeconds) }
        })
      },
      (state) => {
        if (state === 'lost') first = true
        setLive((l) => (l.state === state ? l : { ...l, state }))
      },
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
