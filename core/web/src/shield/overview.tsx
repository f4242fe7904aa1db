import { lazy, Suspense, useMemo, useState } from 'react'
import type { Stats } from '../api/types'
import { useText } from '../i18n/text'
import { Button, Choice, Notice, Panel } from '../ui/parts'
import { Countries, type Measure } from './countries'
import { byCountry, byVerdict } from './figures'
import { useLive } from './live'
import { Nodes } from './nodes'
import { Sources } from './sources'
import { Tiles } from './tiles'
import { Verdicts } from './verdict-table'

// The shapes are most of the page's weight; the figures need not wait for them.
const WorldMap = lazy(() => import('./map'))

const nothing: Stats = { policy_version: 0, bans: 0, nodes: [], counters: [], sources: [] }

export function OverviewPage() {
  const { words, country, full } = useText()
  const live = useLive()
  const [only, setOnly] = useState<string>()
  const [measure, setMeasure] = useState<Measure>('dropped')
  const stats = live.events.at(-1) ?? nothing
  const sums = useMemo(() => byCountry(stats.counters), [stats])
  const unclassified = byVerdict(stats.counters, undefined).get('unclassified') ?? 0
  const toggle = (code: string) => setOnly((was) => (was === code ? undefined : code))

  return (
    <>
      <div className="head">
        <h1>{words.overview.title}</h1>
        <span className={`stream ${live.state}`} role="status">
          {words.stream[live.state]}
        </span>
      </div>
      {unclassified > 0 && <Notice look="bad">{words.overview.unclassified(full(unclassified))}</Notice>}
      {stats.policy_fault && <Notice look="bad">{stats.policy_fault}</Notice>}
      <Tiles live={live} sums={sums} stats={stats} />
      <Panel
        title={words.overview.map}
        side={
          <>
            {only && (
              <Button look="small" onClick={() => setOnly(undefined)}>
                {words.overview.of(country(only))} ✕
              </Button>
            )}
            <Choice
              label={words.overview.show}
              value={measure}
              on={setMeasure}
              of={[
                ['dropped', words.overview.dropped],
                ['passed', words.overview.passed],
                ['share', words.overview.share],
              ]}
            />
          </>
        }
      >
        {stats.nodes.length > 0 && stats.nodes.every((n) => n.table_version === '') && (
          <Notice look="warn">
            {words.overview.noTables} <code>lindero geo update</code>
          </Notice>
        )}
        <div className="world">
          <Suspense fallback={<div className="map-space" />}>
            <WorldMap sums={sums} measure={measure} only={only} choose={toggle} />
          </Suspense>
          <Countries sums={sums} measure={measure} only={only} choose={toggle} />
        </div>
      </Panel>
      <div className="columns">
        <Verdicts events={live.events} only={only} />
        <Sources sources={stats.sources} only={only} />
      </div>
      <Nodes nodes={stats.nodes} current={stats.policy_version} />
    </>
  )
}
