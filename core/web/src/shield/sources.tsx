import type { Source } from '../api/types'
import { useText } from '../i18n/text'
import { Link } from '../routing'
import { Panel } from '../ui/parts'
import { wayOf } from './verdicts'

const shown = 15

/** Sources are who sent most; each leads to its explanation. */
export function Sources({ sources, only }: { sources: Source[]; only: string | undefined }) {
  const { words, country, count } = useText()
  const rows = sources
    .filter((s) => only === undefined || s.country === only)
    .sort((a, b) => b.packets - a.packets || a.address.localeCompare(b.address))
    .slice(0, shown)
  return (
    <Panel title={words.overview.sources} side={only && <span className="tag">{country(only)}</span>}>
      {rows.length === 0 ? (
        <p className="soft">{words.overview.sourcesNone}</p>
      ) : (
        <>
          <div className="scroll">
            <table className="cards">
              <thead>
                <tr>
                  <th scope="col">{words.common.address}</th>
                  <th scope="col">{words.common.country}</th>
                  <th scope="col">{words.common.class}</th>
                  <th scope="col">{words.common.verdict}</th>
                  <th scope="col" className="right">
                    {words.common.packets}
                  </th>
                </tr>
              </thead>
              <tbody>
                {rows.map((s) => (
                  <tr key={`${s.address} ${s.service} ${s.verdict}`}>
                    <th scope="row">
                      <Link
                        className="mono"
                        href={`/shield/explain?${new URLSearchParams({ address: s.address, service: s.service })}`}
                        title={words.overview.explain(s.address)}
                      >
                        {s.address}
                      </Link>
                    </th>
                    <td data-label={words.common.country}>{country(s.country)}</td>
                    <td data-label={words.common.class}>{words.classes[s.class] ?? s.class}</td>
                    <td data-label={words.common.verdict}>
                      <span className={`tag ${wayOf(s.verdict)}`}>{words.verdicts[s.verdict] ?? s.verdict}</span>
                    </td>
                    <td data-label={words.common.packets} className="right">
                      {count(s.packets)}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <p className="soft small">{words.overview.estimated}</p>
        </>
      )}
    </Panel>
  )
}
