/**
 * The console's page in a real browser, over real storages. `EFFECT_STORAGE_LOCK_PICTURE=1` writes the picture of the docs, too.
 */
import axe from "axe-core"
import * as Effect from "#effect/Effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { afterEach, assert, beforeEach, it } from "vitest"
import { open } from "../../src/connect/connect.js"
import { connect, LockLost, type Locks } from "../../src/promise/index.js"
import * as Chromium from "../harness/chromium.js"
import * as Postgres from "../harness/postgres.js"
import { describeServer } from "../harness/server.js"
import { type Console, listen, start } from "../support/console.js"

const patience = 120_000

const launched = Effect.acquireRelease(
  Effect.flatMap(Chromium.find, ({ env, file }) =>
    Effect.promise(() =>
      chromium.launch({
        executablePath: file,
        env: { ...(process.env as Record<string, string>), ...env },
        // As root it has no sandbox of its own, and these pages are ours.
        args: ["--no-sandbox"]
      })
    )
  ),
  (browser) => Effect.promise(() => browser.close())
)

/** What a page does that it must not do. */
interface Watched {
  readonly page: Page
  readonly wrongs: Array<string>
}

const visit = async (browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Watched> => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 }, ...options })
  page.setDefaultTimeout(patience)
  const wrongs: Array<string> = []
  page.on("pageerror", (error) => wrongs.push(String(error)))
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") wrongs.push(message.text())
  })
  page.on("dialog", (dialog) => wrongs.push(`a dialog: ${dialog.message()}`))
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) wrongs.push(`asks ${request.url()}`)
  })
  const response = await page.goto(url)
  assert.strictEqual(response?.status(), 200)
  await page.getByText("Live", { exact: true }).waitFor()
  return { page, wrongs }
}

const rowOf = (page: Page, lockId: string) =>
  page.getByRole("row").filter({ has: page.getByText(lockId, { exact: true }) })

/** Until it is so; the test's own limit ends it. */
const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** What sticks out sideways: of the page, or of its own place. */
const tooWide = (page: Page) =>
  page.evaluate<ReadonlyArray<string>>(
    `[document.documentElement, ...document.querySelectorAll("td, .card, dd, li, p, header")]
      .filter((_) => !_.classList.contains("hidden") && _.scrollWidth > _.clientWidth && getComputedStyle(_).display !== "inline")
      .map((_) => _.outerHTML.slice(0, 200))`
  )

const findings = async (page: Page) => {
  // A script of the test, and so beside the policy of the page.
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<axe.AxeResults>("axe.run()")
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)
}

/** A hold that nobody renews. */
const abandon = (url: string, lockId: string, lease: number): Promise<unknown> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(open(url), ({ storage }) =>
        storage.claim({
          lockId,
          ownerId: "gone",
          holdId: "g".repeat(22),
          lease: lease * 1_000,
          ownerLabel: "batch-2 pid 77"
        })
      )
    )
  )

const hostile = `<img src=x onerror="alert(1)">`

await describeServer(
  "the console's page in Chromium",
  launched,
  (browser) => {
    let folder: string
    let storage: string
    let console: Console
    let locks: Locks
    beforeEach(async () => {
      folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-page-"))
      storage = `sqlite:${Path.join(folder, "locks.db")}`
      locks = await connect(storage, { log: false, ownerLabel: "web-1 pid 42" })
      console = await start(storage, ["--write"])
    })
    afterEach(async () => {
      for (const context of browser.contexts()) await context.close()
      await locks.close()
      await console.stop()
      Fs.rmSync(folder, { recursive: true, force: true })
    })

    it("shows a hold when it is taken, who has it, and that it is given back; hostile ids are text", async () => {
      const { page, wrongs } = await visit(browser, console.url)
      await page.getByText("Nobody holds a lock.").waitFor()
      const lock = await locks.acquire(hostile)
      const row = rowOf(page, hostile)
      await row.waitFor()
      await row.getByText("web-1 pid 42").waitFor()
      await row.getByText(String(lock.token)).waitFor()
      assert.strictEqual(await page.locator("tbody img").count(), 0)
      await lock.release()
      await page.getByText("Nobody holds a lock.").waitFor()
      await using other = await locks.acquire("a\u202eb\nc")
      void other
      await rowOf(page, "a\\u{202e}b\\u{a}c").waitFor()
      assert.deepStrictEqual(wrongs, [])
    })

    it("finds locks by what they and their holders are called", async () => {
      await using a = await locks.acquire("orders/1")
      await using b = await locks.acquire("reports")
      void [a, b]
      const { page } = await visit(browser, console.url)
      await rowOf(page, "reports").waitFor()
      await page.getByLabel("Find").fill("ORDERS")
      await rowOf(page, "reports").waitFor({ state: "detached" })
      assert.isTrue(await rowOf(page, "orders/1").isVisible())
      await page.getByLabel("Find").fill("no such")
      await page.getByText("No lock and no holder").waitFor()
    })

    it("shows what was lost", async () => {
      const { page, wrongs } = await visit(browser, console.url)
      await abandon(storage, "forgotten", 1_500)
      await rowOf(page, "forgotten").waitFor()
      const lost = page.getByRole("listitem").filter({ hasText: "forgotten" })
      await lost.waitFor()
      assert.match((await lost.textContent())!, /(Expired|Ended unseen)forgotten.*batch-2 pid 77/)
      assert.deepStrictEqual(wrongs, [])
    })

    it("takes a lock away by keyboard alone, asks twice, and says what it means", async () => {
      const lock = await locks.acquire("stuck")
      const { page, wrongs } = await visit(browser, console.url)
      await rowOf(page, "stuck").waitFor()
      const focused = () =>
        page.evaluate("document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.id")
      const tabTo = async (name: string) => {
        for (let i = 0; i < 30 && (await focused()) !== name; i++) await page.keyboard.press("Tab")
        assert.strictEqual(await focused(), name)
      }
      const isThere = async () => (await locks.get("stuck"))?.token === lock.token
      await tabTo("Release stuck…")
      const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
      assert.notStrictEqual(outline, "none")
      await page.keyboard.press("Enter")
      await page.getByRole("dialog").getByText("stuck").waitFor()
      // Whoever leaves is where they were.
      await page.keyboard.press("Escape")
      await page.getByRole("dialog").waitFor({ state: "hidden" })
      assert.strictEqual(await focused(), "Release stuck…")
      await page.keyboard.press("Enter")
      // Without the token there is not even a second question.
      await tabTo("go")
      await page.keyboard.press("Enter")
      await page.getByText("The console's token is missing.").waitFor()
      await tabTo("secret")
      await page.keyboard.type(console.token!)
      await tabTo("safe")
      await page.keyboard.press("ArrowDown")
      await tabTo("go")
      await page.keyboard.press("Enter")
      await page.getByText("Really? The lock is free at once. If web-1 pid 42 still works").waitFor()
      assert.isTrue(await isThere())
      // The way back is what is chosen by itself.
      assert.strictEqual(await focused(), "cancel")
      await page.keyboard.press("Enter")
      await page.getByText("When is it to be free?").waitFor()
      await tabTo("go")
      await page.keyboard.press("Enter")
      await page.getByText("Really?").waitFor()
      assert.isTrue(await isThere())
      await tabTo("go")
      await page.keyboard.press("Enter")
      await rowOf(page, "stuck").waitFor({ state: "detached" })
      assert.isUndefined(await locks.get("stuck"))
      await page.getByRole("listitem").filter({ hasText: "Revoked" }).waitFor()
      assert.deepStrictEqual(wrongs, [])
    })

    it("shows each hold of a lock that several hold, and takes one of them away", async () => {
      await using reader = await locks.readWrite.read("prices")
      const other = await locks.readWrite.upgradable("prices", { ownerLabel: "web-2 pid 17" })
      await using permits = await locks.semaphore.acquire("renderers", { limit: 5, permits: 2 })
      const { page, wrongs } = await visit(browser, console.url)
      const row = (token: number) => page.getByRole("row").filter({ hasText: String(token) })
      await row(reader.token).getByText("reads", { exact: true }).waitFor()
      await row(permits.token).getByText("2 permits").waitFor()
      await row(other.token).getByText("reads, may write").waitFor()
      await row(other.token).getByText("web-2 pid 17").waitFor()
      assert.strictEqual(await rowOf(page, "prices").count(), 2)
      assert.deepStrictEqual(await findings(page), [])
      await page.getByRole("button", { name: `Release prices, token ${other.token}…` }).click()
      await page.getByLabel("The console's token").fill(console.token!)
      await page.locator("input[value=now]").check()
      await page.locator("#go").click()
      await page.getByText("Really? Its place is free at once. If web-2 pid 17 still works").waitFor()
      await page.locator("#go").click()
      await row(other.token).waitFor({ state: "detached" })
      assert.isTrue(await row(reader.token).isVisible())
      assert.isAbove(await reader.renew(), 0)
      assert.instanceOf(await other.renew().catch((error: unknown) => error), LockLost)
      assert.deepStrictEqual(wrongs, [])
    })

    it("does not change anything with a wrong token, or when the hold is over", async () => {
      const lock = await locks.acquire("kept")
      const { page } = await visit(browser, console.url)
      await page.getByRole("button", { name: "Release kept…" }).click()
      await page.getByLabel("The console's token").fill("not the token at all")
      await page.getByRole("button", { name: "Go on" }).click()
      await page.getByText("Nobody else can have it before the lease ends.").waitFor()
      await page.getByRole("button", { name: "Yes, take it away" }).click()
      await page.getByText("Nothing was changed: the token of the console is missing or wrong").waitFor()
      assert.strictEqual((await locks.get("kept"))?.token, lock.token)
      await lock.release()
      await using next = await locks.acquire("kept")
      await page.getByLabel("The console's token").fill(console.token!)
      await page.getByRole("button", { name: "Go on" }).click()
      await page.getByRole("button", { name: "Yes, take it away" }).click()
      await page.getByText("Nothing was changed: the hold with this token is over already").waitFor()
      assert.strictEqual((await locks.get("kept"))?.token, next.token)
    })

    it("has no button without --write, and says so", async () => {
      const readOnly = await start(storage)
      try {
        await using lock = await locks.acquire("seen")
        void lock
        const { page } = await visit(browser, readOnly.url)
        await rowOf(page, "seen").waitFor()
        assert.strictEqual(await page.getByRole("button").count(), 0)
        assert.isTrue(await page.getByText("This console only looks.").isVisible())
      } finally {
        await readOnly.stop()
      }
    })

    it("can be asked by no page of another site, not even for what it tells", async () => {
      const lock = await locks.acquire("wanted")
      const served = Http.createServer((_, response) => response.end("<!doctype html><title>elsewhere</title>"))
      await new Promise<void>((resolve) => served.listen(0, "127.0.0.1", resolve))
      const { port } = served.address() as AddressInfo
      const page = await browser.newPage()
      // Another port of this machine, and another name.
      for (const host of ["127.0.0.1", "localhost"]) {
        await page.goto(`http://${host}:${port}/`)
        const asked = (path: string, init: object) =>
          page.evaluate(
            `fetch(${JSON.stringify(console.url + path)}, ${JSON.stringify(init)}).then(() => "told", () => "refused")`
          )
        const body = JSON.stringify({ token: lock.token, when: "now" })
        const headers = { Authorization: `Bearer ${console.token}`, "Content-Type": "application/json" }
        assert.strictEqual(await asked("locks", {}), "refused")
        assert.strictEqual(await asked("locks/wanted/release", { method: "POST", headers, body }), "refused")
        // Sent without asking first; what comes back is not shown to it.
        await asked("locks/wanted/release", { method: "POST", mode: "no-cors", body })
        const isShown = await page.evaluate(`new Promise((resolve) => {
        const frame = document.createElement("iframe")
        frame.onload = () => { try { resolve(frame.contentDocument !== null) } catch { resolve(false) } }
        frame.src = ${JSON.stringify(console.url)}
        document.body.append(frame)
      })`)
        assert.isFalse(isShown)
        assert.strictEqual((await locks.get("wanted"))?.token, lock.token)
      }
      await new Promise((resolve) => served.close(resolve))
    })

    const ways: Readonly<Record<string, BrowserContextOptions>> = {
      "in the light": { colorScheme: "light" },
      "in the dark": { colorScheme: "dark" },
      "on a phone": {
        viewport: { width: 360, height: 740 },
        colorScheme: "light",
        hasTouch: true,
        reducedMotion: "reduce"
      },
      "on a phone in the dark": { viewport: { width: 360, height: 740 }, colorScheme: "dark" }
    }
    for (const [way, options] of Object.entries(ways)) {
      it(`can be read by everybody ${way}: the table, what was lost, the dialog, and what is out of date`, async () => {
        await using a = await locks.acquire("an-id-without-a-space-".repeat(11))
        await using b = await locks.acquire("reports")
        const { page, wrongs } = await visit(browser, console.url, options)
        await rowOf(page, "reports").waitFor()
        await locks.forceRelease("reports", { token: b.token, when: "leaseEnd" })
        await page.getByRole("listitem").filter({ hasText: "Revoked" }).waitFor()
        await page.getByText("What this page can see").click()
        const look = async (what: string) => {
          assert.deepStrictEqual(await findings(page), [], what)
          assert.deepStrictEqual(await tooWide(page), [], what)
        }
        await look("the page")
        await page.getByRole("button", { name: `Release ${a.lockId}…` }).click()
        await look("the dialog")
        await page.keyboard.press("Escape")
        assert.deepStrictEqual(wrongs, [])
        await console.stop()
        await page.getByText("What you see here is").waitFor()
        await look("out of date")
      })
    }

    it("goes on when the console itself was away", async () => {
      const { page } = await visit(browser, console.url)
      const { port } = new URL(console.url)
      await console.stop()
      await page.getByText("The console does not answer.", { exact: false }).first().waitFor()
      console = await start(storage, ["--write", "--port", port])
      await page.getByText("Live", { exact: true }).waitFor()
      await using lock = await locks.acquire("after")
      void lock
      await rowOf(page, "after").waitFor()
    })
  },
  { optional: Chromium.isOptional }
)

await describeServer(
  "the console's page over a PostgreSQL that is stopped",
  Effect.flatMap(launched, (browser) => Effect.map(Postgres.own, (server) => ({ browser, server }))),
  ({ browser, server }) => {
    it("shows what it knew, says that the storage is away, and goes on when it is back", async () => {
      const console = await start(server.url)
      const locks = await connect(server.url, { log: false, leaseExpireAfter: "10 minutes" })
      try {
        await locks.acquire("before")
        const { page, wrongs } = await visit(browser, console.url)
        await rowOf(page, "before").waitFor()
        await Effect.runPromise(server.stop)
        await page.getByText("The storage has not answered since").waitFor()
        assert.isTrue(await rowOf(page, "before").isVisible())
        assert.match(await page.title(), /^\? 1 lock/)
        assert.strictEqual((await fetch(`${console.url}healthz`)).status, 503)
        assert.strictEqual((await fetch(`${console.url}locks`)).status, 503)
        await Effect.runPromise(server.start)
        await page.getByText("Live", { exact: true }).waitFor()
        await page.getByText("The storage has not answered since").waitFor({ state: "hidden" })
        await until(async () => (await fetch(`${console.url}healthz`)).status === 200)
        assert.isTrue(await rowOf(page, "before").isVisible())
        await locks.acquire("after")
        await rowOf(page, "after").waitFor()
        assert.deepStrictEqual(wrongs, [])
      } finally {
        await locks.close()
        await console.stop()
      }
    })
  },
  { optional: Chromium.isOptional }
)

/** Not a test: what the docs show, from a real run of a minute. */
if (process.env["EFFECT_STORAGE_LOCK_PICTURE"] === "1") {
  await describeServer(
    "the picture of the docs",
    Effect.flatMap(launched, (browser) => Effect.map(Postgres.own, (server) => ({ browser, server }))),
    ({ browser, server }) => {
      it("is drawn", async () => {
        const console = await start(server.url, ["--write", "--every", "1s"])
        // Somebody watches all the time.
        const watching = await listen(console.url)
        const labels = ["web-1 pid 4711", "worker-3 pid 88", "worker-5 pid 91", "cron on db-2"]
        const all = await Promise.all(
          labels.map((ownerLabel) => connect(server.url, { log: false, ownerLabel, leaseExpireAfter: "60 seconds" }))
        )
        const [web, worker, other, cron] = all as [Locks, Locks, Locks, Locks]
        const seconds = (count: number) => new Promise((resolve) => setTimeout(resolve, count * 1_000))
        const ending = new AbortController()
        await cron.acquire("nightly-report", { leaseExpireAfter: "10 minutes" })
        await abandon(server.url, "import/2026-11-28", 12_000)
        await abandon(server.url, "search-index", 58_000)
        const paying = [worker, other].map(async (locks) => {
          while (!ending.signal.aborted) await locks.withLock("queue/payments", () => seconds(2))
        })
        await seconds(9)
        await worker.acquire("customers/4711/invoices")
        await seconds(14)
        const outbox = await web.acquire("mail/outbox")
        await seconds(11)
        await web.acquire("migrate", { leaseExpireAfter: "30 seconds" })
        await web.forceRelease("mail/outbox", { token: outbox.token, when: "leaseEnd" })
        await seconds(14)
        const folder = fileURLToPath(new URL("../../docs/images/", import.meta.url))
        Fs.mkdirSync(folder, { recursive: true })
        const pictures: Readonly<Record<string, BrowserContextOptions>> = {
          console: { colorScheme: "light", viewport: { width: 1180, height: 900 } },
          "console-phone": { colorScheme: "dark", viewport: { width: 360, height: 760 } }
        }
        const shots = Object.entries(pictures).map(async ([name, options]) => {
          const { page } = await visit(browser, console.url, { ...options, reducedMotion: "reduce" })
          await rowOf(page, "search-index").waitFor()
          return () => page.screenshot({ path: Path.join(folder, `${name}.png`), fullPage: name === "console" })
        })
        for (const shot of await Promise.all(shots)) assert.isBelow((await shot()).length, 200_000)
        watching.close()
        ending.abort()
        await Promise.all(paying)
        for (const locks of all) await locks.close()
        await console.stop()
      })
    }
  )
}
