import { defineConfig } from "vitest/config"

export default defineConfig({ test: { include: ["test/broken/suite.fixture.ts"], pool: "forks" } })
