/** The shades of the map: 1 to 5; 0 is the bare land. */
export const shades = 5

/**
 * A Scale says from which value each shade begins. Packets span many orders, so
 * their steps are about fourfold, down from the most; shares are even fifths.
 */
export type Scale = number[]

export function packetScale(most: number): Scale {
  const scale = [1]
  for (let i = 1; i < shades; i++) scale.push(Math.max(i + 1, nice(most / 4 ** (shades - i))))
  return scale
}

export const shareScale: Scale = [0.000_001, 0.2, 0.4, 0.6, 0.8]

export function shadeOf(value: number, scale: Scale): number {
  return scale.findLastIndex((from) => value >= from) + 1
}

// nice is the next number up that begins with 1, 2 or 5.
function nice(n: number): number {
  if (n <= 1) return 1
  const power = 10 ** Math.floor(Math.log10(n))
  const step = [1, 2, 5, 10].find((s) => s * power >= n * 0.999_999) ?? 10
  return step * power
}
