import type { Change } from '../api/types'

type Json = Record<string, unknown>

const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v)

/**
 * differences lists where two JSON values part, key by key, in the manner in which
 * the API writes those of policies. It is for rows that have both sides with them.
 */
export function differences(before: unknown, after: unknown, path = ''): Change[] {
  if (JSON.stringify(before ?? null) === JSON.stringify(after ?? null)) return []
  const was = members(before)
  const is = members(after)
  if ((was ?? is) && (was || empty(before)) && (is || empty(after))) {
    const keys = [...new Set([...Object.keys(was ?? {}), ...Object.keys(is ?? {})])]
    return keys.flatMap((k) => differences(was?.[k], is?.[k], k.startsWith('[') ? path + k : path ? `${path}.${k}` : k))
  }
  return [{ path, before: write(before), after: write(after) }]
}

const empty = (v: unknown) => v === undefined || v === null

/** What has parts: an object, or a list whose elements have names, as codes and prefixes do. */
function members(value: unknown): Json | undefined {
  if (isObject(value)) return 'prefix' in value && 'note' in value ? undefined : value
  if (!Array.isArray(value)) return undefined
  const named: Json = {}
  for (const v of value as unknown[]) {
    const name = isObject(v) ? v.prefix : v
    if (typeof name !== 'string') return undefined
    named[`[${name}]`] = v
  }
  return named
}

function write(value: unknown): string {
  if (empty(value)) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
