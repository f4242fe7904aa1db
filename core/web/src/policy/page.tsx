import { useCallback, useEffect, useRef, useState } from 'react'
import { Problem, type Fault } from '../api/client'
import type { Document, DryRun, Version } from '../api/types'
import { useClient } from '../auth'
import { useText } from '../i18n/text'
import { asError, useLoad } from '../load'
import { Awaited, Button, Failure, Moment, Notice, Panel } from '../ui/parts'
import { read, write } from './document'
import { keepDraft, readDraft } from './draft'
import { Result } from './dry-run'
import { Editor, withLines, type EditorHandle, type LineFault } from './editor'
import { Picker } from './picker'
import { Review } from './review'
import { Versions } from './versions'

export function PolicyPage() {
  const { words } = useText()
  const client = useClient()
  const current = useLoad(useCallback((signal: AbortSignal) => client.policy(signal), [client]))
  const versions = useLoad(
    useCallback(
      async (signal: AbortSignal) => {
        const [put, builtIn] = await Promise.all([client.versions(signal), client.version(0, signal)])
        return [...put, builtIn] // one can always go back to the beginning
      },
      [client],
    ),
  )
  const [done, setDone] = useState('')
  const { full } = useText()
  const inForce = (v: Version) => {
    setDone(words.policy.saved(full(v.version)))
    current.reload()
    versions.reload()
  }
  return (
    <>
      <div className="head">
        <h1>{words.policy.title}</h1>
      </div>
      {done && <Notice>{done}</Notice>}
      <Awaited of={current}>
        {(base) => (
          <>
            <Draft base={base} saved={inForce} reload={current.reload} />
            <Versions versions={versions} current={base.version} rolledBack={inForce} />
          </>
        )}
      </Awaited>
    </>
  )
}

/** Draft is the document while somebody changes it, on top of the version it began from. */
function Draft({ base, saved, reload }: { base: Version; saved: (v: Version) => void; reload: () => void }) {
  const { words } = useText()
  const client = useClient()
  const inForce = write(base.document)
  const [text, setText] = useState(() => readDraft() ?? inForce)
  const was = useRef(inForce)
  const [refused, setRefused] = useState<Fault[]>([])
  const [dryRun, setDryRun] = useState<DryRun>()
  const [error, setError] = useState<Error>()
  const [trying, setTrying] = useState(false)
  const [review, setReview] = useState<Document>()
  const editor = useRef<EditorHandle>(null)
  const parsed = read(text)
  const document = 'document' in parsed ? parsed.document : undefined
  const faults: LineFault[] =
    'message' in parsed ? [{ path: '', message: parsed.message, line: parsed.line }] : withLines(text, refused)
  const changed = text !== inForce

  const change = (t: string) => {
    setText(t)
    setRefused([])
    setDryRun(undefined)
    setError(undefined)
  }
  useEffect(() => {
    // Another version came into force: what somebody is writing stays, on top of it.
    if (was.current !== inForce && text === was.current) change(inForce)
    was.current = inForce
  }, [inForce, text])
  useEffect(() => keepDraft(text === inForce ? undefined : text), [text, inForce])

  const refuse = (p: Problem) => {
    setReview(undefined)
    if (p.faults.length > 0) setRefused(p.faults)
    else setError(p)
  }
  const tryIt = async (d: Document) => {
    setTrying(true)
    setError(undefined)
    try {
      setDryRun(await client.dryRun(d))
    } catch (e) {
      if (e instanceof Problem && e.status === 422) refuse(e)
      else setError(asError(e))
    }
    setTrying(false)
  }

  return (
    <>
      <InForce base={base} changed={changed} />
      <Panel title={words.policy.countries}>
        {document ? (
          <Picker document={document} on={(d) => change(write(d))} />
        ) : (
          <p className="soft">{words.policy.notJSON}</p>
        )}
      </Panel>
      <Panel
        title={words.policy.document}
        side={faults.length > 0 && <span className="tag drop">{words.policy.faults(String(faults.length))}</span>}
      >
        <p className="soft">{words.policy.documentHelp}</p>
        <Editor ref={editor} label={words.policy.document} text={text} faults={faults} on={change} />
        {error && <Failure error={error} />}
        <div className="actions sticky">
          <span className="soft grow">{changed ? words.policy.changed : words.policy.unchanged}</span>
          <Button disabled={!changed} onClick={() => change(inForce)}>
            {words.policy.revert}
          </Button>
          <Button disabled={!document || trying} onClick={() => document && void tryIt(document)}>
            {trying ? words.policy.dryRunning : words.policy.dryRun}
          </Button>
          <Button look="main" disabled={!document || !changed || faults.length > 0} onClick={() => setReview(document)}>
            {words.policy.save}
          </Button>
        </div>
        {dryRun && <Result of={dryRun} />}
      </Panel>
      {review && (
        <Review
          document={review}
          base={base}
          close={() => setReview(undefined)}
          refused={refuse}
          overtaken={reload}
          saved={(v) => {
            setReview(undefined)
            change(write(v.document))
            saved(v)
          }}
        />
      )}
    </>
  )
}

function InForce({ base, changed }: { base: Version; changed: boolean }) {
  const { words, full } = useText()
  return (
    <p data-version={base.version}>
      <span className="tag good">
        {base.version === 0 ? words.policy.builtIn : words.policy.current(full(base.version))}
      </span>{' '}
      {base.version > 0 && (
        <span className="soft">
          {words.policy.by(base.author)}, <Moment at={base.made} />
          {base.note && `: ${base.note}`}
        </span>
      )}{' '}
      {changed && <span className="tag warn">{words.policy.changed}</span>}
    </p>
  )
}
