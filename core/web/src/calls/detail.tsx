import { useCallback, type ReactNode } from 'react'
import { Problem } from '../api/client'
import type { Anchor, Call, Dialog, Leg } from '../api/types'
import { useClient } from '../auth'
import { useText } from '../i18n/text'
import { useOften } from '../load-often'
import { Link } from '../routing'
import { useNow } from '../ui/now'
import { Awaited, Notice, Panel } from '../ui/parts'
import { Chart } from './chart'
import { Mos, ratingOf } from './quality'

/** Detail is one live call with its legs, anew every few seconds. */
export function Detail({ id }: { id: string }) {
  const { words } = useText()
  const client = useClient()
  const call = useOften(
    useCallback((signal: AbortSignal) => client.call(id, signal), [client, id]),
    2500,
  )
  if (call.error instanceof Problem && call.error.status === 404) {
    return (
      <Notice look="warn">
        {words.calls.over} <Link href="/calls">{words.calls.back}</Link>
      </Notice>
    )
  }
  return <Awaited of={call}>{(c) => <Legs of={c} />}</Awaited>
}

function Legs({ of: c }: { of: Call }) {
  const { words } = useText()
  return (
    <Panel
      title={words.calls.detail(c.from, c.to)}
      side={<Link href="/calls">{words.calls.back}</Link>}
      className="call-detail"
    >
      {(c.silent ?? []).length > 0 && <Notice look="warn">{words.calls.silent(c.silent!.join(', '))}</Notice>}
      <div className="legs">
        {c.dialogs.map((d) => (
          <Side key={d.call_id + d.tag} of={d} who={d.side === 'caller' ? c.from : c.to} />
        ))}
      </div>
    </Panel>
  )
}

function Side({ of: d, who }: { of: Dialog; who: string }) {
  const { words } = useText()
  return (
    <section className="side-of-call" aria-label={`${words.calls.sides[d.side]} ${who}`} data-side={d.side}>
      <h3>
        {words.calls.sides[d.side]} {who}
      </h3>
      {d.anchors.length === 0 && <p className="soft">{words.calls.noAnchor}</p>}
      {d.anchors.map((a) => (
        <OneAnchor key={a.node + a.relay + a.created} of={a} dialog={d} />
      ))}
    </section>
  )
}

function OneAnchor({ of: a, dialog: d }: { of: Anchor; dialog: Dialog }) {
  const { words } = useText()
  return (
    <>
      <p>
        {words.calls.relay} <strong>{a.relay}</strong> {a.held && <span className="tag">{words.calls.held}</span>}{' '}
        <span className="soft">
          {words.calls.why}: {a.why || words.calls.noReason}
        </span>
      </p>
      {a.streams.map((s, i) =>
        s.legs.map((l, j) => (
          <OneLeg
            key={`${i} ${j}`}
            of={l}
            name={(l.tag === d.tag ? words.calls.fromPhone : words.calls.fromCore) + (s.kind === 'audio' ? '' : ` (${s.kind})`)}
          />
        )),
      )}
    </>
  )
}

function OneLeg({ of: l, name }: { of: Leg; name: string }) {
  const { words, percent, ms, full } = useText()
  const now = useNow()
  const all = l.packets + l.lost
  const rows: [string, ReactNode][] = [
    [words.calls.path, words.calls.paths[l.path] ?? l.path],
    [words.calls.codec, l.codec || '–'],
    [words.common.packets, full(l.packets)],
    [words.calls.loss, all > 0 ? percent(l.lost / all) : '–'],
    [words.calls.jitter, ms(l.jitter_ms)],
    [words.calls.roundTrip, l.round_trip_ms ? ms(l.round_trip_ms) : '–'],
    [words.calls.remote, l.remote ? <span className="mono">{l.remote}</span> : words.calls.nobody],
    [words.calls.arrives, <span className="mono">{l.local}</span>],
  ]
  if (l.wrong_source) rows.push([words.calls.wrongSource, full(l.wrong_source)])
  return (
    <div className="leg">
      <div className="head">
        <h4>{name}</h4>
        <Mos mos={l.mos} rating={ratingOf(l.mos)} />
      </div>
      <Chart points={l.history ?? []} leg={name} now={now} />
      <dl className="figures">
        {rows.map(([term, value]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  )
}
