import type { Change } from '../api/types'

type Json = Record<string, unknown>

const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v)

/**
 * differences lists where two JSON values part, key by key; a list is one value. It
 * is for rows whose both sides are at hand; of policies the API knows the meaning.
 */
export function differences(before: unknown, after: unknown, path = ''): Change[] {
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
    return keys.flatMap((k) => differences(before[k], after[k], path ? `${path}.${k}` : k))
  }
  if (JSON.stringify(before ?? null) === JSON.stringify(after ?? null)) return []
  if (path === '' && (isObject(before) || isObject(after))) {
    return differences(isObject(before) ? before : {}, isObject(after) ? after : {})
  }
  return [{ path, before: write(before), after: write(after) }]
}

function write(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'string') return value
  const short = JSON.stringify(value)
  return short.length > 60 ? JSON.stringify(value, null, 1) : short
}
