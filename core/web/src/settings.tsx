import { useState } from 'react'
import { allLanguages, nameOf, useText, type Language } from './i18n/text'

const place = 'lindero.theme' // public/theme.js reads it too
const themes = ['auto', 'light', 'dark'] as const
type Theme = (typeof themes)[number]

function readTheme(): Theme {
  const kept = localStorage.getItem(place)
  return themes.find((t) => t === kept) ?? 'auto'
}

/** Settings are the choices that stay with the browser: theme and language. */
export function Settings() {
  const { words, language, setLanguage } = useText()
  const [theme, setTheme] = useState(readTheme)
  const choose = (t: Theme) => {
    setTheme(t)
    localStorage.setItem(place, t)
    if (t === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = t
  }
  return (
    <>
      <select aria-label={words.app.theme} value={theme} onChange={(e) => choose(e.target.value as Theme)}>
        {themes.map((t) => (
          <option key={t} value={t}>
            {words.app.themes[t]}
          </option>
        ))}
      </select>
      <select
        aria-label={words.app.language}
        value={language}
        onChange={(e) => setLanguage(e.target.value as Language)}
      >
        {allLanguages.map((l) => (
          <option key={l} value={l} lang={l}>
            {nameOf(l)}
          </option>
        ))}
      </select>
    </>
  )
}
