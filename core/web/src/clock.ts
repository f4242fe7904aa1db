// How far core's clock is ahead of this machine's, in milliseconds. What is left of a
// ban is by core's clock, and browsers stand on desks whose clocks are anyhow.
let ahead = 0

/** heard learns from the Date of an answer, which is in whole seconds. */
export function heard(date: string | null): void {
  const by = date === null ? NaN : Date.parse(date) - Date.now()
  if (!isNaN(by)) ahead = Math.abs(by) > 2000 ? by : 0
}

/** coreNow is the time at core. */
export const coreNow = () => Date.now() + ahead
