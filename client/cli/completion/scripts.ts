/** The completion scripts of the shells: each asks the program, which answers as kubectl's plug-ins do. */

// `PROGRAM __complete WORD... CURRENT` prints a line for each candidate (`VALUE<tab>HELP`) and `:4` at its end, or `:0` if file names
// may follow.

const BASH = `# bash: source <(filerpair completion bash)
_filerpair() {
  local cur=\${COMP_WORDS[COMP_CWORD]} line answer
  COMPREPLY=()
  answer=$("\${COMP_WORDS[0]}" __complete "\${COMP_WORDS[@]:1:COMP_CWORD-1}" "$cur" 2>/dev/null) || return
  [[ \${answer##*$'\\n'} == :0 ]] && compopt -o default 2>/dev/null
  while IFS= read -r line; do
    [[ $line == :* ]] && continue
    line=\${line%%$'\\t'*}
    [[ $line == "$cur"* ]] && COMPREPLY+=("$line")
  done <<< "$answer"
}
complete -F _filerpair filerpair kubectl-filerpair
`;

const ZSH = `#compdef filerpair kubectl-filerpair
# zsh: source <(filerpair completion zsh)
_filerpair() {
  local -a lines described
  local line
  lines=("\${(@f)$(\${words[1]} __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $lines; do
    [[ $line == :* ]] && continue
    described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  (( $#described )) && _describe -t values filerpair described
  [[ \${lines[-1]} == :0 ]] && _files
  return 0
}
(( $+functions[compdef] )) && compdef _filerpair filerpair kubectl-filerpair
`;

const FISH = `# fish: filerpair completion fish | source
function __filerpair_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    string match -v -- ':*' $answer
    if test "$answer[-1]" = ':0'
        __fish_complete_path "$current"
    end
end
complete -c filerpair -f -a '(__filerpair_complete)'
complete -c kubectl-filerpair -f -a '(__filerpair_complete)'
`;

const KUBECTL = `#!/bin/sh
# kubectl completes "kubectl filerpair" by a program of this name on the PATH:
#   filerpair completion kubectl > ~/bin/kubectl_complete-filerpair; chmod +x ~/bin/kubectl_complete-filerpair
exec kubectl-filerpair __complete "$@"
`;

export const SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH, kubectl: KUBECTL } as const;
