const place = 'lindero.policy'

/** readDraft is the document somebody was writing when they went to look at another page. */
export function readDraft(): string | undefined {
  return sessionStorage.getItem(place) ?? undefined
}

/** keepDraft keeps it for as long as the tab is open and its owner signed in. */
export function keepDraft(text: string | undefined): void {
  try {
    if (text === undefined) sessionStorage.removeItem(place)
    else sessionStorage.setItem(place, text)
  } catch {
    sessionStorage.removeItem(place) // too long to keep; better none than an old one
  }
}
