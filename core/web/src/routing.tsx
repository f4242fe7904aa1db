import { useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from 'react'

const moved = 'lindero:moved'

function subscribe(on: () => void): () => void {
  addEventListener('popstate', on)
  addEventListener(moved, on)
  return () => {
    removeEventListener('popstate', on)
    removeEventListener(moved, on)
  }
}

/** go opens another page of the app. */
export function go(to: string, replace = false): void {
  if (replace) history.replaceState(null, '', to)
  else history.pushState(null, '', to)
  dispatchEvent(new Event(moved))
}

export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname)
}

export function useQuery(): URLSearchParams {
  return new URLSearchParams(useSyncExternalStore(subscribe, () => location.search))
}

/** Link is an anchor that opens a page of the app without loading it anew. */
export function Link({ href, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const click = (e: MouseEvent) => {
    if (e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
    e.preventDefault()
    go(href)
  }
  return <a href={href} onClick={click} {...rest} />
}
