import { useCallback, useState } from 'react'
import type { CallRecord } from '../api/types'
import { useClient } from '../auth'
import { duration } from '../i18n/duration'
import { useText } from '../i18n/text'
import { useOften } from '../load-often'
import { Awaited, Button, Moment, Panel } from '../ui/parts'
import { Both } from './quality'

/** Records are the calls that ended, a page at a time. */
export function Records() {
  const { words } = useText()
  const client = useClient()
  const [before, setBefore] = useState('')
  const page = useOften(
    useCallback((signal: AbortSignal) => client.records(before, signal), [client, before]),
    5000,
  )
  return (
    <Panel title={words.calls.records}>
      <Awaited of={page}>
        {(list) => (
          <>
            {list.cdrs.length === 0 ? <p className="soft">{words.calls.noRecords}</p> : <Table records={list.cdrs} />}
            {(before || list.next) && (
              <div className="actions">
                {before && <Button onClick={() => setBefore('')}>{words.calls.newest}</Button>}
                {list.next && <Button onClick={() => setBefore(list.next)}>{words.calls.earlier}</Button>}
              </div>
            )}
          </>
        )}
      </Awaited>
    </Panel>
  )
}

function Table({ records }: { records: CallRecord[] }) {
  const { words } = useText()
  return (
    <div className="scroll">
      <table className="cards">
        <thead>
          <tr>
            <th scope="col">{words.calls.call}</th>
            <th scope="col">{words.calls.began}</th>
            <th scope="col">{words.calls.company}</th>
            <th scope="col">{words.calls.result}</th>
            <th scope="col">{words.calls.quality}</th>
          </tr>
        </thead>
        <tbody>
          {records.map((r) => (
            <tr key={`${r.company} ${r.id}`} data-record={r.id}>
              <th scope="row">
                {r.from} → {r.to}
              </th>
              <td data-label={words.calls.began} className="shut">
                <Moment at={r.start} />
              </td>
              <td data-label={words.calls.company}>{r.company_name}</td>
              <td data-label={words.calls.result}>
                {r.answer
                  ? words.calls.answered(duration(Date.parse(r.end) - Date.parse(r.answer)))
                  : words.calls.refused(String(r.code), r.reason)}
              </td>
              <td data-label={words.calls.quality}>{r.answer ? <Both of={r} /> : '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
