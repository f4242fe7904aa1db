import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { geoCentroid } from 'd3-geo'
import { feature } from 'topojson-client'
import type { GeometryCollection, Topology } from 'topojson-specification'
import type { Plugin } from 'vite'

// What the map calls countries without an ISO number. Country databases place the
// addresses of the last two under the second code, so the map shows them there.
const unnumbered: Record<string, string> = { Kosovo: 'XK', Somaliland: 'SO', 'N. Cyprus': 'CY' }

// Codes that databases use and ISO 3166-1 does not have.
const besides = ['AP', 'EU', 'XK']

/**
 * world makes two modules: `virtual:codes`, the two-letter codes of ISO 3166-1 by
 * its numbers, and `virtual:world` out of npm's world-atlas, the coarse shapes with
 * codes for ids and a point for each country that is too small to have a coarse
 * shape. Only what the page draws is bundled.
 */
export function world(): Plugin {
  const make: Record<string, () => string> = { '\0virtual:codes': makeCodes, '\0virtual:world': makeShapes }
  return {
    name: 'lindero-world',
    resolveId: (source) => (`\0${source}` in make ? `\0${source}` : null),
    load: (id) => make[id]?.() ?? null,
  }
}

const { resolve } = createRequire(import.meta.url)
const read = (path: string) => JSON.parse(readFileSync(resolve(path), 'utf8')) as unknown

/** The two-letter codes by ISO's numbers, which is what world-atlas has. */
function codesByNumber(): Map<string, string> {
  const rows = read('i18n-iso-countries/codes.json') as string[][]
  return new Map(rows.map(([alpha2, , number]) => [number!, alpha2!]))
}

function makeCodes(): string {
  const codes = [...new Set([...codesByNumber().values(), ...besides])].sort()
  return `export const codes = ${JSON.stringify(codes.join(' '))}.split(' ')\n`
}

function makeShapes(): string {
  const numbers = codesByNumber()
  const code = (g: { id?: string | number | undefined; properties?: unknown }) =>
    numbers.get(String(g.id)) ?? unnumbered[(g.properties as { name: string }).name]

  const coarse = read('world-atlas/countries-110m.json') as Topology<{
    countries: GeometryCollection
    land?: unknown & GeometryCollection
  }>
  const drawn = new Set<string>()
  for (const g of coarse.objects.countries.geometries) {
    const c = code(g)
    if (c) drawn.add(c)
    delete g.properties
    delete g.id
    if (c) g.id = c
  }
  delete coarse.objects.land

  const fine = read('world-atlas/countries-10m.json') as Topology<{ countries: GeometryCollection<{ name: string }> }>
  const dots: Record<string, [number, number]> = {}
  for (const f of feature(fine, fine.objects.countries).features) {
    const c = code(f)
    if (!c || drawn.has(c) || c === 'AQ' || dots[c]) continue
    const [x, y] = geoCentroid(f)
    dots[c] = [Math.round(x * 10) / 10, Math.round(y * 10) / 10]
  }
  // A string that JSON.parse reads starts faster than the same object as code.
  const text = JSON.stringify(JSON.stringify({ topology: coarse, dots }))
  return `const world = JSON.parse(${text})\nexport const { topology, dots } = world\n`
}
