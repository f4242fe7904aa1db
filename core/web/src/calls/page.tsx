import { useCallback } from 'react'
import type { Call } from '../api/types'
import { useClient } from '../auth'
import { duration } from '../i18n/duration'
import { useText } from '../i18n/text'
import { useOften } from '../load-often'
import { Link, useQuery } from '../routing'
import { useNow } from '../ui/now'
import { Awaited, Notice, Panel } from '../ui/parts'
import { Detail } from './detail'
import { Both } from './quality'
import { Records } from './records'

/** CallsPage keeps the call whose details are shown in the address. */
export function CallsPage() {
  const { words, full } = useText()
  const client = useClient()
  const shown = useQuery().get('call') ?? ''
  const live = useOften(
    useCallback((signal: AbortSignal) => client.calls(signal), [client]),
    2000,
  )
  const list = live.data
  const title = !list
    ? words.calls.title
    : list.total > list.calls.length
      ? words.calls.some(full(list.calls.length), full(list.total))
      : words.calls.live(full(list.total))
  return (
    <>
      <div className="head">
        <h1>{words.calls.title}</h1>
      </div>
      <Panel title={title}>
        <Awaited of={live}>
          {(all) => (
            <>
              {all.silent.length > 0 && <Notice look="warn">{words.calls.silent(all.silent.join(', '))}</Notice>}
              {all.calls.length === 0 ? (
                <p className="soft">{words.calls.none}</p>
              ) : (
                <Live calls={all.calls} shown={shown} />
              )}
            </>
          )}
        </Awaited>
      </Panel>
      {shown && <Detail key={shown} id={shown} />}
      <Records />
    </>
  )
}

function Live({ calls, shown }: { calls: Call[]; shown: string }) {
  const { words } = useText()
  const now = useNow()
  return (
    <div className="scroll">
      <table className="cards">
        <thead>
          <tr>
            <th scope="col">{words.calls.call}</th>
            <th scope="col">{words.calls.state}</th>
            <th scope="col">{words.calls.time}</th>
            <th scope="col">{words.calls.company}</th>
            <th scope="col">{words.calls.relay}</th>
            <th scope="col">{words.calls.quality}</th>
            <th scope="col">
              <span className="unseen">{words.calls.details}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {calls.map((c) => (
            <tr key={c.id} data-call={c.id} className={c.id === shown ? 'chosen' : undefined}>
              <th scope="row">
                {c.from || '?'} → {c.to || '?'}
              </th>
              <td data-label={words.calls.state}>{words.calls.states[c.state] ?? c.state}</td>
              <td data-label={words.calls.time} className="shut number">
                {duration(now - Date.parse(c.answered ?? c.since)) || '0 s'}
              </td>
              <td data-label={words.calls.company}>{c.company_name}</td>
              <td data-label={words.calls.relay}>
                <Carried of={c} />
              </td>
              <td data-label={words.calls.quality}>
                <Both of={c} />
              </td>
              <td className="right">
                <Link
                  className="button small"
                  href={c.id === shown ? '/calls' : `/calls?${new URLSearchParams({ call: c.id })}`}
                  aria-label={words.calls.detailsOf(c.from, c.to)}
                  aria-current={c.id === shown ? 'true' : undefined}
                >
                  {words.calls.details}
                </Link>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** Carried names the relays of a call and the paths of its packets, each once. */
function Carried({ of: c }: { of: Call }) {
  const { words } = useText()
  const all = [c.from_caller, c.from_callee]
    .filter((h) => h !== undefined)
    .map((h) => `${h.relay} · ${words.calls.paths[h.path] ?? h.path}`)
  if (all.length === 0) return <>–</>
  return (
    <>
      {[...new Set(all)].map((text) => (
        <div key={text}>{text}</div>
      ))}
    </>
  )
}
