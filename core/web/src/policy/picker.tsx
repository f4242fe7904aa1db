import { useId, useMemo, useState, type ChangeEvent, type FormEvent } from 'react'
import type { Action, Country, Document } from '../api/types'
import { allCountries, findCountry } from '../countries'
import { useText } from '../i18n/text'
import { Button, Choice } from '../ui/parts'
import { place, rulesOf, withRules } from './document'

const services = ['sip', 'web', 'media'] as const
type Scope = 'every' | (typeof services)[number]

/** Picker chooses countries by name and writes them into the document. */
export function Picker({ document, on }: { document: Document; on: (d: Document) => void }) {
  const { words } = useText()
  const [scope, setScope] = useState<Scope>('every')
  const service = scope === 'every' ? undefined : scope
  const rules = rulesOf(document, service)
  const set = (r: Country | undefined) => on(withRules(document, service, r))
  const name = service ? words.services[service]! : words.policy.everyService
  return (
    <div className="picker">
      <Choice<Scope>
        label={words.common.service}
        value={scope}
        on={setScope}
        of={[['every', words.policy.everyService], ...services.map((s) => [s, words.services[s]!] as [Scope, string])]}
      />
      {service && (
        <p className="soft">
          {rules ? words.policy.own(name) : words.policy.inherit(name)}{' '}
          {rules ? (
            <Button look="small" onClick={() => set(undefined)}>
              {words.policy.dropOwn}
            </Button>
          ) : (
            <Button look="small" onClick={() => set({ ...document.countries })}>
              {words.policy.makeOwn}
            </Button>
          )}
        </p>
      )}
      {rules && <Rules rules={rules} on={set} />}
    </div>
  )
}

function Rules({ rules, on }: { rules: Country; on: (r: Country) => void }) {
  const { words } = useText()
  const others = rules.default ?? 'allow'
  const either: [Action, string][] = [
    ['allow', words.policy.allow],
    ['deny', words.policy.deny],
  ]
  const allow = rules.allow ?? []
  return (
    <>
      <div className="form-row">
        <div className="field">
          <span className="label">{words.policy.others}</span>
          <Choice<Action>
            label={words.policy.others}
            value={others}
            of={either}
            on={(a) => on({ ...rules, default: a })}
          />
        </div>
        <div className="field">
          <span className="label">{words.policy.unknown}</span>
          <Choice<Action>
            label={words.policy.unknown}
            value={rules.unknown ?? 'allow'}
            of={either}
            on={(a) => on({ ...rules, unknown: a })}
          />
        </div>
      </div>
      <div className="columns">
        <List action="deny" rules={rules} on={on} idle={others === 'deny'} />
        <List action="allow" rules={rules} on={on} idle={others === 'allow'} />
      </div>
      {others === 'deny' && allow.length === 0 && <p className="soft">{words.policy.nobody}</p>}
    </>
  )
}

/** List is the countries of one action. It is idle when the rest are treated the same. */
function List({
  action,
  rules,
  on,
  idle,
}: {
  action: Action
  rules: Country
  on: (r: Country) => void
  idle: boolean
}) {
  const { words, country } = useText()
  const listed = rules[action] ?? []
  const label = action === 'allow' ? words.policy.allowed : words.policy.denied
  return (
    <div className="field">
      <span className="label">
        {label}
        {idle && ` (${words.policy.idle})`}
      </span>
      <ul className="chips" aria-label={label}>
        {listed.map((code) => (
          <li key={code} className={`chip ${action}`}>
            {country(code)}
            <button
              type="button"
              aria-label={words.common.remove(country(code))}
              onClick={() => on(place(rules, code, undefined))}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      <Add
        label={`${label}: ${words.policy.addCountry}`}
        name={`add-${action}`}
        on={(code) => on(place(rules, code, action))}
      />
    </div>
  )
}

/** Add takes a country by its name or code: typed, or chosen from the browser's list. */
function Add({ label, name, on }: { label: string; name: string; on: (code: string) => void }) {
  const { words, country, language } = useText()
  const all = useMemo(() => allCountries(country, language), [country, language])
  const [typed, setTyped] = useState('')
  const [unknown, setUnknown] = useState(false)
  const id = useId()
  const add = (text: string) => {
    const found = findCountry(all, text)
    setUnknown(!found)
    if (!found) return
    setTyped('')
    on(found)
  }
  const submit = (e: FormEvent) => {
    e.preventDefault()
    if (typed.trim()) add(typed)
  }
  const change = (e: ChangeEvent<HTMLInputElement>) => {
    const text = e.target.value
    setTyped(text)
    setUnknown(false)
    // Whoever typed "Niger" may be on the way to Nigeria; whoever chose it is not.
    if ((e.nativeEvent as InputEvent).inputType === 'insertReplacementText' && findCountry(all, text)) add(text)
  }
  return (
    <form className="add-country" onSubmit={submit}>
      <input
        className="input"
        name={name}
        list={`${id}-list`}
        aria-label={label}
        aria-invalid={unknown}
        aria-describedby={unknown ? `${id}-fault` : undefined}
        placeholder={words.policy.addCountry}
        autoComplete="off"
        value={typed}
        onChange={change}
      />
      <Button type="submit" look="small">
        {words.common.add}
      </Button>
      <datalist id={`${id}-list`}>
        {all.map((c) => (
          <option key={c.code} value={c.name}>
            {c.code}
          </option>
        ))}
      </datalist>
      {unknown && (
        <span className="fault" role="alert" id={`${id}-fault`}>
          {words.policy.noCountry(typed)}
        </span>
      )}
    </form>
  )
}
