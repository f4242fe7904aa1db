// Writes dist/SOURCES.sha256: what dist was built from, in the form of sha256sum.
// web_test.go computes it anew, so that a dist older than its sources is noticed
// where there is no node. Both leave out what is not listed in `sources`.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const sources = [
  '.npmrc',
  'build',
  'index.html',
  'package-lock.json',
  'package.json',
  'public',
  'src',
  'tsconfig.json',
  'vite.config.ts',
]

function files(path) {
  if (!statSync(join(root, path)).isDirectory()) return [path]
  return readdirSync(join(root, path)).flatMap((name) => files(`${path}/${name}`))
}

const lines = sources
  .flatMap(files)
  .sort()
  .map(
    (path) =>
      `${createHash('sha256')
        .update(readFileSync(join(root, path)))
        .digest('hex')}  ${path}\n`,
  )
writeFileSync(join(root, 'dist', 'SOURCES.sha256'), lines.join(''))
