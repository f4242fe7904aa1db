/** The verdicts in the order of shield/policy; those from `malformed` on drop. */
export const verdicts = [
  'unclassified',
  'not_ours',
  'passed',
  'allowed',
  'connection',
  'leg',
  'fragment',
  'malformed',
  'denied',
  'banned',
  'country_denied',
  'no_leg',
  'source_budget',
  'neighbourhood',
  'strangers',
  'half_open',
] as const

const firstDrop = verdicts.indexOf('malformed')

/** Which way a packet with this verdict goes; aside are packets for no service of ours. */
export type Way = 'pass' | 'drop' | 'aside'

export function wayOf(verdict: string): Way {
  if (verdict === 'not_ours') return 'aside'
  return verdicts.indexOf(verdict as (typeof verdicts)[number]) >= firstDrop ? 'drop' : 'pass'
}
