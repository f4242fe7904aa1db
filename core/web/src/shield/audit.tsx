import { useCallback } from 'react'
import type { AuditRow } from '../api/types'
import { useClient } from '../auth'
import { useText } from '../i18n/text'
import { useLoad } from '../load'
import { Changes } from '../policy/changes'
import { differences } from '../policy/differences'
import { Awaited, Moment, Panel } from '../ui/parts'

export function AuditPage() {
  const { words } = useText()
  const client = useClient()
  const rows = useLoad(useCallback((signal: AbortSignal) => client.audit(signal), [client]))
  return (
    <>
      <div className="head">
        <h1>{words.audit.title}</h1>
        <p className="soft">{words.audit.lead}</p>
      </div>
      <Panel>
        <Awaited of={rows}>
          {(all) => (all.length === 0 ? <p className="soft">{words.audit.none}</p> : <List rows={all} />)}
        </Awaited>
      </Panel>
    </>
  )
}

function List({ rows }: { rows: AuditRow[] }) {
  const { words } = useText()
  return (
    <div className="scroll">
      <table className="cards">
        <thead>
          <tr>
            <th scope="col">{words.common.when}</th>
            <th scope="col">{words.common.who}</th>
            <th scope="col">{words.audit.what}</th>
            <th scope="col">{words.policy.changes}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => {
            const changes = differences(r.before, r.after)
            return (
              <tr key={r.id} data-action={r.action}>
                <td data-label={words.common.when} className="shut">
                  <Moment at={r.at} />
                </td>
                <td data-label={words.common.who}>{r.who}</td>
                <th scope="row">
                  <span className="tag">{words.audit.actions[r.action] ?? r.action}</span>{' '}
                  <span className="mono">{r.object}</span>
                </th>
                <td className="wide">
                  <details>
                    <summary>{words.audit.show(changes.length)}</summary>
                    <Changes changes={changes} />
                  </details>
                </td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}
