import type { Change } from '../api/types'
import { useText } from '../i18n/text'

/** Changes is a table of what was and what is, by path. */
export function Changes({ changes }: { changes: Change[] }) {
  const { words } = useText()
  if (changes.length === 0) return <p className="soft">{words.policy.noChanges}</p>
  return (
    <div className="scroll">
      <table className="cards changes">
        <thead>
          <tr>
            <th scope="col">{words.policy.path}</th>
            <th scope="col">{words.policy.before}</th>
            <th scope="col">{words.policy.after}</th>
          </tr>
        </thead>
        <tbody>
          {changes.map((c) => (
            <tr key={c.path}>
              <th scope="row" className="mono">
                {c.path}
              </th>
              <td data-label={words.policy.before}>
                <Value of={c.before} className="was" />
              </td>
              <td data-label={words.policy.after}>
                <Value of={c.after} className="is" />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Value({ of, className }: { of: string; className: string }) {
  return of === '' ? <span className="soft">–</span> : <code className={`value ${className}`}>{of}</code>
}
