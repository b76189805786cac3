/** Completion for shells, out of the table of commands. */
import { codes } from "../codes.js"
import { type Command, commands } from "../commands.js"
import { UsageError } from "../failure.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"

const names = commands.map(({ name }) => name).join(" ")
const flags = ({ flags }: Command): string => [...flags.map(({ name }) => `--${name}`), "--help"].join(" ")
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

const bash = (): string => `_storage_lock() {
  local word=\${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "${names}" -- "$word")); return; fi
  case \${COMP_WORDS[1]} in
${commands.map((command) => `    ${command.name}) COMPREPLY=($(compgen -W "${flags(command)}" -- "$word")) ;;`).join("\n")}
  esac
}
complete -o default -F _storage_lock storage-lock`

const zsh = (): string => `#compdef storage-lock
_storage_lock() {
  if (( CURRENT == 2 )); then
    local -a commands=(${commands.map(({ help, name }) => quoted(`${name}:${help}`)).join(" ")})
    _describe command commands
    return
  fi
  case $words[2] in
${commands
  .map(
    (command) =>
      `    ${command.name}) _arguments ${command.flags.map(({ help, name }) => quoted(`--${name}[${help.replace(/[[\]:]/g, "")}]`)).join(" ")} '*::file:_files' ;;`
  )
  .join("\n")}
  esac
}
compdef _storage_lock storage-lock`

const fish = (): string =>
  commands
    .flatMap((command) => [
      `complete -c storage-lock -n __fish_use_subcommand -a ${command.name} -d ${quoted(command.help)}`,
      ...command.flags.map(
        ({ help, name, short, value }) =>
          `complete -c storage-lock -n '__fish_seen_subcommand_from ${command.name}' -l ${name}${short === undefined ? "" : ` -s ${short}`}${value === undefined ? "" : " -r"} -d ${quoted(help)}`
      )
    ])
    .join("\n")

const shells: Readonly<Record<string, () => string>> = { bash, zsh, fish }

export const completion = async ({ positionals }: Asked, io: Io): Promise<number> => {
  const shell = shells[positionals[0] ?? ""]
  if (shell === undefined || positionals.length > 1)
    throw new UsageError("for which shell: bash, zsh or fish?", "completion")
  io.out(shell())
  return codes.ok
}
