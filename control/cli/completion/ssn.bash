# SPDX-License-Identifier: BSD-3-Clause
# bash completion for ssn. tests/functional/cli compares the options with those of `ssn COMMAND --help`.

_ssn() {
  local word previous command
  word=${COMP_WORDS[COMP_CWORD]}
  previous=${COMP_WORDS[COMP_CWORD - 1]}
  command=${COMP_WORDS[1]}
  # Groups: `ssn GROUP SUBCOMMAND`, completed as the command "GROUP SUBCOMMAND".
  local group_words=''
  case $command in
    config) group_words='show check diff apply history rollback' ;;
    node) group_words='set remove' ;;
    domain) group_words='list show' ;;
    reshare) group_words='list watch start cancel' ;;
    shareholder) group_words='replace' ;;
    offload) group_words='list test' ;;
    dataplane) group_words='status counters trace top graph swap readmit' ;;
    kme) group_words='init status outage rate drain inject heal' ;;
    pki) group_words='init issue request renew revoke crl list show' ;;
    membership) group_words='sign verify show diff node' ;;
    demo) group_words='up status down' ;;
  esac
  if [[ -n $group_words ]]; then
    if ((COMP_CWORD == 2)); then
      mapfile -t COMPREPLY < <(compgen -W "$group_words --help" -- "$word")
      return
    fi
    command+=" ${COMP_WORDS[2]}"
  fi
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    local first='split combine inspect seal open put get verify ls stat rm explain nodes alarms events audit accounting status doctor topology version config node domain reshare shareholder offload dataplane kme pki membership demo'
    mapfile -t COMPREPLY < <(compgen -W "$first --help --version" -- "$word")
    return
  fi
  case $previous in
    --scheme)
      local schemes='systematic classic ramp rs'
      [[ $command == put || $command == explain ]] && schemes='shamir shamir-classic ramp rs'
      mapfile -t COMPREPLY < <(compgen -W "$schemes" -- "$word") && return
      ;;
    --protection)
      mapfile -t COMPREPLY < <(compgen -W 'none computational information-theoretic' -- "$word") && return
      ;;
    --severity) mapfile -t COMPREPLY < <(compgen -W 'warning minor major critical' -- "$word") && return ;;
    --type | --about | --since) return ;;
    --pad-shares) mapfile -t COMPREPLY < <(compgen -W 'auto yes no' -- "$word") && return ;;
    --format)
      local formats='ssn gfshare'
      [[ $command == 'dataplane graph' ]] && formats='text dot svg'
      mapfile -t COMPREPLY < <(compgen -W "$formats" -- "$word") && return
      ;;
    --random) mapfile -t COMPREPLY < <(compgen -W 'drbg' -- "$word") && return ;;
    --out | --authority) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return ;;
    --devices) mapfile -t COMPREPLY < <(compgen -W "$(ls /sys/class/net 2>/dev/null)" -- "$word") && return ;;
    --workers | --node | --isolated | --worker | --port | --prefix | --watch | --interval | --count | --connect) return ;;
    -k | --k | -n | --n | --data-blocks | --block-size | --name | --to | --wait | --cell-size) return ;;
    --seed | --only | --patience | --owner | --from | --replacement) return ;;
    --threshold | --domain) return ;;
    --controller | --quorum | --minimum | --ssa | --size | --class | --comment | --base) return ;;
  esac
  local options='--help --json --quiet'
  local place='--config --connect --controller --certificate --key --ca --crl'
  if [[ $command == 'dataplane '* ]]; then
    options+=' --socket --config --connect --name --certificate --key --ca --crl'
  fi
  case $command in
    split)
      options+=' --k --n --out --name --scheme --data-blocks --format --random --random-device --block-size --force'
      ;;
    combine) options+=' --output --format --k --force' ;;
    inspect) options+=' --check' ;;
    put)
      options+=' --class --scheme --k --n --data-blocks --cell-size --quorum --minimum --protection --ssa'
      options+=" --pad-shares --create --strict --patience $place"
      ;;
    get) options+=" --force --patience $place" ;;
    verify) options+=" --with --patience $place" ;;
    ls) options+=" --prefix --owner $place" ;;
    stat) options+=" --owner $place" ;;
    explain) options+=" --owner --dry-run --class --scheme --k --n --size --pad-shares --ssa $place" ;;
    nodes) options+=" --paths $place" ;;
    alarms) options+=" --all --follow --severity --type --about --check $place" ;;
    status) options+=" --check $place" ;;
    events) options+=" --since --follow $place" ;;
    audit) options+=" --caller --method --about --refused --since --follow $place" ;;
    accounting) options+=" --owner --since --records --export --after $place" ;;
    rm) options+=" --missing-ok --yes $place" ;;
    'config diff') options+=" --check $place" ;;
    'config apply') options+=" --comment --base --dry-run --yes $place" ;;
    'config rollback') options+=" --comment --dry-run --yes $place" ;;
    'config '*) options+=" $place" ;;
    'node set') options+=" $place" ;;
    'node remove') options+=" --destroyed --yes $place" ;;
    'domain list') options+=" --check $place" ;;
    'domain show') options+=" $place" ;;
    'reshare list') options+=" --all $place" ;;
    'reshare watch') options+=" $place" ;;
    'reshare start') options+=" --refresh --k --n --from --to --exchange --dry-run --owner $place" ;;
    'reshare cancel') options+=" --replacement $place" ;;
    'shareholder replace') options+=" --dry-run --yes $place" ;;
    doctor) options+=' --config' ;;
    topology) options+=' --workers --node --devices --topology --isolated' ;;
    'offload test') options+=' --seed --only --patience' ;;
    seal) options+=' --config --to --output --wait --cell-size --force' ;;
    open) options+=' --config --output --wait --force' ;;
    'dataplane counters') options+=' --prefix --watch --count' ;;
    'dataplane trace') options+=' --count --node --port' ;;
    'dataplane top') options+=' --interval --count --prefix' ;;
    'dataplane graph') options+=' --format --worker' ;;
    'dataplane swap') options+=' --check --dry-run' ;;
    'dataplane readmit') options+=' --self --yes' ;;
    'kme init') options+=' --out --sites --port' ;;
    'kme outage') options+=' --for --end --socket' ;;
    'kme inject') options+=' --count --for --socket' ;;
    'kme '*) options+=' --socket' ;;
    'pki init') options+=' --authority --name --days --request --chain' ;;
    'pki issue') options+=' --authority --role --address --csr --days --out' ;;
    'pki request') options+=' --role --address --out' ;;
    'pki renew') options+=' --authority --new-key --days --out' ;;
    'pki revoke') options+=' --authority --reason --days' ;;
    'pki crl') options+=' --authority --days' ;;
    'pki list') options+=' --authority --check' ;;
    'pki show') options+=' --authority' ;;
    'membership sign') options+=' --certificate --key --signatures' ;;
    'membership verify') options+=' --signers --threshold --signatures' ;;
    'membership node') options+=' --role --domain' ;;
    'demo '*) options+=' --folder' ;;
  esac
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}
complete -o filenames -F _ssn ssn
