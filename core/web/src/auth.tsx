import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react'
import { Client } from './api/client'

const place = 'lindero.token'

interface Auth {
  /** undefined until somebody has signed in. */
  client: Client | undefined
  /** Whether the API refused the last token. */
  refused: boolean
  signIn: (token: string) => void
  signOut: () => void
}

const Context = createContext<Auth | undefined>(undefined)

/**
 * tokenFromAddress takes a token out of the address (`/#token=…`, as `lindero up`
 * prints it) and out of the browser's history.
 */
function tokenFromAddress(): string | undefined {
  const token = new URLSearchParams(location.hash.slice(1)).get('token')
  if (!token) return undefined
  history.replaceState(null, '', location.pathname + location.search)
  sessionStorage.setItem(place, token)
  return token
}

export function AuthProvider({ children }: { children: ReactNode }) {
  const [token, setToken] = useState(() => tokenFromAddress() ?? sessionStorage.getItem(place) ?? '')
  const [refused, setRefused] = useState(false)
  useEffect(() => {
    // The printed address, put into a tab that has the page already, loads nothing.
    const on = () => {
      const t = tokenFromAddress()
      if (t === undefined) return
      setRefused(false)
      setToken(t)
    }
    addEventListener('hashchange', on)
    return () => removeEventListener('hashchange', on)
  }, [])
  const auth = useMemo<Auth>(() => {
    const leave = (because: boolean) => {
      sessionStorage.clear() // a draft of the policy is in there too
      setToken('')
      setRefused(because)
    }
    return {
      client: token ? new Client(token, () => leave(true)) : undefined,
      refused,
      signIn: (t) => {
        sessionStorage.setItem(place, t)
        setRefused(false)
        setToken(t)
      },
      signOut: () => leave(false),
    }
  }, [token, refused])
  return <Context value={auth}>{children}</Context>
}

export function useAuth(): Auth {
  const auth = useContext(Context)
  if (!auth) throw new Error('no AuthProvider')
  return auth
}

/** useClient is for pages, which are shown only to who has signed in. */
export function useClient(): Client {
  const { client } = useAuth()
  if (!client) throw new Error('nobody has signed in')
  return client
}
