import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react'
import { duration } from './duration'
import { en, type Words } from './en'
import { es } from './es'

const languages = { en, es } as const
export type Language = keyof typeof languages
const place = 'lindero.language'

interface Text {
  words: Words
  language: Language
  setLanguage: (l: Language) => void
  /** A count, in full or, past five figures, shortened. */
  count: (n: number) => string
  full: (n: number) => string
  rate: (n: number) => string
  percent: (share: number) => string
  /** Milliseconds, with one decimal. */
  ms: (n: number) => string
  /** A number with one decimal. */
  tenth: (n: number) => string
  country: (code: string) => string
  date: (iso: string) => string
  ago: (iso: string, now: number) => string
  /** How long from now until then, in the two largest units; empty when it is over. */
  until: (iso: string, now: number) => string
}

const Context = createContext<Text | undefined>(undefined)

export const allLanguages = Object.keys(languages) as Language[]
export const nameOf = (l: Language) => languages[l].language

function first(): Language {
  const wanted = [localStorage.getItem(place) ?? '', ...navigator.languages]
  for (const w of wanted) {
    const l = w.slice(0, 2).toLowerCase()
    if (l in languages) return l as Language
  }
  return 'en'
}

export function TextProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(first)
  useEffect(() => {
    document.documentElement.lang = language
  }, [language])
  const text = useMemo(
    () =>
      make(language, (l) => {
        localStorage.setItem(place, l)
        setLanguage(l)
      }),
    [language],
  )
  return <Context value={text}>{children}</Context>
}

function make(language: Language, setLanguage: (l: Language) => void): Text {
  const words = languages[language]
  const full = new Intl.NumberFormat(language, { maximumFractionDigits: 0, useGrouping: 'always' })
  const short = new Intl.NumberFormat(language, { notation: 'compact', maximumSignificantDigits: 3 })
  const small = new Intl.NumberFormat(language, { maximumFractionDigits: 1 })
  const percent = new Intl.NumberFormat(language, {
    style: 'percent',
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
  })
  const tenth = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 })
  const names = new Intl.DisplayNames(language, { type: 'region', fallback: 'code' })
  const when = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' })
  const ago = new Intl.RelativeTimeFormat(language, { numeric: 'auto' })
  return {
    words,
    language,
    setLanguage,
    count: (n) => (Math.abs(n) < 1e5 ? full.format(n) : short.format(n)),
    full: (n) => full.format(n),
    rate: (n) => (n < 100 ? small.format(n) : n < 1e5 ? full.format(n) : short.format(n)),
    percent: (share) => percent.format(share),
    ms: (n) => `${tenth.format(n)} ms`,
    tenth: (n) => tenth.format(n),
    country: (code) => {
      if (code === 'ZZ' || code === '') return words.common.unknownCountry
      try {
        return names.of(code) ?? code
      } catch {
        return code
      }
    },
    date: (iso) => (isNaN(Date.parse(iso)) ? '–' : when.format(new Date(iso))),
    ago: (iso, now) => {
      const then = Date.parse(iso)
      if (isNaN(then) || then <= 0) return words.common.never
      const s = Math.round((then - now) / 1000)
      if (Math.abs(s) < 60) return ago.format(s, 'second')
      if (Math.abs(s) < 3600) return ago.format(Math.round(s / 60), 'minute')
      if (Math.abs(s) < 86_400) return ago.format(Math.round(s / 3600), 'hour')
      return ago.format(Math.round(s / 86_400), 'day')
    },
    until: (iso, now) => duration(Date.parse(iso) - now),
  }
}

export function useText(): Text {
  const text = useContext(Context)
  if (!text) throw new Error('no TextProvider')
  return text
}
