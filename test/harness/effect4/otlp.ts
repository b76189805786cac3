/** Telemetry by OTLP over HTTP, as a program exports it. The twin is `effect3/otlp.ts`. */
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import * as FetchHttpClient from "effect/http/FetchHttpClient"

export const layer = (baseUrl: string): Layer.Layer<never> =>
  Otlp.layerJson({
    baseUrl,
    resource: { serviceName: "locks" },
    tracerExportInterval: "100 millis",
    metricsExportInterval: "100 millis",
    shutdownTimeout: "1 second"
  }).pipe(Layer.provide(FetchHttpClient.layer))
