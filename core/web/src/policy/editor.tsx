import { useId, useImperativeHandle, useRef, type Ref } from 'react'
import type { Fault } from '../api/client'
import { useText } from '../i18n/text'
import { lineOf, locate } from './locate'

/** A LineFault is a fault and the line of the text it is about. */
export interface LineFault extends Fault {
  line: number
}

export function withLines(text: string, faults: Fault[]): LineFault[] {
  const places = locate(text)
  return faults.map((f) => ({ ...f, line: lineOf(text, f.path, places) })).sort((a, b) => a.line - b.line)
}

export interface EditorHandle {
  goTo: (line: number) => void
}

interface Props {
  label: string
  text: string
  faults: LineFault[]
  on: (text: string) => void
  ref: Ref<EditorHandle>
}

/** Editor is a plain text area with line numbers, where faults are marked. Tab leaves it, as everywhere. */
export function Editor({ label, text, faults, on, ref }: Props) {
  const { words } = useText()
  const area = useRef<HTMLTextAreaElement>(null)
  const gutter = useRef<HTMLDivElement>(null)
  const id = useId()
  const marks = new Map(faults.map((f) => [f.line, f]))
  const goTo = (line: number) => {
    const lines = text.split('\n')
    const from = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0)
    const a = area.current!
    a.focus()
    a.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0))
    const height = a.scrollHeight / lines.length
    a.scrollTop = Math.max(0, (line - 1) * height - a.clientHeight / 3)
  }
  useImperativeHandle(ref, () => ({ goTo }))
  return (
    <div className="editor-with-faults">
      <div className="editor">
        <div className="gutter" ref={gutter} aria-hidden="true">
          {text.split('\n').map((_, i) => (
            <div key={i} className={marks.has(i + 1) ? 'marked' : ''}>
              {i + 1}
            </div>
          ))}
        </div>
        <textarea
          ref={area}
          aria-label={label}
          aria-invalid={faults.length > 0}
          aria-describedby={faults.length > 0 ? id : undefined}
          name="document"
          value={text}
          rows={22}
          wrap="off"
          spellCheck={false}
          autoCapitalize="none"
          autoCorrect="off"
          onChange={(e) => on(e.target.value)}
          onScroll={(e) => {
            gutter.current!.scrollTop = e.currentTarget.scrollTop
          }}
        />
      </div>
      {faults.length > 0 && (
        <ul className="faults" id={id} role="alert">
          {faults.map((f, i) => (
            <li key={i}>
              <button type="button" onClick={() => goTo(f.line)}>
                <span className="tag drop">{words.policy.faultAt(String(f.line))}</span>
                <span>
                  {f.path && <code>{f.path}: </code>}
                  {f.message}
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}
