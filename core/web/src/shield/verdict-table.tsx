import { useText } from '../i18n/text'
import { Panel } from '../ui/parts'
import { byVerdict, rate, type Sample } from './figures'
import { wayOf } from './verdicts'

/** Verdicts are the counters, live, of every country or one. */
export function Verdicts({ samples, only }: { samples: Sample[]; only: string | undefined }) {
  const text = useText()
  const { words } = text
  const sums = byVerdict(samples.at(-1)?.stats.counters ?? [], only)
  const per = new Map([...sums.keys()].map((v) => [v, rate(samples, (s) => byVerdict(s.counters ?? [], only).get(v) ?? 0)]))
  const most = Math.max(1, ...sums.values())
  return (
    <Panel title={words.overview.verdicts} side={only && <span className="tag">{text.country(only)}</span>}>
      <table className="verdict-table">
        <thead>
          <tr>
            <th scope="col">{words.common.verdict}</th>
            <th scope="col" className="right">{words.common.packets}</th>
            <th scope="col" className="right">{words.common.rate}</th>
          </tr>
        </thead>
        <tbody>
          {[...sums].map(([verdict, packets]) => (
            <tr key={verdict} className={packets === 0 ? 'idle' : ''}>
              <th scope="row" title={words.verdictHelp[verdict]}>
                <span className={`way ${wayOf(verdict)}`} aria-hidden="true" />
                {words.verdicts[verdict] ?? verdict}
                <span className={`share-bar ${wayOf(verdict)}`} style={{ width: `${(100 * packets) / most}%` }} />
              </th>
              <td className="right" data-verdict={verdict} data-value={packets}>{text.count(packets)}</td>
              <td className="right">{text.rate(per.get(verdict) ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  )
}
