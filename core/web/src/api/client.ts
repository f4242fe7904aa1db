import { heard } from '../clock'
import type {
  AuditRow,
  Ban,
  Call,
  CallRecords,
  Calls,
  Change,
  Document,
  DryRun,
  Explanation,
  Version,
} from './types'

/** A Fault is one thing wrong with what was sent, at its path in the document. */
export interface Fault {
  path: string
  message: string
}

/** A Problem is an answer that is not what was asked for (RFC 9457). */
export class Problem extends Error {
  readonly status: number
  readonly faults: Fault[]

  constructor(status: number, message: string, faults: Fault[] = []) {
    super(message)
    this.status = status
    this.faults = faults
  }
}

interface ProblemBody {
  title?: string
  detail?: string
  errors?: { message?: string; location?: string }[] | null
}

/** readProblem makes a Problem of any answer, also of one that is no JSON. */
export function readProblem(status: number, statusText: string, text: string): Problem {
  let body: ProblemBody = {}
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null) body = parsed
  } catch {
    body = {}
  }
  const faults = (body.errors ?? []).map((e) => ({ path: pathInDocument(e.location ?? ''), message: e.message ?? '' }))
  return new Problem(status, body.detail || body.title || statusText || `HTTP ${status}`, faults)
}

/** pathInDocument takes away what the API puts before a path in the document. */
export function pathInDocument(location: string): string {
  return location.replace(/^body(\.|$)/, '').replace(/^document(\.|$)/, '')
}

/** A Client asks the API in the name of one token. */
export class Client {
  private readonly token: string
  private readonly refused: () => void

  /** refused is called when the API no longer takes the token. */
  constructor(token: string, refused: () => void) {
    this.token = token
    this.refused = refused
  }

  /** fetch is the bare request, for streams; it throws a Problem unless the answer is 2xx. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('Authorization', `Bearer ${this.token}`)
    const answer = await fetch(`/api/v1${path}`, { ...init, headers, cache: 'no-store' })
    heard(answer.headers.get('Date'))
    if (answer.ok) return answer
    if (answer.status === 401 || answer.status === 403) this.refused()
    throw readProblem(answer.status, answer.statusText, await answer.text())
  }

  private async ask<T>(path: string, signal?: AbortSignal): Promise<T> {
    return (await (await this.fetch(path, signal ? { signal } : {})).json()) as T
  }

  private async send<T>(method: string, path: string, body?: unknown): Promise<T> {
    const init: RequestInit = { method }
    if (body !== undefined) {
      init.body = JSON.stringify(body)
      init.headers = { 'Content-Type': 'application/json' }
    }
    const text = await (await this.fetch(path, init)).text()
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  policy = (signal?: AbortSignal) => this.ask<Version>('/shield/policy', signal)
  version = (n: number, signal?: AbortSignal) => this.ask<Version>(`/shield/policy/versions/${n}`, signal)
  versions = (signal?: AbortSignal) => this.ask<Version[]>('/shield/policy/versions?limit=20', signal)
  put = (document: Document, note: string, base: number) =>
    this.send<Version>('PUT', '/shield/policy', { document, note, base_version: base })
  rollback = (version: number, note: string, base: number) =>
    this.send<Version>('POST', '/shield/policy/rollback', { version, note, base_version: base })
  diff = (from: number, to: number) =>
    this.send<{ changes: Change[]; warnings: string[] }>('POST', '/shield/policy/diff', { from, to })
  dryRun = (document: Document) => this.send<DryRun>('POST', '/shield/dry-run', { document })

  explain = (address: string, service: string, signal?: AbortSignal) =>
    this.ask<Explanation[]>(`/shield/explain?${new URLSearchParams({ address, service })}`, signal)

  bans = (signal?: AbortSignal) => this.ask<Ban[]>('/shield/bans', signal)
  ban = (source: string, reason: string, length: string) =>
    this.send<Ban>('POST', '/shield/bans', { prefix: source, reason, for: length })
  lift = (prefix: string) => this.send<void>('DELETE', `/shield/bans/${encodeURIComponent(prefix)}`)

  calls = (signal?: AbortSignal) => this.ask<Calls>('/calls', signal)
  call = (id: string, signal?: AbortSignal) => this.ask<Call>(`/calls/${encodeURIComponent(id)}`, signal)
  records = (before: string, signal?: AbortSignal) =>
    this.ask<CallRecords>(`/cdrs?${new URLSearchParams({ limit: '20', before })}`, signal)

  audit = (signal?: AbortSignal) => this.ask<AuditRow[]>('/shield/audit?limit=200', signal)
}
