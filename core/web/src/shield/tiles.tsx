import type { Node } from '../api/types'
import { useText } from '../i18n/text'
import { byCountry, rate, share, total, type Sum } from './figures'
import { chartSeconds, type Live } from './live'

/** Tiles are the four figures one looks at first. */
export function Tiles({ live, sums, nodes, known }: { live: Live; sums: Map<string, Sum>; nodes: Node[]; known: boolean }) {
  const text = useText()
  const { words } = text
  const all = total(sums.values())
  const alive = nodes.filter((n) => !n.gone)
  const per = (key: keyof Sum) => text.rate(rate(live.samples, (s) => total(byCountry(s.counters ?? []).values())[key]))
  const top = Math.max(1, ...live.chart.map((p) => Math.max(p.passed, p.dropped)))
  return (
    <div className="tiles">
      {(['passed', 'dropped'] as const).map((key) => (
        <section key={key} className={`panel tile ${key}`} aria-label={words.overview[key]}>
          <h2>{words.overview[key]}</h2>
          <p><b className="number" data-figure={`${key}-rate`}>{known ? per(key) : '–'}</b> <span className="soft">{words.overview.perSecond}</span></p>
          <p className="soft number" data-figure={key} data-value={all[key]}>{words.overview.totals(text.count(all[key]))}</p>
          <Chart points={live.chart.map((p) => p[key])} top={top} />
        </section>
      ))}
      <section className="panel tile" aria-label={words.overview.share}>
        <h2>{words.overview.share}</h2>
        <p><b className="number">{known ? text.percent(share(all)) : '–'}</b></p>
        <p className="soft">{words.overview.ofAll}</p>
      </section>
      <section className="panel tile" aria-label={words.overview.nodes}>
        <h2>{words.overview.nodes}</h2>
        <p><b className="number">{known ? text.full(alive.length) : '–'}</b></p>
        <p className="soft">{alive.length === 0 && known ? words.overview.noNode : modes(alive, words.modes)}</p>
      </section>
    </div>
  )
}

function modes(nodes: Node[], names: Record<string, string>): string {
  return [...new Set(nodes.map((n) => names[n.mode] ?? n.mode))].join(', ')
}

/** Chart draws the last two minutes; the newest second is at the right. */
function Chart({ points, top }: { points: number[]; top: number }) {
  const y = (v: number) => (38 - (36 * v) / top).toFixed(1)
  const first = chartSeconds - points.length
  const line = points.map((v, i) => `${first + i},${y(v)}`).join(' ')
  return (
    <svg className="chart" viewBox={`0 0 ${chartSeconds - 1} 40`} preserveAspectRatio="none" aria-hidden="true">
      {points.length > 1 && (
        <>
          <polygon points={`${first},40 ${line} ${chartSeconds - 1},40`} />
          <polyline points={line} />
        </>
      )}
    </svg>
  )
}
