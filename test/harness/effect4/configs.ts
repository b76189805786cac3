/** Configuration given by a test. The twin is `effect3/configs.ts`. */
import * as ConfigProvider from "effect/ConfigProvider"
import type * as Layer from "effect/Layer"

export const from = (values: Readonly<Record<string, string>>): Layer.Layer<never> =>
  ConfigProvider.layer(ConfigProvider.fromUnknown(values))
