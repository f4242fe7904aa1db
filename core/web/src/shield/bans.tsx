import { useCallback, useEffect, useState, type FormEvent } from 'react'
import type { Ban } from '../api/types'
import { useClient } from '../auth'
import { useText } from '../i18n/text'
import { asError, useLoad } from '../load'
import { Link, useQuery } from '../routing'
import { useNow } from '../ui/now'
import { Awaited, Button, Dialog, Failure, Field, Moment, Notice, Panel } from '../ui/parts'

const lengths = ['10m', '1h', '24h', '168h', '720h'] as const

export function BansPage() {
  const { words, full } = useText()
  const client = useClient()
  const bans = useLoad(useCallback((signal: AbortSignal) => client.bans(signal), [client]))
  const [lifting, setLifting] = useState<Ban>()
  const [done, setDone] = useState('')
  const now = useNow()
  const { reload } = bans
  useEffect(() => {
    const timer = setInterval(reload, 5000) // nodes ban by themselves
    return () => clearInterval(timer)
  }, [reload])
  const inForce = bans.data?.filter((b) => Date.parse(b.until) > now)
  const changed = (what: string) => {
    setDone(what)
    bans.reload()
  }
  return (
    <>
      <div className="head">
        <h1>{words.bans.title}</h1>
      </div>
      {done && <Notice>{done}</Notice>}
      <Add added={(prefix) => changed(words.bans.added(prefix))} />
      <Panel title={words.bans.count(inForce ? full(inForce.length) : '…')}>
        <Awaited of={bans}>
          {() =>
            inForce!.length === 0 ? (
              <p className="soft">{words.bans.none}</p>
            ) : (
              <List bans={inForce!} now={now} lift={setLifting} />
            )
          }
        </Awaited>
      </Panel>
      {lifting && (
        <Lift
          ban={lifting}
          close={() => setLifting(undefined)}
          lifted={() => {
            changed(words.bans.lifted(lifting.prefix))
            setLifting(undefined)
          }}
        />
      )}
    </>
  )
}

function List({ bans, now, lift }: { bans: Ban[]; now: number; lift: (b: Ban) => void }) {
  const { words, until } = useText()
  return (
    <div className="scroll">
      <table className="cards">
        <thead>
          <tr>
            <th scope="col">{words.bans.prefix}</th>
            <th scope="col">{words.common.reason}</th>
            <th scope="col">{words.bans.left}</th>
            <th scope="col">{words.bans.until}</th>
            <th scope="col">{words.bans.by}</th>
            <th scope="col">{words.bans.proven}</th>
            <th scope="col">
              <span className="unseen">{words.bans.lift}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {bans.map((b) => (
            <tr key={b.prefix} data-ban={b.prefix}>
              <th scope="row">
                <Link
                  className="mono"
                  href={`/shield/explain?${new URLSearchParams({ address: b.prefix.replace(/\/.*/, ''), service: 'sip' })}`}
                >
                  {b.prefix}
                </Link>
              </th>
              <td data-label={words.common.reason} className="wide">
                {b.reason}
              </td>
              <td data-label={words.bans.left} className="shut number">
                {until(b.until, now)}
              </td>
              <td data-label={words.bans.until} className="shut">
                <Moment at={b.until} />
              </td>
              <td data-label={words.bans.by}>{b.by}</td>
              <td data-label={words.bans.proven} title={b.proven ? undefined : words.bans.provenHelp}>
                {b.proven ? words.bans.provenYes : words.bans.provenNo}
              </td>
              <td className="right">
                <Button look="small" aria-label={words.bans.liftOf(b.prefix)} onClick={() => lift(b)}>
                  {words.bans.lift}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Lift({ ban, close, lifted }: { ban: Ban; close: () => void; lifted: () => void }) {
  const { words } = useText()
  const client = useClient()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<Error>()
  const lift = async () => {
    setBusy(true)
    try {
      await client.lift(ban.prefix)
      lifted()
    } catch (e) {
      setError(asError(e))
      setBusy(false)
    }
  }
  return (
    <Dialog narrow title={words.bans.liftQuestion(ban.prefix)} close={close}>
      <p>{ban.reason}</p>
      <p className="soft">{words.bans.liftHelp}</p>
      {error && <Failure error={error} />}
      <div className="actions">
        <Button onClick={close}>{words.common.cancel}</Button>
        <Button look="main" disabled={busy} onClick={() => void lift()}>
          {words.bans.lift}
        </Button>
      </div>
    </Dialog>
  )
}

function Add({ added }: { added: (prefix: string) => void }) {
  const { words } = useText()
  const client = useClient()
  const wanted = useQuery().get('ban') ?? ''
  const [source, setSource] = useState(wanted)
  const [reason, setReason] = useState('')
  const [length, setLength] = useState<string>('1h')
  const [error, setError] = useState<Error>()
  const [busy, setBusy] = useState(false)
  const submit = async (e: FormEvent) => {
    e.preventDefault()
    setBusy(true)
    setError(undefined)
    try {
      const { prefix } = await client.ban(source.trim(), reason.trim(), length)
      setSource('')
      setReason('')
      added(prefix)
    } catch (failed) {
      setError(asError(failed))
    }
    setBusy(false)
  }
  return (
    <Panel title={words.bans.addTitle}>
      <form className="form-row top" onSubmit={(e) => void submit(e)}>
        <Field label={words.bans.source} help={words.bans.sourceHelp} className="grow">
          {(tie) => (
            <input
              {...tie}
              className="input mono"
              required
              spellCheck={false}
              autoCapitalize="none"
              name="source"
              value={source}
              onChange={(e) => setSource(e.target.value)}
            />
          )}
        </Field>
        <Field label={words.common.reason} help={words.bans.reasonHelp} className="grow">
          {(tie) => (
            <input
              {...tie}
              className="input"
              required
              maxLength={300}
              name="reason"
              value={reason}
              onChange={(e) => setReason(e.target.value)}
            />
          )}
        </Field>
        <Field label={words.bans.for}>
          {(tie) => (
            <select {...tie} className="input" value={length} onChange={(e) => setLength(e.target.value)}>
              {lengths.map((l) => (
                <option key={l} value={l}>
                  {words.bans.hours[l]}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Button type="submit" look="main below-label" disabled={busy}>
          {words.bans.ban}
        </Button>
      </form>
      {error && <Failure error={error} />}
    </Panel>
  )
}
