/** duration writes milliseconds in the two largest units, such as "2 h 5 min"; empty when there is nothing left. */
export function duration(ms: number): string {
  let s = Math.ceil(ms / 1000)
  if (!(s > 0)) return ''
  const parts: string[] = []
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ] as const) {
    const n = Math.floor(s / size)
    s -= n * size
    if (n > 0) parts.push(`${n} ${unit}`)
    else if (parts.length > 0) break
    if (parts.length === 2) break
  }
  return parts.join(' ')
}
