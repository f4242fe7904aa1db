import { useCallback, useEffect, useState, type FormEvent, type ReactNode } from 'react'
import type { Explanation } from '../api/types'
import { useClient } from '../auth'
import { useText } from '../i18n/text'
import { useLoad } from '../load'
import { go, Link, useQuery } from '../routing'
import { useNow } from '../ui/now'
import { Awaited, Button, Field, Moment, Notice, Panel } from '../ui/parts'

const services = ['sip', 'web', 'media'] as const

/** ExplainPage keeps its question in the address, so that it can be handed on. */
export function ExplainPage() {
  const { words } = useText()
  const query = useQuery()
  const asked = { address: query.get('address') ?? '', service: query.get('service') ?? 'sip' }
  const [address, setAddress] = useState(asked.address)
  const [service, setService] = useState(asked.service)
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    setAddress(asked.address)
    setService(asked.service)
  }, [asked.address, asked.service])
  const submit = (e: FormEvent) => {
    e.preventDefault()
    go(`/shield/explain?${new URLSearchParams({ address: address.trim(), service })}`)
    setTurn((n) => n + 1)
  }
  return (
    <>
      <div className="head">
        <h1>{words.explain.title}</h1>
        <p className="soft">{words.explain.lead}</p>
      </div>
      <Panel>
        <form className="form-row" onSubmit={submit}>
          <Field label={words.common.address} className="grow">
            {(tie) => (
              <input
                {...tie}
                className="input mono"
                name="address"
                required
                spellCheck={false}
                autoCapitalize="none"
                placeholder="203.0.113.9"
                value={address}
                onChange={(e) => setAddress(e.target.value)}
              />
            )}
          </Field>
          <Field label={words.common.service}>
            {(tie) => (
              <select {...tie} className="input" value={service} onChange={(e) => setService(e.target.value)}>
                {services.map((s) => (
                  <option key={s} value={s}>
                    {words.services[s]}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Button type="submit" look="main">
            {words.explain.go}
          </Button>
        </form>
      </Panel>
      {asked.address && <Answers key={turn} {...asked} />}
    </>
  )
}

function Answers({ address, service }: { address: string; service: string }) {
  const { words } = useText()
  const client = useClient()
  const answers = useLoad(
    useCallback((signal: AbortSignal) => client.explain(address, service, signal), [client, address, service]),
  )
  return (
    <Awaited of={answers}>
      {(all) =>
        all.length === 0 ? (
          <Notice look="warn">{words.explain.noNode}</Notice>
        ) : (
          <div className="answers">
            {all.map((e) => (
              <Answer key={e.node} of={e} />
            ))}
          </div>
        )
      }
    </Awaited>
  )
}

function Answer({ of: e }: { of: Explanation }) {
  const { words, country, full, rate, until } = useText()
  const now = useNow()
  const left = e.ban_ends ? until(e.ban_ends, now) : ''
  const rows: [string, ReactNode][] = [
    [words.explain.decided, e.rule],
    [words.common.country, `${country(e.country)} (${e.country})`],
    [words.common.class, words.classes[e.class] ?? e.class],
    [words.explain.policy, e.policy_version === 0 ? words.explain.builtIn : full(e.policy_version)],
    [words.explain.table, e.table_version || words.overview.noTable],
  ]
  if (e.budget_left !== undefined) {
    rows.push([
      words.explain.budget,
      e.budget_rate
        ? words.explain.budgetOf(rate(e.budget_left), full(e.budget_rate))
        : words.explain.budgetLeft(rate(e.budget_left)),
    ])
  }
  if (e.ban_ends)
    rows.push([
      words.explain.ban,
      <>
        <Moment at={e.ban_ends} />
        {left && ` (${left})`}
        {e.ban_reason && `: ${e.ban_reason}`}
      </>,
    ])
  if (e.mode) rows.push([words.explain.mode, `${words.modes[e.mode] ?? e.mode} (${e.mode})`])
  const change = e.change
  return (
    <section className="panel answer" aria-label={e.node} data-node={e.node} data-verdict={e.verdict}>
      <div className="head">
        <h2>
          <span className="mono">{e.address}</span> {e.drops ? words.explain.drops : words.explain.passes}{' '}
          <span className={`tag ${e.drops ? 'drop' : 'pass'}`}>{words.verdicts[e.verdict] ?? e.verdict}</span>
        </h2>
        <span className="soft">
          {e.node} · {words.services[e.service] ?? e.service}
        </span>
      </div>
      <dl className="facts">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <div>
        <h3>{words.explain.change}</h3>
        {change.length === 0 ? (
          <p className="soft">{words.explain.nothing}</p>
        ) : (
          <ul className="bullets">
            {change.map((c) => (
              <li key={c}>{c}</li>
            ))}
          </ul>
        )}
      </div>
      {!e.ban_ends && (
        <p>
          <Link href={`/shield/bans?${new URLSearchParams({ ban: e.address })}`}>
            {words.overview.ban} {e.address}
          </Link>
        </p>
      )}
    </section>
  )
}
