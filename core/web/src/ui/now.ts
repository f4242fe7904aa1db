import { useSyncExternalStore } from 'react'
import { coreNow } from '../clock'

// One clock for the page, so that all remaining times step together.
let now = coreNow()
let timer: ReturnType<typeof setInterval> | undefined
const listeners = new Set<() => void>()

function subscribe(on: () => void): () => void {
  listeners.add(on)
  now = coreNow()
  timer ??= setInterval(() => {
    now = coreNow()
    for (const l of listeners) l()
  }, 1000)
  return () => {
    listeners.delete(on)
    if (listeners.size === 0) {
      clearInterval(timer)
      timer = undefined
    }
  }
}

/** useNow is the time by core's clock, anew each second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now)
}
