import { useCallback, useEffect, useState } from 'react'

export interface Loaded<T> {
  data: T | undefined
  error: Error | undefined
  /** Whether an answer is awaited; data may be of the time before. */
  busy: boolean
  reload: () => void
}

/**
 * useLoad asks once for each ask, which callers keep the same with useCallback, and
 * again when reload is called. An answer that comes too late is not taken.
 */
export function useLoad<T>(ask: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ data?: T; error?: Error; busy: boolean }>({ busy: true })
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    const abort = new AbortController()
    setState((s) => ({ ...s, busy: true }))
    ask(abort.signal).then(
      (data) => abort.signal.aborted || setState({ data, busy: false }),
      (error: unknown) => abort.signal.aborted || setState((s) => ({ ...s, error: asError(error), busy: false })),
    )
    return () => abort.abort()
  }, [ask, turn])
  const reload = useCallback(() => setTurn((n) => n + 1), [])
  return { data: state.data, error: state.error, busy: state.busy, reload }
}

export function asError(e: unknown): Error {
  return e instanceof Error ? e : new Error(String(e))
}
