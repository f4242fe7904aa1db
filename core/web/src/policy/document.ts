import type { Action, Country, Document } from '../api/types'

/** write is how a document stands in the editor: short lists of codes on one line. */
export function write(document: unknown): string {
  return JSON.stringify(document, null, 2).replace(
    /\[\s+("[A-Z]{2}"(?:,\s+"[A-Z]{2}")*)\s+\]/g,
    (_, codes: string) => `[${codes.replace(/,\s+/g, ', ')}]`,
  )
}

export type Read = { document: Document } | { message: string; line: number }

/** read parses the editor's text. Where it is no JSON it says in which line. */
export function read(text: string): Read {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { document: value as Document }
    return { message: '{ … }', line: 1 }
  } catch (e) {
    const message = e instanceof Error ? e.message : String(e)
    return { message, line: lineOfFault(message, text) }
  }
}

// Browsers say where in different words: "at position 17", "line 3 column 5".
function lineOfFault(message: string, text: string): number {
  const line = /line (\d+)/.exec(message)
  if (line) return Number(line[1])
  const position = /position (\d+)/.exec(message)
  if (position) return text.slice(0, Number(position[1])).split('\n').length
  return text.split('\n').length
}

/** The countries' rules of a service; without one, those for every service. */
export function rulesOf(document: Document, service: string | undefined): Country | undefined {
  return service === undefined ? (document.countries ?? {}) : document.services?.[service]
}

/** withRules is the document with other rules; undefined takes a service's own away. */
export function withRules(document: Document, service: string | undefined, rules: Country | undefined): Document {
  if (service === undefined) return { ...document, countries: rules ?? {} }
  const { [service]: _, ...others } = document.services ?? {}
  const services = rules ? { ...document.services, [service]: rules } : others
  const { services: __, ...rest } = document
  return Object.keys(services).length > 0 ? { ...rest, services } : rest
}

/** place puts a country into one list and out of the other; undefined into neither. */
export function place(rules: Country, code: string, into: Action | undefined): Country {
  const list = (name: Action) => {
    const without = (rules[name] ?? []).filter((c) => c !== code)
    return name === into ? [...without, code].sort() : without
  }
  const { allow: _, deny: __, ...rest } = rules
  const allow = list('allow')
  const deny = list('deny')
  return { ...rest, ...(allow.length > 0 && { allow }), ...(deny.length > 0 && { deny }) }
}
