/** Takes a lock away: asks what is meant, then whether it is meant. */

/** @type {Hold | undefined} */
let meant
/** Kept as long as the page is open, and nowhere else. */
let secret = ""
let isSure = false

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("dialog"))

const when = () => (input("safe").checked ? "leaseEnd" : "now")

/** Of a lock that several may hold, it is one hold that is meant. @param {string} one @param {string} several */
const what = (one, several) => (meant?.holders === undefined ? one : several)

/** @param {string} text */
const refuse = (text) => {
  part("refused").hidden = text === ""
  put(part("refused"), text)
}

/** @param {boolean} sure */
const ask = (sure) => {
  isSure = sure
  part("first").hidden = sure
  part("second").hidden = !sure
  put(part("go"), sure ? "Yes, take it away" : "Go on")
  put(part("cancel"), sure ? "Back" : "Cancel")
  const holder = meant === undefined ? "" : holderOf(meant)
  put(
    part("second"),
    when() === "now"
      ? `Really? ${what("The lock is", "Its place is")} free at once. If ${holder} still works, it goes on until its next renewal, and the next holder works at the same time.`
      : `Really? ${holder} loses ${what("the lock", "its hold")} at its next renewal at the latest. Nobody else can have ${what("it", "its place")} before the lease ends.`
  )
}

/** @param {Hold} lock */
const openDialog = (lock) => {
  meant = lock
  put(part("dialog-lock"), shown(lock.lockId))
  put(part("dialog-holder"), holderOf(lock))
  put(part("dialog-token"), String(lock.token))
  input("secret").value = secret
  input("safe").checked = true
  refuse("")
  ask(false)
  dialog.showModal()
}

/** @param {Hold} lock */
const release = async (lock) => {
  const answer = await fetch(`locks/${encodeURIComponent(lock.lockId)}/release`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${input("secret").value}` },
    body: JSON.stringify({ token: lock.token, when: when() })
  })
  return { isDone: answer.ok, status: answer.status, told: await answer.json() }
}

part("cancel").addEventListener("click", () => {
  if (isSure) ask(false)
  else dialog.close()
})

part("form").addEventListener("submit", (event) => {
  event.preventDefault()
  if (meant === undefined) return
  refuse("")
  if (/^\.\.?$/.test(meant.lockId)) return refuse("No URL can have this id: use the command storage-lock release.")
  if (!isSure) {
    if (input("secret").value === "") {
      refuse("The console's token is missing.")
      return input("secret").focus()
    }
    ask(true)
    return part("cancel").focus()
  }
  const go = /** @type {HTMLButtonElement} */ (part("go"))
  go.disabled = true
  release(meant)
    .then(({ isDone, status, told }) => {
      if (isDone) {
        secret = input("secret").value
        dialog.close()
        say(
          told.freeAt === undefined
            ? what("The lock is free.", "Its place is free.")
            : `Taken away. It is free at ${clockTime(told.freeAt)}.`
        )
        return
      }
      ask(false)
      refuse(`Nothing was changed: ${told.message}.`)
      if (status === 401) input("secret").focus()
    })
    .catch(() => {
      ask(false)
      refuse("The console did not answer. Look whether the lock was taken away before you try again.")
    })
    .finally(() => (go.disabled = false))
})
