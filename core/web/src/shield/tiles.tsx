import type { Stats } from '../api/types'
import { useText } from '../i18n/text'
import { Link } from '../routing'
import { dropping, passing, rate, share, total, type Sum } from './figures'
import { chartSeconds, type Live } from './live'

/** Tiles are the four figures one looks at first. */
export function Tiles({ live, sums, stats }: { live: Live; sums: Map<string, Sum>; stats: Stats }) {
  const text = useText()
  const { words } = text
  const all = total(sums.values())
  const alive = stats.nodes.filter((n) => !n.gone)
  const known = live.events.length > 0
  const rates = { passed: rate(live.events, passing), dropped: rate(live.events, dropping) }
  const top = Math.max(1, ...live.chart.map((p) => Math.max(p.passed, p.dropped)))
  return (
    <div className="tiles">
      {(['passed', 'dropped'] as const).map((key) => (
        <section key={key} className={`panel tile ${key}`} aria-label={words.overview[key]}>
          <h2>{words.overview[key]}</h2>
          <p>
            <b className="number" data-figure={`${key}-rate`}>
              {known ? text.rate(rates[key]) : '–'}
            </b>{' '}
            <span className="soft">{words.overview.perSecond}</span>
          </p>
          <p className="soft number" data-figure={key} data-value={all[key]}>
            {words.overview.totals(text.count(all[key]))}
          </p>
          <Chart points={live.chart.map((p) => p[key])} top={top} />
        </section>
      ))}
      <section className="panel tile" aria-label={words.overview.share}>
        <h2>{words.overview.share}</h2>
        <p>
          <b className="number">{known ? text.percent(share(all)) : '–'}</b>
        </p>
        <p className="soft">{words.overview.ofAll}</p>
      </section>
      <section className="panel tile" aria-label={words.overview.nodes}>
        <h2>{words.overview.nodes}</h2>
        <p>
          <b className="number">{known ? text.full(alive.length) : '–'}</b>
        </p>
        <p className="soft">
          {alive.length === 0 && known ? words.overview.noNode : [...new Set(alive.map((n) => n.mode))].join(', ')}
        </p>
        <p>
          <Link href="/shield/bans">{words.bans.count(text.full(stats.bans))}</Link>
        </p>
      </section>
    </div>
  )
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
