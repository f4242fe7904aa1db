// What the API says, as core/api and shield/protocol write it.

export interface Country {
  default?: Action
  unknown?: Action
  allow?: string[]
  deny?: string[]
}

export type Action = 'allow' | 'deny'

/** The parts of a policy that this page knows by name; it keeps the rest as it is. */
export interface Document {
  countries?: Country
  services?: Record<string, Country>
  [key: string]: unknown
}

export interface Version {
  version: number
  document: Document
  author: string
  note?: string
  made: string
}

/** A Change is one difference between two policies; the empty text is for what is not there. */
export interface Change {
  path: string
  before: string
  after: string
}

export interface DryRun {
  version_checked: number
  sources: number
  would_drop: number
  would_pass_again: number
  registered_dropped: RegisteredDropped[]
  by_country: CountryTally[]
  pass_by_country: CountryTally[]
  summary: string
  window: string
  changes: Change[]
  notes: string[]
}

export interface CountryTally {
  country: string
  sources: number
  registered: number
}

export interface RegisteredDropped {
  company: string
  user: string
  terminal: string
  address: string
  country: string
  rule: string
}

export interface Ban {
  prefix: string
  reason: string
  since: string
  until: string
  by: string
  proven: boolean
}

export interface Explanation {
  node: string
  address: string
  service: string
  verdict: string
  drops: boolean
  rule: string
  policy_version: number
  table_version: string
  country: string
  class: string
  budget_left?: number
  budget_rate?: number
  ban_ends?: string
  ban_reason?: string
  change: string[]
  mode: string
}

export interface Node {
  name: string
  /** Tells processes apart that go by one name. */
  instance: string
  address: string
  role: string
  mode: string
  reason: string
  last_seen: string
  /** Silent for a minute or more; its counters are not in the totals. */
  gone: boolean
  devices: string[]
  policy_version: number
  table_version: string
  /** What an operator should set right. */
  notes: string[]
}

export interface Counter {
  country: string
  verdict: string
  packets: number
  per_second: number
}

export interface Source {
  address: string
  country: string
  class: string
  service: string
  verdict: string
  packets: number
}

export interface Stats {
  policy_version: number
  /** Why the version put last is not the one in force; absent: it is. */
  policy_fault?: string
  bans: number
  nodes: Node[]
  counters: Counter[]
  sources: Source[]
}

export interface AuditRow {
  id: number
  at: string
  who: string
  action: string
  object: string
  before?: unknown
  after?: unknown
}
