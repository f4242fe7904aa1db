import { codes } from 'virtual:codes'

/** nowhere is the code of addresses that no database places. */
export const nowhere = 'ZZ'

/** allCountries is every code with its name, by name as the language sorts. */
export function allCountries(name: (code: string) => string, language: string): { code: string; name: string }[] {
  const order = new Intl.Collator(language)
  return codes.map((code) => ({ code, name: name(code) })).sort((a, b) => order.compare(a.name, b.name))
}
