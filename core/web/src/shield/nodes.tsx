import type { Node } from '../api/types'
import { useText } from '../i18n/text'
import { Moment, Panel } from '../ui/parts'
import { useNow } from '../ui/now'

export function Nodes({ nodes, current }: { nodes: Node[]; current: number }) {
  const { words, full } = useText()
  const now = useNow()
  return (
    <Panel title={words.overview.nodesTitle}>
      {nodes.length === 0 ? (
        <p className="soft">{words.overview.noNode}</p>
      ) : (
        <div className="scroll">
          <table className="cards">
            <thead>
              <tr>
                <th scope="col">{words.common.node}</th>
                <th scope="col">{words.overview.role}</th>
                <th scope="col">{words.overview.mode}</th>
                <th scope="col">{words.overview.policy}</th>
                <th scope="col">{words.overview.table}</th>
                <th scope="col">{words.overview.seen}</th>
              </tr>
            </thead>
            <tbody>
              {nodes.map((n) => (
                <tr key={`${n.name} ${n.instance}`}>
                  <th scope="row">
                    {n.name} {n.gone && <span className="tag drop">{words.overview.gone}</span>}
                    {n.notes.map((note) => (
                      <div key={note} className="soft">
                        <span className="tag warn">{n.address}</span> {note}
                      </div>
                    ))}
                  </th>
                  <td data-label={words.overview.role}>{n.role}</td>
                  <td data-label={words.overview.mode} className="wide">
                    <span className={`tag ${n.mode === 'off' ? 'drop' : n.mode === 'user' ? 'warn' : 'good'}`}>
                      {n.mode}
                    </span>{' '}
                    <span className="soft">{n.reason || words.modes[n.mode]}</span>
                  </td>
                  <td data-label={words.overview.policy} className="number">
                    {n.policy_version === 0 ? words.explain.builtIn : full(n.policy_version)}
                    {n.policy_version !== current && !n.gone && (
                      <>
                        {' '}
                        <span className="tag warn">{words.overview.behind}</span>
                      </>
                    )}
                  </td>
                  <td data-label={words.overview.table}>
                    {n.table_version || <span className="tag warn">{words.overview.noTable}</span>}
                  </td>
                  <td data-label={words.overview.seen} className="shut">
                    <Moment at={n.last_seen} now={now} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}
