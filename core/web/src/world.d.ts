declare module 'virtual:world' {
  import type { GeometryCollection, Topology } from 'topojson-specification'

  /** Coarse shapes; the id of each is its two-letter code, if it has one. */
  export const topology: Topology<{ countries: GeometryCollection }>
  /** Longitude and latitude of countries too small to have a coarse shape. */
  export const dots: Record<string, [number, number]>
}

declare module 'virtual:codes' {
  /** Every two-letter code there is. */
  export const codes: string[]
}
