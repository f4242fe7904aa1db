import { useEffect, useRef, type ComponentType } from 'react'
import { AuditPage } from './shield/audit'
import { useAuth } from './auth'
import { CallsPage } from './calls/page'
import { BansPage } from './shield/bans'
import { ExplainPage } from './shield/explain'
import type { Words } from './i18n/en'
import { useText } from './i18n/text'
import { PolicyPage } from './policy/page'
import { go, Link, usePath } from './routing'
import { OverviewPage } from './shield/overview'
import { Settings } from './settings'
import { SignIn } from './sign-in'
import { Button } from './ui/parts'

/** Every page: where it is, what it is called, and what shows it. */
const pages: { path: string; name: keyof Words['nav']; page: ComponentType }[] = [
  { path: '/shield', name: 'overview', page: OverviewPage },
  { path: '/shield/bans', name: 'bans', page: BansPage },
  { path: '/shield/explain', name: 'explain', page: ExplainPage },
  { path: '/shield/policy', name: 'policy', page: PolicyPage },
  { path: '/shield/audit', name: 'audit', page: AuditPage },
  { path: '/calls', name: 'calls', page: CallsPage },
]

export function App() {
  const { client } = useAuth()
  return client ? <Portal /> : <SignIn />
}

function Portal() {
  const { words } = useText()
  const { signOut } = useAuth()
  const path = usePath().replace(/\/+$/, '') || '/'
  const main = useRef<HTMLElement>(null)
  const shown = useRef(path)
  const page = pages.find((p) => p.path === path)
  const title = page ? words.nav[page.name] : words.app.notFound

  useEffect(() => {
    if (path === '/') go('/shield', true)
  }, [path])
  useEffect(() => {
    document.title = `${title} · Lindero`
  }, [title])
  useEffect(() => {
    if (shown.current === path) return
    shown.current = path
    document.querySelector('.sections [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    main.current?.focus() // whoever listens instead of looking hears that the page is another
    scrollTo(0, 0)
  }, [path])

  const Page = page?.page ?? NotFound
  return (
    <>
      <a
        className="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault()
          main.current?.focus()
        }}
      >
        {words.app.skip}
      </a>
      <header className="bar">
        <Link className="brand" href="/shield">
          <img src="/icon.svg" alt="" />
          <span>Lindero</span>
        </Link>
        <nav className="sections" aria-label={words.app.menu}>
          {pages.map((p) => (
            <Link key={p.path} href={p.path} aria-current={p.path === path ? 'page' : undefined}>
              {words.nav[p.name]}
            </Link>
          ))}
        </nav>
        <div className="settings">
          <Settings />
          <Button look="small quiet" onClick={signOut}>
            {words.app.signOut}
          </Button>
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {path !== '/' && <Page />}
      </main>
    </>
  )
}

function NotFound() {
  const { words } = useText()
  return (
    <>
      <h1>{words.app.notFound}</h1>
      <p>
        <Link href="/shield">{words.app.home}</Link>
      </p>
    </>
  )
}
