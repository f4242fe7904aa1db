import { geoCentroid, geoNaturalEarth1, geoPath } from 'd3-geo'
import { useMemo, useRef, useState, type KeyboardEvent } from 'react'
import { feature } from 'topojson-client'
import { dots, topology } from 'virtual:world'
import { nowhere } from '../countries'
import { useText } from '../i18n/text'
import { measured, type Measure } from './countries'
import { share, type Sum } from './figures'
import { neighbour, type Place } from './neighbour'
import { packetScale, shadeOf, shareScale, type Scale } from './scale'

const width = 960
const height = 460

interface Shape extends Place {
  /** The outline, or nothing for a country that is drawn as a dot. */
  d: string | null
}

/** Every country where it is drawn, computed once. Antarctica sends nothing and takes much room. */
function drawWorld(): { shapes: Shape[]; nameless: string[] } {
  const world = feature(topology, topology.objects.countries)
  const shown = { ...world, features: world.features.filter((f) => f.id !== 'AQ') }
  const projection = geoNaturalEarth1().fitExtent(
    [
      [2, 2],
      [width - 2, height - 2],
    ],
    shown,
  )
  const path = geoPath(projection).digits(1)
  const outlines = new Map<string, { d: string; lonlat: [number, number]; area: number }>()
  const nameless: string[] = []
  for (const f of shown.features) {
    const d = path(f)
    if (!d) continue
    if (f.id === undefined) {
      nameless.push(d)
      continue
    }
    const code = String(f.id)
    const had = outlines.get(code) // a code may stand on two shapes; the larger one says where it is
    const area = path.area(f)
    const lonlat = had && had.area > area ? had.lonlat : geoCentroid(f)
    outlines.set(code, { d: (had?.d ?? '') + d, lonlat, area: Math.max(area, had?.area ?? 0) })
  }
  const place = (code: string, lonlat: [number, number], d: string | null): Shape => {
    const [x, y] = projection(lonlat) ?? [0, 0]
    return { code, x, y, d }
  }
  return {
    shapes: [
      ...[...outlines].map(([code, o]) => place(code, o.lonlat, o.d)),
      ...Object.entries(dots).map(([code, lonlat]) => place(code, lonlat, null)),
    ],
    nameless,
  }
}

interface Props {
  sums: Map<string, Sum>
  measure: Measure
  only: string | undefined
  choose: (code: string) => void
}

/** WorldMap is the choropleth. It is one stop of the Tab key; inside, arrows move. */
export default function WorldMap({ sums, measure, only, choose }: Props) {
  const { words, country, count, percent } = useText()
  const { shapes, nameless } = useMemo(drawWorld, [])
  const [at, setAt] = useState<string>()
  const [stop, setStop] = useState('ES')
  const nodes = useRef(new Map<string, SVGElement>())

  const scale =
    measure === 'share' ? shareScale : packetScale(Math.max(0, ...[...sums.values()].map((s) => s[measure])))
  const detail = (code: string) => {
    const sum = sums.get(code)
    return sum
      ? words.overview.detail(country(code), count(sum.passed), count(sum.dropped), percent(share(sum)))
      : `${country(code)}: ${words.overview.noData}`
  }
  const key = (e: KeyboardEvent, code: string) => {
    if (e.key === 'Enter' || e.key === ' ') {
      e.preventDefault()
      choose(code)
      return
    }
    const next = neighbour(shapes, code, e.key)
    if (next === undefined) return
    e.preventDefault()
    setStop(next)
    nodes.current.get(next)?.focus()
  }
  const unplaced = sums.get(nowhere)

  return (
    <figure className={`map by-${measure === 'passed' ? 'pass' : 'drop'}`}>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        role="group"
        aria-label={`${words.overview.map}. ${words.overview.mapHelp}`}
        onPointerLeave={() => setAt(undefined)}
      >
        {nameless.map((d) => (
          <path key={d.slice(0, 20)} d={d} className="land" />
        ))}
        {shapes.map((s) => {
          const sum = sums.get(s.code)
          const shade = sum ? shadeOf(measured(sum, measure), scale) : 0
          if (!s.d && !sum && s.code !== only) return null // dots only where there is something to tell
          const same = {
            className: `land shade-${shade}${s.code === only ? ' chosen' : ''}`,
            role: 'button',
            'aria-pressed': s.code === only,
            'aria-label': detail(s.code),
            'data-country': s.code,
            tabIndex: s.code === stop ? 0 : -1,
            ref: (node: SVGElement | null) => {
              if (node) nodes.current.set(s.code, node)
              else nodes.current.delete(s.code)
            },
            onPointerEnter: () => setAt(s.code),
            onFocus: () => {
              setAt(s.code)
              setStop(s.code)
            },
            onBlur: () => setAt(undefined),
            onClick: () => choose(s.code),
            onKeyDown: (e: KeyboardEvent) => key(e, s.code),
          }
          return s.d ? (
            <path key={s.code} d={s.d} {...same} />
          ) : (
            <circle key={s.code} cx={s.x} cy={s.y} r={5} {...same} />
          )
        })}
      </svg>
      <figcaption>
        <Legend scale={scale} measure={measure} />
        <span className="detail number" aria-hidden="true">
          {at ? detail(at) : unplaced ? detail(nowhere) : ''}
        </span>
      </figcaption>
    </figure>
  )
}

function Legend({ scale, measure }: { scale: Scale; measure: Measure }) {
  const { count, percent } = useText()
  return (
    <ol className="legend" aria-hidden="true">
      {scale.map((from, i) => (
        <li key={from}>
          <i className={`shade-${i + 1}`} />
          {measure === 'share' ? (i === 0 ? '> 0' : percent(from)) : count(from)}
        </li>
      ))}
    </ol>
  )
}
