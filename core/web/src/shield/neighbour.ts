/** A Place is where a country is on the map, in its own units. */
export interface Place {
  code: string
  x: number
  y: number
}

const directions: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
}

/**
 * neighbour is the country one comes to from another by an arrow key: the nearest
 * within a right angle of the arrow, where being off to the side counts double.
 */
export function neighbour(places: Place[], from: string, key: string): string | undefined {
  const direction = directions[key]
  const here = places.find((p) => p.code === from)
  if (!direction || !here) return undefined
  let best: string | undefined
  let least = Infinity
  for (const p of places) {
    const along = (p.x - here.x) * direction[0] + (p.y - here.y) * direction[1]
    const aside = Math.abs((p.x - here.x) * direction[1]) + Math.abs((p.y - here.y) * direction[0])
    if (p.code === from || along <= 0 || aside > along) continue
    const cost = along + 2 * aside
    if (cost < least) [best, least] = [p.code, cost]
  }
  return best
}
