import { useEffect, useState, type FormEvent } from 'react'
import { useAuth } from './auth'
import { useText } from './i18n/text'
import { Settings } from './settings'
import { Button, Field, Notice, Panel } from './ui/parts'

export function SignIn() {
  const { words } = useText()
  const { signIn, refused } = useAuth()
  const [token, setToken] = useState('')
  useEffect(() => {
    document.title = `${words.signIn.title} · Lindero`
  }, [words])
  const submit = (e: FormEvent) => {
    e.preventDefault()
    if (token.trim()) signIn(token.trim())
  }
  return (
    <main className="sign-in">
      <h1 className="brand">
        <img src="/icon.svg" alt="" />
        Lindero
      </h1>
      <Panel>
        {refused && <Notice look="bad">{words.signIn.refused}</Notice>}
        <form className="stack" onSubmit={submit}>
          <Field label={words.signIn.token} help={words.signIn.help}>
            {(tie) => (
              <input
                {...tie}
                className="input mono"
                type="password"
                autoComplete="off"
                spellCheck={false}
                autoFocus
                required
                value={token}
                onChange={(e) => setToken(e.target.value)}
              />
            )}
          </Field>
          <div className="actions">
            <Button type="submit" look="main">
              {words.signIn.go}
            </Button>
          </div>
        </form>
      </Panel>
      <div className="settings">
        <Settings />
      </div>
    </main>
  )
}
