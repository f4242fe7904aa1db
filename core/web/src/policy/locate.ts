/**
 * locate finds where each value of a JSON text begins: "countries.deny[0]" → offset.
 * A text that is no JSON yields what was found up to the fault; keys with dots are
 * written as they are, as the API does.
 */
export function locate(text: string): Map<string, number> {
  const found = new Map<string, number>()
  let at = 0
  const skip = () => {
    while (' \t\r\n'.includes(text[at] ?? 'x')) at++
  }
  const string = (): string | undefined => {
    const from = at
    if (text[at] !== '"') return undefined
    for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === '\\') at++
    at++
    try {
      return JSON.parse(text.slice(from, at)) as string
    } catch {
      return undefined
    }
  }
  /** Reads one value; false when the text is not JSON from here on. */
  const value = (path: string, depth: number): boolean => {
    skip()
    if (depth > 100) return false
    if (!found.has(path)) found.set(path, at)
    if (text[at] === '{') return members(path, depth)
    if (text[at] === '[') return items(path, depth)
    if (text[at] === '"') return string() !== undefined
    const from = at
    while (/[-+.\w]/.test(text[at] ?? '')) at++
    return at > from
  }
  /** Steps over what stands between members: true at a comma, false at the end, undefined at neither. */
  const more = (end: string): boolean | undefined => {
    skip()
    const c = text[at++]
    return c === ',' ? true : c === end ? false : undefined
  }
  const members = (path: string, depth: number): boolean => {
    at++
    skip()
    if (text[at] === '}') {
      at++
      return true
    }
    for (;;) {
      skip()
      const from = at
      const key = string()
      if (key === undefined) return false
      const inner = path ? `${path}.${key}` : key
      if (!found.has(inner)) found.set(inner, from) // the key is what one looks for
      skip()
      if (text[at++] !== ':' || !value(inner, depth + 1)) return false
      const next = more('}')
      if (next !== true) return next === false
    }
  }
  const items = (path: string, depth: number): boolean => {
    at++
    skip()
    if (text[at] === ']') {
      at++
      return true
    }
    for (let i = 0; ; i++) {
      if (!value(`${path}[${i}]`, depth + 1)) return false
      const next = more(']')
      if (next !== true) return next === false
    }
  }
  value('', 0)
  return found
}

/** lineOf is the line, from 1, of a path in the text; of what holds it when it is not there. */
export function lineOf(text: string, path: string, places = locate(text)): number {
  for (let p = path; ; p = p.replace(/(\.[^.[\]]*|\[\d+\])$/, '')) {
    const at = places.get(p)
    if (at !== undefined) return text.slice(0, at).split('\n').length
    const shorter = p.replace(/(\.[^.[\]]*|\[\d+\])$/, '')
    if (shorter === p) return 1
  }
}
