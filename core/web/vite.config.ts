import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { world } from './build/world.ts'

// The page is served under a policy that allows scripts and styles of its own
// origin only, so nothing may be inlined.
export default defineConfig({
  plugins: [react(), world()],
  build: {
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8080' } },
})
