import { useEffect, useId, useRef, type ComponentProps, type ReactNode } from 'react'
import { Problem } from '../api/client'
import { useText } from '../i18n/text'
import type { Loaded } from '../load'

export function Button({ look = '', className = '', ...rest }: ComponentProps<'button'> & { look?: string }) {
  return <button type="button" className={`button ${look} ${className}`} {...rest} />
}

export function Panel({
  title,
  side,
  children,
  className = '',
}: {
  title?: ReactNode
  side?: ReactNode
  children: ReactNode
  className?: string
}) {
  const id = useId()
  return (
    <section className={`panel ${className}`} aria-labelledby={title ? id : undefined}>
      {title && (
        <div className="head">
          <h2 id={id}>{title}</h2>
          {side && <div className="side">{side}</div>}
        </div>
      )}
      {children}
    </section>
  )
}

interface FieldProps {
  label: string
  help?: string | undefined
  fault?: string | undefined
  className?: string
  /** Gets what ties a control to its label, help and fault. */
  children: (tie: {
    id: string
    'aria-describedby': string | undefined
    'aria-invalid': boolean | undefined
  }) => ReactNode
}

export function Field({ label, help, fault, className = '', children }: FieldProps) {
  const id = useId()
  const told = [help && `${id}-help`, fault && `${id}-fault`].filter(Boolean).join(' ') || undefined
  return (
    <div className={`field ${className}`}>
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': told, 'aria-invalid': fault ? true : undefined })}
      {help && (
        <span className="help" id={`${id}-help`}>
          {help}
        </span>
      )}
      {fault && (
        <span className="fault" id={`${id}-fault`}>
          {fault}
        </span>
      )}
    </div>
  )
}

/** Choice is one of a few, all of them in sight. */
export function Choice<T extends string>({
  label,
  value,
  of,
  on,
}: {
  label: string
  value: T
  of: [T, string][]
  on: (v: T) => void
}) {
  const name = useId()
  return (
    <fieldset className="choice" aria-label={label}>
      {of.map(([v, text]) => (
        <label key={v}>
          <input type="radio" name={name} value={v} checked={v === value} onChange={() => on(v)} />
          {text}
        </label>
      ))}
    </fieldset>
  )
}

export function Notice({ look = '', children }: { look?: '' | 'bad' | 'warn'; children: ReactNode }) {
  return (
    <div className={`notice ${look}`} role={look === 'bad' ? 'alert' : 'status'}>
      {children}
    </div>
  )
}

/** Failure says what went wrong, with every fault the API named. */
export function Failure({ error, retry }: { error: Error; retry?: () => void }) {
  const { words } = useText()
  const faults = error instanceof Problem ? error.faults : []
  return (
    <Notice look="bad">
      <strong>{words.common.failed}:</strong> {error.message}
      {faults.length > 0 && (
        <ul>
          {faults.map((f, i) => (
            <li key={i}>
              {f.path && <code>{f.path}: </code>}
              {f.message}
            </li>
          ))}
        </ul>
      )}
      {retry && (
        <div>
          <Button look="small" onClick={retry}>
            {words.common.retry}
          </Button>
        </div>
      )}
    </Notice>
  )
}

/** Awaited shows what was loaded, or that it is awaited, or why it did not come. */
export function Awaited<T>({ of, children }: { of: Loaded<T>; children: (data: T) => ReactNode }) {
  const { words } = useText()
  return (
    <>
      {of.error && <Failure error={of.error} retry={of.reload} />}
      {of.data !== undefined
        ? children(of.data)
        : !of.error && (
            <p className="soft" role="status">
              {words.common.loading}
            </p>
          )}
    </>
  )
}

/** Dialog is the browser's own modal dialog: it holds the focus and gives it back. */
export function Dialog({
  title,
  close,
  narrow,
  children,
}: {
  title: string
  close: () => void
  narrow?: boolean
  children: ReactNode
}) {
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const dialog = ref.current!
    const before = document.activeElement
    if (!dialog.open) dialog.showModal()
    return () => {
      dialog.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog
      ref={ref}
      aria-labelledby={id}
      className={narrow ? 'narrow' : ''}
      onCancel={(e) => {
        e.preventDefault()
        close()
      }}
    >
      <div className="dialog-body">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  )
}

/** Moment is a point in time, short, with the whole of it on hover. */
export function Moment({ at, now }: { at: string; now?: number }) {
  const { date, ago } = useText()
  return (
    <time dateTime={at} title={date(at)}>
      {now === undefined ? date(at) : ago(at, now)}
    </time>
  )
}
