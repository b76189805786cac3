import js from "@eslint/js"
import tseslint from "typescript-eslint"

export default tseslint.config(
  {
    ignores: [
      "dist",
      "coverage",
      "reports",
      "site",
      "node_modules",
      "**/*.mjs",
      "**/*.d.mts",
      "eslint.config.js",
      ".dependency-cruiser.cjs",
      ".changeset",
      "src/compat/effect4",
      // It runs in a browser: `npm run check` looks at it.
      "src/cli/console/page",
      "test/harness/effect4"
    ]
  },
  js.configs.recommended,
  tseslint.configs.recommended,
  {
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-console": "off",
      eqeqeq: "error",
      "require-yield": "off",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/consistent-type-exports": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports" }],
      "@typescript-eslint/no-empty-object-type": "off",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      // Of the rows of a database, nothing better is known.
      "@typescript-eslint/no-explicit-any": "off",
      // A value and its type share one name all over Effect.
      "@typescript-eslint/no-redeclare": "off",
      "@typescript-eslint/no-unnecessary-type-assertion": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }]
    }
  },
  {
    files: ["src/**/*.ts"],
    rules: {
      "no-console": "error",
      "no-restricted-imports": [
        "error",
        {
          paths: [{ name: "effect", message: "Import by module: effect/Effect." }]
        }
      ]
    }
  },
  {
    files: ["test/**/*.ts", "evidence/**/*.ts"],
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector:
            "CallExpression[callee.object.name='assert'][callee.property.name=/deep/i] CallExpression[callee.object.name=/^(Option|Exit|Either)$/][callee.property.name=/^(none|some|from.*|succeed|fail|die|interrupt|left|right)$/]",
          message:
            "It passes whatever is compared: to the runner of Effect 3's tests, a None is deeply equal to a Some. Compare what is in it (Option.getOrThrow, Effect.flip), or its tag."
        }
      ]
    }
  },
  {
    // A module that Effect 4 does not have is imported by way of the index: else it could not be said that this is the wrong major.
    files: ["src/compat/**/*.ts"],
    rules: { "no-restricted-imports": "off" }
  }
)
