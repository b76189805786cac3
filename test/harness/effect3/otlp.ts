/** Telemetry by OTLP over HTTP, as a program exports it. The twin is `effect4/otlp.ts`. */
import * as Otlp from "@effect/opentelemetry/Otlp"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Layer from "effect/Layer"

export const layer = (baseUrl: string): Layer.Layer<never> =>
  Otlp.layerJson({
    baseUrl,
    resource: { serviceName: "locks" },
    tracerExportInterval: "100 millis",
    metricsExportInterval: "100 millis",
    shutdownTimeout: "1 second"
  }).pipe(Layer.provide(FetchHttpClient.layer))
