import { useCallback, useState, type FormEvent } from 'react'
import type { Version } from '../api/types'
import { useClient } from '../auth'
import { useText } from '../i18n/text'
import { asError, useLoad, type Loaded } from '../load'
import { Awaited, Button, Dialog, Failure, Field, Moment, Panel } from '../ui/parts'
import { Changes } from './changes'
import { Outlook } from './dry-run'

/** Versions is the history: who put what into force, how it differs, and the way back. */
export function Versions({
  versions,
  current,
  rolledBack,
}: {
  versions: Loaded<Version[]>
  current: number
  rolledBack: (v: Version) => void
}) {
  const { words, full } = useText()
  const [compare, setCompare] = useState<number>()
  const [back, setBack] = useState<number>()
  return (
    <Panel title={words.policy.versions}>
      <Awaited of={versions}>
        {(all) => (
          <div className="scroll">
            <table className="cards">
              <thead>
                <tr>
                  <th scope="col">{words.common.version}</th>
                  <th scope="col">{words.policy.made}</th>
                  <th scope="col">{words.policy.author}</th>
                  <th scope="col">{words.common.note}</th>
                  <th scope="col">
                    <span className="unseen">{words.policy.compare}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {all.map((v) => (
                  <tr key={v.version} data-version={v.version}>
                    <th scope="row" className="number">
                      {v.version === 0 ? words.explain.builtIn : full(v.version)}{' '}
                      {v.version === current && <span className="tag good">{words.policy.inForce}</span>}
                    </th>
                    <td data-label={words.policy.made} className="shut">
                      {v.version === 0 ? '–' : <Moment at={v.made} />}
                    </td>
                    <td data-label={words.policy.author}>{v.version === 0 ? '–' : v.author}</td>
                    <td data-label={words.common.note} className="wide">
                      {v.version === 0 ? '' : v.note}
                    </td>
                    <td className="right shut">
                      {v.version !== current && (
                        <span className="row-actions">
                          <Button
                            look="small"
                            aria-label={words.policy.compareOf(full(v.version))}
                            onClick={() => setCompare(v.version)}
                          >
                            {words.policy.compare}
                          </Button>
                          <Button
                            look="small"
                            aria-label={words.policy.rollbackOf(full(v.version))}
                            onClick={() => setBack(v.version)}
                          >
                            {words.policy.rollback}
                          </Button>
                        </span>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Awaited>
      {compare !== undefined && <Compare from={compare} to={current} close={() => setCompare(undefined)} />}
      {back !== undefined && (
        <Rollback
          to={back}
          current={current}
          close={() => setBack(undefined)}
          done={(v) => {
            setBack(undefined)
            rolledBack(v)
          }}
        />
      )}
    </Panel>
  )
}

function Compare({ from, to, close }: { from: number; to: number; close: () => void }) {
  const { words, full } = useText()
  const client = useClient()
  const changes = useLoad(useCallback(() => client.diff(from, to), [client, from, to]))
  return (
    <Dialog title={words.policy.compareTitle(full(from), full(to))} close={close}>
      <Awaited of={changes}>{(d) => <Changes changes={d.changes} />}</Awaited>
      <div className="actions">
        <Button look="main" autoFocus onClick={close}>
          {words.common.close}
        </Button>
      </div>
    </Dialog>
  )
}

function Rollback({
  to,
  current,
  close,
  done,
}: {
  to: number
  current: number
  close: () => void
  done: (v: Version) => void
}) {
  const { words, full } = useText()
  const client = useClient()
  const [note, setNote] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<Error>()
  const outlook = useLoad(
    useCallback(
      async (signal: AbortSignal) => client.dryRun((await client.version(to, signal)).document),
      [client, to],
    ),
  )
  const submit = async (e: FormEvent) => {
    e.preventDefault()
    setBusy(true)
    try {
      done(await client.rollback(to, note.trim(), current))
    } catch (failed) {
      setError(asError(failed))
      setBusy(false)
    }
  }
  return (
    <Dialog title={words.policy.rollbackTitle(full(to))} close={close}>
      <p className="soft">{words.policy.rollbackHelp}</p>
      <Awaited of={outlook}>{(dryRun) => <Outlook of={dryRun} />}</Awaited>
      {error && <Failure error={error} />}
      <form className="stack" onSubmit={(e) => void submit(e)}>
        <Field label={words.common.note} help={words.policy.noteHelp}>
          {(tie) => (
            <input
              {...tie}
              className="input"
              name="note"
              maxLength={300}
              autoFocus
              value={note}
              onChange={(e) => setNote(e.target.value)}
            />
          )}
        </Field>
        <div className="actions">
          <Button onClick={close}>{words.common.cancel}</Button>
          <Button type="submit" look="main" disabled={busy || !outlook.data}>
            {words.policy.rollback}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
