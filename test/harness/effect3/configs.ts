/** Configuration given by a test. The twin is `effect4/configs.ts`. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Layer from "effect/Layer"

export const from = (values: Readonly<Record<string, string>>): Layer.Layer<never> =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))
