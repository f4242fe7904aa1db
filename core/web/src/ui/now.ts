import { useSyncExternalStore } from 'react'

// One clock for the page, so that all remaining times step together.
let now = Date.now()
let timer: ReturnType<typeof setInterval> | undefined
const listeners = new Set<() => void>()

function subscribe(on: () => void): () => void {
  listeners.add(on)
  timer ??= setInterval(() => {
    now = Date.now()
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

/** useNow is the time, anew each second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now)
}
