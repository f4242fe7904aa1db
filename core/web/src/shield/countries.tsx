import { useText } from '../i18n/text'
import { share, type Sum } from './figures'

/** What the map and the list show. */
export type Measure = 'dropped' | 'passed' | 'share'

export const measured = (s: Sum, m: Measure) => (m === 'share' ? share(s) : s[m])

interface Props {
  sums: Map<string, Sum>
  measure: Measure
  only: string | undefined
  choose: (code: string) => void
}

/** Countries is the map as a list: every country that was heard of, the most first. */
export function Countries({ sums, measure, only, choose }: Props) {
  const { words, country, count, percent } = useText()
  const rows = [...sums].sort(
    ([a, x], [b, y]) => measured(y, measure) - measured(x, measure) || y.dropped - x.dropped || a.localeCompare(b),
  )
  if (rows.length === 0) return <p className="soft">{words.overview.none}</p>
  return (
    <div className="country-list" tabIndex={0} role="region" aria-label={words.overview.map}>
      <table>
        <thead>
          <tr>
            <th scope="col">{words.common.country}</th>
            <th scope="col" className="right">
              {words.overview.passed}
            </th>
            <th scope="col" className="right">
              {words.overview.dropped}
            </th>
            <th scope="col" className="right">
              %
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([code, sum]) => (
            <tr key={code} className={code === only ? 'chosen' : ''}>
              <th scope="row">
                <button type="button" className="row-choice" aria-pressed={code === only} onClick={() => choose(code)}>
                  {country(code)}
                </button>
              </th>
              <td className="right">{count(sum.passed)}</td>
              <td className="right">{count(sum.dropped)}</td>
              <td className="right">{percent(share(sum))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
