import type { Heard } from '../api/types'
import { useText } from '../i18n/text'

const looks = { good: 'good', fair: 'warn', poor: 'drop' } as const

/** ratingOf names a MOS as core does (ITU-T G.109). */
export function ratingOf(mos: number | undefined): Heard['rating'] {
  if (!mos) return ''
  return mos >= 4.03 ? 'good' : mos >= 3.6 ? 'fair' : 'poor'
}

/** Mos is the number with its word, so that nobody needs to see its colour. */
export function Mos({ mos, rating }: { mos?: number | undefined; rating: Heard['rating'] }) {
  const { words, tenth } = useText()
  if (!mos || rating === '') return <span className="soft">– {words.calls.unrated}</span>
  return (
    <span className={`tag ${looks[rating]}`} data-mos={mos}>
      {tenth(mos)} {words.calls.ratings[rating]}
    </span>
  )
}

/** HeardLine is one direction of a call in one line. */
export function HeardLine({ who, of: h }: { who: string; of: Heard }) {
  const { words, percent, ms } = useText()
  return (
    <div className="heard">
      <span className="who">{words.calls.speaks(who)}</span>
      <Mos mos={h.mos} rating={h.rating} />
      <span className="soft number">
        {words.calls.loss} {percent(h.loss)} · {words.calls.jitter} {ms(h.jitter_ms)}
        {h.codec && ` · ${h.codec}`}
      </span>
    </div>
  )
}

/** Both are the two directions of a call, or that nobody says anything of them. */
export function Both({ of: c }: { of: { from: string; to: string; from_caller?: Heard; from_callee?: Heard } }) {
  const { words } = useText()
  if (!c.from_caller && !c.from_callee) return <span className="soft">{words.calls.silence}</span>
  return (
    <>
      {c.from_caller && <HeardLine who={c.from} of={c.from_caller} />}
      {c.from_callee && <HeardLine who={c.to} of={c.from_callee} />}
    </>
  )
}
