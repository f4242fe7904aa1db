import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app'
import { AuthProvider } from './auth'
import { TextProvider } from './i18n/text'
import './styles/tokens.css'
import './styles/base.css'
import './styles/controls.css'
import './styles/layout.css'
import './styles/shield.css'
import './styles/policy.css'
import './styles/calls.css'

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <TextProvider>
      <AuthProvider>
        <App />
      </AuthProvider>
    </TextProvider>
  </StrictMode>,
)
