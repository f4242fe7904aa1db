import { codes } from 'virtual:codes'

/** nowhere is the code of addresses that no database places. */
export const nowhere = 'ZZ'

/** allCountries is every code with its name, by name as the language sorts. */
export function allCountries(name: (code: string) => string, language: string): { code: string; name: string }[] {
  const order = new Intl.Collator(language)
  return codes.map((code) => ({ code, name: name(code) })).sort((a, b) => order.compare(a.name, b.name))
}

/** findCountry is the code of what a person wrote: a name, whatever its case and accents, or a code. */
export function findCountry(all: { code: string; name: string }[], text: string): string | undefined {
  const plain = (s: string) => s.normalize('NFD').replace(/\p{M}/gu, '').trim().toLowerCase()
  const wanted = plain(text)
  return all.find((c) => plain(c.name) === wanted || plain(c.code) === wanted)?.code
}
