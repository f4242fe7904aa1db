import type { Stats } from '../api/types'
import { useText } from '../i18n/text'
import { Panel } from '../ui/parts'
import { byVerdict, rate } from './figures'
import { wayOf } from './verdicts'

/** Verdicts are the counters, live, of every country or one. */
export function Verdicts({ events, only }: { events: Stats[]; only: string | undefined }) {
  const text = useText()
  const { words } = text
  const sums = byVerdict(events.at(-1)?.counters ?? [], only)
  const per = (v: string) => rate(events, (c) => c.verdict === v && (only === undefined || c.country === only))
  // What is not ours would dwarf the rest, and says the least.
  const most = Math.max(1, ...[...sums].map(([v, n]) => (wayOf(v) === 'aside' ? 0 : n)))
  return (
    <Panel title={words.overview.verdicts} side={only && <span className="tag">{text.country(only)}</span>}>
      <table className="verdict-table">
        <thead>
          <tr>
            <th scope="col">{words.common.verdict}</th>
            <th scope="col" className="right">
              {words.common.packets}
            </th>
            <th scope="col" className="right">
              {words.common.rate}
            </th>
          </tr>
        </thead>
        <tbody>
          {[...sums].map(([verdict, packets]) => (
            <tr key={verdict} className={packets === 0 ? 'idle' : ''}>
              <th scope="row" title={words.verdictHelp[verdict]}>
                <span className={`way ${wayOf(verdict)}`} aria-hidden="true" />
                {words.verdicts[verdict] ?? verdict}
                {wayOf(verdict) !== 'aside' && (
                  <span className={`share-bar ${wayOf(verdict)}`} style={{ width: `${(100 * packets) / most}%` }} />
                )}
              </th>
              <td className="right" data-verdict={verdict} data-value={packets}>
                {text.count(packets)}
              </td>
              <td className="right">{text.rate(per(verdict))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  )
}
