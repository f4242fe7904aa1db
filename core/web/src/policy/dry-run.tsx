import type { CountryTally, DryRun } from '../api/types'
import { useText } from '../i18n/text'
import { Notice } from '../ui/parts'
import { Changes } from './changes'

/** Outlook is what a document changes in the one in force, and what that would do. */
export function Outlook({ of }: { of: DryRun }) {
  const { words } = useText()
  return (
    <>
      <div className="part">
        <h3>{words.policy.changes}</h3>
        <Changes changes={of.changes} />
      </div>
      <div className="part">
        <h3>{words.policy.result}</h3>
        <Result of={of} />
      </div>
    </>
  )
}

/** Result is what a policy would have done to the sources of the time before. */
export function Result({ of: r }: { of: DryRun }) {
  const { words, country, full } = useText()
  const registered = r.registered_dropped
  return (
    <div className="dry-run">
      <Notice look={registered.length > 0 ? 'bad' : r.would_drop > 0 ? 'warn' : ''}>
        <strong data-figure="summary">{r.summary}</strong>
      </Notice>
      <p className="soft">{words.policy.window(r.window)}</p>
      <dl className="facts wide">
        <div>
          <dt>{words.policy.checked}</dt>
          <dd className="number">{full(r.sources)}</dd>
        </div>
        <div>
          <dt>{words.policy.wouldDrop}</dt>
          <dd className="number">{full(r.would_drop)}</dd>
        </div>
        <div>
          <dt>{words.policy.wouldPass}</dt>
          <dd className="number">{full(r.would_pass_again)}</dd>
        </div>
      </dl>
      {registered.length > 0 && (
        <>
          <h3>{words.policy.registered}</h3>
          <div className="scroll">
            <table className="cards">
              <thead>
                <tr>
                  <th scope="col">{words.policy.terminal}</th>
                  <th scope="col">{words.policy.user}</th>
                  <th scope="col">{words.policy.company}</th>
                  <th scope="col">{words.common.address}</th>
                  <th scope="col">{words.common.country}</th>
                  <th scope="col">{words.common.rule}</th>
                </tr>
              </thead>
              <tbody>
                {registered.map((t, i) => (
                  <tr key={i}>
                    <th scope="row">{t.terminal}</th>
                    <td data-label={words.policy.user}>{t.user}</td>
                    <td data-label={words.policy.company}>{t.company}</td>
                    <td data-label={words.common.address} className="mono">
                      {t.address}
                    </td>
                    <td data-label={words.common.country}>{country(t.country)}</td>
                    <td data-label={words.common.rule} className="wide">
                      {t.rule}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
      <Tallies title={words.policy.byCountry} of={r.by_country} />
      <Tallies title={words.policy.againByCountry} of={r.pass_by_country} />
      {r.notes.length > 0 && (
        <ul className="bullets soft small">
          {r.notes.map((n) => (
            <li key={n}>{n}</li>
          ))}
        </ul>
      )}
    </div>
  )
}

function Tallies({ title, of }: { title: string; of: CountryTally[] }) {
  const { words, country, full } = useText()
  if (of.length === 0) return null
  return (
    <>
      <h3>{title}</h3>
      <ul className="chips">
        {of.map((c) => (
          <li key={c.country} className="chip">
            {country(c.country)} <b className="number">{full(c.sources)}</b>
            {c.registered > 0 && (
              <span className="tag drop">
                {full(c.registered)} {words.classes.registered}
              </span>
            )}
          </li>
        ))}
      </ul>
    </>
  )
}
