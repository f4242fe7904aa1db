import { useCallback, useState, type FormEvent } from 'react'
import { Problem } from '../api/client'
import type { Document, Version } from '../api/types'
import { useClient } from '../auth'
import { useText } from '../i18n/text'
import { asError, useLoad } from '../load'
import { Awaited, Button, Dialog, Failure, Field, Notice } from '../ui/parts'
import { Outlook } from './dry-run'

interface Props {
  document: Document
  base: Version
  close: () => void
  saved: (v: Version) => void
  /** Is told that another version came into force meanwhile. */
  overtaken: () => void
  /** Gets what the API found wrong with the document; the editor shows it. */
  refused: (e: Problem) => void
}

/** Review shows what a document would change and do, and only then puts it into force. */
export function Review({ document, base, close, saved, refused, overtaken }: Props) {
  const { words, full } = useText()
  const client = useClient()
  const [note, setNote] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<Error>()
  const outlook = useLoad(
    useCallback(async () => {
      try {
        return await client.dryRun(document)
      } catch (e) {
        if (e instanceof Problem && e.status === 422) refused(e)
        throw e
      }
    }, [client, document, base]),
  )
  const dropped = outlook.data?.registered_dropped.length ?? 0

  const submit = async (e: FormEvent) => {
    e.preventDefault()
    setBusy(true)
    setError(undefined)
    try {
      saved(await client.put(document, note.trim(), base.version))
    } catch (failed) {
      if (failed instanceof Problem && failed.status === 422) return refused(failed)
      if (failed instanceof Problem && failed.status === 409) overtaken()
      setError(asError(failed))
    }
    setBusy(false)
  }
  return (
    <Dialog title={words.policy.reviewTitle} close={close}>
      <Awaited of={outlook}>{(dryRun) => <Outlook of={dryRun} />}</Awaited>
      {error instanceof Problem && error.status === 409 ? (
        <Notice look="warn">{words.policy.conflict}</Notice>
      ) : (
        error && <Failure error={error} />
      )}
      <form className="stack" onSubmit={(e) => void submit(e)}>
        <Field label={words.common.note} help={words.policy.noteHelp}>
          {(tie) => (
            <input
              {...tie}
              className="input"
              name="note"
              maxLength={300}
              autoFocus
              value={note}
              onChange={(e) => setNote(e.target.value)}
            />
          )}
        </Field>
        <div className="actions">
          <Button onClick={close}>{words.common.cancel}</Button>
          <Button type="submit" look={dropped > 0 ? 'danger' : 'main'} disabled={busy || outlook.busy || !outlook.data}>
            {dropped > 0 ? words.policy.confirmDrop(full(dropped)) : words.policy.confirm}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
