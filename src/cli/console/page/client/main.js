/** Shows what is known, whenever that changes, and once a second. */

/** As of when: if it may be out of date, time stands still. */
let shownAt = 0

const render = () => {
  const now = performance.now()
  const stale = renderState(now)
  if (store.state === undefined) return
  if (stale === undefined || shownAt === 0) shownAt = now
  renderCards(shownAt)
  renderTable(shownAt, store.state.canWrite)
  renderLost()
  renderWaiting()
  renderLatency()
}

input("find").addEventListener("input", render)
setInterval(() => {
  if (!document.hidden) render()
}, 1000)
document.addEventListener("visibilitychange", render)
follow(render)
