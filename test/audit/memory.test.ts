/** The audit in memory. */
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { suite } from "./suite.js"

suite({ name: "memory", layer: () => MemoryStorage.layer, needsSetup: false, counts: true })
