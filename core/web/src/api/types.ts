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

/** Heard is one direction of a call, as a relay took it in. */
export interface Heard {
  relay: string
  path: string
  codec: string
  packets: number
  lost: number
  /** Share of the packets that should have come, 0 to 1. */
  loss: number
  jitter_ms: number
  round_trip_ms?: number
  mos?: number
  rating: '' | 'good' | 'fair' | 'poor'
}

export interface Calls {
  calls: Call[]
  total: number
  /** Nodes that did not answer in time. */
  silent: string[]
}

export interface Call {
  id: string
  company: number
  company_name: string
  from: string
  to: string
  /** Empty: the call was too busy to say. */
  state: '' | 'trying' | 'ringing' | 'talking' | 'ending'
  since: string
  answered?: string
  from_caller?: Heard
  from_callee?: Heard
  dialogs: Dialog[]
  silent?: string[]
}

export interface Dialog {
  call_id: string
  side: 'caller' | 'callee'
  /** Of the phone: legs with it come from there. */
  tag: string
  edge: string
  anchors: Anchor[]
}

/** Anchor is what a relay says of a dialog (wire/session). */
export interface Anchor {
  node: string
  why: string
  relay: string
  created: string
  answered: boolean
  held?: boolean
  streams: { kind: string; legs: [Leg, Leg] }[]
}

export interface Leg {
  tag: string
  interface: string
  local: string
  /** Empty: nobody proved to be there yet. */
  remote: string
  path: string
  codec?: string
  packets: number
  lost: number
  jitter_ms: number
  round_trip_ms?: number
  mos?: number
  wrong_source?: number
  history?: Point[] | null
}

export interface Point {
  at: string
  /** Share, 0 to 1. */
  lost: number
  jitter_ms: number
  rate: number
}

export interface CallRecords {
  cdrs: CallRecord[]
  next: string
}

export interface CallRecord {
  id: string
  company: number
  company_name: string
  from: string
  to: string
  start: string
  answer?: string
  end: string
  verdict: string
  code: number
  hung_up_by: string
  reason: string
  from_caller?: Heard
  from_callee?: Heard
}
