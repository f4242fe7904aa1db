import { useEffect } from 'react'
import { useLoad, type Loaded } from './load'

/** useOften is useLoad that asks again so many milliseconds after each answer. */
export function useOften<T>(ask: (signal: AbortSignal) => Promise<T>, every: number): Loaded<T> {
  const loaded = useLoad(ask)
  const { busy, reload } = loaded
  useEffect(() => {
    if (busy) return
    const timer = setTimeout(reload, every)
    return () => clearTimeout(timer)
  }, [busy, reload, every])
  return loaded
}
