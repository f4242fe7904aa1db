import type { Point } from '../api/types'
import { useText } from '../i18n/text'
import { plotHeight, plotOf, plotWidth } from './plot'

/** Chart is the jitter and loss of a leg over the last five minutes. */
export function Chart({ points, leg, now }: { points: Point[]; leg: string; now: number }) {
  const { words, ms, percent } = useText()
  const plot = plotOf(points, now)
  if (!plot) return <p className="soft">{words.calls.noHistory}</p>
  return (
    <figure className="leg-chart">
      <svg
        role="img"
        aria-label={words.calls.plot(leg, ms(plot.mostJitter), percent(plot.mostLoss))}
        viewBox={`0 0 ${plotWidth} ${plotHeight}`}
        preserveAspectRatio="none"
        data-points={points.length}
      >
        {[0, 0.5, 1].map((y) => (
          <line key={y} className="grid" x1="0" x2={plotWidth} y1={y * plotHeight} y2={y * plotHeight} />
        ))}
        {plot.loss.map((b) => (
          <rect key={b.x} className="loss" x={b.x} y={plotHeight - b.height} width={b.width} height={b.height} />
        ))}
        {plot.jitter.map((line) => (
          <polyline key={line} className="jitter" points={line} />
        ))}
      </svg>
      <figcaption>
        <div>
          <span>{words.calls.fiveMinutes}</span>
          <span>{words.calls.now}</span>
        </div>
        <div>
          <span className="jitter">{words.calls.plotJitter(ms(plot.topJitter))}</span>
          <span className="loss">{words.calls.plotLoss(percent(plot.topLoss))}</span>
        </div>
      </figcaption>
    </figure>
  )
}
